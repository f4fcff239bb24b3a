"""The vocabulary: which tokens exist, and how a text is cut into them.

Cutting is exact: joining the tokens of a text gives the text again, byte for byte. A text that
cannot be cut is an error that names the place; there is no "unknown" token, because a model that
has seen one can no longer say what it read.

The folder of a model holds its vocabulary as ``tokenizer.json`` in the layout of the Hugging Face
``tokenizers`` library (word-level model, regular-expression split).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from heuresis_models.errors import TokenError, WeightsError

PADDING: Final = "<pad>"
BEGIN: Final = "<bos>"
END: Final = "<eos>"
MOLECULE: Final = "<molecule>"
CANONICAL: Final = "<canonical>"
RANDOMIZED: Final = "<randomized>"

CONTROL_TOKENS: Final = (PADDING, BEGIN, END, MOLECULE, CANONICAL, RANDOMIZED)
"""Tokens that stand for structure, not for text. Their ids are the first of the vocabulary."""

ORGANIC_ATOMS: Final = ("B", "C", "N", "O", "P", "S", "F", "Cl", "Br", "I", "*")
AROMATIC_ATOMS: Final = ("b", "c", "n", "o", "p", "s")
BONDS_AND_BRANCHES: Final = ("-", "=", "#", "$", ":", "/", "\\", "~", "(", ")", ".", "->", "<-")
RING_CLOSURES: Final = (*"0123456789", *(f"%{number}" for number in range(10, 30)))

BRACKET_ATOMS: Final = (
    # carbon
    "[C@H]", "[C@@H]", "[C@]", "[C@@]", "[CH-]", "[CH2-]", "[C-]", "[CH]", "[CH2]", "[C+]",
    # nitrogen
    "[nH]", "[NH+]", "[NH2+]", "[NH3+]", "[N+]", "[N-]", "[nH+]", "[n+]", "[n-]", "[NH-]", "[NH4+]",
    # oxygen
    "[O-]", "[O+]", "[OH+]", "[OH-]", "[o+]", "[OH]",
    # sulfur
    "[S-]", "[S+]", "[S@]", "[S@@]", "[S@+]", "[S@@+]", "[SH+]", "[SH]", "[s+]", "[SH-]",
    # phosphorus
    "[P@]", "[P@@]", "[P+]", "[PH]", "[PH2]", "[PH+]", "[P@H]", "[P@@H]",
    # silicon, boron, selenium, halogens, tin
    "[Si]", "[SiH]", "[SiH2]", "[B-]", "[BH-]", "[BH3-]", "[Se]", "[se]", "[I+]", "[Cl-]", "[Br-]",
    "[Sn]", "[Na+]", "[K+]", "[Li]", "[Li+]",
)  # fmt: skip
"""Bracket atoms that are one token: those of drug-like and synthetic chemistry. Every other
bracket atom is spelt: ``[13CH3]`` is ``[ 1 3 C H 3 ]``."""

SPELLING: Final = ("[", "]", "@@", "@", "+", "si", "se", "as", "te")
ELEMENTS: Final = (  # noqa: SIM905 - a list literal would take 100 lines
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se "
    "Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb "
    "Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm"
).split()

_INSIDE_BRACKET = r"(?=[^\[\]]*\])"
"""True where the next bracket closes: ``Sn`` is tin inside brackets, S and n elsewhere."""


def smiles_tokens() -> tuple[str, ...]:
    """Return the text tokens of the molecule language, in their fixed order."""
    listed = (
        *ORGANIC_ATOMS,
        *AROMATIC_ATOMS,
        *BONDS_AND_BRANCHES,
        *RING_CLOSURES,
        *BRACKET_ATOMS,
        *SPELLING,
        *ELEMENTS,
    )
    return tuple(dict.fromkeys(listed))


class Vocabulary:
    """An ordered list of tokens; the place in the list is the id.

    Args:
        text_tokens: tokens that stand for text, without `CONTROL_TOKENS`, which come first.

    Raises:
        ValueError: a token is empty or listed twice.
    """

    def __init__(self, text_tokens: Iterable[str]) -> None:
        self.tokens: tuple[str, ...] = (*CONTROL_TOKENS, *text_tokens)
        self._id = {token: index for index, token in enumerate(self.tokens)}
        if len(self._id) != len(self.tokens) or "" in self._id:
            raise ValueError("a vocabulary lists each token once and none may be empty")
        outside_only = set(ORGANIC_ATOMS) | set(AROMATIC_ATOMS)
        inside_only = (set(ELEMENTS) | set(SPELLING)) - outside_only - {"[", "]"}
        text = sorted(self.tokens[len(CONTROL_TOKENS) :], key=lambda token: (-len(token), token))
        self.pattern = "|".join(
            re.escape(token) + (_INSIDE_BRACKET if token in inside_only else "") for token in text
        )
        self._cut = re.compile(self.pattern)

    @classmethod
    def default(cls) -> Vocabulary:
        """Return the vocabulary of the shipped models."""
        return cls(smiles_tokens())

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, token: str) -> int:
        """Return the id of a token, control tokens included."""
        return self._id[token]

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the token list: two models with the same hash speak the same language."""
        return hashlib.sha256("\0".join(self.tokens).encode()).hexdigest()

    def encode(self, text: str) -> list[int]:
        """Cut a text into token ids.

        Raises:
            TokenError: no token fits at some position; names position and character.
        """
        ids = []
        position = 0
        for match in self._cut.finditer(text):
            if match.start() != position:
                break
            ids.append(self._id[match.group()])
            position = match.end()
        if position != len(text):
            raise TokenError(text, position)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Join the text tokens of a list of ids; control tokens are left out."""
        return "".join(self.tokens[index] for index in ids if index >= len(CONTROL_TOKENS))

    def save(self, path: Path) -> None:
        """Write ``tokenizer.json``."""
        document = {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [
                {
                    "id": index,
                    "content": token,
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                    "special": True,
                }
                for index, token in enumerate(CONTROL_TOKENS)
            ],
            "normalizer": None,
            "pre_tokenizer": {
                "type": "Split",
                "pattern": {"Regex": self.pattern},
                "behavior": "Isolated",
                "invert": False,
            },
            "post_processor": None,
            "decoder": {"type": "Fuse"},
            "model": {"type": "WordLevel", "vocab": self._id, "unk_token": PADDING},
        }
        path.write_text(json.dumps(document, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read ``tokenizer.json``.

        Raises:
            WeightsError: the file is missing, damaged, or not a vocabulary of this package.
        """
        try:
            document: Any = json.loads(path.read_text(encoding="utf-8"))
            ids: dict[str, int] = document["model"]["vocab"]
            tokens = sorted(ids, key=lambda token: ids[token])
            if [ids[token] for token in tokens] != list(range(len(tokens))):
                raise ValueError("the ids are not 0, 1, 2, …")
            if tuple(tokens[: len(CONTROL_TOKENS)]) != CONTROL_TOKENS:
                raise ValueError(f"it does not begin with {' '.join(CONTROL_TOKENS)}")
            return cls(tokens[len(CONTROL_TOKENS) :])
        except FileNotFoundError as error:
            raise WeightsError(f"{path} is missing; a model folder needs it") from error
        except (KeyError, TypeError, AttributeError, ValueError, OSError) as error:
            raise WeightsError(f"{path} is not a vocabulary of heuresis_models: {error}") from error
