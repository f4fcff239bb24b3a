from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator
from training_toys import many_molecules, molecule_source, peptide_source, tiny_recipe

from heuresis_models.corpus import Source, read_source
from heuresis_models.curriculum import (
    CHECKED_CONDITIONS,
    Curriculum,
    population_of,
    scored_tokens,
)
from heuresis_models.descriptors import MOLECULE_PROPERTIES, properties_of
from heuresis_models.errors import DataError
from heuresis_models.language.augmentation import canonical_smiles
from heuresis_models.language.documents import Document, Entry
from heuresis_models.language.errors import DocumentError, SourceError
from heuresis_models.language.objects import Form, Molecule, Peptide, Protein, Reaction
from heuresis_models.language.parsing import read_document
from heuresis_models.language.quantities import Label, Level, Quantile, Quantity
from heuresis_models.language.tokens import LEVELS, QUANTILES
from heuresis_models.language.vocabulary import Vocabulary
from heuresis_models.neighbours import NeighbourIndex
from heuresis_models.ordered_tokens import order_embeddings
from heuresis_models.packing import ScoredTokens
from heuresis_models.recipe import (
    DocumentsSection,
    MoleculeDocuments,
    OptimizationSection,
    Recipe,
    SourceSection,
)
from heuresis_models.training import make_curriculum

Index = tuple[NeighbourIndex, dict[str, tuple[float, float]]]
NUMBER_ERROR = 0.006  # three significant digits


def _recipe(**molecules: float) -> Recipe:
    return tiny_recipe(
        documents=DocumentsSection(molecules=MoleculeDocuments(**molecules)),
        model=tiny_recipe().model.model_copy(update={"max_tokens": 256}),
        optimization=OptimizationSection(total_tokens=1000, batch_tokens=1024, row_length=256),
    )


def _documents(
    curriculum: Curriculum, source: Source, count: int, seed: int = 0
) -> list[tuple[ScoredTokens, Document]]:
    vocabulary = Vocabulary.default()
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        written = curriculum.document(source.training[number % len(source.training)], rng)
        assert written is not None
        tokens = [vocabulary.tokens[token] for token in written.ids]
        found.append((written, read_document(tokens)))
    return found


@pytest.fixture(scope="module")
def source() -> Source:
    return molecule_source()


@pytest.fixture(scope="module")
def groups(source: Source, index: Index) -> list[tuple[ScoredTokens, Document]]:
    """Documents that are all exemplar groups."""
    return _documents(_curriculum(_recipe(exemplars=1.0), source, index), source, 300)


@pytest.fixture(scope="module")
def index(source: Source) -> Index:
    """What exemplar groups need; made once, for it takes a second."""
    molecules = [e.thing.smiles for e in source.training if isinstance(e.thing, Molecule)]
    rng = np.random.default_rng(0)
    return NeighbourIndex(molecules, rng), population_of(molecules[::4])


def _curriculum(
    recipe: Recipe,
    source: Source,
    index: Index,
) -> Curriculum:
    molecules = [e.thing.smiles for e in source.training if isinstance(e.thing, Molecule)]
    return Curriculum(
        recipe.documents,
        row_length=recipe.optimization.row_length,
        molecules=molecules,
        neighbours=index[0],
        population=index[1],
    )


def _mol(entry: Entry) -> Chem.Mol:
    assert isinstance(entry.thing, Molecule)
    molecule = Chem.MolFromSmiles(entry.thing.smiles)
    assert molecule is not None
    return molecule


def _true(quantity: Quantity, molecule: Chem.Mol) -> None:
    value = MOLECULE_PROPERTIES[quantity.name](molecule)
    assert quantity.value == pytest.approx(value, rel=NUMBER_ERROR, abs=1e-4), quantity


# --- molecules ------------------------------------------------------------------------------------


def test_conditions_and_predictions_are_true_of_the_molecule_they_stand_at(source: Source) -> None:
    curriculum = make_curriculum(_recipe(conditions=0.5, predictions=0.5), [source])
    sizes: Counter[int] = Counter()
    names: set[str] = set()
    for _, document in _documents(curriculum, source, 300):
        entry = document.entry
        assert bool(entry.conditions) != bool(entry.annotations)
        said = entry.conditions or entry.annotations
        sizes[len(said)] += 1
        assert len({quantity.name for quantity in said if isinstance(quantity, Quantity)}) == len(
            said
        )
        for quantity in said:
            assert isinstance(quantity, Quantity)
            names.add(quantity.name)
            _true(quantity, _mol(entry))
    # Each property is drawn on its own: four with chance 0.5, eight with 0.12, never none.
    assert set(sizes) >= {1, 2, 3, 4, 5}
    assert sizes[3] > sizes[6]


def test_properties_are_stated_as_often_as_asked_for(source: Source, index: Index) -> None:
    settings = MoleculeDocuments(conditions=1.0, stated={"logp": 1.0, "rings": 0.25})
    recipe = _recipe().model_copy(update={"documents": DocumentsSection(molecules=settings)})
    said: Counter[str] = Counter()
    for _, document in _documents(_curriculum(recipe, source, index), source, 400):
        said.update(c.name for c in document.entry.conditions if isinstance(c, Quantity))
    assert set(said) == {"logp", "rings"}
    assert said["logp"] == 400
    assert 70 < said["rings"] < 130


def test_an_unknown_property_cannot_be_stated() -> None:
    with pytest.raises(ValueError, match=r"no property 'logP'.*did you mean 'logp'.*known: logp"):
        MoleculeDocuments(stated={"logP": 0.5})


def test_shares_of_kinds_of_documents_are_those_asked_for(source: Source, index: Index) -> None:
    recipe = _recipe(exemplars=0.2, conditions=0.4, predictions=0.1, randomized=0.3)
    kinds: Counter[str] = Counter()
    for _, document in _documents(_curriculum(recipe, source, index), source, 1000):
        entry = document.entry
        kind = "plain"
        if document.exemplars:
            kind = "exemplars"
        elif entry.conditions:
            kind = "conditions"
        elif entry.annotations:
            kind = "predictions"
        kinds[kind] += 1
        if kind == "plain" and isinstance(entry.thing, Molecule):
            kinds[entry.thing.form.value] += 1
    share = {kind: count / 1000 for kind, count in kinds.items()}
    assert share["exemplars"] == pytest.approx(0.2, abs=0.04)
    assert share["conditions"] == pytest.approx(0.32, abs=0.04)
    assert share["predictions"] == pytest.approx(0.08, abs=0.03)
    assert kinds[Form.RANDOMIZED.value] / kinds["plain"] == pytest.approx(0.3, abs=0.06)


def test_every_written_form_is_the_same_molecule(source: Source) -> None:
    curriculum = make_curriculum(_recipe(randomized=1.0), [source])
    spellings = set()
    entry = source.training[200]
    rng = np.random.default_rng(0)
    vocabulary = Vocabulary.default()
    for _ in range(12):
        written = curriculum.document(entry, rng)
        assert written is not None
        thing = read_document([vocabulary.tokens[token] for token in written.ids]).entry.thing
        assert isinstance(thing, Molecule)
        spellings.add(thing.smiles)
        assert isinstance(entry.thing, Molecule)
        assert canonical_smiles(thing.smiles) == entry.thing.smiles
    assert len(spellings) > 3


def test_stated_similarity_is_rdkits(groups: list[tuple[ScoredTokens, Document]]) -> None:
    # The reference is written out here: Tanimoto of Morgan bits, radius 2, 2,048 bits.
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    checked = 0
    for _, document in groups:
        for condition in document.entry.conditions:
            if not isinstance(condition, Quantity) or condition.name != "similarity":
                continue
            target = generator.GetFingerprint(_mol(document.entry))
            nearest = max(
                DataStructs.TanimotoSimilarity(target, generator.GetFingerprint(_mol(shown)))
                for shown in document.exemplars
            )
            assert condition.value == pytest.approx(nearest, rel=NUMBER_ERROR, abs=1e-3)
            checked += 1
    assert checked > 80


def test_ranked_groups_say_a_rank_of_every_molecule_and_mostly_end_with_the_best(
    groups: list[tuple[ScoredTokens, Document]],
) -> None:
    best_last: list[bool] = []
    for _, document in groups:
        entries = (*document.exemplars, document.entry)
        said = [condition for entry in entries for condition in entry.conditions]
        if any(isinstance(s, Quantity) for s in said):
            # A number in a group is a similarity, which is true of its molecules.
            assert [s.name for s in said if isinstance(s, Quantity)] == ["similarity"]
            continue
        assert len(said) == len(entries)
        values = [one.quantile for one in said if isinstance(one, Quantile)]
        assert len(values) == len(said)
        best_last.append(values[-1] == max(values))
        assert values[:-1] == sorted(values[:-1]), "exemplars rise to the best of them"
    assert len(best_last) > len(groups) / 3
    assert 0.7 < sum(best_last) / len(best_last) < 1.0


def test_exemplars_are_other_molecules_and_none_is_held_out(
    source: Source, groups: list[tuple[ScoredTokens, Document]]
) -> None:
    heldout = {e.thing.smiles for e in source.heldout if isinstance(e.thing, Molecule)}
    assert heldout
    counts: Counter[int] = Counter()
    for _, document in groups:
        shown = {Chem.MolToSmiles(_mol(entry)) for entry in document.exemplars}
        target = Chem.MolToSmiles(_mol(document.entry))
        assert target not in shown
        assert not (shown | {target}) & heldout
        counts[len(document.exemplars)] += 1
    assert set(counts) == {1, 2}


def test_groups_are_written_alike_half_of_the_time(
    groups: list[tuple[ScoredTokens, Document]],
) -> None:
    alike = 0
    for _, document in groups:
        forms = {
            entry.thing.form
            for entry in (*document.exemplars, document.entry)
            if isinstance(entry.thing, Molecule)
        }
        if Form.ALIGNED in forms:
            assert forms == {Form.ALIGNED}
            alike += 1
    assert 0.3 < alike / len(groups) < 0.6


def test_conditions_and_start_tags_carry_no_loss_and_all_else_does(
    source: Source, index: Index
) -> None:
    recipe = _recipe(exemplars=0.4, conditions=0.5, predictions=0.3)
    tokens = Vocabulary.default().tokens
    for written, document in _documents(_curriculum(recipe, source, index), source, 200):
        said = [(tokens[t], scored) for t, scored in zip(*written, strict=True)]
        assert said[0] == ("<bos>", False)
        assert said[-1] == ("<eos>", True)
        inside = after = False
        for token, scored in said[1:-1]:
            if token == "<molecule>":
                inside = True
                assert not scored
            elif token in {form.value for form in Form}:
                assert not scored
            elif inside:
                assert scored, "payload and closing tag are predicted"
                inside = token != "</molecule>"
                after = not inside
            elif after and document.entry.annotations:
                # The tag of an annotation is asked, its number is the answer.
                assert scored == (token.strip("<>") not in MOLECULE_PROPERTIES)
            else:
                after = False
                assert not scored, f"{token} is given, not predicted"


def test_the_held_out_loss_reads_things_alone(source: Source) -> None:
    curriculum = make_curriculum(_recipe(conditions=0.5), [source])
    plain = curriculum.plain(source.heldout[0], np.random.default_rng(0))
    assert plain is not None
    assert plain == scored_tokens(Document(source.heldout[0]))


def test_a_molecule_can_be_stated_with_another_ones_properties(
    source: Source, index: Index
) -> None:
    curriculum = _curriculum(_recipe(conditions=1.0), source, index)
    own, others = (curriculum.stated("CCO", smiles) for smiles in ("CCO", "c1ccccc1"))
    assert own is not None
    assert others is not None
    vocabulary = Vocabulary.default()
    texts = [read_document([vocabulary.tokens[i] for i in item.ids]) for item in (own, others)]
    assert [text.entry.thing for text in texts] == [Molecule("CCO")] * 2
    said = [{c.name: c.value for c in text.entry.conditions if isinstance(c, Quantity)}
            for text in texts]  # fmt: skip
    assert list(said[0]) == list(said[1]) == list(CHECKED_CONDITIONS)
    for smiles, values in zip(("CCO", "c1ccccc1"), said, strict=True):
        truth = properties_of(Chem.MolFromSmiles(smiles), CHECKED_CONDITIONS)
        assert values == pytest.approx(truth, rel=NUMBER_ERROR, abs=1e-9)
    # The same is predicted, only what is given differs.
    assert sum(own.scored) == sum(others.scored)


def test_descriptors_are_rdkits() -> None:
    molecule = Chem.MolFromSmiles("CC(=O)Oc1ccccc1C(=O)O")
    values = properties_of(molecule, ["logp", "tpsa", "molar_mass", "donors", "sp3_share"])
    # Aspirin: Wildman and Crippen's and Ertl's published contributions, atomic masses.
    assert values["logp"] == pytest.approx(1.3101)
    assert values["tpsa"] == pytest.approx(63.60)
    assert values["molar_mass"] == pytest.approx(180.159)
    assert values["donors"] == 1
    assert values["sp3_share"] == pytest.approx(1 / 9)
    with pytest.raises(KeyError):
        properties_of(molecule, ["beauty"])


# --- other things ---------------------------------------------------------------------------------


def test_reactions_are_written_both_ways_and_stay_the_same_reaction() -> None:
    recipe = _recipe()
    reaction = Reaction("CC(=O)Cl.Nc1ccccc1", "CC(=O)Nc1ccccc1")
    source = Source("reactions", 1.0, training=[Entry(reaction)])
    seen: Counter[tuple[bool, Form]] = Counter()
    for _, document in _documents(make_curriculum(recipe, [source]), source, 200):
        thing = document.entry.thing
        assert isinstance(thing, Reaction)
        seen[thing.retro, thing.form] += 1
        assert canonical_smiles(thing.product) == reaction.product
        assert canonical_smiles(thing.reactants) == canonical_smiles(reaction.reactants)
    retro = sum(count for (is_retro, _), count in seen.items() if is_retro)
    assert retro / 200 == pytest.approx(0.65, abs=0.1)
    aligned = sum(count for (_, form), count in seen.items() if form == Form.ALIGNED)
    assert aligned / 200 == pytest.approx(0.9, abs=0.08)


def test_long_chains_are_cut_to_fragments_of_themselves() -> None:
    chain = "".join(np.random.default_rng(0).choice(list("ACDEFGHIKLMNPQRSTVWY"), 700))
    source = Source("proteins", 1.0, training=[Entry(Protein(chain))])
    starts = set()
    for _, document in _documents(make_curriculum(_recipe(), [source]), source, 40):
        thing = document.entry.thing
        assert isinstance(thing, Protein)
        assert thing.fragment
        assert thing.residues in chain
        starts.add(chain.index(thing.residues))
    assert len(starts) > 20


def test_labels_stand_before_after_or_nowhere() -> None:
    label = Label("antimicrobial", 1)
    source = Source("peptides", 1.0, training=[Entry(Peptide("KLAKLAK"), annotations=(label,))])
    places: Counter[str] = Counter()
    for _, document in _documents(make_curriculum(_recipe(), [source]), source, 300):
        entry = document.entry
        said = [*entry.conditions, *entry.annotations]
        assert said in ([], [label])
        places["before" if entry.conditions else "after" if entry.annotations else "no"] += 1
    assert all(0.2 < places[place] / 300 < 0.5 for place in ("before", "after", "no"))


def test_what_does_not_fit_is_left_out_not_cut() -> None:
    source = peptide_source()
    recipe = tiny_recipe(
        optimization=OptimizationSection(total_tokens=100, batch_tokens=64, row_length=8)
    )
    curriculum = make_curriculum(recipe, [source])
    assert curriculum.document(source.training[0], np.random.default_rng(0)) is None
    assert curriculum.plain(source.training[0], np.random.default_rng(0)) is None


# --- neighbours -----------------------------------------------------------------------------------


def test_the_index_finds_nearer_molecules_than_chance(tmp_path: Path) -> None:
    molecules = list(many_molecules())
    index = NeighbourIndex(molecules, np.random.default_rng(0), cache=tmp_path)
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    prints = [generator.GetFingerprint(Chem.MolFromSmiles(smiles)) for smiles in molecules]
    rng = np.random.default_rng(1)
    found, chance = [], []
    for place in range(0, len(molecules), 7):
        some = index.some(place, 4, rng)
        assert len(some) <= 4
        assert place not in some
        assert len(set(some)) == len(some)
        found += [DataStructs.TanimotoSimilarity(prints[place], prints[one]) for one in some]
        other = int(rng.integers(len(molecules)))
        chance.append(DataStructs.TanimotoSimilarity(prints[place], prints[other]))
    assert len(found) > 50
    assert np.mean(found) > 2 * np.mean(chance)

    again = NeighbourIndex(molecules, np.random.default_rng(0), cache=tmp_path)
    first, second = np.random.default_rng(2), np.random.default_rng(2)
    assert index.some(5, 4, first) == again.some(5, 4, second)
    assert len(list(tmp_path.iterdir())) == 1


# --- corpus ---------------------------------------------------------------------------------------


def _section(*files: str) -> SourceSection:
    return SourceSection(name="mine", files=files)


def test_a_molecule_falls_on_one_side_however_it_is_written(tmp_path: Path) -> None:
    molecules = many_molecules()
    (tmp_path / "canonical.smi").write_text("\n".join(molecules))
    other = [Chem.MolToSmiles(Chem.MolFromSmiles(s), canonical=False, rootedAtAtom=0) + f" id{n}"
             for n, s in enumerate(reversed(molecules))]  # fmt: skip
    (tmp_path / "other.smi").write_text("\n".join(other))
    one = read_source(_section("canonical.smi"), tmp_path)
    two = read_source(_section("other.smi"), tmp_path)
    assert one.heldout
    assert {str(e) for e in one.heldout} == {str(e) for e in two.heldout}
    assert {str(e) for e in one.training} == {str(e) for e in two.training}
    assert math.isclose(len(one.heldout) / len(molecules), 0.05, abs_tol=0.03)
    both = read_source(_section("canonical.smi", "other.smi"), tmp_path)
    assert both.left_out == len(molecules), "repeated ones are left out"
    assert len(both.training) == len(one.training)


def test_a_second_reading_from_the_cache_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.smi").write_text("\n".join(many_molecules()))
    first = read_source(_section("a.smi"), tmp_path, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir())
    assert read_source(_section("a.smi"), tmp_path, cache=tmp_path / "cache") == first
    (tmp_path / "a.smi").write_text("CCO\nCCC\n")
    assert len(read_source(_section("a.smi"), tmp_path, cache=tmp_path / "cache").training) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"CCO\nnonsense\n", r"a\.smi:2: expected a SMILES string"),
        (b"CCO\n\nCC\n", r"a\.smi:2: .*empty line"),
        (b"\xff\xfe\x00", "cannot be read as text"),
        (b"", "gives nothing to learn from"),
    ],
)
def test_a_wrong_data_file_names_the_line(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.smi").write_bytes(content)
    with pytest.raises((DataError, SourceError, DocumentError), match=message):
        read_source(_section("a.smi"), tmp_path)


def test_levels_state_what_numbers_state_in_fewer_tokens() -> None:
    def curriculum(values: str) -> Curriculum:
        shown = MoleculeDocuments.model_validate({"conditions": 1.0, "values": values})
        return Curriculum(DocumentsSection(molecules=shown), row_length=256)

    smiles, other = "CCOc1ccccc1C(=O)NC1CC1", "CCCCCCCCO"
    numbers, levels = (curriculum(v).stated(smiles, smiles) for v in ("numbers", "levels"))
    assert numbers is not None
    assert levels is not None
    assert len(numbers.ids) - len(levels.ids) == 4 * len(CHECKED_CONDITIONS)
    tokens = Vocabulary.default().tokens
    document = read_document([tokens[index] for index in levels.ids])
    true = properties_of(Chem.MolFromSmiles(smiles), CHECKED_CONDITIONS)
    assert document.entry.conditions == tuple(Level.of(n, true[n]) for n in CHECKED_CONDITIONS)
    changed = curriculum("levels").stated(smiles, other)
    assert changed is not None
    assert changed.ids != levels.ids


def test_levels_start_as_neighbours_and_nothing_else_changes() -> None:
    vocabulary = Vocabulary.default()
    generator = torch.Generator().manual_seed(3)
    drawn_VE = torch.randn(len(vocabulary), 64, generator=generator)
    ordered_VE = drawn_VE.clone()
    order_embeddings(ordered_VE, vocabulary, generator)
    first = vocabulary["<level:0>"]
    levels_LE = ordered_VE[first : first + len(LEVELS)]
    cosine = torch.nn.functional.cosine_similarity
    assert float(cosine(levels_LE[:-1], levels_LE[1:]).min()) > 0.8
    assert float(cosine(levels_LE[:-10], levels_LE[10:]).abs().mean()) < 0.5
    assert 0.8 < float(levels_LE.std()) < 1.2
    touched = [vocabulary[token] for token in (*LEVELS, *QUANTILES)]
    others = [place for place in range(len(vocabulary)) if place not in touched]
    assert torch.equal(ordered_VE[others], drawn_VE[others])
