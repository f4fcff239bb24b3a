"""The same promises, kept by every oracle we ship."""

# The rewriting of assertions must be asked for before the import.
# ruff: noqa: E402

import pytest

pytest.register_assert_rewrite("heuresis.testing.oracle_contract")

from heuresis import registry
from heuresis.testing.oracle_contract import OracleCase, OracleContract

UNREADABLE = "no such thing"
EXOTIC = "C[Hg]C"


def test_no_oracle_is_forgotten() -> None:
    assert registry.names(registry.ORACLES) == [
        "command",
        "http",
        "openmm-md",
        "organic-photovoltaics",
        "pmo",
        "rdkit-descriptors",
        "xtb",
    ]


class TestDescriptors(OracleContract):
    @pytest.fixture
    def case(self) -> OracleCase:
        oracle = registry.load(registry.ORACLES, "rdkit-descriptors")
        return OracleCase(oracle, {}, ("CCO", "CC(=O)Oc1ccccc1C(=O)O", "C"), refused=(UNREADABLE,))


class TestPMO(OracleContract):
    @pytest.fixture
    def case(self) -> OracleCase:
        oracle = registry.load(registry.ORACLES, "pmo")
        return OracleCase(
            oracle,
            {"task": "zaleplon_mpo", "components": True},
            ("CCO", "CC(=O)Oc1ccccc1C(=O)O"),
            refused=(UNREADABLE,),
        )


class TestXTB(OracleContract):
    @pytest.fixture
    def case(self) -> OracleCase:
        oracle = registry.load(registry.ORACLES, "xtb")
        return OracleCase(oracle, {"conformers": 1}, ("CO", "C=C"), refused=(UNREADABLE, "[Pu]"))


class TestXTBObservables(OracleContract):
    @pytest.fixture
    def case(self) -> OracleCase:
        oracle = registry.load(registry.ORACLES, "xtb")
        config = {
            "observables": [
                "ionisation",
                "adiabatic-ionisation",
                "hole-reorganisation",
                "polarisability",
                "vibrations",
                "thermochemistry",
                "conformers",
            ],
            "conformers": 4,
            "relaxed_conformers": 2,
        }
        return OracleCase(oracle, config, ("CO", "N"), refused=(UNREADABLE, "[Pu]"))


class TestXTBInSolvent(OracleContract):
    @pytest.fixture
    def case(self) -> OracleCase:
        oracle = registry.load(registry.ORACLES, "xtb")
        config = {
            "solvent": "water",
            "observables": ["solvation", "oxidation"],
            "method": "GFN1-xTB",
        }
        return OracleCase(oracle, config, ("CO", "C=C"), refused=(UNREADABLE, "[Pu]"))


class TestOrganicPhotovoltaics(OracleContract):
    @pytest.fixture
    def case(self) -> OracleCase:
        oracle = registry.load(registry.ORACLES, "organic-photovoltaics")
        config = {"relax": False, "conformers": 1}
        return OracleCase(oracle, config, ("CO", "c1ccsc1"), refused=(UNREADABLE, "[Pu]"))


class TestMolecularDynamics(OracleContract):
    @pytest.fixture
    def case(self) -> OracleCase:
        oracle = registry.load(registry.ORACLES, "openmm-md")
        config = {
            "duration_ps": 1.0,
            "equilibration_ps": 0.1,
            "conservation_check_ps": 0.1,
            "conformers": 1,
        }
        return OracleCase(oracle, config, ("CO", "CCO"), refused=(UNREADABLE, EXOTIC))
