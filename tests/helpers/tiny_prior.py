"""A language model of molecules that is made in seconds: it writes little, but it learns."""

from __future__ import annotations

from pathlib import Path

from training_toys import molecule_source, tiny_recipe, trainer_of

from heuresis_models.checkpoint import save_model


def save_tiny_prior(folder: Path, total_tokens: int = 20_000) -> Path:
    """Train a tiny model on a few hundred molecules; return its folder."""
    trainer = trainer_of(tiny_recipe(total_tokens=total_tokens), folder, molecule_source())
    trainer.run()
    save_model(folder / "tiny", trainer.model, trainer.vocabulary)
    return folder / "tiny"
