"""The same promises, kept by every design space we ship."""

# The rewriting of assertions must be asked for before the import.
# ruff: noqa: E402

import pytest

pytest.register_assert_rewrite("heuresis.testing.space_contract")

from heuresis import registry
from heuresis.testing.space_contract import SpaceCase, SpaceContract


def test_no_space_is_forgotten() -> None:
    assert registry.names(registry.SPACES) == ["crystal", "molecule", "peptide"]


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


class TestCrystal(SpaceContract):
    @pytest.fixture
    def case(self) -> SpaceCase:
        pytest.importorskip("pymatgen", reason="the space of crystals needs the extra 'crystals'")
        space = registry.load(registry.SPACES, "crystal")
        return SpaceCase(
            space=space(
                space.Config(
                    elements=("Li", "Na", "Mg", "Ti", "Zn", "Cl", "S", "O"),
                    require_elements=(),
                    atoms=(1, 14),
                )
            ),
            same=(
                # Rock salt: either origin, the simple cube of eight, sites in any order.
                (
                    "<sg:225>'0'5'6'4{Na}|a{Cl}|b",
                    "<sg:225>'0'5'6'4{Cl}|a{Na}|b",
                    "<crystal><sg:225>'0'5'6'4{Na}|b{Cl}|a</crystal>",
                    "<sg:221>'0'5'6'4{Na}|a|c{Cl}|b|d",
                ),
                # Rutile: origin on either titanium, or all six sites without symmetry.
                (
                    "<sg:136>'0'4'5'9'0'2'9'6{Ti}|a{O}|f'3'0'5",
                    "<sg:136>'0'4'5'9'0'2'9'6{Ti}|b{O}|f'1'9'5",
                    "<sg:1>'0'4'5'9'0'4'5'9'0'2'9'6'0'9'0'0'0'9'0'0'0'9'0'0{Ti}|a'0'0'0'0'0'0'0'0'0"
                    "|a'5'0'0'5'0'0'5'0'0{O}|a'3'0'5'3'0'5'0'0'0|a'6'9'5'6'9'5'0'0'0"
                    "|a'8'0'5'1'9'5'5'0'0|a'1'9'5'8'0'5'5'0'0",
                ),
                # Zinc blende has four equal descriptions; wurtzite is polar: any height will do.
                (
                    "<sg:216>'0'5'4'1{Zn}|a{S}|c",
                    "<sg:216>'0'5'4'1{Zn}|b{S}|d",
                    "<sg:216>'0'5'4'1{Zn}|d{S}|a",
                ),
                (
                    "<sg:186>'0'3'8'2'0'6'2'6{Zn}|b'0'0'0{S}|b'3'7'5",
                    "<sg:186>'0'3'8'2'0'6'2'6{Zn}|b'2'0'0{S}|b'5'7'5",
                    "<sg:186>'0'3'8'2'0'6'2'6{Zn}|b'0'0'0{S}|b'6'2'5",
                ),
                ("<sg:225>'0'5'7'0{Na}|a{Cl}|b",),
                # Spinel.
                ("<sg:227>'0'8'4'0{Mg}|a{Ti}|d{O}|e'2'6'2",),
            ),
            refused={
                "": "empty",
                "NaCl": "syntax",
                "<sg:225>'0'5'6'4": "empty",
                "<sg:225>'0'5'6{Na}|a": "syntax",
                "<sg:225>'0'5'6'4{Na}|z": "syntax",
                "<sg:225>'0'6'2'9{K}|a{Cl}|b": "element",
                "<sg:225>'0'5'6'4{Na}|c{Cl}|b": "charge",
                "<sg:225>'0'3'2'0{Na}|a{Cl}|b": "contact",
                "<sg:225>'0'1'0'0{Na}|a{Cl}|b": "volume",
                "<sg:221>'0'5'6'4{Na}|e'0'0'0{Cl}|f'2'0'0": "cell",
                "<sg:62>'1'0'0'0'1'0'0'0'0'6'0'0{Mg}|c'1'0'0'1'0'0|c'3'0'0'3'5'0"
                "{O}|c'1'0'0'6'0'0|c'3'0'0'8'5'0": "size",
            },
        )


class TestPeptide(SpaceContract):
    @pytest.fixture
    def case(self) -> SpaceCase:
        space = registry.load(registry.SPACES, "peptide")
        return SpaceCase(
            space=space(space.Config(length=(3, 30), residues="ADEFGHIKLMNPQRSTVWY")),
            same=(
                ("_A_A_Q", "AAQ", "<peptide>_A_A_Q</peptide>"),
                ("<acetyl>_A_A_Q<amide>", "Ac-AAQ-NH2"),
                ("Ac-AAQ", "<acetyl>_A_A_Q"),
                ("AAQ-NH2",),
                ("QAA",),
            ),
            refused={
                "": "empty",
                "Ac-": "empty",
                "A-A-Q": "syntax",
                "AAq": "d_residue",
                "AAX": "residue",
                "AAC": "residue",
                "AA": "size",
                "AAQ AAQ": "syntax",
            },
        )
