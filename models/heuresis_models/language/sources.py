"""From data files to documents: one stream per file, one row after the other.

Molecules are passed on as the file writes them, with the form ``<randomized>`` ("any SMILES of this
molecule"); `augmentation` writes canonical, randomised and root-aligned forms.

Crystals are rewritten in standard setting, which takes milliseconds each; give a cache folder to do
it once.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from heuresis_models.language.crystal_text import Crystal, parse_payload
from heuresis_models.language.crystals import (
    SYMMETRY_TOLERANCE_ANGSTROM,
    crystal_of,
    read_p1_cif,
)
from heuresis_models.language.datafiles import BY_NAME, checked, fasta, lines
from heuresis_models.language.documents import (
    Annotation,
    Conservation,
    Entry,
    SecondaryStructure,
)
from heuresis_models.language.errors import CrystalTextError, DocumentError, SourceError
from heuresis_models.language.objects import (
    BindingSite,
    CodingDNA,
    Form,
    Molecule,
    Peptide,
    Protein,
    Reaction,
)
from heuresis_models.language.quantities import Label, Quantity
from heuresis_models.language.vocabulary import Vocabulary

CACHE_SCHEMA: Final = "crystals-1"


@dataclass(frozen=True)
class Row:
    """One row of a file: the entry it gives, or why it gives none.

    Args:
        file: name of the data file.
        number: 1-based row within the file (for FASTA: record), header not counted.
        entry: what is written; None when the row cannot be written.
        problem: the reason, when ``entry`` is None.
    """

    file: str
    number: int
    entry: Entry | None
    problem: str = ""

    @property
    def where(self) -> str:
        """File and row, for error messages."""
        return f"{self.file}:{self.number}"


def read_rows(
    folder: Path,
    name: str,
    *,
    cache: Path | None = None,
    report: Callable[[int], None] = lambda _: None,
) -> Iterator[Row]:
    """Yield every row of a data file, in file order.

    Args:
        folder: where the data files lie.
        name: a name of `datafiles.FILES`.
        cache: folder for rewritten crystals; None: work them out again.
        report: told the row number now and then.

    Raises:
        SourceError: the file is missing, not the expected one, or a row has another shape.
        MissingExtraError: crystals need the extra ``crystals``.
    """
    path = checked(folder, name)
    crystal = BY_NAME[name].domain == "crystal"
    rows = _crystals(path, cache) if crystal else _READERS[name](path)
    for row in rows:
        if row.number % 1000 == 0:
            report(row.number)
        yield row


def _molecule(smiles: str) -> Molecule:
    return Molecule(smiles, Form.RANDOMIZED)


def _plain_smiles(path: Path) -> Iterator[Row]:
    for number, line in enumerate(lines(path), start=1):
        yield Row(path.name, number, Entry(_molecule(line.strip())))


def _qm9(path: Path) -> Iterator[Row]:
    for row in _table(path, ",", ("idx", "smiles")):
        yield Row(path.name, row[0], Entry(_molecule(row[1]["smiles"])))


def _measured(column: str, name: str) -> Callable[[Path], Iterator[Row]]:
    def read(path: Path) -> Iterator[Row]:
        for number, row in _table(path, ",", ("smiles", column)):
            value = Quantity(name, _float(row[column], path, number))
            thing = _molecule(row["smiles"].strip())
            yield Row(path.name, number, Entry(thing, annotations=(value,)))

    return read


def _reactions(path: Path) -> Iterator[Row]:
    for number, line in enumerate(lines(path), start=1):
        product, arrow, reactants = line.partition(" >> ")
        if not arrow:
            raise SourceError(f"{path}:{number}: expected 'product >> reactants', got {line!r}")
        thing = Reaction(reactants.strip(), product.strip(), retro=True, form=Form.RANDOMIZED)
        yield Row(path.name, number, Entry(thing))


def _peptides(path: Path) -> Iterator[Row]:
    for number, row in _table(path, ",", ("Sequence", "N terminus", "C terminus", "activity")):
        thing = Peptide(row["Sequence"], row["N terminus"] == "ACT", row["C terminus"] == "AMD")
        label = Label("antimicrobial", int(row["activity"]))
        yield Row(path.name, number, Entry(thing, annotations=(label,)))


def _coding(path: Path) -> Iterator[Row]:
    for number, row in _table(path, "\t", ("sequence", "class")):
        label = Label("gene_family", int(row["class"]))
        yield Row(path.name, number, Entry(CodingDNA(row["sequence"]), annotations=(label,)))


BINDING_BITS: Final = {1: "m", 2: "n", 4: "s"}
"""FLIP's label of a residue is the sum of what it binds: 1 metal, 2 nucleic acid, 4 small."""


def _flip_binding(path: Path) -> Iterator[Row]:
    labels = dict(fasta(path, "splits/two_vs_many.fasta"))
    for number, (name, sequence) in enumerate(fasta(path, "splits/sequences.fasta"), start=1):
        where = f"{path}:{number} ({name})"
        track = _same_length(labels.get(name, "0" * len(sequence)), sequence, where)
        marks = {
            index: f"<binds:{''.join(k for bit, k in BINDING_BITS.items() if int(value) & bit)}>"
            for index, value in enumerate(track)
            if value != "0"
        }
        yield Row(path.name, number, Entry(BindingSite(Protein(sequence, marks))))


def _flip_conservation(path: Path) -> Iterator[Row]:
    labels = dict(fasta(path, "splits/sampled.fasta"))
    for number, (name, sequence) in enumerate(fasta(path, "splits/sequences.fasta"), start=1):
        where = f"{path}:{number} ({name})"
        said: tuple[Annotation, ...] = ()
        if name in labels:
            said = (Conservation(_same_length(labels[name], sequence, where)),)
        yield Row(path.name, number, Entry(Protein(sequence), annotations=said))


def _flip_secondary(path: Path) -> Iterator[Row]:
    labels = dict(fasta(path, "splits/sampled.fasta"))
    resolved = dict(fasta(path, "splits/mask.fasta"))
    for number, (name, sequence) in enumerate(fasta(path, "splits/sequences.fasta"), start=1):
        where = f"{path}:{number} ({name})"
        said: tuple[Annotation, ...] = ()
        if name in labels:
            track = _same_length(labels[name], sequence, where)
            mask = _same_length(resolved.get(name, "1" * len(sequence)), sequence, where)
            classes = "".join(c if m == "1" else "?" for c, m in zip(track, mask, strict=True))
            said = (SecondaryStructure(classes),)
        yield Row(path.name, number, Entry(Protein(sequence), annotations=said))


_READERS: Final[dict[str, Callable[[Path], Iterator[Row]]]] = {
    "zinc250k.smi.gz": _plain_smiles,
    "qm9.smi.gz": _qm9,
    "esol.csv": _measured("logSolubility", "log_solubility"),
    "freesolv.csv": _measured("expt", "hydration_free_energy"),
    "lipophilicity.csv": _measured("exp", "logd"),
    "uspto50k-train.smi.gz": _reactions,
    "uspto50k-valid.smi.gz": _reactions,
    "uspto50k-test.smi.gz": _reactions,
    "flip-conservation.zip": _flip_conservation,
    "flip-secondary_structure.zip": _flip_secondary,
    "flip-bind.zip": _flip_binding,
    "dbaasp-peptides.csv.gz": _peptides,
    "coding-dna.tsv.gz": _coding,
}

_CRYSTAL_COLUMNS: Final = {
    "mp20": {
        "formation_energy_per_atom": "formation_energy",
        "e_above_hull": "hull_distance",
        "band_gap": "band_gap",
    },
    "mpts52": {
        "formation_energy_per_atom": "formation_energy",
        "energy_above_hull": "hull_distance",
    },
    "perov5": {
        "heat_all": "heat_of_formation",
        "dir_gap": "direct_gap",
        "ind_gap": "indirect_gap",
    },
}


def _crystals(path: Path, cache: Path | None) -> Iterator[Row]:
    columns = _CRYSTAL_COLUMNS[path.name.partition("-")[0]]
    known = _read_cache(path, cache)
    written: list[str] = []
    for number, row in _table(path, ",", ("cif", *columns)):
        text = known[number - 1] if known else _crystal_line(row["cif"])
        written.append(text)
        kind, _, content = text.partition("\t")
        if kind != "crystal":
            yield Row(path.name, number, None, content)
            continue
        crystal: Crystal = parse_payload(Vocabulary.default().cut(content))
        said = tuple(
            Quantity(name, _float(row[column], path, number))
            for column, name in columns.items()
            if row[column]
        )
        yield Row(path.name, number, Entry(crystal, annotations=said))
    if cache is not None and not known:
        cache.mkdir(parents=True, exist_ok=True)
        target = _cache_path(path, cache)
        waiting = target.with_suffix(".part")
        waiting.write_text("\n".join(written) + "\n", encoding="utf-8")
        waiting.replace(target)


def _crystal_line(cif: str) -> str:
    try:
        return f"crystal\t{crystal_of(read_p1_cif(cif)).payload()}"
    except CrystalTextError as error:
        return f"problem\t{' '.join(str(error).split())}"


def _cache_path(path: Path, cache: Path) -> Path:
    parts = (CACHE_SCHEMA, BY_NAME[path.name].sha256, str(SYMMETRY_TOLERANCE_ANGSTROM))
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return cache / f"{path.name.partition('.')[0]}-{digest[:12]}.tsv"


def _read_cache(path: Path, cache: Path | None) -> list[str]:
    if cache is None or not _cache_path(path, cache).is_file():
        return []
    return list(lines(_cache_path(path, cache)))


def _table(
    path: Path, delimiter: str, columns: tuple[str, ...]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (1-based row, column → text) of a table with a header."""
    # A protein or a CIF can be longer than the csv module's default limit.
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    reader = csv.DictReader((f"{line}\n" for line in lines(path)), delimiter=delimiter)
    missing = [column for column in columns if column not in (reader.fieldnames or [])]
    if missing:
        raise SourceError(
            f"{path} has no column {', '.join(missing)}; its columns: {reader.fieldnames}"
        )
    try:
        for number, row in enumerate(reader, start=1):
            if any(row[column] is None for column in columns):
                raise SourceError(f"{path}: row {number} has too few columns")
            yield number, row
    except csv.Error as error:
        raise SourceError(f"{path} is no readable table: {error}") from error


def _float(text: str, path: Path, number: int) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise SourceError(f"{path}: row {number}: expected a number, got {text!r}") from error


def _same_length(track: str, sequence: str, where: str) -> str:
    if len(track) != len(sequence):
        raise SourceError(f"{where}: {len(track)} labels for {len(sequence)} residues")
    return track


def token_list(row: Row) -> list[str]:
    """Return the tokens of a row's entry; errors name file and row.

    Raises:
        DocumentError: the row gave no entry, or its entry breaks the grammar.
    """
    if row.entry is None:
        raise DocumentError(f"{row.where}: {row.problem}")
    return row.entry.tokens()
