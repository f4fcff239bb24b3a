"""Filtered and diverse readings, call logs, and the published table, on small made-up runs."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any

import pytest
from benchmarks.pmo.call_log import Call, read_calls, read_ledger, write_calls
from benchmarks.pmo.published import CLASSES, COLUMNS, best_honest, column_sum, published
from benchmarks.pmo.readings import SIMILARITY_LIMIT, read
from benchmarks.pmo.reference import (
    LOGP,
    MOLECULAR_WEIGHT_Da,
    Reference,
    environments,
    load_reference,
    measure_ranges,
    shipped_reference,
)
from rdkit import Chem

from heuresis.errors import UserError
from heuresis.events import (
    AcceptedProposal,
    BudgetExtended,
    Entry,
    Event,
    Finished,
    Learned,
    Proposed,
    Settled,
)
from heuresis.records import (
    Candidate,
    Evaluation,
    Failure,
    FailureCause,
    LearningReport,
    Measurement,
    Timing,
)
from heuresis_oracles.pmo.tasks import CLASSIFIER_TASKS, TASKS

ANYTHING = Reference((300.0, 1e6), (0.0, 1e6), None)
CHAINS = ["C" * n + "O" for n in range(3, 15)]
"""Twelve alcohols that are all alike."""
OTHERS = [
    "c1ccncc1", "C1CCOC1", "N#CC1CC1", "O=S(=O)(N)c1ccsc1", "FC(F)(F)Br", "CN1CCNCC1",
    "O=C1CCC(=O)N1", "Clc1ccc[nH]1", "C#CCOC=O",
]  # fmt: skip
"""Nine molecules that resemble neither the alcohols nor one another."""


def test_the_diverse_reading_takes_one_of_each_kind() -> None:
    calls = [Call(s, 0.9) for s in CHAINS] + [Call(s, 0.5) for s in OTHERS]
    readings = read(calls, budget=len(calls), reference=ANYTHING)
    # One look, at the end: ten alcohols, or one alcohol and nine others.
    assert readings.auc == pytest.approx(0.9 / 2)
    chains = [fingerprint(s) for s in CHAINS]
    similar = Chem.DataStructs.BulkTanimotoSimilarity(chains[0], chains[1:])
    kinds = 1 + sum(s < SIMILARITY_LIMIT for s in similar)
    assert kinds == 1, "the alcohols were meant to be one kind"
    assert readings.auc_diverse == pytest.approx((0.9 + 9 * 0.5) / 10 / 2)
    assert readings.final_similarity > SIMILARITY_LIMIT


def fingerprint(smiles: str) -> Any:
    generator = Chem.rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    return generator.GetFingerprint(Chem.MolFromSmiles(smiles))


def test_diversity_is_looked_at_again_at_every_look() -> None:
    # A better molecule of a known kind displaces its relative; the others stay.
    calls = [Call(CHAINS[0], 0.3), *[Call(s, 0.2) for s in OTHERS]]
    calls += [Call(f"C{'C' * n}N", 0.0) for n in range(20, 110)] + [Call(CHAINS[1], 0.9)]
    readings = read(calls, budget=len(calls), reference=ANYTHING)
    first, last = (0.3 + 9 * 0.2) / 10, (0.9 + 9 * 0.2) / 10
    assert len(calls) == 101
    assert readings.auc_diverse == pytest.approx((100 * first / 2 + (first + last) / 2) / 101)


def test_molecules_outside_cost_their_call_and_earn_nothing() -> None:
    heavy = "C" * 40
    world = Reference((100.0, 50.0), (1.0, 3.0), None)
    assert not world.holds(Chem.MolFromSmiles(heavy))
    assert world.holds(Chem.MolFromSmiles("CCO"))
    calls = [Call(heavy, 1.0), Call("CCO", 0.4)]
    readings = read(calls, budget=2, reference=world)
    assert readings.auc == pytest.approx(0.7 / 2)
    assert readings.auc_filtered == readings.auc_filtered_diverse == pytest.approx(0.04 / 2)
    assert readings.auc_diverse == pytest.approx(0.14 / 2)
    assert readings.final_inside == 0.5


def test_unknown_environments_put_a_molecule_outside() -> None:
    known = environments(Chem.MolFromSmiles("CCCCCCCCO"))
    world = Reference((100.0, 50.0), (1.0, 3.0), frozenset(known))
    assert world.holds(Chem.MolFromSmiles("CCCCCCCO"))
    assert not world.holds(Chem.MolFromSmiles("CCCCCCCS"))
    assert "unknown to ZINC250k" in world.in_words()
    assert "not at hand" in shipped_reference().in_words()


DATA = Path(__file__).parents[4] / "shared" / "data" / "zinc250k.smi.gz"


@pytest.mark.skipif(not DATA.exists(), reason="zinc250k.smi.gz is not on this machine")
def test_the_shipped_ranges_are_those_of_the_data() -> None:
    weight, logp = measure_ranges(DATA, every=200)
    # A sample of 1,248: the standard error of a mean is a 35th of the deviation.
    assert weight == pytest.approx(MOLECULAR_WEIGHT_Da, abs=3 * 61.8 / 35)
    assert logp == pytest.approx(LOGP, abs=3 * 1.43 / 35)


def test_what_the_shipped_ranges_let_through() -> None:
    shipped = shipped_reference()
    assert shipped.holds(Chem.MolFromSmiles("CC(=O)Oc1ccccc1C(=O)O"))
    assert not shipped.holds(Chem.MolFromSmiles("C" * 45))


def test_the_environments_of_a_library_are_collected_once(tmp_path: Path) -> None:
    library, store = tmp_path / "few.smi.gz", tmp_path / "kept" / "world.npz"
    library.write_bytes(gzip.compress(b"CCO\nno such thing\n\nCCCCO name\n"))
    first = load_reference(library, store)
    both = environments(Chem.MolFromSmiles("CCO")) | environments(Chem.MolFromSmiles("CCCCO"))
    assert set(first.environments or ()) == both
    stamp = store.stat().st_mtime_ns
    assert load_reference(library, store) == first
    assert store.stat().st_mtime_ns == stamp
    library.write_bytes(gzip.compress(b"c1ccccc1\n"))
    assert load_reference(library, store).environments != first.environments
    library.write_bytes(gzip.compress(b"nothing here\n"))
    with pytest.raises(UserError, match="no readable SMILES"):
        load_reference(library, store)


def test_failed_and_early_ending_runs() -> None:
    readings = read([Call("CCO", 0.5), Call("CCC", None)], budget=1000, reference=ANYTHING)
    assert readings.failed == 1
    assert readings.calls == 2
    assert readings.final_top10 == 0.25
    assert readings.auc == pytest.approx((2 * 0.25 / 2 + 998 * 0.25) / 1000)
    empty = read([], budget=1000, reference=ANYTHING)
    assert empty.auc == empty.auc_diverse == empty.final_best == 0.0


def test_a_call_log_is_small_and_comes_back(tmp_path: Path) -> None:
    calls = [Call("CC(=O)O", 0.1234567), Call("C1CC1", None), Call("[NH4+]", 1.0)]
    path = tmp_path / "one.csv.gz"
    write_calls(path, calls)
    first = path.read_bytes()
    assert read_calls(path) == [Call("CC(=O)O", 0.123457), calls[1], calls[2]]
    write_calls(path, calls)
    assert path.read_bytes() == first
    with gzip.open(path, "rt") as file:
        assert next(csv.reader(file)) == ["smiles", "score"]


def ledger(*events: Event) -> list[Entry]:
    timing = Timing(submitted_at=0, started_at=0, ended_at=1, duration_s=1.0, cpu_s=0.5)
    timed = (Proposed, Settled, Learned)
    return [
        Entry(
            sequence=number,
            event=event,
            recorded_at=0.0,
            timing=timing if isinstance(event, timed) else None,
        )
        for number, event in enumerate(events, 1)
    ]


def settled(
    task: str, candidate: Candidate, score: float | None, oracle: str = "pmo", attempt: int = 0
) -> Settled:
    outcome = (
        Evaluation(measurements={"score": Measurement(value=score, unit="1")})
        if score is not None
        else Failure(cause=FailureCause.CALCULATION, message="broke")
    )
    return Settled(
        task=task, oracle=oracle, candidate=candidate.id, attempt=attempt, outcome=outcome
    )


def test_calls_are_read_from_a_ledger_in_the_order_they_settled() -> None:
    ethanol, propane, butane = (Candidate.of("molecule", s) for s in ("CCO", "CCC", "CCCC"))
    proposed = Proposed(
        task="ask-0", proposer="moves", island=0, epoch=0, rejected={"duplicate": 2, "syntax": 1},
        accepted=tuple(
            AcceptedProposal(candidate=c, operator=o)
            for c, o in ((ethanol, "draw"), (propane, "draw"), (butane, "crossover"))
        ),
    )  # fmt: skip
    told = read_ledger(
        ledger(
            proposed,
            settled("e-0", ethanol, 0.9, oracle="cheap"),
            settled("e-1", propane, None),
            settled("e-1", ethanol, 0.2),
            settled("e-2", butane, 0.3),
            settled("e-3", propane, 0.4, attempt=1),
            Learned(
                task="l-0", proposer="moves", report=LearningReport(model_version="1", updates=1)
            ),
            Finished(reason="budget"),
        ),
        "pmo",
    )
    # A retried call keeps its place and takes its last outcome.
    assert told.calls == [Call("CCC", 0.4), Call("CCO", 0.2), Call("CCCC", 0.3)]
    assert told.finished == "budget"
    assert told.proposed == 6
    assert told.rejected == {"duplicate": 2, "syntax": 1}
    assert told.operators == {"draw": 2, "crossover": 1}
    # The batch e-1 has one timing, although it stands beside both of its settlements.
    assert told.seconds == {"propose": 0.5, "learn": 0.5, "measure": 2.0}
    more = BudgetExtended(budget={"evaluations": 9})
    assert read_ledger(ledger(proposed, Finished(reason="budget"), more), "pmo").finished is None


def test_published_sums_are_those_of_the_sources() -> None:
    all_tasks = [*TASKS, *CLASSIFIER_TASKS]
    assert set(all_tasks) == set(published()["reinvent"])
    sums = {
        "reinvent_old": (14.196, 11.59), "reinvent": (15.185, 12.561),
        "graph_ga": (14.131, 11.689), "gp_bo": (14.264, 11.851), "mol_ga": (15.686, 13.007),
        "genetic_gfn": (16.213, 13.594), "tuned_gp": (16.303, 13.740),
        "invirtuogen": (16.676, 13.912), "f_rag": (16.928, 14.063), "genmol": (18.362, 15.475),
        "invirtuogen_prescreened": (18.993, 16.111), "graph_grpo": (18.987, 16.117),
    }  # fmt: skip
    assert set(sums) == {column.key for column in COLUMNS}
    for key, (of_23, of_20) in sums.items():
        # Each of the printed values is rounded to three digits.
        assert column_sum(key, all_tasks) == pytest.approx(of_23, abs=0.012), key
        assert column_sum(key, list(TASKS)) == pytest.approx(of_20, abs=0.012), key
    assert {column.honesty for column in COLUMNS} == set(CLASSES)


def test_the_best_published_is_the_best_honest_one() -> None:
    assert best_honest("celecoxib_rediscovery") == (0.860, "tuned GP")
    assert best_honest("zaleplon_mpo") == (0.552, "Genetic GFN")
    assert best_honest("valsartan_smarts", "a") == (0.182, "REINVENT")
    assert sum(best_honest(task)[0] for task in TASKS) == pytest.approx(14.693, abs=0.003)
