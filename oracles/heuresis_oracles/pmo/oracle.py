"""Oracle ``pmo``: one task of the PMO benchmark, for measuring how sample-efficient a search is.

PMO (Gao et al., NeurIPS 2022 Datasets and Benchmarks, arXiv:2206.12411) gives a method 10,000 calls
and asks how good the ten best molecules are along the way. A score costs a millisecond, but every
call counts as if it were an experiment, so the oracle is metered like one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from heuresis.errors import CalculationError, did_you_mean
from heuresis.ports import PluginConfig
from heuresis.records import (
    Candidate,
    CostClass,
    Evaluation,
    Measurement,
    OracleDeclaration,
    Outcome,
    OutputDeclaration,
)
from heuresis_oracles.molecules import parse_molecule
from heuresis_oracles.outcomes import evaluate_each, version_with
from heuresis_oracles.pmo.tasks import CLASSIFIER_TASKS, TASKS

if TYPE_CHECKING:
    from rdkit.Chem import Mol

ROUNDING = 1e-9
"""A score may leave [0, 1] by so much through rounding; it is brought back."""


class PracticalMolecularOptimization:
    """One of the twenty PMO tasks that need nothing but RDKit.

    Scores are a deterministic function of the molecular graph; the seed is not used. No task looks
    at stereochemistry, charges as such, or three-dimensional structure.
    """

    class Config(PluginConfig):
        """Which task, and how it is handed out."""

        task: str = Field(
            description="a task by PMO's name, e.g. zaleplon_mpo",
            examples=["zaleplon_mpo"],
            json_schema_extra={"enum": [*TASKS]},  # so that editors complete it
        )
        components: bool = Field(
            False, description="also give the score of each wish that the task joins"
        )
        batch_size: int = Field(
            8,
            ge=1,
            le=1024,
            description="candidates per call; scores of one call are known together",
        )

        @field_validator("task")
        @classmethod
        def _known_task(cls, name: str) -> str:
            if name in CLASSIFIER_TASKS:
                raise ValueError(
                    f"the PMO task '{name}' scores by a classifier that must be downloaded, and is"
                    f" not offered; known: {', '.join(TASKS)}"
                )
            if name not in TASKS:
                raise ValueError(
                    f"unknown PMO task '{name}'{_suggestion(name)}; known: {', '.join(TASKS)}"
                )
            return name

    @classmethod
    def declare(cls, config: Config) -> OracleDeclaration:
        """Say what is measured; imports no RDKit."""
        task = TASKS[config.task]
        outputs = {"score": f"PMO {config.task}, 0 to 1: {task.summary}"}
        if config.components:
            outputs |= {name: f"wish '{name}' of {config.task}, 0 to 1" for name in task.parts}
        return OracleDeclaration(
            kind="pmo",
            version=version_with("1", "rdkit"),
            spaces=("molecule",),
            outputs={
                name: OutputDeclaration(unit="1", description=description)
                for name, description in outputs.items()
            },
            checks={"in-range": "every score lies between 0 and 1"},
            # A millisecond of work that stands for an experiment: an integer budget counts it even
            # beside free oracles, and the loop proposes no further ahead than it would for one.
            cost_class=CostClass.SECONDS,
            isolated=False,
            seeded=False,
            batch_size=config.batch_size,
            timeout_s=60.0,
            reference=(
                "Gao et al., NeurIPS 2022, arXiv:2206.12411 (PMO); Brown et al., J. Chem. Inf."
                " Model. 59, 1096 (2019) (GuacaMol: the definitions); PyTDC 0.4.0 (aggregation)"
            ),
        )

    def __init__(self, config: Config) -> None:
        self.config = config
        self._task = TASKS[config.task]

    def prepare(self) -> None:
        """Import RDKit and read the targets, once per worker."""
        self._components(parse_molecule("C"))

    def evaluate(
        self,
        candidates: Sequence[Candidate],
        *,
        seed: int,  # noqa: ARG002 - nothing here is random
        workdir: Path,  # noqa: ARG002 - nothing is written
    ) -> list[Outcome]:
        """Score each candidate, in order; an unreadable SMILES is a setup failure."""
        return evaluate_each(candidates, self._measure)

    def _measure(self, candidate: Candidate) -> Evaluation:
        components = self._components(parse_molecule(candidate.text))
        values = {"score": self._task.score(components)}
        if self.config.components:
            values |= components
        return Evaluation(
            measurements={
                name: Measurement(value=_in_range(name, value, candidate.text), unit="1")
                for name, value in values.items()
            },
            checks=("in-range",),
        )

    def _components(self, molecule: Mol) -> dict[str, float]:
        return self._task.components(molecule)


def _suggestion(name: str) -> str:
    """Return the closest task; a name without its ending (``zaleplon``) counts as very close."""
    stem = name.lower().replace("-", "_").strip()
    starting = [task for task in TASKS if stem and task.startswith(stem)]
    return f"; did you mean '{starting[0]}'?" if starting else did_you_mean(stem, TASKS)


def _in_range(name: str, value: float, text: str) -> float:
    if not -ROUNDING <= value <= 1.0 + ROUNDING:  # also catches NaN
        raise CalculationError(f"{name} of '{text}' is {value}, expected 0 to 1")
    return min(1.0, max(0.0, value))
