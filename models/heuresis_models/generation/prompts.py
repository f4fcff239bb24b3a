"""Prompts: what is asked, in the grammar of documents, and what counts as given.

A prompt has a *head* (begin, exemplars, conditions, start tag and form), which tells the model what
to write, and may go on with a *given* part of the object itself, which the model continues.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from heuresis_models.generation.formula_walk import FormulaWalk
from heuresis_models.generation.slots import Slot
from heuresis_models.language.documents import Condition, Entry
from heuresis_models.language.errors import DocumentError
from heuresis_models.language.objects import Form, smiles_tokens
from heuresis_models.language.quantities import Formula
from heuresis_models.language.tokens import BEGIN, END, EXEMPLAR, FORMS, OBJECTS, TARGET
from heuresis_models.language.vocabulary import Vocabulary


class Prompt(NamedTuple):
    """Token ids that a document begins with.

    Args:
        ids: the prompt.
        head: how many of them only ask; the rest is given text and counts in the likelihood.
        plain: the same prompt with nothing asked (no conditions, no exemplars): what guidance
            compares with. None: the prompt asks nothing.
        slots: gaps to fill, and the text between them; none: the model writes to the end.
        formula: a crystal must have it exactly; None: it need not.
    """

    ids: tuple[int, ...]
    head: int
    plain: tuple[int, ...] | None = None
    slots: tuple[Slot, ...] = ()
    formula: Formula | None = None


@dataclass(frozen=True)
class ObjectKind:
    """How the objects of a design space are written in a document."""

    tag: str
    """Start tag, e.g. ``<molecule>``."""
    forms: tuple[str, ...] = ()
    """Form tags, one of which follows the start tag; empty: none does."""
    subject: str = ""
    """What a model must have been taught (`knowledge.SUBJECTS`); "": every model knows it."""

    @property
    def end(self) -> str:
        """Closing tag."""
        return f"</{self.tag[1:]}"


OBJECT_KINDS: Final[dict[str, ObjectKind]] = {
    "molecule": ObjectKind("<molecule>", FORMS),
    "crystal": ObjectKind("<crystal>", subject="crystals"),
    "peptide": ObjectKind("<peptide>", subject="peptides"),
    "protein": ObjectKind("<protein>", subject="proteins"),
    "coding-dna": ObjectKind("<coding>", subject="coding_dna"),
}
"""Kind of design space → object of the language; a candidate's text is the object's payload."""


def object_kind(kind: str) -> ObjectKind:
    """Return how a kind of design space is written.

    Raises:
        DocumentError: the language has no object for it.
    """
    if kind not in OBJECT_KINDS:
        raise DocumentError(
            f"the language writes no objects of the kind '{kind}'; it knows"
            f" {', '.join(OBJECT_KINDS)}"
        )
    return OBJECT_KINDS[kind]


def prompt(
    kind: str = "molecule",
    *,
    form: Form = Form.CANONICAL,
    given: str = "",
    conditions: Sequence[Condition] = (),
    exemplars: Sequence[Entry] = (),
    exact_formula: bool = False,
) -> Prompt:
    """Ask for an object.

    Args:
        kind: one of `OBJECT_KINDS`.
        form: which SMILES to write; only molecules have forms.
        given: payload that the object begins with.
        conditions: what it should be like.
        exemplars: objects to learn from, each with its own conditions, worst first.
        exact_formula: leave out what would lead away from the `Formula` among the conditions;
            without, the model is asked for it and may write another.

    Raises:
        DocumentError: the parts do not follow the grammar, or ``exact_formula`` without a formula.
        UnknownTokenError: ``given`` holds something that is no token.
    """
    vocabulary = Vocabulary.default()
    written = object_kind(kind)
    asked = [BEGIN]
    for exemplar in exemplars:
        asked += [EXEMPLAR, *exemplar.tokens()]
    if exemplars:
        asked.append(TARGET)
    asked += [token for condition in conditions for token in condition.tokens()]
    start = [written.tag, *([form.value] if written.forms else [])]
    payload = smiles_tokens(given) if written.forms and given else vocabulary.cut(given)
    tags = [token for token in payload if token in OBJECTS or token in (BEGIN, END)]
    if tags:
        raise DocumentError(f"given text is payload of one object, but it holds {tags[0]}")
    ids = vocabulary.ids
    full = tuple(ids[token] for token in (*asked, *start, *payload))
    plain = None
    if len(asked) > 1:
        plain = tuple(ids[token] for token in (BEGIN, *start, *payload))
    return Prompt(
        full,
        len(full) - len(payload),
        plain,
        formula=_exact_formula(kind, given, conditions) if exact_formula else None,
    )


def _exact_formula(kind: str, given: str, conditions: Sequence[Condition]) -> Formula:
    formulas = [condition for condition in conditions if isinstance(condition, Formula)]
    if kind != "crystal" or given or len(formulas) != 1:
        raise DocumentError(
            "an exact formula needs a crystal that begins with nothing given and one Formula among"
            f" its conditions; got a {kind}, given {given!r}, {len(formulas)} formulas"
        )
    FormulaWalk.of(formulas[0])
    return formulas[0]


def end_of(ids: Sequence[int]) -> str:
    """Return the token that closes the object which a prompt leaves open, or ``<eos>``."""
    tokens = Vocabulary.default().tokens
    opened: list[str] = []
    for index in ids:
        token = tokens[index]
        if token in OBJECTS:
            if not token.startswith("</"):
                opened.append(token)
            elif opened:
                opened.pop()
    return f"</{opened[0][1:]}" if opened else END


def payload(ids: Sequence[int], kind: str = "molecule") -> str:
    """Return the text of the last object of a kind in a document, cut off or not.

    Returns:
        "" when there is none.
    """
    vocabulary = Vocabulary.default()
    written = object_kind(kind)
    start = vocabulary[written.tag]
    for place in range(len(ids) - 1, -1, -1):
        if ids[place] == start:
            break
    else:
        return ""
    inner = [vocabulary.tokens[index] for index in ids[place + 1 :]]
    if written.forms and inner and inner[0] in written.forms:
        inner = inner[1:]
    if written.end in inner:
        inner = inner[: inner.index(written.end)]
    return "".join(inner)
