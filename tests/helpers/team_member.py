"""One process of a team, as a launcher would start it: ``team_member.py FOLDER RANK SIZE PORT``.

Reads ``job.json`` in the folder: total_tokens, stop_after (steps; 0: never), layers of the model.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
from torch import distributed
from training_toys import molecule_source, peptide_source, tiny_recipe, trainer_of


def main() -> None:
    folder, rank, size, port = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", rank=rank, world_size=size)
    job = json.loads((folder / "job.json").read_text())
    trainer = trainer_of(
        tiny_recipe(total_tokens=job["total_tokens"]),
        folder,
        molecule_source(0.7),
        peptide_source(0.3),
    )
    losses: list[float] = []

    def note(metrics: object) -> None:
        losses.append(metrics.training_loss)  # type: ignore[attr-defined]

    trainer._report = note
    trainer._stop_asked = lambda: 0 < job["stop_after"] <= trainer.state.steps + 1
    try:
        trainer.run()
    except KeyboardInterrupt:
        pass
    if rank == 0:
        (folder / "losses.json").write_text(json.dumps(losses))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
