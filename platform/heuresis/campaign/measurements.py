"""Which file a run shares its measurements through, if any."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heuresis.execution.measurement_store import MeasurementStore

ENVIRONMENT = "HEURESIS_MEASUREMENTS"
NONE = "none"


def shared_file(
    option: str | None,
    *,
    earlier: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Path | None:
    """Return the file, checked and ready; None: everything is measured.

    Args:
        option: from the command line; ``none`` means none whatever else says.
        earlier: facts of the session before: a resumed run goes on as it was.
        environment: default: this process's.

    Raises:
        UserError: it cannot be used.
    """
    if option is None and earlier:
        option = earlier.get("measurements") or NONE
    if option is None:
        option = (os.environ if environment is None else environment).get(ENVIRONMENT) or NONE
    if option == NONE:
        return None
    path = Path(option).absolute()
    MeasurementStore.open(path).close()
    return path
