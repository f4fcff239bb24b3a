from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from heuresis_models.language import Document

_SPEC = importlib.util.spec_from_file_location(
    "language_examples", Path(__file__).with_name("examples.py")
)
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)
DOCUMENTS: dict[str, Document] = _MODULE.DOCUMENTS


@pytest.fixture(params=list(DOCUMENTS))
def example(request: pytest.FixtureRequest) -> Document:
    return DOCUMENTS[request.param]


@pytest.fixture
def examples() -> dict[str, Document]:
    return DOCUMENTS


@pytest.fixture
def data_folder() -> Path:
    folder = Path(__file__).parents[4] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the training data are not on this machine (expected in ../shared/data)")
    return folder
