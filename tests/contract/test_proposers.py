"""The same promises, kept by every proposer we ship."""

# The rewriting of assertions must be asked for before the import.
# ruff: noqa: E402

from pathlib import Path

import pytest

pytest.register_assert_rewrite("heuresis.testing.proposer_contract")

from foreign_models import save_foreign_model

from heuresis import registry
from heuresis.spaces.molecule import MoleculeSpace
from heuresis.testing.proposer_contract import ProposerCase, ProposerContract

SPACE = MoleculeSpace(MoleculeSpace.Config(heavy_atoms=(4, 40)))
EXEMPLARS = ("CC(=O)Oc1ccccc1C(=O)O", "CN1CCC(Oc2ccc3[nH]ccc3c2)CC1", "N#Cc1ccc(-c2ccsc2)cc1")


CRYSTALS = (
    "<sg:225>'0'5'6'4{Na}|a{Cl}|b",
    "<sg:221>'0'3'9'1{Sr}|a{Ti}|b{O}|c",
    "<sg:136>'0'4'5'9'0'2'9'6{Ti}|a{O}|f'3'0'5",
)


def test_no_proposer_is_forgotten() -> None:
    assert registry.names(registry.PROPOSERS) == [
        "crystal-moves",
        "graph-moves",
        "guided-search",
        "hosted-language-model",
        "language-model",
        "library",
    ]


class TestGraphMoves(ProposerContract):
    @pytest.fixture
    def case(self) -> ProposerCase:
        proposer = registry.load(registry.PROPOSERS, "graph-moves")
        return ProposerCase(proposer, {}, SPACE, EXEMPLARS, valid_share=0.9)


class TestGraphMovesInANarrowSpace(ProposerContract):
    @pytest.fixture
    def case(self) -> ProposerCase:
        proposer = registry.load(registry.PROPOSERS, "graph-moves")
        space = MoleculeSpace(
            MoleculeSpace.Config(elements=("C", "N"), heavy_atoms=(5, 12), stereo="strip")
        )
        return ProposerCase(proposer, {}, space, ("CCNCCC", "C1CCNCC1", "Nc1ccccc1"))


class TestCrystalMoves(ProposerContract):
    @pytest.fixture
    def case(self) -> ProposerCase:
        pytest.importorskip("pymatgen", reason="crystals need the extra 'crystals'")
        proposer = registry.load(registry.PROPOSERS, "crystal-moves")
        space = registry.load(registry.SPACES, "crystal")
        return ProposerCase(proposer, {}, space(space.Config(atoms=(2, 20))), CRYSTALS, 0.9)


@pytest.mark.slow
class TestLanguageModelOfCrystals(ProposerContract):
    @pytest.fixture
    def case(self) -> ProposerCase:
        pytest.importorskip("pymatgen", reason="crystals need the extra 'crystals'")
        proposer = registry.load(registry.PROPOSERS, "language-model")
        space = registry.load(registry.SPACES, "crystal")
        config = {"prior": "heuresis-base", "learn_updates": 1, "learn_batch": 4}
        config |= {"guard_samples": 0, "max_tokens": 128}
        # Its weights write many crystals whose charges do not balance: docs/model/generation.md.
        return ProposerCase(
            proposer, config, space(space.Config(charges="any")), CRYSTALS, valid_share=0.2,
            only_kind=False,
        )  # fmt: skip


class TestLibrary(ProposerContract):
    @pytest.fixture
    def case(self, tmp_path: Path) -> ProposerCase:
        path = tmp_path / "library.smi"
        path.write_text(
            "".join(f"{'C' * n}{end}\n" for n in range(3, 30) for end in ("N", "O", "F"))
        )
        proposer = registry.load(registry.PROPOSERS, "library")
        return ProposerCase(
            proposer, {"file": str(path)}, SPACE, EXEMPLARS, valid_share=1.0, only_kind=False
        )


@pytest.mark.filterwarnings("ignore")
class TestHostedLanguageModel(ProposerContract):
    @pytest.fixture
    def case(self, tmp_path_factory: pytest.TempPathFactory) -> ProposerCase:
        folder = tmp_path_factory.mktemp("hosted")
        save_foreign_model(folder)
        proposer = registry.load(registry.PROPOSERS, "hosted-language-model")
        config = {"folder": str(folder), "max_tokens": 12}
        # Its weights are random: what it writes is text, but rarely a molecule.
        return ProposerCase(proposer, config, SPACE, EXEMPLARS, valid_share=0.0)


class TestLanguageModel(ProposerContract):
    @pytest.fixture
    def case(self) -> ProposerCase:
        proposer = registry.load(registry.PROPOSERS, "language-model")
        config = {
            "prior": "heuresis-zinc",
            "learn_updates": 1,
            "learn_batch": 4,
            "guard_samples": 0,
        }
        return ProposerCase(proposer, config, SPACE, EXEMPLARS)
