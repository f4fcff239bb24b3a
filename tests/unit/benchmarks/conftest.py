"""Makes the benchmarks importable: they are run from the root of the repository, not installed."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # last, so that it comes before nothing
