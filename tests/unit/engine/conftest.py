import importlib.util
import sys
from pathlib import Path

# Test folders are no packages; make the toy world importable by its name.
_spec = importlib.util.spec_from_file_location(
    "engine_toys", Path(__file__).with_name("engine_toys.py")
)
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["engine_toys"] = _module
_spec.loader.exec_module(_module)
