"""The grammar of documents as frames: small machines on a stack.

A frame is an immutable tuple that begins with its kind. `allowed` says which tokens may come next
for the top frame, `step` which frames replace it after a token. Objects nest (a molecule in a
complex), so a stack is needed; nothing else is.
"""

# ruff: noqa: D103, ARG001, S105 - every machine has the same two functions: the docstring of the
# first names its frame; a frame without content ignores it; "token" is no password here.
from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, Final

from heuresis_models.language import crystal_automaton, smiles_automaton
from heuresis_models.language.quantities import LEVEL_SCALES
from heuresis_models.language.smiles_state import START as SMILES_START
from heuresis_models.language.tokens import (
    CODONS,
    CONTACTS,
    CRYSTAL_ELEMENTS,
    D_RESIDUES,
    DIGITS,
    EXPONENTS,
    FORMS,
    LABELS,
    LEVELS,
    MARKS,
    NUCLEOTIDES,
    PROPERTIES,
    QUANTILES,
    RESIDUES,
    SECONDARY,
)

Frame = tuple[Any, ...]
Frames = tuple[Frame, ...]

_LEVELS: Final = frozenset(LEVELS)
_PROPERTY_TAGS: Final = frozenset(f"<{name}>" for name in PROPERTIES)
_OBJECTS: Final = frozenset(
    ("<molecule>", "<reaction>", "<retro>", "<crystal>", "<protein>", "<peptide>", "<coding>",
     "<dna>", "<complex>", "<framework>")
)  # fmt: skip
_BEFORE: Final = _PROPERTY_TAGS | frozenset(QUANTILES) | _OBJECTS | {"<formula>"}
_NONZERO: Final = frozenset(DIGITS[1:])
_ALL_DIGITS: Final = frozenset(DIGITS)
_ZERO: Final = frozenset(("'0",))
_BINDING: Final = frozenset(MARKS[3:])
LARGEST_COUNT: Final = 999
LARGEST_RESIDUE: Final = 9999


@lru_cache(maxsize=16384)
def _integer(prefix: str, low: int, high: int, ends: tuple[str, ...]) -> frozenset[str]:
    """Return digits that can still lead to a number within [low, high], and ends if it is one."""
    found: set[str] = set()
    for digit in DIGITS:
        text = prefix + digit[1]
        if text[0] == "0":
            continue
        value = int(text)
        for zeros in range(len(str(high)) - len(text) + 1):
            if value * 10**zeros <= high and (value + 1) * 10**zeros - 1 >= low:
                found.add(digit)
                break
    if prefix and low <= int(prefix) <= high:
        found.update(ends)
    return frozenset(found)


@cache
def _set(*tokens: str) -> frozenset[str]:
    return frozenset(tokens)


# --- entries ---------------------------------------------------------------------------------


def start_allowed(frame: Frame) -> frozenset[str]:
    """("start",): just after <bos>."""
    return _BEFORE | {"<exemplar>"}


def start_step(frame: Frame, token: str) -> Frames:
    if token == "<exemplar>":
        return (("before", "exemplar"),)
    return before_step(("before", "only"), token)


def before_allowed(frame: Frame) -> frozenset[str]:
    """("before", role): conditions, then an object."""
    return _BEFORE


def before_step(frame: Frame, token: str) -> Frames:
    if token in _PROPERTY_TAGS:
        return (frame, value_frame(token))
    if token in _OBJECTS:
        return (("after", frame[1], 0), *OBJECT_FRAMES[token])
    if token == "<formula>":
        return (frame, ("formula", frozenset(), None))
    return (frame,)


@cache
def _after(role: str, residues: int) -> frozenset[str]:
    found = set(_PROPERTY_TAGS)
    if residues:
        found |= {"<secondary>", "<conservation>"}
        if residues > 1:
            found.add("<contacts>")
    return frozenset(found | ({"<exemplar>", "<target>"} if role == "exemplar" else {"<eos>"}))


def after_allowed(frame: Frame) -> frozenset[str]:
    """("after", role, residues): what is said of the object, then the end."""
    return _after(frame[1], frame[2])


def after_step(frame: Frame, token: str) -> Frames:
    if token == "<eos>":
        return ()
    if token == "<exemplar>":
        return (("before", "exemplar"),)
    if token == "<target>":
        return (("before", "only"),)
    if token in _PROPERTY_TAGS:
        return (frame, value_frame(token))
    if token == "<contacts>":
        return (frame, ("contacts", frame[2], 0, ""))
    return (frame, ("track", token, frame[2]))


# --- numbers ---------------------------------------------------------------------------------


def value_frame(token: str) -> Frame:
    name = token[1:-1]
    if PROPERTIES[name] == "label":
        return ("label",)
    return ("number", 0, "scaled" if name in LEVEL_SCALES else "")


def number_allowed(frame: Frame) -> frozenset[str]:
    """("number", place, lead): sign, three digits, exponent; zero only as +000e+0. Or a level."""
    _, place, lead = frame
    if place == 0:
        return _set("<+>", "<->", *(LEVELS if lead == "scaled" else ()))
    if place == 1:
        return _NONZERO if lead == "<->" else _ALL_DIGITS
    if place == 4:
        return _set("<e+0>") if lead == "zero" else _set(*EXPONENTS)
    return _ZERO if lead == "zero" else _ALL_DIGITS


def number_step(frame: Frame, token: str) -> Frames:
    _, place, lead = frame
    if place == 4 or token in _LEVELS:
        return ()
    if place == 0:
        lead = token
    elif place == 1:
        lead = "zero" if token == "'0" else ""
    return (("number", place + 1, lead),)


def label_allowed(frame: Frame) -> frozenset[str]:
    return _set(*LABELS)


def formula_allowed(frame: Frame) -> frozenset[str]:
    """("formula", elements so far, digits of the count or None)."""
    _, used, digits = frame
    if digits == "":
        return _NONZERO
    more = set(CRYSTAL_ELEMENTS) - used
    if digits is None:
        return frozenset(more)
    ends = tuple(sorted((*more, "</formula>")))
    return _integer(digits, 1, LARGEST_COUNT, ends)


def formula_step(frame: Frame, token: str) -> Frames:
    _, used, digits = frame
    if token == "</formula>":
        return ()
    if token[0] == "{":
        return (("formula", used | {token}, ""),)
    return (("formula", used, digits + token[1]),)


# --- molecules, reactions, crystals ----------------------------------------------------------


def form_allowed(frame: Frame) -> frozenset[str]:
    return _set(*FORMS)


def smiles_allowed(frame: Frame) -> frozenset[str]:
    """("smiles", state, end)."""
    tokens, ends = smiles_automaton.allowed(frame[1])
    return _with_end(tokens, frame[2]) if ends else tokens


@lru_cache(maxsize=16384)
def _with_end(tokens: frozenset[str], end: str) -> frozenset[str]:
    return tokens | {end}


def smiles_step(frame: Frame, token: str) -> Frames:
    if token == frame[2]:
        return ()
    return (("smiles", smiles_automaton.advance(frame[1], token), frame[2]),)


def crystal_allowed(frame: Frame) -> frozenset[str]:
    return crystal_automaton.allowed(frame[1])


def crystal_step(frame: Frame, token: str) -> Frames:
    if token == crystal_automaton.CLOSE:
        return ()
    return (("crystal", crystal_automaton.advance(frame[1], token)),)


def list_allowed(frame: Frame) -> frozenset[str]:
    """("list", end, any): molecules up to an end tag, at least one."""
    return _set("<molecule>", frame[1]) if frame[2] else _set("<molecule>")


def list_step(frame: Frame, token: str) -> Frames:
    if token == frame[1]:
        return ()
    return (("list", frame[1], True), *OBJECT_FRAMES["<molecule>"])


def node_allowed(frame: Frame) -> frozenset[str]:
    """("node", any): elements of a framework's node, at least one."""
    return _set(*CRYSTAL_ELEMENTS, "<molecule>") if frame[1] else _set(*CRYSTAL_ELEMENTS)


def node_step(frame: Frame, token: str) -> Frames:
    if token == "<molecule>":
        return list_step(("list", "</framework>", False), token)
    return (("node", True),)


# --- chains ----------------------------------------------------------------------------------

_PEPTIDE: Final = frozenset((*RESIDUES, *D_RESIDUES))


def peptide_allowed(frame: Frame) -> frozenset[str]:
    """("peptide", place): 0 start, 1 after <acetyl>, 2 within, 3 after <amide>."""
    place = frame[1]
    if place == 3:
        return _set("</peptide>")
    if place == 2:
        return _PEPTIDE | {"<amide>", "</peptide>"}
    return _PEPTIDE | {"<acetyl>"} if place == 0 else _PEPTIDE


def peptide_step(frame: Frame, token: str) -> Frames:
    if token == "</peptide>":
        return ()
    return (("peptide", {"<acetyl>": 1, "<amide>": 3}.get(token, 2)),)


def bases_allowed(frame: Frame) -> frozenset[str]:
    """("bases", end, units, spelt): units are codons or bases; spelt is part of a codon with N."""
    _, end, units, spelt = frame
    if spelt:
        # A spelt codon holds an N: without one it would be a codon token.
        return _set("^N") if len(spelt) == 2 and "N" not in spelt else _set(*NUCLEOTIDES)
    found = _set(*CODONS, *NUCLEOTIDES) if end == "</coding>" else _set(*NUCLEOTIDES)
    if units > 0:
        return found | {end}
    return found | {"<fragment>"} if units < 0 else found


def bases_step(frame: Frame, token: str) -> Frames:
    _, end, units, spelt = frame
    if token == end:
        return ()
    if token == "<fragment>":
        return (("bases", end, 0, ""),)
    if end == "</coding>" and len(token) == 2 and len(spelt) < 2:
        return (("bases", end, max(units, 0), spelt + token[1]),)
    return (("bases", end, 1, ""),)


def protein_allowed(frame: Frame) -> frozenset[str]:
    """("protein", residues, head, marked, markable, copy); copy: the chain to repeat, or None."""
    _, residues, head, _, markable, copy = frame
    if copy is not None and copy[0] == "f" and not head:
        return _set("<fragment>")
    return _protein(
        len(residues) > 0,
        bool(head) or copy is not None,
        markable,
        None if copy is None else copy[1 + len(residues) : 2 + len(residues)],
    )


@cache
def _protein(begun: bool, headed: bool, markable: bool, forced: str | None) -> frozenset[str]:
    found = set(_BINDING) if markable else set()
    if forced is None:
        found |= set(RESIDUES)
        if begun:
            found.add("</protein>")
        elif not headed:
            found.add("<fragment>")
    else:
        found.add(f"_{forced}" if forced else "</protein>")
    return frozenset(found)


def protein_step(frame: Frame, token: str) -> Frames:
    kind, residues, head, marked, _, copy = frame
    if token == "</protein>":
        if copy is not None:
            return ()
        chain = (head or "-") + residues
        return (("protein-end", len(residues), None if marked else chain),)
    if token == "<fragment>":
        return ((kind, "", "f", marked, False, copy),)
    if token in _BINDING:
        return ((kind, residues, head, True, False, copy),)
    return ((kind, residues + token[1], head, marked, True, copy),)


def track_allowed(frame: Frame) -> frozenset[str]:
    """("track", tag, residues left)."""
    _, tag, left = frame
    if left == 0:
        return _set(f"</{tag[1:]}")
    return _set(*SECONDARY) if tag == "<secondary>" else _NONZERO


def track_step(frame: Frame, token: str) -> Frames:
    if token.startswith("</"):
        return ()
    return (("track", frame[1], frame[2] - 1),)


def contacts_allowed(frame: Frame) -> frozenset[str]:
    """("contacts", residues, first, digits); negative residues: at least one pair is written."""
    _, residues, first, digits = frame
    last = min(abs(residues), LARGEST_RESIDUE)
    if first:
        return _integer(digits, first + 1, last, CONTACTS[1:])
    found = _integer(digits, 1, last - 1, (CONTACTS[0],))
    return found | {"</contacts>"} if residues < 0 and not digits else found


def contacts_step(frame: Frame, token: str) -> Frames:
    kind, residues, first, digits = frame
    if token == "</contacts>":
        return ()
    if token == CONTACTS[0]:
        return ((kind, residues, int(digits), ""),)
    if token in CONTACTS:
        return ((kind, -abs(residues), 0, ""),)
    return ((kind, residues, first, digits + token[1]),)


def none_step(frame: Frame, token: str) -> Frames:
    return ()


MACHINES: Final[
    dict[str, tuple[Callable[[Frame], frozenset[str]], Callable[[Frame, str], Frames]]]
] = {
    "start": (start_allowed, start_step),
    "before": (before_allowed, before_step),
    "after": (after_allowed, after_step),
    "number": (number_allowed, number_step),
    "label": (label_allowed, none_step),
    "formula": (formula_allowed, formula_step),
    "form": (form_allowed, none_step),
    "smiles": (smiles_allowed, smiles_step),
    "arrow": (lambda frame: _set(frame[1]), none_step),
    "crystal": (crystal_allowed, crystal_step),
    "list": (list_allowed, list_step),
    "node": (node_allowed, node_step),
    "peptide": (peptide_allowed, peptide_step),
    "bases": (bases_allowed, bases_step),
    "protein": (protein_allowed, protein_step),
    "track": (track_allowed, track_step),
    "contacts": (contacts_allowed, contacts_step),
}

_PLAIN_PROTEIN: Final[Frame] = ("protein", "", "", False, False, None)

OBJECT_FRAMES: Final[dict[str, Frames]] = {
    # The last frame is the first to act.
    "<molecule>": (("smiles", SMILES_START, "</molecule>"), ("form",)),
    "<reaction>": (
        ("smiles", SMILES_START, "</reaction>"),
        ("smiles", SMILES_START, "<yields>"),
        ("form",),
    ),
    "<retro>": (
        ("smiles", SMILES_START, "</retro>"),
        ("smiles", SMILES_START, "<from>"),
        ("form",),
    ),
    "<crystal>": (("crystal", crystal_automaton.START),),
    "<protein>": (_PLAIN_PROTEIN,),
    "<peptide>": (("peptide", 0),),
    "<coding>": (("bases", "</coding>", -1, ""),),
    "<dna>": (("bases", "</dna>", -1, ""),),
    "<complex>": (("list", "</complex>", False), _PLAIN_PROTEIN, ("arrow", "<protein>")),
    "<framework>": (("node", False),),
}
