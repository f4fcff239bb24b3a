"""The data files that the language is taught with: names, checksums, origins.

The files are not part of the package. `open_checked` refuses a file whose bytes are not the stated
ones, because a shifted column or a new release would silently teach something else.
"""

from __future__ import annotations

import gzip
import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from heuresis.errors import did_you_mean
from heuresis_models.language.errors import SourceError


@dataclass(frozen=True)
class DataFile:
    """One file: its domain, the SHA-256 of its bytes, where it comes from."""

    name: str
    domain: str
    sha256: str
    origin: str


FILES: Final = (
    DataFile(
        "zinc250k.smi.gz",
        "molecule",
        "f991bbe4d19a0636862aa574e42903307ad9295f773af3e549a1bb09c44b873f",
        "ZINC250k, drug-like molecules; github.com/wenhao-gao/mol_opt (MIT)",
    ),
    DataFile(
        "qm9.smi.gz",
        "molecule",
        "06d1e50fde747e4ff8d31758840930c179215eb02a6e545922b48c027def4241",
        "QM9, small organic molecules; github.com/wenhao-gao/mol_opt (MIT)",
    ),
    DataFile(
        "esol.csv",
        "molecule",
        "db27811c6ddedc0194a38258b646ea27f22d37c2ca3f0346f11f229fcc9ef670",
        "ESOL (MoleculeNet); github.com/LCY02/ABT-MPNN (MIT)",
    ),
    DataFile(
        "freesolv.csv",
        "molecule",
        "2bfd85e03c790f40ca511efbde8d6095d2e40bf5a70450e29450cd68aecbef01",
        "FreeSolv (MoleculeNet); github.com/LCY02/ABT-MPNN (MIT)",
    ),
    DataFile(
        "lipophilicity.csv",
        "molecule",
        "53f4d75dad1ff26224df1fe0523de4af1ecf867855f18c1794a1a20de44d42da",
        "Lipophilicity (MoleculeNet); github.com/LCY02/ABT-MPNN (MIT)",
    ),
    DataFile(
        "uspto50k-train.smi.gz",
        "reaction",
        "664d275d29f38cd13cd4f4265717e3e7321b9abc1d43257b31dbddb6bffd8cde",
        "USPTO-50k; github.com/bigchem/retrosynthesis (data CC0)",
    ),
    DataFile(
        "uspto50k-valid.smi.gz",
        "reaction",
        "34ed7f0b00874cc260c08f6fd245a0cc1c300ab2db7b3c2e496f7aeb637e60dd",
        "USPTO-50k; github.com/bigchem/retrosynthesis (data CC0)",
    ),
    DataFile(
        "uspto50k-test.smi.gz",
        "reaction",
        "335a8f40625d0609420b9084d350044512ca1119f2b0a8ab9ef5c81cb28c743d",
        "USPTO-50k; github.com/bigchem/retrosynthesis (data CC0)",
    ),
    DataFile(
        "mp20-biternary-val.csv.gz",
        "crystal",
        "f0a1743241ade50592ce24dd3efc8b5e4d4d84c6a72e827c16699e83ce254f07",
        "Materials Project (CC-BY-4.0); github.com/SymmetryAdvantage/WyckoffTransformer",
    ),
    DataFile(
        "mp20-biternary-test.csv.gz",
        "crystal",
        "e96144ffbad7fc61b0012456ead22d2c8f6993282a4fef584fbf906581086e02",
        "Materials Project (CC-BY-4.0); github.com/SymmetryAdvantage/WyckoffTransformer",
    ),
    DataFile(
        "mpts52-val.csv.gz",
        "crystal",
        "af56fcaa2ed7f36e9ec0ce95ae409c73f4c909644153c3d441c76f87a4d1c11d",
        "Materials Project (CC-BY-4.0); github.com/SymmetryAdvantage/WyckoffTransformer",
    ),
    DataFile(
        "mpts52-test.csv.gz",
        "crystal",
        "5c082d8cd8b5398bb9971f076e2f459771e01b45b1a2d206f665bd99a1369feb",
        "Materials Project (CC-BY-4.0); github.com/SymmetryAdvantage/WyckoffTransformer",
    ),
    DataFile(
        "perov5-val.csv.gz",
        "crystal",
        "784e89dc6b8879382b2b25cf3cc0c75a3c1160f8242b2090006931a24a0f5c45",
        "Perov-5; github.com/txie-93/cdvae (MIT)",
    ),
    DataFile(
        "perov5-test.csv.gz",
        "crystal",
        "b635a7e4803ce8abc147da102a5ac5df1a2c9fc74fc4854afb7eac54c839420c",
        "Perov-5; github.com/txie-93/cdvae (MIT)",
    ),
    DataFile(
        "flip-conservation.zip",
        "protein",
        "9b364ba2a378a7abd9b8cf992d38c61b33dff17854fe37997760c8972ce921c5",
        "FLIP; github.com/J-SNACKKB/FLIP (AFL-3.0)",
    ),
    DataFile(
        "flip-secondary_structure.zip",
        "protein",
        "2e9bbbfd18a055bcac7edd4e059a6bf4bb35ca3ad8f8fa4fc3106422652a4726",
        "FLIP; github.com/J-SNACKKB/FLIP (AFL-3.0)",
    ),
    DataFile(
        "flip-bind.zip",
        "protein",
        "f742c8b3e4521d7e771ca03096484451287026fe433b34463cbfcf767e0a7417",
        "FLIP; github.com/J-SNACKKB/FLIP (AFL-3.0)",
    ),
    DataFile(
        "dbaasp-peptides.csv.gz",
        "peptide",
        "573a8dd984b935f89dec5090afdfdafdc5cf46adedbcd3d72ca572c6593ac998",
        "DBAASP; github.com/reymond-group/MLpeptide (MIT)",
    ),
    DataFile(
        "coding-dna.tsv.gz",
        "coding",
        "a56cff4a2ffa14b9ac853e7117b0d1bb4b929c7de08a5c86c531391ecd924d59",
        "Ensembl chimpanzee and dog genes; github.com/krishnaik06/DNA-Sequencing-Classifier",
    ),
)
BY_NAME: Final = {file.name: file for file in FILES}


def checked(folder: Path, name: str) -> Path:
    """Return the path of a data file after checking its SHA-256.

    Raises:
        SourceError: the name is unknown, the file is missing, or its bytes are others.
    """
    if name not in BY_NAME:
        raise SourceError(
            f"no data file is called '{name}'{did_you_mean(name, BY_NAME)};"
            f" known: {', '.join(BY_NAME)}"
        )
    file = BY_NAME[name]
    path = folder / name
    if not path.is_file():
        raise SourceError(f"no file {path}; get it from: {file.origin}")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != file.sha256:
        raise SourceError(
            f"{path} is not the expected file: SHA-256 is {found}, expected {file.sha256};"
            f" get it again from: {file.origin}"
        )
    return path


def lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file, unpacking ``.gz``, without their line ends.

    Raises:
        SourceError: the file is damaged or not UTF-8.
    """
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rt", encoding="utf-8", newline="") as packed:
                for line in packed:
                    yield line.rstrip("\r\n")
        else:
            with path.open(encoding="utf-8", newline="") as plain:
                for line in plain:
                    yield line.rstrip("\r\n")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise SourceError(f"{path} cannot be read as text: {error}") from error


def fasta(path: Path, member: str) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of each record of a FASTA file within a zip archive.

    The name is the first word of the header.

    Raises:
        SourceError: the archive is damaged, or the member is missing or not text.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            content = archive.read(member).decode("ascii")
    except KeyError as error:
        raise SourceError(f"{path} holds no '{member}'") from error
    except (OSError, zipfile.BadZipFile, zlib.error, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: {member} cannot be read: {error}") from error
    for record in content.split(">")[1:]:
        header, _, body = record.partition("\n")
        yield header.split()[0], "".join(body.split())
