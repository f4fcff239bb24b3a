"""The vocabulary: token ↔ id, text → ids → text, and ``tokenizer.json``.

There is no "unknown" token, because a model that has seen one can no longer say what it read: a
text that cannot be cut is an error that names the place.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

from heuresis_models.language.errors import OverlongError, TokenizerFileError, UnknownTokenError
from heuresis_models.language.tokens import CONTROL, GROUPS, PATTERN

SCHEMA: Final = "heuresis-language-1"
"""Version of the layout of `Vocabulary.save`; a loader refuses any other."""


class Vocabulary:
    """The ordered tokens of `tokens.GROUPS`; the place in the order is the id.

    Use `Vocabulary.default()`, which is built once.
    """

    def __init__(self) -> None:
        self.tokens: tuple[str, ...] = tuple(token for group in GROUPS.values() for token in group)
        self.ids: dict[str, int] = {token: index for index, token in enumerate(self.tokens)}
        if len(self.ids) != len(self.tokens) or "" in self.ids:
            raise ValueError("a vocabulary lists each token once and none may be empty")
        self._cut = re.compile(PATTERN)

    @classmethod
    @cache
    def default(cls) -> Vocabulary:
        """Return the one vocabulary of this version of the language."""
        return cls()

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, token: str) -> int:
        """Return the id of a token."""
        return self.ids[token]

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of tokens and pattern: equal hashes mean the same language."""
        return hashlib.sha256("\0".join((PATTERN, *self.tokens)).encode()).hexdigest()

    def cut(self, text: str, *, where: str = "") -> list[str]:
        """Cut a text into tokens; joined, they are the text again.

        Args:
            text: a document or a part of one.
            where: file and row for error messages.

        Raises:
            UnknownTokenError: something in the text is no token.
        """
        pieces: list[str] = self._cut.findall(text)
        known = self.ids
        if sum(map(len, pieces)) == len(text) and all(piece in known for piece in pieces):
            return pieces
        raise self._unknown(text, where)

    def encode(self, text: str, *, limit: int | None = None, where: str = "") -> list[int]:
        """Cut a text into token ids.

        Args:
            text: a document or a part of one.
            limit: most tokens the caller can hold.
            where: file and row for error messages.

        Raises:
            UnknownTokenError: something in the text is no token.
            OverlongError: there are more tokens than ``limit``.
        """
        ids = self.ids
        pieces = self.cut(text, where=where)
        if limit is not None and len(pieces) > limit:
            raise OverlongError(len(pieces), limit, where)
        return [ids[piece] for piece in pieces]

    def decode(self, ids: Iterable[int]) -> str:
        """Join tokens to the text; the inverse of `encode`.

        Raises:
            UnknownTokenError: an id is outside of the vocabulary.
        """
        ids = list(ids)
        for position, index in enumerate(ids):
            if not 0 <= index < len(self.tokens):
                before = "".join(self.tokens[i] for i in ids[max(0, position - 5) : position])
                raise UnknownTokenError(f"id {index}", position, before)
        return "".join(self.tokens[index] for index in ids)

    def _unknown(self, text: str, where: str) -> UnknownTokenError:
        position = 0
        for match in self._cut.finditer(text):
            if match.start() != position or match.group() not in self.ids:
                break
            position = match.end()
        found = re.compile(r"<[^<>]{0,30}>|\[[^\[\]]{0,30}\]|\S{1,12}|.", re.DOTALL).match(
            text, position
        )
        piece = found.group() if found else ""
        return UnknownTokenError(piece, position, text[max(0, position - 20) : position], where)

    def save(self, path: Path) -> None:
        """Write ``tokenizer.json`` in the layout of the Hugging Face ``tokenizers`` library.

        Split by `tokens.PATTERN`, word-level model. The "unknown" token that the layout asks for
        is not in the vocabulary, so that library, too, raises on what is no token; it holds our
        schema and hash, for the layout has no other place for them.
        """
        path.write_text(json.dumps(self._layout(), indent=1) + "\n", encoding="utf-8")

    def _stamp(self) -> str:
        return f"no token | {SCHEMA} | {self.content_hash}"

    def _layout(self) -> dict[str, Any]:
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [
                {
                    "id": self.ids[token],
                    "content": token,
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                    "special": True,
                }
                for token in CONTROL
            ],
            "normalizer": None,
            "pre_tokenizer": {
                "type": "Split",
                "pattern": {"Regex": PATTERN},
                "behavior": "Isolated",
                "invert": False,
            },
            "post_processor": None,
            "decoder": {"type": "Fuse"},
            "model": {"type": "WordLevel", "vocab": self.ids, "unk_token": self._stamp()},
        }

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read ``tokenizer.json`` and check that it is this version of the language.

        Raises:
            TokenizerFileError: the file is missing, damaged, or of another vocabulary.
        """
        ours = cls.default()
        try:
            document: Any = json.loads(path.read_text(encoding="utf-8"))
            _, schema, stated = str(document["model"]["unk_token"]).split(" | ")
            ids: dict[str, int] = dict(document["model"]["vocab"])
            pattern = document["pre_tokenizer"]["pattern"]["Regex"]
        except FileNotFoundError as error:
            raise TokenizerFileError(f"{path} is missing; a model folder needs it") from error
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise TokenizerFileError(
                f"{path} is not a tokenizer of this language: {type(error).__name__}: {error}"
            ) from error
        if schema != SCHEMA:
            raise TokenizerFileError(f"{path} has schema {schema!r}; expected {SCHEMA!r}")
        if ids != ours.ids or pattern != PATTERN or stated != ours.content_hash:
            raise TokenizerFileError(
                f"{path} belongs to another vocabulary: {len(ids)} tokens, hash {stated[:12]}…;"
                f" this version has {len(ours)} tokens, hash {ours.content_hash[:12]}…"
                f"{_first_difference(ids, ours.tokens)}; use the version that trained the model"
            )
        return ours


def _first_difference(ids: dict[str, int], tokens: Sequence[str]) -> str:
    for index, token in enumerate(tokens):
        if ids.get(token) != index:
            return f" (first difference: {token!r} is {ids.get(token)} there, {index} here)"
    return ""
