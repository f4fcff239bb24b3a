"""Settings of the proposer ``guided-search``, as a campaign file states them."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from heuresis.errors import UserError
from heuresis.plugin import PluginConfig
from heuresis.registry import PROPOSERS, load
from heuresis_agents.libraries import LibraryFile
from heuresis_models.gaussian_process.settings import SurrogateSettings


class LessonSettings(PluginConfig):
    """When a source learns from what was measured; how is a setting of its own."""

    every: int = Field(200, gt=0, description="measurements between two learning steps")
    examples: int = Field(
        1024, gt=0, description="the best measured, shown to the source; it may take fewer"
    )


class SourceSettings(PluginConfig):
    """One proposer that over-generates."""

    kind: str = Field(description="a registered proposer, e.g. graph-moves")
    share: float = Field(1.0, gt=0, description="of the candidates, relative to other sources")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="of that proposer, as it would have on its own"
    )
    parents: int = Field(
        16, gt=0, description="parents shown at most; graph-moves draws two for each child instead"
    )
    every: int = Field(
        1,
        gt=0,
        description="measurements between two makings: its candidates are saved up and made at"
        " once, which is worth it where starting costs much, as in a language model",
    )
    lessons: LessonSettings | None = Field(
        None, description="let it learn; for proposers that can, such as language-model"
    )

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if self.kind == "guided-search":
            raise ValueError("guided-search cannot be a source of itself; name what makes moves")
        try:
            self.checked()
        except UserError as error:
            raise ValueError(str(error)) from error
        if self.lessons is not None and not hasattr(load(PROPOSERS, self.kind), "learn"):
            raise ValueError(f"the source '{self.kind}' cannot learn; drop its lessons")
        return self

    def checked(self) -> Any:
        """Return the settings as the proposer's own ``Config``."""
        return load(PROPOSERS, self.kind).Config(**self.settings)


class LibrarySettings(PluginConfig):
    """A file of candidates that the search starts from."""

    file: LibraryFile = Field(
        description="one text per line, may be gzipped; a header may name the column"
    )
    strip_stereo: bool = Field(False, description="drop stereochemistry from SMILES")
    random: int = Field(10, ge=1, description="first measurements, drawn evenly from the file")
    ranked: int = Field(10_000, ge=100, description="candidates of the file that are ranked")
    until: int = Field(
        100, ge=1, description="measurements up to which only candidates of the file are proposed"
    )


class Stage(PluginConfig):
    """How hard to think while a measurement count lasts."""

    until: int | None = Field(None, gt=0, description="measurements; None: to the end")
    candidates: int = Field(gt=0, description="made for each measurement whose candidate is ranked")
    rounds: int = Field(1, gt=0, description="in which they are made, on each other's shoulders")
    every: int = Field(1, gt=0, description="measurements between two makings")


DEFAULT_STAGES = (
    Stage(until=400, candidates=150, rounds=5),
    Stage(until=800, candidates=100, rounds=4, every=2),
    Stage(until=2000, candidates=30, rounds=2, every=4),
    Stage(candidates=20, rounds=1, every=4),
)


class PoolSettings(PluginConfig):
    """How many candidates wait, and who of them become parents."""

    size: int = Field(1000, ge=20, description="candidates kept, the most promising")
    parents: int = Field(400, ge=1, description="the most promising, which may become parents")
    unscored_share: float = Field(
        0.5, ge=0, le=1, description="of parents from the pool; others were measured"
    )


class SourceBanditSettings(PluginConfig):
    """Let the sources that make the best candidates make more of them."""

    top: int = Field(25, gt=0, description="success: to enter this many best of the campaign")
    window: int = Field(500, gt=0, description="measurements that are remembered")
    floor: float = Field(0.2, ge=0, le=1, description="of the candidates, divided by share alone")


class UnrankedSettings(PluginConfig):
    """Children that are proposed as they come, while ranking brings nothing."""

    patience: int = Field(
        50, gt=0, description="measurements without gain after which there are some"
    )
    gain: float = Field(1e-3, ge=0, description="least gain of the mean of the ten best scores")
    share: float = Field(0.9, gt=0, le=1, description="of the proposals")
    parents: int = Field(
        100, gt=0, description="their parents are among so many best, better ones more often"
    )
    population_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="of them: children of a population of so many `parents` that descends from the"
        " first measurements by unranked children alone",
    )


class BurstSettings(PluginConfig):
    """What to do when the search stands still."""

    patience: int = Field(250, gt=0, description="measurements without gain that are a stand-still")
    gain: float = Field(1e-3, ge=0, description="least gain of the mean of the ten best scores")
    length: int = Field(
        100,
        gt=0,
        description="measurements between two excursions at least; with `most_alike: null`, of each"
        " burst and of each pause",
    )
    pace: int = Field(
        100, gt=0, description="measurements by which the pace of an excursion is told"
    )
    reach: int = Field(
        500,
        gt=0,
        description="an excursion ends that at its pace would not be as good as the rest of the"
        " campaign within so many measurements more",
    )
    fresh: int = Field(
        500, gt=0, description="lines of the library that an excursion begins with, if there is one"
    )
    stage: Stage | None = Field(
        Stage(candidates=60, rounds=4, every=2),
        description="how hard to think during a burst, if that is harder than otherwise (`until`"
        " is not read); None: as otherwise",
    )
    most_alike: float | None = Field(
        0.4,
        gt=0,
        le=1,
        description="an excursion leaves out what is more similar than this to any of the ten best"
        " or to the best of the latest excursions; None: no excursions, the search only gets wider,"
        " by the two settings that follow",
    )
    rank_exponents: tuple[float, float] = Field(
        (-1.0, 0.0), description="of parents, with `most_alike: null`"
    )
    beta_factor: float = Field(
        4.0, gt=0, description="multiplies every beta, with `most_alike: null`"
    )


class GuidedSearchConfig(PluginConfig):
    """Sources, how much they make, and how the best is chosen."""

    sources: tuple[SourceSettings, ...] = Field(
        (SourceSettings(kind="graph-moves"),), min_length=1, description="who makes candidates"
    )
    source_bandit: SourceBanditSettings | None = Field(
        None, description="None: sources make candidates by their shares"
    )
    library: LibrarySettings | None = Field(
        None, description="where the search starts; None: with what the sources make of nothing"
    )
    stages: tuple[Stage, ...] = Field(DEFAULT_STAGES, min_length=1)
    rank_exponents: tuple[float, float] = Field(
        (-3.0, 0.0),
        description="parents are among the best N·10^U of N scored, U even between these",
    )
    pool: PoolSettings = PoolSettings()
    beta_exponents: tuple[float, float] = Field(
        (-2.0, 0.0), description="mean + 10^U deviations decide, U even between these"
    )
    least_deviation: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="what the surrogate knows better than this is proposed only if it expects a"
        " new best; above 0 where many texts are one thing after the measurement, as crystals that"
        " differ in the cell from which they are relaxed",
    )
    control_share: float = Field(
        0.03, ge=0, le=1, description="of proposals chosen evenly, to see what ranking is worth"
    )
    ranking: bool = Field(True, description="False: choose evenly always, for a control arm")
    unranked: UnrankedSettings | None = Field(
        UnrankedSettings(),
        description="where the surrogate sees only a plateau, every candidate that it likes may be"
        " equally good, and one random step from the best may be better; None: rank always",
    )
    bursts: BurstSettings | None = Field(BurstSettings())
    surrogate: SurrogateSettings = SurrogateSettings()

    @field_validator("rank_exponents", "beta_exponents")
    @classmethod
    def _rising(cls, exponents: tuple[float, float]) -> tuple[float, float]:
        if exponents[0] > exponents[1]:
            raise ValueError(f"expected two rising exponents, got {list(exponents)}")
        return exponents

    @model_validator(mode="after")
    def _stages_follow(self) -> Self:
        ends = [stage.until for stage in self.stages]
        counts = [end for end in ends[:-1] if end is not None]
        if len(counts) < len(ends) - 1 or ends[-1] is not None or counts != sorted(set(counts)):
            raise ValueError(
                f"stages need rising numbers in 'until', and none in the last, got {ends}"
            )
        return self

    def stage(self, measured: int, burst: BurstSettings | None) -> Stage:
        """Return how hard to think when so many have been measured, in a burst or not."""
        stage = next(s for s in self.stages if s.until is None or measured < s.until)
        if burst is not None and burst.stage is not None:
            return max(stage, burst.stage, key=lambda one: one.candidates)
        return stage
