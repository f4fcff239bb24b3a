"""Building blocks that the moves attach, and molecules to start from without parents."""

from __future__ import annotations

SUBSTITUENTS = (
    "C", "CC", "C(C)C", "O", "OC", "N", "NC", "N(C)C", "F", "Cl", "C#N", "C(F)(F)F", "C=O",
    "C(=O)O", "C(=O)N", "C(=O)NC", "C(=O)OC", "NC(C)=O", "S(C)(=O)=O", "S(N)(=O)=O", "OC(F)(F)F",
    "C=C", "C#C", "c1ccccc1", "c1ccncc1", "c1cccnc1", "c1ccsc1", "c1ccoc1", "N1C=CC=C1",
    "c1cn[nH]c1",
    "c1nccs1", "c1ncco1", "C1CC1", "C1CCC1", "C1CCCC1", "C1CCCCC1", "N1CCCC1", "N1CCCCC1",
    "N1CCOCC1", "N1CCN(C)CC1", "C1CCOCC1", "c1ccc2[nH]ccc2c1", "c1ccc2ncccc2c1", "c1ccc2occc2c1",
)  # fmt: skip
"""SMILES whose first atom is the attachment point."""

STARTING_MOLECULES = (
    "c1ccc(-c2ccccc2)cc1", "O=C(Nc1ccccc1)c1ccccc1", "c1ccc(Cc2ccccc2)cc1", "c1ccc2[nH]ccc2c1",
    "c1ccc2ncccc2c1", "O=C(c1ccccc1)N1CCCCC1", "c1ccc(CN2CCCC2)cc1", "CCOC(=O)c1ccccc1",
    "O=S(=O)(Nc1ccccc1)c1ccccc1", "c1ccc(Oc2ccccc2)cc1", "C1CCC(N2CCOCC2)CC1", "c1ccc(-c2ccco2)cc1",
    "c1ccc(-c2cccs2)cc1", "c1ccc(-c2ccncc2)cc1", "O=C1CCCN1c1ccccc1", "c1ccc2c(c1)CCC2",
    "c1ccc2occc2c1", "c1ccc2sccc2c1", "CC(=O)Nc1ccc(O)cc1", "COc1ccc(C=O)cc1", "N#Cc1ccc(N)cc1",
    "c1ccc2c(c1)[nH]c1ccccc12", "c1ccc2ccccc2c1", "C(=Cc1ccccc1)c1ccccc1", "CCCCCC(=O)NC",
)  # fmt: skip
"""Small, common scaffolds, written by us; none is a drug or a benchmark target."""
