"""Where models lie, by name or path; without torch, so that a campaign can be checked quickly."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from heuresis_models.errors import WeightsError

CONFIG_FILE: Final = "config.json"
SHIPPED_WEIGHTS: Final = Path(__file__).parent / "weights"


def shipped_names() -> list[str]:
    """Return the names of the models that come with the package."""
    return sorted(path.parent.name for path in SHIPPED_WEIGHTS.glob(f"*/{CONFIG_FILE}"))


def model_folder(name_or_path: str) -> Path:
    """Return the folder of a shipped model or of a path.

    Raises:
        WeightsError: neither; lists the shipped names.
    """
    shipped = SHIPPED_WEIGHTS / name_or_path
    if os.sep not in name_or_path and (shipped / CONFIG_FILE).is_file():
        return shipped
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        return folder
    raise WeightsError(
        f"no model '{name_or_path}': expected a folder with {CONFIG_FILE}, model.safetensors and"
        f" tokenizer.json, or a shipped model ({', '.join(shipped_names()) or 'none'})"
    )
