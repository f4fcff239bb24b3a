import importlib.util
import sys
from pathlib import Path

# Test folders are no packages; make the generator of ledgers importable by its name.
_spec = importlib.util.spec_from_file_location(
    "synthetic_ledger", Path(__file__).parents[1] / "report" / "synthetic_ledger.py"
)
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["synthetic_ledger"] = _module
_spec.loader.exec_module(_module)
