"""The tokens of the language, group by group, in their fixed order.

A token *is* its text: joining the tokens of a document gives the document's text, and one regular
expression (`PATTERN`) cuts the text into the same tokens again, whatever the domain. That only
works when no two tokens look alike in any context, so every domain but SMILES marks its payload:

===========  ==============================  =======================================
``<...>``    tags                            ``<molecule>``, ``<sg:225>``, ``<e-2>``
(none)       SMILES                          ``C``, ``=``, ``[C@@H]``, ``%10``
``'``        digit of a number               ``'3'1'4``
``_``        amino acid residue              ``_M_K_L``, D-residues in lower case
``^``        codon or nucleotide             ``^ATG``, ``^A``
``{ }``      element of a crystal            ``{Na}``
``|``        Wyckoff position                ``|a``
===========  ==============================  =======================================

The order is a contract: a model's embedding rows follow it. Append only: a new group stands last.
"""

from __future__ import annotations

import re
from typing import Final

PADDING: Final = "<pad>"
BEGIN: Final = "<bos>"
END: Final = "<eos>"
CONTROL: Final = (PADDING, BEGIN, END)

EXEMPLAR: Final = "<exemplar>"
TARGET: Final = "<target>"
PROMPT: Final = (EXEMPLAR, TARGET)
"""``<exemplar>`` opens each example of a best-shot prompt, ``<target>`` what is asked for."""

FORMS: Final = ("<canonical>", "<randomized>", "<aligned>")
"""Which of the many SMILES of one molecule follows; ``<aligned>``: both sides of a reaction are
written from the same atom (root-aligned SMILES)."""

OBJECT_NAMES: Final = (
    "molecule", "reaction", "retro", "crystal", "protein", "peptide", "coding", "dna", "complex",
    "framework",
)  # fmt: skip
OBJECTS: Final = tuple(tag for name in OBJECT_NAMES for tag in (f"<{name}>", f"</{name}>"))

ARROWS: Final = ("<yields>", "<from>", "<search>")
"""Operators: reactants yield a product; a product comes from reactants; a plain protein is searched
for its binding residues."""

MARKS: Final = (
    "<fragment>", "<acetyl>", "<amide>", "<pocket>",
    "<binds:m>", "<binds:n>", "<binds:mn>", "<binds:s>", "<binds:ms>", "<binds:ns>", "<binds:mns>",
)  # fmt: skip
"""``<fragment>``: a piece of a longer chain. ``<acetyl>``, ``<amide>``: capped ends of a peptide.
The rest follow a residue: it lines a pocket; it binds metal (m), nucleic acid (n), a small
molecule (s), or several of them."""

TRACKS: Final = ("<secondary>", "</secondary>", "<conservation>", "</conservation>",
                 "<contacts>", "</contacts>", "<formula>", "</formula>")  # fmt: skip
SECONDARY: Final = ("<ss:h>", "<ss:e>", "<ss:c>", "<ss:?>")
"""Helix, strand, coil, and unresolved in the experiment."""
CONTACT_BINS_ANGSTROM: Final = (4.0, 6.0, 8.0, 10.0, 12.0)
CONTACTS: Final = ("<and>", "<d:4>", "<d:6>", "<d:8>", "<d:10>", "<d:12>", "<d:far>")
"""``<contacts>'1'2<and>'8'7<d:6>``: residues 12 and 87 are below 6 Å apart (and not below 4 Å)."""

SIGNS: Final = ("<+>", "<->")
DIGITS: Final = tuple(f"'{digit}" for digit in range(10))
EXPONENTS: Final = tuple(f"<e{exponent:+d}>" for exponent in range(-9, 10))
LABELS: Final = tuple(f"<label:{label}>" for label in range(16))
QUANTILES: Final = tuple(f"<quantile:{quantile}>" for quantile in range(16))
"""Rank of a score within the current campaign, in sixteenths: 15 is the best sixteenth."""

SPACE_GROUPS: Final = tuple(f"<sg:{number}>" for number in range(1, 231))
ELEMENT_SYMBOLS: Final = (  # noqa: SIM905 - a list literal would take 100 lines
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se "
    "Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb "
    "Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm"
).split()
CRYSTAL_ELEMENTS: Final = tuple(f"{{{symbol}}}" for symbol in ELEMENT_SYMBOLS)
WYCKOFF_LETTERS: Final = "abcdefghijklmnopqrstuvwxyzA"
WYCKOFF: Final = tuple(f"|{letter}" for letter in WYCKOFF_LETTERS)

RESIDUE_LETTERS: Final = "ACDEFGHIKLMNPQRSTVWYUOX"
"""The twenty, selenocysteine (U), pyrrolysine (O), unknown (X)."""
RESIDUES: Final = tuple(f"_{letter}" for letter in RESIDUE_LETTERS)
D_RESIDUES: Final = tuple(f"_{letter.lower()}" for letter in RESIDUE_LETTERS[:20])
"""Mirror images. Glycine has none; data that write it in lower case keep their text."""

NUCLEOTIDES: Final = tuple(f"^{base}" for base in "ACGTN")
CODONS: Final = tuple(f"^{a}{b}{c}" for a in "ACGT" for b in "ACGT" for c in "ACGT")

ORGANIC_ATOMS: Final = ("B", "C", "N", "O", "P", "S", "F", "Cl", "Br", "I", "*")
AROMATIC_ATOMS: Final = ("b", "c", "n", "o", "p", "s")
BONDS: Final = ("-", "=", "#", "$", ":", "/", "\\", "~", "->", "<-")
BRANCHES: Final = ("(", ")", ".")
RING_NUMBERS: Final[tuple[str, ...]] = (*"0123456789", *(f"%{number}" for number in range(10, 30)))
BRACKET_ATOMS: Final = (
    "[C@H]", "[C@@H]", "[C@]", "[C@@]", "[CH-]", "[CH2-]", "[C-]", "[CH]", "[CH2]", "[C+]",
    "[nH]", "[NH+]", "[NH2+]", "[NH3+]", "[N+]", "[N-]", "[nH+]", "[n+]", "[n-]", "[NH-]", "[NH4+]",
    "[N@]", "[N@@]", "[N@+]", "[N@@+]",
    "[O-]", "[O+]", "[OH+]", "[OH-]", "[o+]", "[OH]",
    "[S-]", "[S+]", "[S@]", "[S@@]", "[S@+]", "[S@@+]", "[SH+]", "[SH]", "[s+]", "[SH-]",
    "[P@]", "[P@@]", "[P+]", "[PH]", "[PH2]", "[PH+]", "[P@H]", "[P@@H]",
    "[Si]", "[SiH]", "[SiH2]", "[SiH3]", "[B-]", "[BH-]", "[BH3-]", "[Se]", "[se]",
    "[I+]", "[Cl-]", "[Br-]", "[I-]", "[Sn]", "[SnH]", "[Na+]", "[K+]", "[Li]", "[Li+]", "[Mg+]",
    "[Mg]", "[Zn+]", "[Zn]", "[Cu]", "[Pd]",
)  # fmt: skip
"""Bracket atoms that are one token; every other is spelt: ``[13CH3]`` is ``[ 1 3 C H 3 ]``."""
SPELLING: Final = ("[", "]", "@@", "@", "+", "si", "se", "as", "te")

PROPERTIES: Final[dict[str, str]] = {
    # molecules, computed
    "logp": "1", "tpsa": "angstrom^2", "qed": "1", "sa_score": "1", "molar_mass": "g/mol",
    "heavy_atoms": "1", "rings": "1", "aromatic_rings": "1", "rotatable_bonds": "1",
    "donors": "1", "acceptors": "1", "sp3_share": "1",
    # molecules, measured
    "log_solubility": "log10(mol/L)", "hydration_free_energy": "kcal/mol", "logd": "1",
    # molecules, simulated
    "gap": "eV", "homo": "eV", "lumo": "eV", "dipole": "debye", "energy": "eV",
    "rmsf": "angstrom", "polarizability": "bohr^3",
    # crystals
    "formation_energy": "eV/atom", "hull_distance": "eV/atom", "band_gap": "eV",
    "indirect_gap": "eV", "direct_gap": "eV", "heat_of_formation": "eV",
    "density": "g/cm^3", "volume_per_atom": "angstrom^3", "bulk_modulus": "GPa",
    # reactions, chains
    "yield": "1", "temperature": "K", "log_mic": "log10(umol/L)", "antimicrobial": "label",
    "gene_family": "label", "length": "1", "gc_share": "1", "binding_energy": "kcal/mol",
    # relations and campaigns
    "similarity": "1", "score": "1", "docking_score": "kcal/mol",
    # properties without a meaning outside their document: conditioning is taught with these
    **{f"synthetic:{number}": "1" for number in range(8)},
}  # fmt: skip
"""Property tag → unit. The number behind the tag is in this unit."""
PROPERTY_TAGS: Final = tuple(f"<{name}>" for name in PROPERTIES)

LEVELS: Final = tuple(f"<level:{level}>" for level in range(32))
"""A value in one token: ``<logp><level:17>`` is the 17th step of `quantities.LEVEL_SCALES`."""

SMILES: Final = tuple(
    dict.fromkeys(
        (
            *ORGANIC_ATOMS, *AROMATIC_ATOMS, *BONDS, *BRANCHES, *RING_NUMBERS, *BRACKET_ATOMS,
            *SPELLING, *ELEMENT_SYMBOLS,
        )
    )
)  # fmt: skip

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "control": CONTROL,
    "prompt": PROMPT,
    "forms": FORMS,
    "objects": OBJECTS,
    "arrows": ARROWS,
    "marks": MARKS,
    "tracks": TRACKS,
    "secondary structure": SECONDARY,
    "contacts": CONTACTS,
    "signs": SIGNS,
    "digits": DIGITS,
    "exponents": EXPONENTS,
    "labels": LABELS,
    "quantiles": QUANTILES,
    "properties": PROPERTY_TAGS,
    "SMILES": SMILES,
    "space groups": SPACE_GROUPS,
    "crystal elements": CRYSTAL_ELEMENTS,
    "Wyckoff positions": WYCKOFF,
    "residues": RESIDUES,
    "D-residues": D_RESIDUES,
    "nucleotides": NUCLEOTIDES,
    "codons": CODONS,
    "levels": LEVELS,
}
"""The vocabulary, group by group; ids count through in this order."""

_INSIDE_BRACKET = r"(?=[^\[\]<>]*\])"
"""True where the next bracket closes: ``Sn`` is tin inside brackets, S and n elsewhere."""

PATTERN: Final = "|".join(
    (
        r"</?[a-z][a-z0-9_]*(?::[a-z0-9?]+)?>",  # tags
        r"<e?[+\-][0-9]?>",  # exponents and signs
        r"'[0-9]",
        r"_[A-Za-z]",
        r"\^[ACGT]{3}",
        r"\^[ACGTN]",
        r"\{[A-Z][a-z]?\}",
        r"\|[a-zA]",
        *(re.escape(atom) for atom in sorted(BRACKET_ATOMS, key=len, reverse=True)),
        r"(?:[A-Z][a-z]|si|se|as|te)" + _INSIDE_BRACKET,
        r"Cl|Br|@@|->|<-|%[0-9][0-9]",
        # A single character, but none that only ever begins a longer token: a broken tag or a
        # lone sigil must show up as one piece that is no token.
        r"[A-Za-z0-9()\[\].=#$:/\\~@+\-*]",
    )
)
"""Cuts any document into tokens, left to right; also the pattern of ``tokenizer.json``."""
