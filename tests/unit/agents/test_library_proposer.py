from __future__ import annotations

import gzip
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from pydantic import ValidationError

from heuresis.errors import InvalidCandidate, UserError
from heuresis.plugin import PluginConfig
from heuresis.records import Candidate, Observation, Prompt, ScoredCandidate
from heuresis.spaces.molecule import MoleculeSpace
from heuresis_agents.libraries import library_texts, random_order, without_stereo
from heuresis_agents.proposers.library import Library

MOLECULES = ("CCO", "c1ccccc1O", "CC(=O)N", "C[C@H](N)C(=O)O", "N#CC", "CCCCCC", "OCC")
SPACE = MoleculeSpace(MoleculeSpace.Config(heavy_atoms=(3, 40)))


def written(folder: Path, *lines: str, name: str = "library.smi") -> Path:
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def library(path: Path, **settings: bool) -> Library:
    return Library(Library.Config(file=str(path), **settings), SPACE)


def drawn(proposer: Library, count: int, seed: int = 0, *in_flight: str) -> list[str]:
    prompt = Prompt(island=0, epoch=0, in_flight=in_flight)
    return [p.text for p in proposer.propose(prompt, count, np.random.default_rng(seed))]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("CCO", "", "  ", "CCN"), ("CCO", "CCN")),
        (("CCO ethanol", "CCN\tethylamine"), ("CCO", "CCN")),
        (("CCO,1.5", "CCN,2.5"), ("CCO", "CCN")),
        (("SMILES name", "CCO ethanol"), ("CCO",)),
        (("idx,smiles", "1,CCO", "2,CCN"), ("CCO", "CCN")),
        (("name\tSMILES\tlogp", "a b\tCCO\t1", "c\tCCN\t2", "d"), ("CCO", "CCN")),
        (('"id";"smiles"', '"1";"CCO"'), ("CCO",)),
    ],
)
def test_columns_and_headers(tmp_path: Path, lines: tuple[str, ...], expected: object) -> None:
    assert library_texts(written(tmp_path, *lines)) == expected


def test_texts_of_other_kinds_keep_their_blanks_and_commas(tmp_path: Path) -> None:
    path = written(tmp_path, "a b, c", "d\te")
    assert library_texts(path, "program") == ("a b, c", "d")


def test_compressed_files_and_changed_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "library.smi.gz"
    path.write_bytes(gzip.compress(b"CCO\r\nCCN\r\n"))
    assert library_texts(path) == ("CCO", "CCN")
    path.write_bytes(gzip.compress(b"CCO\nCCN\nCCS\n"))
    assert library_texts(path) == ("CCO", "CCN", "CCS")


@pytest.mark.parametrize("content", [b"", b"\n \n", b"smiles\n", b"\xff\xfe\xfa", b"\x1f\x8b\x08x"])
def test_what_holds_no_texts_is_a_users_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"broken.*expected"):
        library_texts(path)


def test_a_missing_file_is_named_when_the_settings_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="there is no library"):
        Library.Config(file=str(tmp_path / "nowhere.smi"))


def test_stereochemistry_can_be_dropped() -> None:
    marked = ("C[C@H](N)C(=O)O", "C[C@@](F)(Cl)Br", "F/C=C\\F", "C[S@@+]([O-])CC", "C[P@TH1](N)O")
    elements = ("C", "N", "O", "F", "S", "P", "Cl", "Br")
    stripping, keeping = (
        MoleculeSpace(MoleculeSpace.Config(elements=elements, heavy_atoms=(2, 9), stereo=stereo))
        for stereo in ("strip", "keep")
    )
    for text in marked:
        plain = stripping.canonical(text)
        assert keeping.canonical(without_stereo(text)) == plain
        assert not set("@/\\") & set(plain)


def test_random_order_visits_all_once() -> None:
    for size in (0, 1, 7, 100):
        assert sorted(random_order(size, np.random.default_rng(size))) == list(range(size))
    firsts = [next(random_order(10, np.random.default_rng(seed))) for seed in range(2000)]
    counts = np.bincount(firsts, minlength=10)
    assert counts.min() > 140
    assert counts.max() < 260


def test_all_members_are_drawn_once_in_canonical_form(tmp_path: Path) -> None:
    proposer = library(written(tmp_path, *MOLECULES))
    texts = drawn(proposer, 6)
    assert sorted(texts) == sorted({SPACE.canonical(text) for text in MOLECULES})
    assert drawn(proposer, 6) == texts
    assert any(drawn(proposer, 6, seed) != texts for seed in range(1, 4))
    assert len(proposer) == 7


def test_what_is_known_or_in_flight_is_passed_over(tmp_path: Path) -> None:
    proposer = library(written(tmp_path, *MOLECULES))
    known = ScoredCandidate(candidate=Candidate.of("molecule", "CCCCCC"), score=0.1)
    prompt = Prompt(island=0, epoch=0, exemplars=(known,), in_flight=("CCO", "CC#N"))
    texts = {p.text for p in proposer.propose(prompt, 20, np.random.default_rng(0))}
    assert len(texts) == 3
    assert not texts & {"CCCCCC", "CCO", "CC#N"}


def test_nothing_is_drawn_twice_within_a_campaign(tmp_path: Path) -> None:
    proposer = library(written(tmp_path, *MOLECULES))
    seen: list[str] = []
    for seed in range(4):
        texts = drawn(proposer, 2, seed)
        proposer.observe(
            [Observation(candidate=Candidate.of("molecule", t), verdict="failed") for t in texts]
        )
        seen += texts
    assert len(seen) == len(set(seen)) == 6, "there are six molecules: OCC is CCO"


def test_refused_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    proposer = library(written(tmp_path, "C", "CC[Na]", "not-a-molecule", *MOLECULES))
    texts = drawn(proposer, 4)
    assert len(texts) == 4
    for text in texts:
        assert SPACE.canonical(text) == text
    everything = drawn(proposer, 20)
    assert proposer.refused == {"size": 1, "element": 1, "syntax": 1}
    assert {"C", "CC[Na]", "not-a-molecule"} < set(everything)
    assert len(everything) == 9
    drawn(proposer, 20, 1)
    assert proposer.refused.total() == 3


def test_stereoisomers_become_one_candidate_on_request(tmp_path: Path) -> None:
    path = written(tmp_path, "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "CC(N)C(=O)O")
    assert len(drawn(library(path), 9)) == 3
    assert drawn(library(path, strip_stereo=True), 9) == ["CC(N)C(=O)O"]


class Words:
    kind: ClassVar[str] = "word"
    Config: ClassVar[type[PluginConfig]] = PluginConfig

    def canonical(self, text: str) -> str:
        if not text.isalpha():
            raise InvalidCandidate("not_a_word", text)
        return text.lower()

    def depict(self, text: str) -> str:
        return text


def test_any_space_can_be_drawn_from(tmp_path: Path) -> None:
    path = written(tmp_path, "Anna", "Otto", "otto", "12")
    proposer = Library(Library.Config(file=str(path)), Words())
    assert sorted(drawn(proposer, 2)) == ["anna", "otto"]
    with pytest.raises(UserError, match="space is 'word'"):
        Library(Library.Config(file=str(path), strip_stereo=True), Words())


def test_a_library_of_another_world_is_given_up(tmp_path: Path) -> None:
    proposer = library(written(tmp_path, *(f"[Fe]{'C' * n}" for n in range(2, 500))))
    assert len(drawn(proposer, 2)) == 2
    assert 100 < proposer.refused.total() < 300


def test_a_large_library_loads_quickly(tmp_path: Path) -> None:
    path = tmp_path / "large.smi.gz"
    lines = "\n".join(f"{'C' * (n % 30 + 1)}N{n}" for n in range(250_000))
    path.write_bytes(gzip.compress(lines.encode(), 1))
    began = time.process_time()
    proposer = library(path)
    assert len(proposer) == 250_000
    assert time.process_time() - began < 6.0
