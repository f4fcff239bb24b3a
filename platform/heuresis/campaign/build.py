"""The composition root: from a resolved campaign to what the controller and the workers need."""

from __future__ import annotations

import contextlib
import re
import subprocess
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from platform import python_version

from heuresis import __version__
from heuresis.campaign.resolve import ResolvedCampaign, ResolvedOracle, ResolvedProposer
from heuresis.engine.plan import CampaignPlan, OraclePlan, ProposerPlan
from heuresis.search.objective import Objective
from heuresis.tasks import PoolSpec


def build_plan(campaign: ResolvedCampaign, *, checkpoints: Path | None = None) -> CampaignPlan:
    """Return the plan of a campaign.

    Args:
        campaign: what `load_campaign` returned.
        checkpoints: absolute folder for learned states; needed when a proposer learns.
    """
    spec = campaign.spec
    return CampaignPlan(
        campaign=spec.campaign,
        seed=spec.seed,
        measurement_seed=spec.measurement_seed,
        spec_hash=campaign.spec_hash,
        space=spec.space.kind,
        objective=Objective(spec.objectives, spec.constraints),
        oracles=tuple(_oracle(campaign, oracle) for oracle in campaign.oracles),
        proposers=tuple(_proposer(campaign, p, checkpoints) for p in campaign.proposers),
        search=spec.search,
        budget=spec.budget,
    )


def _oracle(campaign: ResolvedCampaign, oracle: ResolvedOracle) -> OraclePlan:
    section = oracle.section
    return OraclePlan(
        name=oracle.name,
        declaration=oracle.declaration,
        pool=PoolSpec(
            name=oracle.name,
            role="oracle",
            kind=section.kind,
            config=oracle.config.model_dump(mode="json"),
            space_kind=campaign.spec.space.kind,
            space_config=campaign.space_config.model_dump(mode="json"),
            workers=section.workers,
            threads=section.threads,
            isolated=oracle.declaration.isolated,
            timeout_s=oracle.timeout_s * section.repeats,
            repeats=section.repeats,
            memory_limit_MiB=section.memory_limit_MiB,
        ),
    )


def _proposer(
    campaign: ResolvedCampaign, proposer: ResolvedProposer, checkpoints: Path | None
) -> ProposerPlan:
    section = proposer.section
    return ProposerPlan(
        name=proposer.name,
        share=section.share,
        batch=section.batch,
        learn_every=proposer.learn_every,
        learn_best=section.learn_best,
        observes=proposer.observes,
        pool=PoolSpec(
            name=proposer.name,
            role="proposer",
            kind=section.kind,
            config=proposer.config.model_dump(mode="json"),
            space_kind=campaign.spec.space.kind,
            space_config=campaign.space_config.model_dump(mode="json"),
            threads=section.threads,
            checkpoint_root=str(checkpoints) if checkpoints is not None else None,
        ),
    )


def versions(campaign: ResolvedCampaign) -> dict[str, str]:
    """Return what a ledger records: Heuresis and each oracle as ``kind@version``."""
    found = {"heuresis": __version__}
    commit = _commit()
    if commit is not None:
        found["commit"] = commit
    for oracle in campaign.oracles:
        declaration = oracle.declaration
        found[oracle.name] = f"{declaration.kind}@{declaration.version}"
    return found


def environment(campaign: ResolvedCampaign) -> dict[str, str]:
    """Return `versions`, and those of Python and of every package that Heuresis asks for."""
    found = {**versions(campaign), "python": python_version()}
    for requirement in requires("heuresis") or []:
        name = re.split(r"[^A-Za-z0-9_.-]", requirement, maxsplit=1)[0]
        with contextlib.suppress(PackageNotFoundError):  # an optional one that is not installed
            found[f"package:{name}"] = version(name)
    return found


def _commit() -> str | None:
    """Return the commit of a source checkout; None for an installed package."""
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder), "rev-parse", "--short=12", "HEAD"]
    tracked = ["git", "-C", str(folder), "ls-files", "--error-unmatch", Path(__file__).name]
    try:
        if subprocess.run(tracked, capture_output=True, timeout=5, check=False).returncode:
            return None
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
