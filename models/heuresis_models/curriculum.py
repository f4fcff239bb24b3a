"""How things are shown to the model: plain, on condition, with predictions, after exemplars.

Everything here is taught without any campaign's oracle. Conditions on a molecule are exact
properties of its graph. Exemplar groups come in two kinds, both from the first step on:

- *similar*: one or two neighbours as exemplars, then the target with its largest Tanimoto
  similarity to them stated as a number;
- *ranked*: a score that exists in this document only (a random mixture of standardised
  descriptors) ranks the group; every exemplar carries its quantile, and so does the target, which
  mostly ranks highest.

In half of the groups all molecules are written from a substructure that they share, so the common
part reads alike (the form ``<aligned>``); copying is then a matter of position.

Scored, that is predicted by the model, are payload, closing tags, annotations and the end. Start
tags, forms and conditions are given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from heuresis_models.descriptors import properties_of
from heuresis_models.language.augmentation import aligned, randomized_smiles
from heuresis_models.language.crystal_text import Crystal
from heuresis_models.language.documents import (
    Annotation,
    Condition,
    Conservation,
    Document,
    Entry,
    SecondaryStructure,
    fragment,
)
from heuresis_models.language.errors import DocumentError, UnknownTokenError
from heuresis_models.language.objects import (
    DNA,
    BindingSite,
    CodingDNA,
    Form,
    Molecule,
    Protein,
    Reaction,
    object_tokens,
)
from heuresis_models.language.quantities import (
    Formula,
    Label,
    Level,
    Quantile,
    Quantity,
)
from heuresis_models.language.tokens import BEGIN, END, FORMS
from heuresis_models.language.vocabulary import Vocabulary
from heuresis_models.molecules_alike import written_alike
from heuresis_models.neighbours import NeighbourIndex, fingerprint, similarity
from heuresis_models.packing import ScoredTokens

if TYPE_CHECKING:
    from numpy.random import Generator

    from heuresis_models.recipe import DocumentsSection

RANKING_PROPERTIES: Final = (
    "logp", "tpsa", "molar_mass", "heavy_atoms", "rings", "aromatic_rings", "rotatable_bonds",
    "donors", "acceptors", "sp3_share",
)  # fmt: skip
CHECKED_CONDITIONS: Final = ("logp", "tpsa", "qed", "sa_score")
"""What `Curriculum.stated` states: nothing that merely gives away the length."""
SHORTEST_FRAGMENT: Final = 40
_SPELLING_OVERHEAD: Final = 8
"""Tokens of a document of a chain beside the chain."""


def scored_tokens(document: Document) -> ScoredTokens:
    """Return a document as ids with the tokens marked that carry loss.

    Raises:
        DocumentError: the document breaks the grammar.
    """
    marked: list[tuple[str, bool]] = [(BEGIN, False)]
    for exemplar in document.exemplars:
        marked.append(("<exemplar>", False))
        marked += _entry(exemplar)
    if document.exemplars:
        marked.append(("<target>", False))
    marked += [*_entry(document.entry), (END, True)]
    ids = Vocabulary.default().ids
    return ScoredTokens([ids[token] for token, _ in marked], [scored for _, scored in marked])


def _entry(entry: Entry) -> list[tuple[str, bool]]:
    # Checks what the parts do not know of each other.
    entry.tokens()
    marked = [(token, False) for condition in entry.conditions for token in condition.tokens()]
    tokens = object_tokens(entry.thing)
    given = 2 if tokens[1] in (*FORMS, "<fragment>") else 1
    marked += [(token, place >= given) for place, token in enumerate(tokens)]
    for annotation in entry.annotations:
        tag, *said = annotation.tokens()
        marked += [(tag, False), *((token, True) for token in said)]
    return marked


class Curriculum:
    """Turns entries into documents.

    Args:
        settings: shares of the kinds of documents.
        row_length: longest document, in tokens.
        molecules: canonical SMILES that exemplars are drawn from.
        neighbours: index over ``molecules``; None when no exemplar groups are made.
        population: mean and standard deviation of `RANKING_PROPERTIES` over ``molecules``.
    """

    def __init__(
        self,
        settings: DocumentsSection,
        *,
        row_length: int,
        molecules: Sequence[str] = (),
        neighbours: NeighbourIndex | None = None,
        population: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        self._settings = settings
        self._row_length = row_length
        self._molecules = molecules
        self._neighbours = neighbours
        self._population = dict(population or {})
        self._place = {smiles: index for index, smiles in enumerate(molecules)}

    def with_settings(self, settings: DocumentsSection) -> Curriculum:
        """Return one that shows the same things in other shares."""
        return Curriculum(
            settings,
            row_length=self._row_length,
            molecules=self._molecules,
            neighbours=self._neighbours,
            population=self._population,
        )

    def document(self, entry: Entry, rng: Generator) -> ScoredTokens | None:
        """Write one document of an entry; None when it is longer than a row."""
        try:
            written = scored_tokens(self._document(entry, rng))
        except (DocumentError, UnknownTokenError):
            # A random SMILES can need a token that the canonical one did not.
            return None
        return written if len(written.ids) <= self._row_length else None

    def plain(self, entry: Entry, rng: Generator) -> ScoredTokens | None:
        """Write the object alone, as the held-out loss reads it; chains are cut to fit."""
        thing = entry.thing
        if isinstance(thing, Reaction):
            thing = aligned(thing, rng)
        elif isinstance(thing, Protein | CodingDNA | DNA):
            thing = self._piece(thing, rng, 1)[0]
        elif isinstance(thing, BindingSite):
            thing = self._piece(thing.marked, rng, 1)[0]
        written = scored_tokens(Document(Entry(thing)))
        return written if len(written.ids) <= self._row_length else None

    def stated(self, smiles: str, properties_from: str) -> ScoredTokens | None:
        """Write a molecule after the `CHECKED_CONDITIONS` of one, which may be another one.

        The difference in loss says how much a model heeds what is stated.
        """
        values = properties_of(_read(properties_from), CHECKED_CONDITIONS)
        said = self._said(values, CHECKED_CONDITIONS)
        written = scored_tokens(Document(Entry(Molecule(smiles), conditions=said)))
        return written if len(written.ids) <= self._row_length else None

    def _document(self, entry: Entry, rng: Generator) -> Document:
        thing = entry.thing
        if isinstance(thing, Molecule):
            return self._molecule(thing.smiles, rng)
        if isinstance(thing, Reaction):
            return self._reaction(thing, rng)
        if isinstance(thing, Crystal):
            return self._crystal(entry, thing, rng)
        if isinstance(thing, Protein | BindingSite | CodingDNA | DNA):
            return self._chain(entry, rng)
        return Document(self._labelled(entry, rng))

    # --- molecules ---------------------------------------------------------------------------

    def _molecule(self, smiles: str, rng: Generator) -> Document:
        shares = self._settings.molecules
        draw = rng.random()
        if draw < shares.exemplars and self._neighbours is not None:
            return self._group(smiles, rng)
        form, text = self._written(smiles, rng)
        thing = Molecule(text, form)
        draw = rng.random()
        if draw >= shares.conditions + shares.predictions:
            return Document(Entry(thing))
        said = self._stated(smiles, rng)
        if draw < shares.conditions:
            return Document(Entry(thing, conditions=said))
        return Document(Entry(thing, annotations=said))

    def _written(self, smiles: str, rng: Generator) -> tuple[Form, str]:
        if rng.random() < self._settings.molecules.randomized:
            return Form.RANDOMIZED, randomized_smiles(smiles, rng)
        return Form.CANONICAL, smiles

    def _stated(self, smiles: str, rng: Generator) -> tuple[Quantity | Level, ...]:
        chances = self._settings.molecules.stated
        chosen: list[str] = []
        while not chosen:
            chosen = [name for name, chance in chances.items() if rng.random() < chance]
        values = properties_of(_read(smiles), chosen)
        order = [chosen[int(index)] for index in rng.permutation(len(chosen))]
        return self._said(values, order)

    def _said(
        self, values: Mapping[str, float], order: Sequence[str]
    ) -> tuple[Quantity | Level, ...]:
        if self._settings.molecules.values == "levels":
            return tuple(Level.of(name, values[name]) for name in order)
        return tuple(Quantity(name, values[name]) for name in order)

    def _group(self, smiles: str, rng: Generator) -> Document:
        assert self._neighbours is not None
        place = self._place[smiles]
        count = 1 + int(rng.random() < 0.5)
        near = [self._molecules[i] for i in self._neighbours.some(place, 4, rng)]
        others = near[:count]
        while len(others) < count:
            others.append(self._molecules[int(rng.integers(len(self._molecules)))])
        if rng.random() < 0.5:
            return self._similar(smiles, others, rng)
        return self._ranked([smiles, *others], rng)

    def _similar(self, smiles: str, exemplars: list[str], rng: Generator) -> Document:
        prints = [fingerprint(_read(text)) for text in (smiles, *exemplars)]
        nearest = max(similarity(prints[0], other) for other in prints[1:])
        target, *shown = self._alike([smiles, *exemplars], rng)
        entry = Entry(target, conditions=(Quantity("similarity", nearest),))
        return Document(entry, tuple(Entry(thing) for thing in shown))

    def _ranked(self, group: list[str], rng: Generator) -> Document:
        names = rng.choice(len(RANKING_PROPERTIES), 1 + int(rng.integers(3)), replace=False)
        weights = {RANKING_PROPERTIES[int(i)]: float(rng.normal()) for i in names}
        norm = math.sqrt(sum(weight**2 for weight in weights.values()))
        scores = []
        for smiles in group:
            values = properties_of(_read(smiles), weights)
            standard = {
                name: (values[name] - self._population[name][0]) / self._population[name][1]
                for name in weights
            }
            scores.append(sum(weights[name] * standard[name] for name in weights) / norm)
        order = sorted(range(len(group)), key=lambda index: scores[index])
        if rng.random() < 0.3:
            # Not always the best at the end, or the target's quantile would say nothing.
            order.append(order.pop(int(rng.integers(len(order)))))
        things = self._alike([group[index] for index in order], rng)
        entries = [
            Entry(thing, conditions=(_quantile(scores[index]),))
            for thing, index in zip(things, order, strict=True)
        ]
        return Document(entries[-1], tuple(entries[:-1]))

    def _alike(self, group: list[str], rng: Generator) -> list[Molecule]:
        """Write molecules in one form; half of the time from a substructure that all share."""
        if rng.random() < 0.5:
            texts = written_alike(group, rng)
            if texts is not None:
                return [Molecule(text, Form.ALIGNED) for text in texts]
        written = [self._written(smiles, rng) for smiles in group]
        return [Molecule(text, form) for form, text in written]

    # --- everything else ---------------------------------------------------------------------

    def _reaction(self, thing: Reaction, rng: Generator) -> Document:
        shares = self._settings.reactions
        thing = replace(thing, retro=bool(rng.random() < shares.retro))
        if rng.random() < shares.aligned:
            thing = aligned(thing, rng)
        return Document(Entry(thing))

    def _crystal(self, entry: Entry, thing: Crystal, rng: Generator) -> Document:
        shares = self._settings.crystals
        order = rng.permutation(len(entry.annotations))
        some = int(rng.integers(1, 3))
        said = tuple(entry.annotations[int(index)] for index in order[:some])
        conditions: list[Condition] = []
        annotations: tuple[Annotation, ...] = ()
        draw = rng.random()
        if draw < shares.formula:
            conditions.append(reduced_formula(thing))
        draw = rng.random()
        if draw < shares.conditions:
            conditions += [quantity for quantity in said if isinstance(quantity, Quantity)]
        elif draw < shares.conditions + shares.predictions:
            annotations = said
        return Document(Entry(thing, tuple(conditions), annotations))

    def _chain(self, entry: Entry, rng: Generator) -> Document:
        thing, tracks = entry.thing, entry.annotations
        if isinstance(thing, BindingSite):
            piece, _, _ = self._piece(thing.marked, rng, 2)
            assert isinstance(piece, Protein)
            return Document(Entry(BindingSite(piece)))
        assert isinstance(thing, Protein | CodingDNA | DNA)
        if isinstance(thing, Protein):
            if not tracks or rng.random() >= self._settings.chains.predictions:
                return Document(Entry(self._piece(thing, rng, 1)[0]))
            piece, start, length = self._piece(thing, rng, 2)
            return Document(Entry(piece, annotations=(_cut(tracks[0], start, length),)))
        piece, _, _ = self._piece(thing, rng, 1)
        return Document(self._labelled(Entry(piece, annotations=tracks), rng))

    def _labelled(self, entry: Entry, rng: Generator) -> Entry:
        """Put labels before the object, after it, or nowhere."""
        shares = self._settings.chains
        labels = tuple(said for said in entry.annotations if isinstance(said, Label))
        draw = rng.random()
        if draw < shares.conditions:
            return Entry(entry.thing, conditions=labels)
        kept = labels if draw < shares.conditions + shares.predictions else ()
        return Entry(entry.thing, annotations=kept)

    def _piece(
        self, thing: Protein | CodingDNA | DNA, rng: Generator, copies: int
    ) -> tuple[Any, int, int]:
        """Cut a random piece that fits into a row ``copies`` times: (piece, start, length)."""
        units = _units(thing)
        most = (self._row_length - _SPELLING_OVERHEAD * copies) // copies
        if isinstance(thing, Protein):
            # Marks are tokens, too.
            most = most - min(len(thing.marks), most // 3)
        if units <= most:
            return thing, 0, units
        length = int(rng.integers(min(SHORTEST_FRAGMENT, most), most + 1))
        start = int(rng.integers(units - length + 1))
        return fragment(thing, start, length), start, length


def _units(thing: Protein | CodingDNA | DNA) -> int:
    if isinstance(thing, Protein):
        return len(thing.residues)
    return len(thing.bases) // (3 if isinstance(thing, CodingDNA) else 1)


def _cut(track: Annotation, start: int, length: int) -> Annotation:
    if isinstance(track, SecondaryStructure):
        return SecondaryStructure(track.classes[start : start + length])
    if isinstance(track, Conservation):
        return Conservation(track.scores[start : start + length])
    return track


def _quantile(standard_score: float) -> Quantile:
    """Return where a normally distributed score lies.

    Never the score as a number: a number that means something else in every document teaches that
    numbers mean nothing.
    """
    return Quantile.of(0.5 * (1.0 + math.erf(standard_score / math.sqrt(2.0))))


def _read(smiles: str) -> Any:
    from rdkit import Chem

    return Chem.MolFromSmiles(smiles)


def reduced_formula(crystal: Crystal) -> Formula:
    """Return the smallest whole-number formula of a crystal, as a condition."""
    counts = crystal.composition()
    divisor = math.gcd(*counts.values())
    return Formula(tuple((symbol, count // divisor) for symbol, count in counts.items()))


def population_of(molecules: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return mean and standard deviation (never zero) of `RANKING_PROPERTIES`."""
    import numpy as np

    values = [properties_of(_read(smiles), RANKING_PROPERTIES) for smiles in molecules]
    result = {}
    for name in RANKING_PROPERTIES:
        column = np.array([value[name] for value in values])
        result[name] = (float(column.mean()), max(float(column.std()), 1e-3))
    return result
