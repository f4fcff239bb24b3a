"""Sampling molecules and saying how good a sample is: valid, unique, novel."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from heuresis_models.generation.decoding import Sample, generate
from heuresis_models.generation.prompts import prompt
from heuresis_models.generation.settings import Sampling
from heuresis_models.language.augmentation import canonical_or_none
from heuresis_models.language.objects import Form
from heuresis_models.transformer import Transformer

if TYPE_CHECKING:
    from numpy.random import Generator


class SampleQuality(BaseModel):
    """Counts over a sample of molecules; shares are properties."""

    model_config = ConfigDict(frozen=True)

    drawn: int
    valid: int
    """RDKit reads and sanitises the text (and it is not empty)."""
    unique: int
    """Distinct canonical SMILES among the valid."""
    novel: int | None
    """Of the unique, those that are not in the training set; None: no training set given."""

    @property
    def valid_share(self) -> float:
        """Valid of all drawn."""
        return self.valid / self.drawn if self.drawn else 0.0

    @property
    def unique_share(self) -> float:
        """Unique of the valid."""
        return self.unique / self.valid if self.valid else 0.0

    @property
    def novel_share(self) -> float | None:
        """Novel of the unique."""
        if self.novel is None:
            return None
        return self.novel / self.unique if self.unique else 0.0


def sample_molecules(
    model: Transformer,
    count: int,
    rng: Generator,
    settings: Sampling | None = None,
    *,
    form: Form = Form.CANONICAL,
) -> list[Sample]:
    """Draw molecules from scratch; `payload` gives the SMILES of a sample."""
    return generate(model, [prompt(form=form)] * count, rng, settings)


def quality(texts: Sequence[str], training: Collection[str] | None = None) -> SampleQuality:
    """Count valid, unique and novel texts; ``training`` holds canonical SMILES."""
    valid = [smiles for text in texts if (smiles := canonical_or_none(text)) is not None]
    unique = set(valid)
    novel = None
    if training is not None:
        novel = len(unique.difference(training))
    return SampleQuality(drawn=len(texts), valid=len(valid), unique=len(unique), novel=novel)
