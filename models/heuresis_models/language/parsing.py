"""Reading documents back: tokens → `Document`, the inverse of `Document.tokens`.

Strict: what the writer would not have written is an error that names the token and its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

from heuresis_models.language.crystal_text import parse_payload
from heuresis_models.language.documents import (
    Annotation,
    Condition,
    Conservation,
    Contacts,
    Document,
    Entry,
    SecondaryStructure,
)
from heuresis_models.language.errors import DocumentError
from heuresis_models.language.objects import (
    BINDING_MARKS,
    DNA,
    BindingSite,
    CodingDNA,
    Complex,
    Form,
    Framework,
    Molecule,
    Peptide,
    Protein,
    Reaction,
    Thing,
)
from heuresis_models.language.quantities import (
    NUMBER_TOKENS,
    Formula,
    Label,
    Level,
    Quantile,
    Quantity,
    read_number,
)
from heuresis_models.language.tokens import (
    CONTACTS,
    LABELS,
    LEVELS,
    PROPERTIES,
    QUANTILES,
    SMILES,
)
from heuresis_models.language.vocabulary import Vocabulary

_SMILES = frozenset(SMILES)
_FORMS = frozenset(form.value for form in Form)
_PROPERTIES = frozenset(f"<{name}>" for name in PROPERTIES)


def read_text(text: str, *, where: str = "") -> Document:
    """Read a document from its text.

    Raises:
        UnknownTokenError: something is no token.
        DocumentError: the tokens do not follow the grammar.
        CrystalTextError: a crystal does not follow its own.
    """
    return read_document(Vocabulary.default().cut(text, where=where))


def read_document(tokens: Sequence[str]) -> Document:
    """Read a document from its tokens; errors as in `read_text`."""
    reader = _Reader(list(tokens))
    reader.expect("<bos>")
    exemplars = []
    while reader.take("<exemplar>"):
        exemplars.append(reader.entry())
    if exemplars:
        reader.expect("<target>")
    entry = reader.entry()
    reader.expect("<eos>")
    if reader.place != len(reader.tokens):
        reader.fail("nothing after <eos>")
    found = Document(entry, tuple(exemplars))
    if found.tokens() != reader.tokens:
        raise DocumentError(
            "the tokens are read, but not in the one form that the grammar writes; expected"
            f" {found.text()[:200]!r}"
        )
    return found


class _Reader:
    """A place in a list of tokens."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.place = 0
        self._objects: dict[str, Callable[[], Thing]] = {
            "<molecule>": self.molecule,
            "<reaction>": self.reaction,
            "<retro>": self.reaction,
            "<crystal>": lambda: parse_payload(self.until("</crystal>")),
            "<protein>": self.protein_or_search,
            "<peptide>": self.peptide,
            "<coding>": lambda: CodingDNA(*self.bases("</coding>")),
            "<dna>": lambda: DNA(*self.bases("</dna>")),
            "<complex>": self.complex,
            "<framework>": self.framework,
        }

    @property
    def token(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else "end of text"

    def fail(self, expected: str) -> NoReturn:
        before = "".join(self.tokens[max(0, self.place - 6) : self.place])
        raise DocumentError(
            f"token {self.place} is {self.token!r} (after {before!r}); expected {expected}"
        )

    def take(self, token: str) -> bool:
        if self.token == token:
            self.place += 1
            return True
        return False

    def expect(self, token: str) -> None:
        if not self.take(token):
            self.fail(token)

    def next(self) -> str:
        token = self.token
        self.place += 1
        return token

    def until(self, *ends: str) -> list[str]:
        """Return the tokens up to one of ``ends``, and step behind it."""
        start = self.place
        while self.token not in ends:
            if self.place >= len(self.tokens):
                self.fail(" or ".join(ends))
            self.place += 1
        self.place += 1
        return self.tokens[start : self.place - 1]

    def entry(self) -> Entry:
        conditions: list[Condition] = []
        while self.token not in self._objects:
            conditions.append(self.condition())
        thing = self._objects[self.next()]()
        annotations: list[Annotation] = []
        while (found := self.annotation()) is not None:
            annotations.append(found)
        return Entry(thing, tuple(conditions), tuple(annotations))

    def condition(self) -> Condition:
        if self.token in _PROPERTIES:
            return self.property()
        if self.token in QUANTILES:
            return Quantile(QUANTILES.index(self.next()))
        if self.take("<formula>"):
            return self.formula()
        return self.fail("a condition or an object such as <molecule>")

    def annotation(self) -> Annotation | None:
        if self.token in _PROPERTIES:
            return self.property()
        if self.take("<secondary>"):
            return SecondaryStructure("".join(t[4].upper() for t in self.until("</secondary>")))
        if self.take("<conservation>"):
            return Conservation("".join(t[1] for t in self.until("</conservation>")))
        if self.take("<contacts>"):
            return self.contacts()
        return None

    def property(self) -> Quantity | Level | Label:
        name = self.next()[1:-1]
        if PROPERTIES[name] == "label":
            if self.token not in LABELS:
                self.fail("a label such as <label:0>")
            return Label(name, LABELS.index(self.next()))
        if self.token in LEVELS:
            return Level(name, LEVELS.index(self.next()))
        number = self.tokens[self.place : self.place + NUMBER_TOKENS]
        self.place += NUMBER_TOKENS
        return Quantity(name, read_number(number))

    def integer(self) -> int:
        digits = ""
        while self.token.startswith("'"):
            digits += self.next()[1]
        if not digits or digits[0] == "0":
            self.fail("a whole number without leading zero")
        return int(digits)

    def formula(self) -> Formula:
        counts = []
        while not self.take("</formula>"):
            if not self.token.startswith("{"):
                self.fail("an element or </formula>")
            counts.append((self.next()[1:-1], self.integer()))
        return Formula(tuple(counts))

    def contacts(self) -> Contacts:
        pairs = []
        while not self.take("</contacts>"):
            first = self.integer()
            self.expect(CONTACTS[0])
            second = self.integer()
            if self.token not in CONTACTS[1:]:
                self.fail("a distance bin such as <d:6>")
            pairs.append((first, second, CONTACTS.index(self.next()) - 1))
        return Contacts(tuple(pairs))

    def form(self) -> Form:
        if self.token not in _FORMS:
            self.fail("a form: " + ", ".join(sorted(_FORMS)))
        return Form(self.next())

    def smiles(self, end: str) -> str:
        start = self.place
        while self.token in _SMILES:
            self.place += 1
        text = "".join(self.tokens[start : self.place])
        self.expect(end)
        return text

    def molecule(self) -> Molecule:
        form = self.form()
        return Molecule(self.smiles("</molecule>"), form)

    def reaction(self) -> Reaction:
        retro = self.tokens[self.place - 1] == "<retro>"
        form = self.form()
        first = self.smiles("<from>" if retro else "<yields>")
        second = self.smiles("</retro>" if retro else "</reaction>")
        if retro:
            return Reaction(second, first, retro=True, form=form)
        return Reaction(first, second, form=form)

    def protein(self) -> Protein:
        cut = self.take("<fragment>")
        letters: list[str] = []
        marks: dict[int, str] = {}
        while not self.take("</protein>"):
            if letters and self.token in BINDING_MARKS and len(letters) - 1 not in marks:
                marks[len(letters) - 1] = self.next()
            elif self.token.startswith("_"):
                letters.append(self.next()[1])
            else:
                self.fail("a residue, a mark on a residue, or </protein>")
        return Protein("".join(letters), marks, cut)

    def protein_or_search(self) -> Protein | BindingSite:
        protein = self.protein()
        if not self.take("<search>"):
            return protein
        self.expect("<protein>")
        return BindingSite(self.protein())

    def peptide(self) -> Peptide:
        acetyl = self.take("<acetyl>")
        inner = self.until("<amide>", "</peptide>")
        amide = self.tokens[self.place - 1] == "<amide>"
        if amide:
            self.expect("</peptide>")
        return Peptide("".join(token[1:] for token in inner), acetyl, amide)

    def bases(self, end: str) -> tuple[str, bool]:
        cut = self.take("<fragment>")
        inner = self.until(end)
        if any(not token.startswith("^") for token in inner):
            raise DocumentError(f"expected bases up to {end}, got {''.join(inner)[:80]!r}")
        return "".join(token[1:] for token in inner), cut

    def molecules(self, end: str) -> tuple[Molecule, ...]:
        found = []
        while not self.take(end):
            self.expect("<molecule>")
            found.append(self.molecule())
        return tuple(found)

    def complex(self) -> Complex:
        self.expect("<protein>")
        protein = self.protein()
        return Complex(protein, self.molecules("</complex>"))

    def framework(self) -> Framework:
        node = []
        while self.token.startswith("{"):
            node.append(self.next()[1:-1])
        return Framework(tuple(node), self.molecules("</framework>"))
