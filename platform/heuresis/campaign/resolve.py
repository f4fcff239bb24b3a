"""Checks a campaign against its plug-ins: kinds, settings, measures, spaces. Imports no physics.

What comes out has every default filled in, so it can be run, hashed, stored and shown.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from heuresis.campaign.loading import load_document, load_spec
from heuresis.campaign.measures import measure_errors
from heuresis.campaign.places import Document, KeyPath
from heuresis.campaign.plugins import Plugins
from heuresis.campaign.sentences import raise_together, spec_errors
from heuresis.campaign.spec import (
    LEARN_EVERY,
    CampaignSpec,
    OracleSection,
    PluginSection,
    ProposerSection,
)
from heuresis.engine.budget import Budget
from heuresis.errors import HeuresisError, MissingExtraError, SpecError, UserError
from heuresis.ports import PluginConfig
from heuresis.records import OracleDeclaration, canonical_json
from heuresis.registry import ORACLES, PROPOSERS, SPACES
from heuresis.search.pareto import OBJECTIVES


@dataclass(frozen=True, kw_only=True)
class ResolvedOracle:
    """An oracle of this campaign, with its declaration."""

    name: str
    section: OracleSection
    config: PluginConfig
    declaration: OracleDeclaration

    @property
    def timeout_s(self) -> float:
        """Hard limit per candidate, seconds."""
        return self.section.timeout_s or self.declaration.timeout_s


@dataclass(frozen=True, kw_only=True)
class ResolvedProposer:
    """A proposer of this campaign."""

    name: str
    section: ProposerSection
    config: PluginConfig
    learn_every: int | None
    observes: bool = False
    """It is told what became of every candidate (`heuresis.ports.Observer`)."""


@dataclass(frozen=True, kw_only=True)
class ResolvedCampaign:
    """A campaign that can run: every plug-in found, every setting checked."""

    spec: CampaignSpec
    space: Any
    """The built design space (`heuresis.ports.DesignSpace`)."""
    space_config: PluginConfig
    oracles: tuple[ResolvedOracle, ...]
    proposers: tuple[ResolvedProposer, ...]
    plugins: Plugins
    file: Path | None = None
    notes: tuple[str, ...] = field(default=())
    """What a person may want to know, e.g. an oracle that no objective uses."""

    @property
    def spec_hash(self) -> str:
        """SHA-256 of the resolved campaign without its budget: more budget is the same campaign."""
        document = self.document()
        del document["budget"]
        return hashlib.sha256(canonical_json(document).encode()).hexdigest()

    def document(self) -> dict[str, Any]:
        """Return the campaign with every default filled in, as plain values."""
        spec = self.spec
        own = spec.measurement_seed  # left out when not set: the hashes of older runs stay
        return {
            "schema_version": spec.schema_version,
            "campaign": spec.campaign,
            "question": spec.question,
            "space": {"kind": spec.space.kind, **self.space_config.model_dump(mode="json")},
            "oracles": {
                oracle.name: _merged(oracle.section, oracle.config, timeout_s=oracle.timeout_s)
                for oracle in self.oracles
            },
            "objectives": {n: t.model_dump(mode="json") for n, t in spec.objectives.items()},
            "constraints": {n: c.model_dump(mode="json") for n, c in spec.constraints.items()},
            "proposers": [
                _merged(p.section, p.config, name=p.name, learn_every=p.learn_every or 0)
                for p in self.proposers
            ],
            "search": spec.search.model_dump(mode="json"),
            "budget": budget_document(spec.budget),
            "seed": spec.seed,
            **({} if own is None else {"measurement_seed": own}),
        }

    def with_budget(self, budget: Budget) -> ResolvedCampaign:
        """Return the same campaign with another budget; its hash does not change."""
        changes = {**self.__dict__, "spec": self.spec.with_budget(budget)}
        return ResolvedCampaign(**changes)


def budget_document(budget: Budget) -> dict[str, Any]:
    """Return a budget as a person would write it: durations carry their unit."""
    document = budget.model_dump(mode="json", exclude_none=True)
    if budget.wall_time is not None:
        document["wall_time"] = f"{budget.wall_time:.15g} s"
    return document


def load_campaign(
    path: Path, overrides: Sequence[str] = (), *, plugins: Plugins | None = None
) -> ResolvedCampaign:
    """Read, check and resolve a campaign file.

    Raises:
        SpecError: anything is wrong with it; one or several complaints with file, line and key.
    """
    return resolve(load_document(path, overrides), plugins or Plugins())


def resolve(document: Document, plugins: Plugins) -> ResolvedCampaign:
    """Check a document against its plug-ins; raises `SpecError`."""
    spec = load_spec(document)
    return _Resolver(document, spec, plugins).run()


def _merged(section: PluginSection, config: PluginConfig, **resolved: Any) -> dict[str, Any]:
    own = {key: getattr(section, key) for key in section.own_keys()}
    merged = {**config.model_dump(mode="json"), **own, **resolved}
    first = [key for key in ("name", "kind") if merged.get(key) is not None]
    return {**{key: merged[key] for key in first}, **merged}


class _Resolver:
    """Collects all complaints before it gives up."""

    def __init__(self, document: Document, spec: CampaignSpec, plugins: Plugins) -> None:
        self.document = document
        self.spec = spec
        self.plugins = plugins
        self.errors: list[SpecError] = []
        self.space_is_known = False

    def run(self) -> ResolvedCampaign:
        spec = self.spec
        space_class, space_config = self._plugin(SPACES, spec.space, ("space",))
        self.space_is_known = space_class is not None
        space = self._attempt(("space",), lambda: space_class(space_config))
        oracles = [self._oracle(name, one, space) for name, one in spec.oracles.items()]
        proposers = [self._proposer(i, one, space) for i, one in enumerate(spec.proposers)]
        self._names()
        if all(oracle is not None for oracle in oracles):
            declared = {o.name: o.declaration for o in oracles if o is not None}
            self.errors += measure_errors(self.document, spec, declared)
        self._ranking()
        self._budget()
        raise_together(self.errors)
        return ResolvedCampaign(
            spec=spec,
            space=space,
            space_config=space_config,
            oracles=tuple(o for o in oracles if o is not None),
            proposers=tuple(p for p in proposers if p is not None),
            plugins=self.plugins,
            file=self.document.file,
            notes=tuple(_notes(spec)),
        )

    def _complain(self, path: KeyPath, message: str) -> None:
        self.errors.append(self.document.error(path, message))

    def _attempt(self, path: KeyPath, make: Callable[[], Any]) -> Any:
        """Build something of a plug-in's; what it refuses is a complaint about ``path``."""
        if self.errors:
            return None
        try:
            return make()
        except MissingExtraError:
            raise
        except (HeuresisError, ValueError) as error:
            self._complain(path, str(error))
            return None

    def _plugin(self, group: str, section: PluginSection, at: KeyPath) -> tuple[Any, Any]:
        """Find a plug-in and validate its settings."""
        try:
            found = self.plugins.load(group, section.kind)
        except MissingExtraError:
            raise
        except UserError as error:
            self._complain((*at, "kind"), str(error))
            return None, None
        settings = section.params
        # A key that the platform and the plug-in both know means the same to both.
        shared = set(section.own_keys()) & set(found.Config.model_fields)
        settings.update({k: v for k in shared if (v := getattr(section, k)) is not None})
        try:
            return found, found.Config.model_validate_json(json.dumps(settings), strict=True)
        except ValidationError as error:
            self.errors += spec_errors(
                error, self.document, found.Config, at=at, also_known=section.own_keys()
            )
        return found, None

    def _oracle(self, name: str, section: OracleSection, space: Any) -> ResolvedOracle | None:
        at = ("oracles", name)
        found, config = self._plugin(ORACLES, section, at)
        if config is None:
            return None
        try:
            declaration: OracleDeclaration = found.declare(config)
        except (HeuresisError, ValueError) as error:
            self._complain(at, str(error))
            return None
        if self.space_is_known and self.spec.space.kind not in declaration.spaces:
            self._complain(
                at,
                f"oracle kind '{section.kind}' measures {', '.join(declaration.spaces)},"
                f" not {self.spec.space.kind} (space.kind); remove it or change the space",
            )
        elif space is not None and hasattr(found, "check_space"):
            self._attempt((*at, "kind"), lambda: found.check_space(config, space))
        return ResolvedOracle(name=name, section=section, config=config, declaration=declaration)

    def _proposer(
        self, index: int, section: ProposerSection, space: Any
    ) -> ResolvedProposer | None:
        at = ("proposers", index)
        found, config = self._plugin(PROPOSERS, section, at)
        if config is None:
            return None
        if space is not None and hasattr(found, "check_space"):
            self._attempt((*at, "kind"), lambda: found.check_space(config, space))
        learns = hasattr(found, "learn")
        wanted = section.learn_every
        if wanted and not learns:
            self._complain(
                (*at, "learn_every"),
                f"proposer kind '{section.kind}' cannot learn; remove this key",
            )
        if wanted is None and learns and getattr(config, "learning", True):
            wanted = LEARN_EVERY
        return ResolvedProposer(
            name=section.title,
            section=section,
            config=config,
            learn_every=wanted or None,
            observes=hasattr(found, "observe"),
        )

    def _names(self) -> None:
        seen: dict[str, str] = {name: f"oracle '{name}'" for name in self.spec.oracles}
        for index, section in enumerate(self.spec.proposers):
            title = section.title
            if title in seen:
                self._complain(
                    ("proposers", index, "name" if section.name else "kind"),
                    f"the name '{title}' is taken by {seen[title]}; give this proposer another"
                    f" 'name', e.g. name: {title}-{index + 1}",
                )
            seen.setdefault(title, f"proposer {index}")

    def _ranking(self) -> None:
        fewest, most = OBJECTIVES
        count = len(self.spec.objectives)
        if self.spec.search.ranking == "pareto" and not fewest <= count <= most:
            self._complain(
                ("search", "ranking"),
                f"a Pareto ranking compares {fewest} to {most} objectives, this campaign has"
                f" {count}; use ranking: score"
                + (", or make the lesser objectives constraints" if count > most else ""),
            )

    def _budget(self) -> None:
        limits = self.spec.budget.evaluations
        if not isinstance(limits, dict):
            return
        for name in limits:
            if name not in self.spec.oracles:
                known = ", ".join(self.spec.oracles)
                self._complain(
                    ("budget", "evaluations", name), f"no oracle is named '{name}'; known: {known}"
                )


def _notes(spec: CampaignSpec) -> list[str]:
    measures = [term.measure for term in spec.objectives.values()]
    measures += [constraint.measure for constraint in spec.constraints.values()]
    used = {measure.partition(".")[0] for measure in measures}
    notes = [
        f"oracle '{name}' is measured, but no objective or constraint uses it"
        for name in spec.oracles
        if name not in used
    ]
    promotes = spec.search.promotion.quantile > 0 and len(spec.oracles) > 1
    if spec.search.ranking == "pareto" and promotes:
        notes.append(
            "the cascade drops by the score also with ranking: pareto, which costs the ends of the"
            " front; search.promotion.quantile: 0 promotes nearly all, constraints drop the rest"
        )
    return notes
