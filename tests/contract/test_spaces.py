"""The same promises, kept by every design space we ship."""

# The rewriting of assertions must be asked for before the import.
# ruff: noqa: E402

import pytest

pytest.register_assert_rewrite("heuresis.testing.space_contract")

from heuresis import registry
from heuresis.testing.space_contract import SpaceCase, SpaceContract


def test_no_space_is_forgotten() -> None:
    assert registry.names(registry.SPACES) == ["molecule"]


class TestMolecule(SpaceContract):
    @pytest.fixture
    def case(self) -> SpaceCase:
        space = registry.load(registry.SPACES, "molecule")
        return SpaceCase(
            space=space(space.Config(heavy_atoms=(2, 40), alerts=("BRENK",))),
            same=(
                ("CCO", "OCC", "[H]OCC", "[Na+].CC[O-]"),
                ("Oc1ccccc1", "C1=CC=CC=C1O", "c1ccccc1[OH]"),
                ("C[C@H](N)C(=O)O", "N[C@@H](C)C(O)=O"),
                ("C[C@@H](N)C(=O)O",),
                ("[NH3+]CC(=O)[O-]", "NCC(=O)O"),
            ),
            refused={
                "": "empty",
                "CCO ethanol": "syntax",
                "c1cccc1": "kekulize",
                "CC(C)(C)(C)C": "valence",
                "C": "size",
                "C[CH2]": "radical",
                "*CC": "element",
                "CC(=O)Cl": "alert:BRENK",
            },
        )
