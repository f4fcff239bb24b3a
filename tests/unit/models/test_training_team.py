from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from training_toys import molecule_source, tiny_recipe

from heuresis.errors import UserError
from heuresis.execution import ray_team
from heuresis.execution.ray_team import TeamError
from heuresis_models.errors import RecipeError, WeightsError
from heuresis_models.packing import ScoredTokens, batch_of
from heuresis_models.stream import DocumentStream
from heuresis_models.team import Team, part_of, whole_tensor
from heuresis_models.training import make_curriculum


class Pretended(Team):
    """A member of a team whose others are not there; it notes what it hands round."""

    def __init__(self, rank: int, size: int) -> None:
        super().__init__(torch.device("cpu"))
        self.rank, self.size = rank, size
        self.own: list[NDArray[np.int16]] = []

    def hand_round(self, arrays: object, owner: int) -> list[NDArray[np.int16]]:
        assert isinstance(arrays, tuple)
        if owner == self.rank:
            self.own.append(arrays[0])
        return list(arrays)


def test_a_team_of_one_changes_nothing() -> None:
    team = Team(torch.device("cpu"))
    tensor = torch.arange(6.0)
    assert team.leads
    assert team.agree([1.5, 2.0]) == [1.5, 2.0]
    assert team.total(tensor) is tensor
    assert whole_tensor(tensor) is tensor
    assert part_of(tensor, torch.zeros(6)) is tensor
    team.check(7)


def test_every_row_of_a_batch_is_read_by_exactly_one_worker() -> None:
    rows = [[ScoredTokens([number] * 4, [True] * 4)] for number in range(6)]
    batch = batch_of(rows, 8)
    shares = [Pretended(rank, 3).share(batch) for rank in range(3)]
    read = sorted(int(token) for share in shares for token in share.token_BT[:, 0])
    assert read == list(range(6))
    for share in shares:
        assert share.target_BT.shape == share.document_BT.shape == (2, 8)
        assert share.token_count == batch.token_count


def test_a_batch_that_cannot_be_dealt_out_is_refused() -> None:
    with pytest.raises(RecipeError, match="8 rows cannot be dealt out to 3 workers"):
        Pretended(0, 3).check(8)


def test_workers_take_turns_in_writing_pools() -> None:
    source = molecule_source()
    curriculum = make_curriculum(tiny_recipe(), [source])

    def stream(team: Team | None) -> DocumentStream:
        return DocumentStream(
            [source], curriculum, row_length=64, rows=4, seed=1, pool_batches=2, team=team
        )

    alone = list(islice(stream(None)._pools(3), 6))
    for rank in range(2):
        team = Pretended(rank, 2)
        list(islice(stream(team)._pools(3), 6))
        assert len(team.own) == 3
        for written, expected in zip(team.own, alone[rank::2], strict=True):
            assert np.array_equal(written, expected.tokens)


class _FailedError(Exception):
    def __init__(self, failures: dict[int, Exception]) -> None:
        super().__init__("Training failed due to worker errors:\n[Rank 0] …")
        self.worker_failures = failures


def test_of_several_failures_the_telling_one_is_told() -> None:
    from ray.exceptions import RayActorError

    closed = RuntimeError("Connection closed by peer [127.0.0.1]:1234")
    died = RayActorError(error_msg="The actor died.\n exit detail: Worker killed by signal 9.")
    told = ray_team._told(_FailedError({0: closed, 1: died}))
    assert isinstance(told, TeamError)
    assert str(told) == "worker 1 died: Worker killed by signal 9."

    mistake = WeightsError("model.safetensors is damaged")
    told = ray_team._told(_FailedError({0: closed, 1: mistake}))
    assert told is mistake
    assert isinstance(told, UserError)

    told = ray_team._told(_FailedError({0: closed}))
    assert str(told) == "worker 0 failed: RuntimeError: Connection closed by peer [127.0.0.1]:1234"
    assert "no room" in str(ray_team._told(ValueError("there is no room")))
