"""Named configurations: campaign files that the benchmark runs with one task and seed each.

A configuration is an ordinary campaign file with an oracle of kind ``pmo``; the benchmark replaces
its task, seed and budget, as ``heuresis run --set`` would. Two things it asks of the file: a
comment ``# honesty class: a`` (see `benchmarks.pmo.published`), and that the molecules of ZINC250k,
where a proposer reads them, are called ``zinc250k.smi.gz``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.pmo.published import CLASSES

from heuresis.campaign.yaml_tree import read_yaml
from heuresis.errors import UserError, did_you_mean
from heuresis.records import canonical_json, content_id
from heuresis_oracles.pmo.tasks import TASKS

FOLDER = Path(__file__).parent / "configurations"
LIBRARY = "zinc250k.smi.gz"
_HONESTY = re.compile(r"^#\s*honesty class:\s*(\w+)\s*$", re.MULTILINE)
TUNING_TASKS = ("perindopril_mpo", "zaleplon_mpo")
"""The two tasks on which PMO allows choosing settings."""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A configuration and where its molecules are."""

    name: str
    file: Path
    honesty: str
    oracle: str
    """Name of the ``pmo`` oracle in the file."""
    changes: tuple[str, ...]
    """``key=value`` for every run: the caller's, and where the library is."""
    identity: str
    """Changes with what the file says and with the caller's changes; comments do not matter, nor
    does where the library lies."""

    def overrides(self, task: str, seed: int, calls: int) -> list[str]:
        """Return what one run changes in the file."""
        return [
            f"oracles.{self.oracle}.task={task}",
            f"campaign=pmo-{self.name}-{task.replace('_', '-')}",
            f"seed={seed}",
            f"budget.evaluations={calls}",
            *self.changes,
        ]


def names() -> list[str]:
    """Return the configurations that are shipped."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_configuration(
    name: str, *, library: Path | None = None, changes: Sequence[str] = ()
) -> Configuration:
    """Return a configuration by its name, or by the path of a file.

    Raises:
        UserError: there is none, it has no ``pmo`` oracle or honesty class, or it reads the library
            and none is given.
    """
    file = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not file.is_file():
        raise UserError(
            f"unknown configuration '{name}'{did_you_mean(name, names())};"
            f" known: {', '.join(names())}; or give the path of a .yaml file"
        )
    text = file.read_text(encoding="utf-8")
    data = read_yaml(file).data
    sections = data.get("oracles") or {}
    oracles = [key for key, section in sections.items() if section.get("kind") == "pmo"]
    if len(oracles) != 1:
        raise UserError(f"{file}: expected one oracle of kind pmo, got {len(oracles)}")
    stated = _HONESTY.search(text)
    if stated is None or stated[1] not in CLASSES:
        raise UserError(
            f"{file}: state what the method knew before its first call in a comment such as"
            f" '# honesty class: a'; known: {_classes_in_words()}"
        )
    places = [path for path, value in _texts(data, ()) if Path(value).name == LIBRARY]
    if places and library is None:
        raise UserError(f"'{name}' reads {LIBRARY}; say where it is with --library")
    if library is not None and not library.is_file():
        raise UserError(f"there is no file {library}; expected {LIBRARY}")
    found = [f"{path}={library.absolute()}" for path in places] if library is not None else []
    return Configuration(
        name=file.stem,
        file=file,
        honesty=stated[1],
        oracle=oracles[0],
        changes=(*changes, *found),
        identity=content_id(stated[1], canonical_json(data), *changes),
    )


def choose_tasks(wanted: Sequence[str]) -> list[str]:
    """Return tasks by name; ``all``, ``tuning`` (the two that may be tuned on).

    Raises:
        UserError: a name is unknown.
    """
    chosen: list[str] = []
    for name in wanted:
        if name == "all":
            chosen += TASKS
        elif name == "tuning":
            chosen += TUNING_TASKS
        elif name in TASKS:
            chosen.append(name)
        else:
            raise UserError(
                f"unknown PMO task '{name}'{did_you_mean(name, TASKS)};"
                f" known: all, tuning, {', '.join(TASKS)}"
            )
    return list(dict.fromkeys(chosen))


def _texts(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield ".".join(path), value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, str(index)))


def _classes_in_words() -> str:
    return "; ".join(f"{letter}: {meaning}" for letter, meaning in CLASSES.items())
