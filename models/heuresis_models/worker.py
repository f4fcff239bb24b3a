"""One worker of a training that several do together: what runs in its process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict
from torch import distributed

from heuresis.execution.membership import Membership
from heuresis_models.corpus import Report as SourceReport
from heuresis_models.corpus import Source, read_source
from heuresis_models.curriculum import Curriculum
from heuresis_models.memory import keep_freed_memory
from heuresis_models.monitoring import Metrics
from heuresis_models.recipe import Recipe
from heuresis_models.training import Trainer, check_device, make_curriculum

FUNCTION = "heuresis_models.worker:train_member"
STOPPED = "stopped"
_TELL_EVERY_S = 0.5
_MEETING_LIMIT = timedelta(minutes=30)


class Job(BaseModel):
    """What a training needs to know; all folders are seen by all workers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: Recipe
    data: Path
    output: Path
    cache: Path

    def read_sources(self, report: SourceReport = lambda _, __: None) -> list[Source]:
        """Read all sources."""
        return [
            read_source(section, self.data, cache=self.cache, report=report)
            for section in self.recipe.sources
        ]

    def curriculum(
        self, sources: list[Source], report: Callable[[int], None] = lambda _: None
    ) -> Curriculum:
        """Prepare how documents are made."""
        return make_curriculum(self.recipe, sources, report, self.cache)


def train_member(text: str, member: Membership) -> None:
    """Train as one of several workers; the lead tells its `Metrics` as JSON."""
    job = Job.model_validate_json(text)
    keep_freed_memory()
    torch.set_num_threads(job.recipe.threads)
    on_gpu = job.recipe.device != "cpu"
    if on_gpu:
        # The only one that this process is shown, whatever its number on the machine.
        job = job.model_copy(update={"recipe": job.recipe.model_copy(update={"device": "cuda"})})
        check_device(job.recipe)
        torch.cuda.set_device(0)
    if member.interface is not None:
        os.environ["GLOO_SOCKET_IFNAME"] = member.interface
        os.environ["NCCL_SOCKET_IFNAME"] = member.interface
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        init_method=member.meeting,
        rank=member.rank,
        world_size=member.size,
        timeout=_MEETING_LIMIT,
    )
    try:
        sources = job.read_sources()
        trainer = Trainer(
            job.recipe,
            sources,
            job.output,
            clock=time.monotonic,
            curriculum=job.curriculum(sources),
            report=_Reporter(member),
            stop_asked=member.stop_asked,
        )
        try:
            trainer.run()
        except KeyboardInterrupt:
            if member.rank == 0:
                member.tell(STOPPED)
    finally:
        distributed.destroy_process_group()


class _Reporter:
    """Tells every evaluation, and of the steps between them a few a second."""

    def __init__(self, member: Membership) -> None:
        self._member = member
        self._told_s = -_TELL_EVERY_S

    def __call__(self, metrics: Metrics) -> None:
        now_s = time.monotonic()
        if metrics.heldout_loss is not None or now_s - self._told_s >= _TELL_EVERY_S:
            self._told_s = now_s
            self._member.tell(metrics.model_dump_json())
