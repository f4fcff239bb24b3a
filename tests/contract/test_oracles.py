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
        "crystal-descriptors",
        "crystal-relaxation",
        "dft",
        "host-guest-binding",
        "http",
        "openmm-md",
        "organic-photovoltaics",
        "peptide-md",
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


class TestDensityFunctional(OracleContract):
    @pytest.fixture
    def case(self) -> OracleCase:
        pytest.importorskip("pyscf", reason="the oracle 'dft' needs the extra 'pyscf'")
        oracle = registry.load(registry.ORACLES, "dft")
        config = {"functional": "PBE", "geometry": "MMFF94", "conformers": 1, "grid_level": 0}
        return OracleCase(oracle, config, ("O", "[NH4+]"), refused=(UNREADABLE, "[Pu]", EXOTIC))


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


class TestMolecularDynamicsInWater(OracleContract):
    @pytest.fixture
    def case(self) -> OracleCase:
        oracle = registry.load(registry.ORACLES, "openmm-md")
        config = {
            "duration_ps": 1.0,
            "equilibration_ps": 0.1,
            "conservation_check_ps": 0.1,
            "conformers": 1,
            "solvent": "water",
            "observables": ["surface", "hydrogen-bonds", "conformers"],
        }
        return OracleCase(oracle, config, ("CO", "CCO"), refused=(UNREADABLE, EXOTIC))


class TestHostGuestBinding(OracleContract):
    @pytest.fixture
    def case(self) -> OracleCase:
        oracle = registry.load(registry.ORACLES, "host-guest-binding")
        # No cavity, so that it is quick: bound at the surface.
        config = {"host": "c1ccccc1", "placements": 3, "relaxed": 1, "relaxation_ps": 0.1}
        return OracleCase(oracle, config, ("C[NH3+]", "CO"), refused=(UNREADABLE, EXOTIC, "C[CH2]"))


class TestPeptideMolecularDynamics(OracleContract):
    @pytest.fixture
    def case(self) -> OracleCase:
        oracle = registry.load(registry.ORACLES, "peptide-md")
        config = {
            "duration_ps": 0.2,
            "equilibration_ps": 0.02,
            "sample_interval_fs": 20.0,
            "conservation_check_ps": 0.2,
            "timestep_fs": 2.0,
            "platform": "CPU",
        }
        return OracleCase(
            oracle,
            config,
            ("<acetyl>_A_A_A_A_A<amide>", "_G_G_G_G_G"),
            refused=(UNREADABLE, "_A_A", "_a_a_a_a_a"),
            space="peptide",
        )


ROCK_SALT = "<sg:225>'0'5'6'4{Na}|a{Cl}|b"
COPPER = "<sg:225>'0'3'6'1{Cu}|a"
COPPER_GOLD = "<sg:221>'0'3'8'0{Cu}|c{Au}|a"


class TestCrystalDescriptors(OracleContract):
    @pytest.fixture
    def case(self, tmp_path_factory: pytest.TempPathFactory) -> OracleCase:
        pytest.importorskip("pymatgen", reason="crystals need the extra 'crystals'")
        oracle = registry.load(registry.ORACLES, "crystal-descriptors")
        known = tmp_path_factory.mktemp("known") / "known.txt"
        known.write_text(f"{ROCK_SALT}\n")
        return OracleCase(
            oracle,
            {"known": str(known)},
            (ROCK_SALT, COPPER_GOLD),
            refused=(UNREADABLE, "<sg:225>'0'5'6'4{Na}|a|a"),
            space="crystal",
        )


class TestCrystalRelaxation(OracleContract):
    @pytest.fixture
    def case(self) -> OracleCase:
        pytest.importorskip("spglib", reason="crystals need the extra 'crystals'")
        oracle = registry.load(registry.ORACLES, "crystal-relaxation")
        return OracleCase(
            oracle,
            {"potential": "EMT", "bulk_modulus": True, "dynamics_ps": 0.05},
            (COPPER, COPPER_GOLD),
            refused=(UNREADABLE, ROCK_SALT, "<sg:225>'0'1'5'0{Cu}|a"),
            space="crystal",
        )


@pytest.mark.slow
class TestCrystalRelaxationWithCHGNet(OracleContract):
    @pytest.fixture
    def case(self) -> OracleCase:
        pytest.importorskip("chgnet", reason="CHGNet comes with the extra 'crystals'")
        oracle = registry.load(registry.ORACLES, "crystal-relaxation")
        return OracleCase(
            oracle,
            {"bulk_modulus": True, "dynamics_ps": 0.04},
            ("<sg:225>'0'4'0'3{Li}|a{F}|b", "<sg:225>'0'4'2'1{Mg}|a{O}|b"),
            refused=(UNREADABLE, "<sg:225>'0'5'0'0{Am}|a{O}|b", "<sg:225>'0'1'5'0{Cu}|a"),
            space="crystal",
        )
