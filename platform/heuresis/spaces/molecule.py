"""Molecules as canonical SMILES.

Parsing is strict: a text is either brought to its one canonical form or refused with a reason.
Salts, charges, isotopes and stereo are treated by rule, before the limits are checked, so that
what is measured is what was checked.

This module knows nothing of 3D structures; embedding is the business of oracles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from heuresis.errors import InvalidCandidate
from heuresis.spaces.molecule_features import BLOCKS, MORGAN, MoleculeFeatures
from heuresis.spaces.molecule_rules import MoleculeRules, in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rdkit.Chem import Mol
    from rdkit.Chem.Draw.rdMolDraw2D import MolDraw2D

    from heuresis.spaces.features import Features

PICTURE_WIDTH, PICTURE_HEIGHT = 260, 180
_CANONICAL_ROUNDS = 5
_REMEMBERED = 50_000
"""Canonical texts kept, a few megabytes: a proposer asks first, and its worker asks again."""


class MoleculeSpace:
    """The `molecule` design space; see `MoleculeRules` for its settings.

    Reason codes of refusals: ``empty``, ``too_long``, ``syntax``, ``valence``, ``kekulize``,
    ``element``, ``radical``, ``isotope``, ``multiple_fragments``, ``charge``, ``size``,
    ``weight``, ``rings``, ``ring_size``, ``rotatable_bonds``, ``alert:CATALOGUE``,
    ``alert:own:NAME``, ``missing:NAME``, ``canonical``.
    """

    kind: ClassVar[str] = "molecule"
    Config: ClassVar[type[MoleculeRules]] = MoleculeRules
    feature_blocks: ClassVar[tuple[str, ...]] = BLOCKS

    def __init__(self, config: MoleculeRules) -> None:
        from rdkit.Chem import GetPeriodicTable, MolFromSmarts
        from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogParams
        from rdkit.Chem.MolStandardize.rdMolStandardize import Uncharger

        self.config = config
        table = GetPeriodicTable()
        self._elements = {table.GetAtomicNumber(symbol) for symbol in config.elements} | {1}
        self._uncharger = Uncharger()
        self._features: MoleculeFeatures | None = None
        self._accepted: set[str] = set()
        self._forbidden = {n: MolFromSmarts(s) for n, s in config.forbid_smarts.items()}
        self._required = {n: MolFromSmarts(s) for n, s in config.require_smarts.items()}
        self._alerts = {}
        for name in config.alerts:
            parameters = FilterCatalogParams()
            parameters.AddCatalog(FilterCatalogParams.FilterCatalogs.names[name])
            self._alerts[name] = FilterCatalog(parameters)

    def canonical(self, text: str) -> str:
        """Return the canonical SMILES of the molecule that this campaign would measure.

        Raises:
            InvalidCandidate: unreadable, or outside the rules; see the class for reason codes.
        """
        if text in self._accepted:
            return text
        from rdkit.rdBase import BlockLogs

        with BlockLogs():
            molecule = self._parse(text)
            molecule = self._one_fragment(molecule)
            self._check_atoms(molecule)
            molecule = self._standardize(molecule)
            smiles, molecule = self._fixed_point(molecule, text)
            self._check_limits(molecule)
            self._check_patterns(molecule)
        if len(self._accepted) >= _REMEMBERED:
            self._accepted.clear()
        self._accepted.add(smiles)
        return smiles

    def depict(self, text: str) -> str:
        """Return an SVG picture (260 × 180, transparent) of a canonical text."""
        from rdkit.Chem.Draw.rdMolDraw2D import MolDraw2DSVG

        drawer = MolDraw2DSVG(PICTURE_WIDTH, PICTURE_HEIGHT)
        # RDKit's stubs call this plain attribute an options object.
        drawer.drawOptions().clearBackground = False  # type: ignore[assignment]
        self._draw(drawer, text)
        svg: str = drawer.GetDrawingText()
        return svg[svg.index("<svg") :].strip()

    def depict_png(self, text: str) -> bytes:
        """Return a PNG picture (260 × 180, white) of a canonical text."""
        from rdkit.Chem.Draw.rdMolDraw2D import MolDraw2DCairo

        drawer = MolDraw2DCairo(PICTURE_WIDTH, PICTURE_HEIGHT)
        self._draw(drawer, text)
        picture: bytes = drawer.GetDrawingText()
        return picture

    def features(self, texts: Sequence[str], blocks: Sequence[str] = (MORGAN,)) -> Features:
        """Return counted fragments and descriptors of SMILES; see `MoleculeFeatures`."""
        if self._features is None:
            self._features = MoleculeFeatures()
        return self._features(texts, blocks)

    def describe(self) -> str:
        """Return one line for people: what this space allows."""
        return in_words(self.config)

    def _draw(self, drawer: MolDraw2D, text: str) -> None:
        from rdkit.Chem import MolFromSmiles
        from rdkit.Chem.Draw.rdMolDraw2D import PrepareAndDrawMolecule
        from rdkit.rdBase import BlockLogs

        with BlockLogs():
            molecule = MolFromSmiles(text)
        if molecule is None:
            raise InvalidCandidate("syntax", f"'{text}' cannot be drawn: not a readable SMILES")
        PrepareAndDrawMolecule(drawer, molecule)
        drawer.FinishDrawing()

    def _parse(self, text: str) -> Mol:
        from rdkit import Chem

        if not text or text.isspace():
            raise InvalidCandidate("empty", "the text is empty")
        if len(text) > self.config.max_characters:
            raise InvalidCandidate(
                "too_long", f"{len(text)} characters; at most {self.config.max_characters}"
            )
        # RDKit would take what follows a blank for a name and forgive it.
        if not text.isascii() or any(c.isspace() or not c.isprintable() for c in text):
            raise InvalidCandidate("syntax", f"{text!r} has characters that no SMILES has")
        molecule = Chem.MolFromSmiles(text)
        if molecule is not None:
            if molecule.GetNumAtoms() == 0:
                raise InvalidCandidate("empty", f"{text!r} has no atom")
            return molecule
        raw = Chem.MolFromSmiles(text, sanitize=False)
        if raw is None:
            raise InvalidCandidate("syntax", f"{text!r} is not a readable SMILES")
        try:
            Chem.SanitizeMol(raw)
        except (Chem.KekulizeException, Chem.AtomKekulizeException) as error:
            raise InvalidCandidate("kekulize", f"{text!r}: {error}") from error
        except Chem.MolSanitizeException as error:
            raise InvalidCandidate("valence", f"{text!r}: {error}") from error
        raise InvalidCandidate("syntax", f"{text!r} is not a readable SMILES")

    def _one_fragment(self, molecule: Mol) -> Mol:
        from rdkit import Chem

        fragments = Chem.GetMolFrags(molecule)
        if len(fragments) == 1:
            return molecule
        if self.config.salts == "refuse":
            raise InvalidCandidate("multiple_fragments", f"{len(fragments)} fragments")
        parts = Chem.GetMolFrags(molecule, asMols=True)
        # Ties are broken by text, so that the order of writing does not matter.
        largest: Mol = max(parts, key=lambda p: (p.GetNumHeavyAtoms(), Chem.MolToSmiles(p)))
        return largest

    def _check_atoms(self, molecule: Mol) -> None:
        for atom in molecule.GetAtoms():
            if atom.GetAtomicNum() == 0:
                raise InvalidCandidate("element", "'*' leaves an atom open; name every element")
            if atom.GetAtomicNum() not in self._elements:
                raise InvalidCandidate("element", f"element {atom.GetSymbol()} is not allowed")
            if atom.GetNumRadicalElectrons():
                raise InvalidCandidate(
                    "radical",
                    f"{atom.GetSymbol()} has {atom.GetNumRadicalElectrons()} unpaired electron(s)",
                )
            if atom.GetIsotope():
                if self.config.isotopes == "refuse":
                    raise InvalidCandidate(
                        "isotope", f"isotope {atom.GetIsotope()}{atom.GetSymbol()}"
                    )
                if self.config.isotopes == "strip":
                    atom.SetIsotope(0)

    def _standardize(self, molecule: Mol) -> Mol:
        from rdkit import Chem

        for atom in molecule.GetAtoms():
            atom.SetAtomMapNum(0)
        if self.config.charges != "keep" and any(a.GetFormalCharge() for a in molecule.GetAtoms()):
            if self.config.charges == "neutralize":
                molecule = self._uncharger.uncharge(molecule)
            charge = Chem.GetFormalCharge(molecule)
            if charge:
                raise InvalidCandidate("charge", f"net charge {charge:+d}")
        if self.config.stereo == "strip":
            Chem.RemoveStereochemistry(molecule)
        return molecule

    def _fixed_point(self, molecule: Mol, text: str) -> tuple[str, Mol]:
        """Return a SMILES that is its own canonical form; RDKit's first answer is not always."""
        from rdkit import Chem

        smiles = Chem.MolToSmiles(molecule)
        if smiles == text:  # it was read from its own canonical form: a third of the time saved
            return smiles, molecule
        for _ in range(_CANONICAL_ROUNDS):
            molecule = Chem.MolFromSmiles(smiles)
            if molecule is None:
                break
            again = Chem.MolToSmiles(molecule)
            if again == smiles:
                return smiles, molecule
            smiles = again
        raise InvalidCandidate("canonical", f"'{smiles}' has no stable canonical form")

    def _check_limits(self, molecule: Mol) -> None:
        from rdkit.Chem import rdMolDescriptors

        rules = self.config
        _within("size", "heavy atoms", molecule.GetNumHeavyAtoms(), rules.heavy_atoms)
        if rules.molecular_weight_Da is not None:
            weight = rdMolDescriptors._CalcMolWt(molecule)
            _within("weight", "Da", weight, rules.molecular_weight_Da)
        sizes = [len(ring) for ring in molecule.GetRingInfo().AtomRings()]
        if rules.rings is not None:
            _within("rings", "rings", len(sizes), rules.rings)
        if rules.ring_size is not None:
            for size in sizes:
                _within("ring_size", "atoms in a ring", size, rules.ring_size)
        if rules.rotatable_bonds is not None:
            count = rdMolDescriptors.CalcNumRotatableBonds(molecule)
            _within("rotatable_bonds", "rotatable bonds", count, rules.rotatable_bonds)

    def _check_patterns(self, molecule: Mol) -> None:
        for name, pattern in self._required.items():
            if not molecule.HasSubstructMatch(pattern):
                raise InvalidCandidate(f"missing:{name}", f"the required pattern {name} is missing")
        for name, pattern in self._forbidden.items():
            if molecule.HasSubstructMatch(pattern):
                raise InvalidCandidate(f"alert:own:{name}", f"the forbidden pattern {name} occurs")
        for name, catalogue in self._alerts.items():
            match = catalogue.GetFirstMatch(molecule)
            if match is not None:
                raise InvalidCandidate(f"alert:{name}", f"{name} alert: {match.GetDescription()}")


def _within(reason: str, what: str, value: float, limits: tuple[float, float]) -> None:
    if not limits[0] <= value <= limits[1]:
        raise InvalidCandidate(
            reason, f"{value:g} {what}; allowed are {limits[0]:g} to {limits[1]:g}"
        )
