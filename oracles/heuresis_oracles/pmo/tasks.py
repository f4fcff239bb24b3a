"""The twenty tasks of PMO that need nothing but RDKit, as data.

Definitions of GuacaMol (Brown et al., J. Chem. Inf. Model. 59, 1096, 2019) as PMO uses them through
PyTDC 0.4.0 and later; PyTDC up to 0.3.6 had other isomer, zaleplon and sitagliptin scores, so its
published figures do not compare. PMO's other three tasks (drd2, gsk3b, jnk3) score by classifiers
that must be downloaded, and are not offered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from heuresis_oracles.pmo.measures import (
    AtomCount,
    Fingerprint,
    Isomer,
    Measure,
    Pattern,
    Property,
    Similarity,
)
from heuresis_oracles.pmo.shapes import (
    Mean,
    Shape,
    arithmetic_mean,
    at_least,
    at_most,
    clipped,
    gaussian,
    geometric_mean,
    lacking,
    unchanged,
)

if TYPE_CHECKING:
    from rdkit.Chem import Mol

LOGP = Property("logp")
TPSA = Property("tpsa")
BERTZ = Property("bertz")

CAMPHOR = "CC1(C)C2CCC1(C)C(=O)C2"
MENTHOL = "CC(C)C1CCC(C)CC1O"
TADALAFIL = "O=C1N(CC(N2C1CC3=C(C2C4=CC5=C(OCO5)C=C4)NC6=C3C=CC=C6)=O)C"
SILDENAFIL = "CCCC1=NN(C2=C1N=C(NC2=O)C3=C(C=CC(=C3)S(=O)(=O)N4CCN(CC4)C)OCC)C"
OSIMERTINIB = "COc1cc(N(C)CCN(C)C)c(NC(=O)C=C)cc1Nc2nccc(n2)c3cn(C)c4ccccc34"
FEXOFENADINE = "CC(C)(C(=O)O)c1ccc(cc1)C(O)CCCN2CCC(CC2)C(O)(c3ccccc3)c4ccccc4"
RANOLAZINE = "COc1ccccc1OCC(O)CN2CCN(CC(=O)Nc3c(C)cccc3C)CC2"
PERINDOPRIL = "O=C(OCC)C(NC(C(=O)N1C(C(=O)O)CC2CCCCC12)C)CCC"
AMLODIPINE = r"Clc1ccccc1C2C(=C(/N/C(=C2/C(=O)OCC)COCCN)C)\C(=O)OC"
SITAGLIPTIN = "Fc1cc(c(F)cc1F)CC(N)CC(=O)N3Cc2nnc(n2CC3)C(F)(F)F"
ZALEPLON = "O=C(C)N(CC)C1=CC=CC(C2=CC=NC3=C(C=NN23)C#N)=C1"
VALSARTAN_REFERENCE = "NC(CC(=O)N1CCn2c(nnc2C(F)(F)F)C1)Cc1cc(F)c(F)cc1F"
"""Whose logP, TPSA and complexity valsartan_smarts asks for: sitagliptin."""
HOP_TARGET = "CCCOc1cc2ncnc(Nc3ccc4ncsc4c3)c2cc1S(=O)(=O)C(C)(C)C"
HOP_SULFONYL = "CS([#6])(=O)=O"
HOP_BENZOTHIAZOLE = "[#7]-c1ccc2ncsc2c1"
HOP_SCAFFOLD = "[#7]-c1n[c;h1]nc2[c;h1]c(-[#8])[c;h0][c;h1]c12"
HOP_DECORATION = "[#6]-[#6]-[#6]-[#8]-[#6]~[#6]~[#6]~[#6]~[#6]-[#7]-c1ccc2ncsc2c1"


@dataclass(frozen=True)
class OfReference:
    """A Gaussian around what a property is for a reference molecule, as RDKit computes it."""

    measure: Property
    reference: str
    width: float

    def __call__(self, value: float) -> float:
        """Return the score of a raw value."""
        return gaussian(_property_of(self.measure, self.reference), self.width)(value)


@cache
def _property_of(measure: Property, smiles: str) -> float:
    return measure.of(smiles)


@dataclass(frozen=True)
class Part:
    """One wish: what is measured and how its value becomes a score."""

    measure: Measure
    shape: Shape = unchanged

    def __call__(self, molecule: Mol) -> float:
        """Return the score of one wish, in [0, 1]."""
        return self.shape(self.measure(molecule))


@dataclass(frozen=True)
class Task:
    """Named wishes and the mean that joins them."""

    summary: str
    parts: Mapping[str, Part]
    mean: Mean = geometric_mean

    def components(self, molecule: Mol) -> dict[str, float]:
        """Return the score of each wish by name, in [0, 1]."""
        return {name: part(molecule) for name, part in self.parts.items()}

    def score(self, components: Mapping[str, float]) -> float:
        """Return the task's score, in [0, 1]."""
        return self.mean(list(components.values()))


def _similar(fingerprint: Fingerprint, target: str, full_at: float | None = None) -> Part:
    shape = unchanged if full_at is None else clipped(full_at)
    return Part(Similarity(fingerprint, target), shape)


def _like(measure: Property, reference: str, width: float) -> Part:
    return Part(measure, OfReference(measure, reference, width))


def _single(summary: str, name: str, part: Part) -> Task:
    return Task(summary, {name: part})


TASKS: dict[str, Task] = {
    "albuterol_similarity": _single(
        "resembles albuterol in its features",
        "similarity",
        _similar("FCFP4", "CC(C)(C)NCC(O)c1ccc(O)c(CO)c1", full_at=0.75),
    ),
    "amlodipine_mpo": Task(
        "resembles amlodipine, with three rings",
        {
            "similarity": _similar("ECFP4", AMLODIPINE),
            "rings": Part(Property("rings"), gaussian(3, 0.5)),
        },
    ),
    "celecoxib_rediscovery": _single(
        "is celecoxib",
        "similarity",
        _similar("ECFP4", "CC1=CC=C(C=C1)C1=CC(=NN1C1=CC=C(C=C1)S(N)(=O)=O)C(F)(F)F"),
    ),
    "deco_hop": Task(
        "keeps a scaffold, changes its decoration",
        {
            "pharmacophore": _similar("PHCO", HOP_TARGET, full_at=0.85),
            "no_sulfonyl": Part(Pattern(HOP_SULFONYL), lacking),
            "no_benzothiazole": Part(Pattern(HOP_BENZOTHIAZOLE), lacking),
            "scaffold": Part(Pattern(HOP_SCAFFOLD)),
        },
        arithmetic_mean,
    ),
    "fexofenadine_mpo": Task(
        "resembles fexofenadine, more polar and less greasy",
        {
            "similarity": _similar("AP", FEXOFENADINE, full_at=0.8),
            "tpsa": Part(TPSA, at_least(90, 10)),
            "logp": Part(LOGP, at_most(4, 1)),
        },
    ),
    "isomers_c7h8n2o2": _single("has this formula", "formula", Part(Isomer("C7H8N2O2"))),
    "isomers_c9h10n2o2pf2cl": _single(
        "has this formula", "formula", Part(Isomer("C9H10N2O2PF2Cl"))
    ),
    "median1": Task(
        "resembles camphor and menthol at once",
        {"camphor": _similar("ECFP4", CAMPHOR), "menthol": _similar("ECFP4", MENTHOL)},
    ),
    "median2": Task(
        "resembles tadalafil and sildenafil at once",
        {"tadalafil": _similar("ECFP6", TADALAFIL), "sildenafil": _similar("ECFP6", SILDENAFIL)},
    ),
    "mestranol_similarity": _single(
        "resembles mestranol in its atom pairs",
        "similarity",
        _similar(
            "AP",
            "COc1ccc2[C@H]3CC[C@@]4(C)[C@@H](CC[C@@]4(O)C#C)[C@@H]3CCc2c1",
            full_at=0.75,
        ),
    ),
    "osimertinib_mpo": Task(
        "resembles osimertinib's features in another graph, more polar and less greasy",
        {
            "similarity": _similar("FCFP4", OSIMERTINIB, full_at=0.8),
            "dissimilarity": Part(Similarity("ECFP6", OSIMERTINIB), at_most(0.85, 0.1)),
            "tpsa": Part(TPSA, at_least(100, 10)),
            "logp": Part(LOGP, at_most(1, 1)),
        },
    ),
    "perindopril_mpo": Task(
        "resembles perindopril, with two aromatic rings",
        {
            "similarity": _similar("ECFP4", PERINDOPRIL),
            "aromatic_rings": Part(Property("aromatic_rings"), gaussian(2, 0.5)),
        },
    ),
    "qed": _single("is drug-like", "drug_likeness", Part(Property("qed"))),
    "ranolazine_mpo": Task(
        "resembles ranolazine, greasier, more polar, with one fluorine",
        {
            "similarity": _similar("AP", RANOLAZINE, full_at=0.7),
            "logp": Part(LOGP, at_least(7, 1)),
            "tpsa": Part(TPSA, at_least(95, 20)),
            "fluorine": Part(AtomCount("F"), gaussian(1, 1)),
        },
    ),
    "scaffold_hop": Task(
        "keeps a decoration, changes its scaffold",
        {
            "pharmacophore": _similar("PHCO", HOP_TARGET, full_at=0.75),
            "decoration": Part(Pattern(HOP_DECORATION)),
            "no_scaffold": Part(Pattern(HOP_SCAFFOLD), lacking),
        },
        arithmetic_mean,
    ),
    "sitagliptin_mpo": Task(
        "has sitagliptin's formula, logP and TPSA in another graph",
        {
            "dissimilarity": Part(Similarity("ECFP4", SITAGLIPTIN), gaussian(0, 0.1)),
            "logp": _like(LOGP, SITAGLIPTIN, 0.2),
            "tpsa": _like(TPSA, SITAGLIPTIN, 5),
            "formula": Part(Isomer("C16H15F6N5O")),
        },
    ),
    "thiothixene_rediscovery": _single(
        "is thiothixene",
        "similarity",
        _similar("ECFP4", "CN(C)S(=O)(=O)c1ccc2Sc3ccccc3C(=CCCN4CCN(C)CC4)c2c1"),
    ),
    "troglitazone_rediscovery": _single(
        "is troglitazone",
        "similarity",
        _similar("ECFP4", "Cc1c(C)c2OC(C)(COc3ccc(CC4SC(=O)NC4=O)cc3)CCc2c(C)c1O"),
    ),
    "valsartan_smarts": Task(
        "has valsartan's biphenyl amide, and logP, TPSA and complexity of sitagliptin",
        {
            "pattern": Part(Pattern("CN(C=O)Cc1ccc(c2ccccc2)cc1")),
            "logp": _like(LOGP, VALSARTAN_REFERENCE, 0.2),
            "tpsa": _like(TPSA, VALSARTAN_REFERENCE, 5),
            "complexity": _like(BERTZ, VALSARTAN_REFERENCE, 30),
        },
    ),
    "zaleplon_mpo": Task(
        "resembles zaleplon, with the formula C19H17N3O2",
        {
            "similarity": _similar("ECFP4", ZALEPLON),
            "formula": Part(Isomer("C19H17N3O2")),
        },
    ),
}
"""Every task by the name that PMO gives it."""

CLASSIFIER_TASKS = ("drd2", "gsk3b", "jnk3")
"""PMO's other tasks, which need a downloaded classifier."""
