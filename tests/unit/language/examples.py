"""One document of every kind, small enough to check by eye."""

from __future__ import annotations

from heuresis_models.language import (
    DNA,
    BindingSite,
    CodingDNA,
    Complex,
    Conservation,
    Contacts,
    Crystal,
    Document,
    Entry,
    Form,
    Formula,
    Framework,
    Label,
    Level,
    Molecule,
    Orbit,
    Peptide,
    Protein,
    Quantile,
    Quantity,
    Reaction,
    SecondaryStructure,
)

ASPIRIN = Molecule("CC(=O)Oc1ccccc1C(=O)O")
ROCK_SALT = Crystal(225, (564,), (Orbit("Na", "a"), Orbit("Cl", "b")))
RUTILE = Crystal(136, (459, 296), (Orbit("Ti", "a"), Orbit("O", "f", (305,))))
CHAIN = Protein("MKSLV", {2: "<binds:s>", 4: "<binds:mn>"})

DOCUMENTS = {
    "molecule": Document(Entry(ASPIRIN)),
    "condition and prediction": Document(
        Entry(
            ASPIRIN,
            (Quantity("logp", 1.31), Level("qed", 14), Quantile(12)),
            (Quantity("tpsa", 63.6), Level("rings", 1)),
        )
    ),
    "forward reaction": Document(Entry(Reaction("CC(=O)Cl.Oc1ccccc1", "CC(=O)Oc1ccccc1"))),
    "retro reaction": Document(
        Entry(Reaction("CC(=O)Cl.Oc1ccccc1", "CC(=O)Oc1ccccc1", retro=True, form=Form.ALIGNED))
    ),
    "crystal": Document(
        Entry(ROCK_SALT, (Formula((("Na", 1), ("Cl", 1))),), (Quantity("band_gap", 5.0),))
    ),
    "crystal with free coordinates": Document(Entry(RUTILE)),
    "protein with tracks": Document(
        Entry(
            Protein("MKSLV"),
            (),
            (
                SecondaryStructure("CHHE?"),
                Conservation("12999"),
                Contacts(((1, 5, 2), (2, 4, 0))),
            ),
        )
    ),
    "binding site": Document(Entry(BindingSite(CHAIN))),
    "fragment of a binding site": Document(
        Entry(BindingSite(Protein("MK", {1: "<pocket>"}, True)))
    ),
    "complex": Document(Entry(Complex(CHAIN, (Molecule("CCO"), Molecule("[Na+]"))))),
    "framework": Document(Entry(Framework(("Zn", "O"), (Molecule("OC(=O)c1ccc(cc1)C(=O)O"),)))),
    "peptide": Document(
        Entry(Peptide("rrWWrf", acetyl=True, amide=True), (Label("antimicrobial", 1),))
    ),
    "coding DNA": Document(Entry(CodingDNA("ATGANTTAA"), (), (Label("gene_family", 4),))),
    "DNA": Document(Entry(DNA("ACGTN", fragment=True))),
    "best-shot prompt": Document(
        Entry(Molecule("CCN", Form.RANDOMIZED), (Quantile(15),)),
        (Entry(Molecule("CCC"), (Quantile(3),)), Entry(Molecule("CCO"), (Quantile(9),))),
    ),
}
