"""What asking for a shared measurement costs, and keeping one: processor time and bytes.

python benchmarks/shared_measurements.py [--rows 2000]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from heuresis.execution.measurement_store import Answer, MeasurementStore
from heuresis.records import Evaluation, Measurement, Origin, canonical_json


def microseconds(work: Callable[[str], object], questions: list[str]) -> float:
    start = time.process_time()
    for question in questions:
        work(question)
    return (time.process_time() - start) / len(questions) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2000)
    options = parser.parse_args()
    settings = {f"setting_{number}": number for number in range(20)}
    questions = [
        canonical_json({"candidate": f"CC(=O)Oc1ccccc1{'C' * (number % 20)}{number}", **settings})
        for number in range(options.rows)
    ]
    values = {name: Measurement(value=1.5, unit="eV") for name in ("gap", "homo", "lumo", "energy")}
    outcome = Evaluation(measurements=values, checks=("converged", "finite"))
    answer = Answer(outcome, Origin(run="run-1", measured_at=1.0, duration_s=1.0, cpu_s=1.0))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "measurements.sqlite"
        store = MeasurementStore.open(file)
        print(f"not there: {microseconds(lambda q: store.find([q]), questions):.0f} µs")
        print(f"kept:      {microseconds(lambda q: store.keep({q: answer}), questions):.0f} µs")
        print(f"there:     {microseconds(lambda q: store.find([q]), questions):.0f} µs")
        store.close()
        print(f"size:      {file.stat().st_size / options.rows:.0f} bytes a row")


if __name__ == "__main__":
    main()
