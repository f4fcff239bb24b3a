"""Reads YAML into plain values with line numbers, and refuses what a campaign file never needs.

Only plain mappings, lists, texts, numbers, true/false and null come out. No tag can name code, no
anchor can grow a small file into a huge one, no key can silently replace another.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from heuresis.campaign.places import Document, KeyPath, dotted
from heuresis.errors import SpecError

MAX_BYTES = 2**20
MAX_VALUES = 20_000
"""Values after aliases are expanded; a large campaign has a few hundred."""
MAX_DEPTH = 32
_STANDARD = "tag:yaml.org,2002:"
_NUMBER = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")


class _Writer(yaml.SafeDumper):
    """Quotes texts that would be read back as numbers here, though not by YAML 1.1: 1e3."""


_Writer.add_implicit_resolver(f"{_STANDARD}float", _NUMBER, list("-+.0123456789"))


def write_yaml(data: Any) -> str:
    """Return plain data as YAML that `parse_yaml` reads back as it was, keys in their order."""
    text: str = yaml.dump(
        data,
        Dumper=_Writer,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=100,
    )
    return text


def read_yaml(path: Path) -> Document:
    """Read a file whose top level is a mapping.

    Raises:
        SpecError: missing, unreadable, too large, not UTF-8, not YAML, or not a mapping; says
            where and what to do.
    """
    return parse_yaml(_read_text(path), path)


def parse_yaml(text: str, file: Path) -> Document:
    """Parse the text of a file whose top level is a mapping; raises `SpecError`."""
    node = _compose(text, file)
    if node is None:
        raise SpecError(
            "the file is empty; a campaign starts with 'campaign: NAME'"
            " (see campaigns/quickstart/campaign.yaml)",
            file=file,
        )
    if not isinstance(node, yaml.MappingNode):
        kind = "a list" if isinstance(node, yaml.SequenceNode) else f"the text '{node.value:.40}'"
        raise SpecError(
            f"expected keys and values such as 'campaign: NAME', got {kind}", file=file, line=1
        )
    document = Document(data={}, file=file)
    document.data = _Reader(document).mapping(node, ())
    return document


def parse_value(text: str, place: str) -> Any:
    """Parse one value given on the command line; raises `SpecError` that names ``place``."""
    file = Path("--set")
    try:
        node = _compose(text, file)
    except SpecError as error:
        raise SpecError(f"cannot read the value '{text}': {error.message}", file=file, key=place)  # noqa: B904 - the same complaint
    if node is None:
        return None
    return _Reader(Document(data={}, file=file)).value(node, (place,))


def _read_text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise SpecError(
                f"this is a folder, expected a YAML file such as {path / 'campaign.yaml'}",
                file=path,
            )
        if size > MAX_BYTES:
            raise SpecError(
                f"the file has {size / 2**20:.1f} MiB, a campaign file may have 1 MiB;"
                " put data into files of their own",
                file=path,
            )
        data = path.read_bytes()
    except FileNotFoundError:
        raise SpecError(f"there is no such file{_similar(path)}", file=path) from None
    except OSError as error:
        raise SpecError(f"cannot read the file: {error.strerror}", file=path) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        seen = (
            "UTF-16"
            if data[:2] in (b"\xff\xfe", b"\xfe\xff")
            else f"byte 0x{data[error.start]:02x}"
        )
        raise SpecError(
            f"the file is not UTF-8 text ({seen}); save it with the encoding UTF-8",
            file=path,
            line=line,
        ) from error


def _similar(path: Path) -> str:
    folder = path.parent
    try:
        found = sorted(p.name for p in folder.iterdir() if p.suffix in (".yaml", ".yml"))[:5]
    except OSError:
        return f"; the folder {folder} does not exist either"
    return f"; YAML files in {folder}: {', '.join(found)}" if found else ""


def _compose(text: str, file: Path) -> yaml.Node | None:
    try:
        _require_modest(text, file)
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise SpecError(
            f"not valid YAML: {_explained(error)}", file=file, line=mark.line + 1 if mark else None
        ) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else None
        raise SpecError(
            f"the file holds the control character {_code(error.character):#04x};"
            " a campaign file is plain text",
            file=file,
            line=line,
        ) from error


def _code(character: int | str) -> int:
    return character if isinstance(character, int) else ord(character)


def _explained(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "cannot be parsed"
    if "\\t" in problem:
        return "a tab where blanks are expected; indent with blanks"
    if "mapping values are not allowed" in problem:
        return "a second ':' in one line, or a wrong indentation; put texts with ':' into quotes"
    if "single document" in (error.context or ""):
        return "a second document ('---'); a campaign is one document"
    context = f"{error.context}: " if error.context else ""
    return f"{context}{problem}"


def _require_modest(text: str, file: Path) -> None:
    """Bound depth and size on the stream of events, before anything recursive touches it."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader), 1):
        line = event.start_mark.line + 1 if event.start_mark else None
        if isinstance(event, yaml.events.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.events.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise SpecError(
                f"nested more than {MAX_DEPTH} levels deep; a campaign needs at most 6",
                file=file,
                line=line,
            )
        if count > 2 * MAX_VALUES:
            raise SpecError(
                f"more than {MAX_VALUES} values; a campaign has a few hundred at most",
                file=file,
                line=line,
            )


class _Reader:
    """Turns nodes into values, noting lines, counting what aliases expand to."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._count = 0
        self._scalars = yaml.constructor.SafeConstructor()

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self._count += 1
        if self._count > MAX_VALUES or len(path) > MAX_DEPTH:
            raise self._error(
                node,
                path,
                f"anchors and aliases expand to more than {MAX_VALUES} values or {MAX_DEPTH}"
                " levels; write the values out",
            )
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            self._require_tag(node, path, "seq")
            return list(self._items(node, path))
        return self._scalar(node, path)

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        self._require_tag(node, path, "map")
        result: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            line = key_node.start_mark.line + 1
            if key in result:
                raise self._error(
                    key_node, (*path, key), f"this key stands twice, first in line {lines[key]};"
                    " remove one"
                )  # fmt: skip
            lines[key] = line
            self._document.lines.setdefault((*path, key), line)
            result[key] = self.value(value_node, (*path, key))
        return result

    def _items(self, node: yaml.SequenceNode, path: KeyPath) -> Iterator[Any]:
        for index, item in enumerate(node.value):
            self._document.lines.setdefault((*path, index), item.start_mark.line + 1)
            yield self.value(item, (*path, index))

    def _key(self, node: yaml.Node, path: KeyPath) -> str:
        if isinstance(node, yaml.ScalarNode):
            if node.tag == f"{_STANDARD}merge":
                raise self._error(node, path, "merge keys ('<<') are not read; write the keys out")
            if node.tag.startswith(_STANDARD) and "python" not in node.tag:
                return str(node.value)  # on, no, 1: a key is the text that stands there
        raise self._error(node, path, f"a key must be plain text, got {_kind(node)}")

    def _require_tag(self, node: yaml.Node, path: KeyPath, expected: str) -> None:
        if node.tag != f"{_STANDARD}{expected}":
            raise self._error(
                node, path, f"the tag '{_short(node.tag)}' is refused: a campaign file holds plain"
                " values, never code or objects; remove the tag"
            )  # fmt: skip

    def _scalar(self, node: yaml.Node, path: KeyPath) -> Any:
        assert isinstance(node, yaml.ScalarNode)
        text = str(node.value)
        kind = node.tag.removeprefix(_STANDARD)
        if kind in ("int", "float") and ":" in text:
            return text  # YAML 1.1 reads 10:30 as a number to the base of 60
        if kind == "bool" and text.lower() not in ("true", "false"):
            return text  # YAML 1.1 reads no and on as truth values
        if kind in ("timestamp", "value"):
            return text
        if kind == "str":
            # YAML 1.1 reads 1e-3 as text, because it has no point.
            return float(text) if node.style is None and _NUMBER.match(text) else text
        if kind not in ("int", "float", "bool", "null"):
            self._require_tag(node, path, "str")
        try:
            value = self._scalars.construct_object(node)
        except (ValueError, yaml.YAMLError) as error:
            raise self._error(node, path, f"'{text:.40}' is not a {kind}") from error
        if isinstance(value, float) and not math.isfinite(value):
            raise self._error(node, path, f"expected a finite number, got {text}")
        return value

    def _error(self, node: yaml.Node, path: KeyPath, message: str) -> SpecError:
        return SpecError(
            message,
            file=self._document.file,
            line=node.start_mark.line + 1,
            key=dotted(path) or None,
        )


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return f"the tag '{_short(node.tag)}'"


def _short(tag: str) -> str:
    return f"!!{tag.removeprefix(_STANDARD)}" if tag.startswith(_STANDARD) else tag
