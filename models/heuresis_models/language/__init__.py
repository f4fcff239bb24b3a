"""One language for molecules, reactions, crystals, proteins, peptides, DNA and numbers.

`docs/grammar.md` is its specification. Reading order: `tokens` (what there is), `objects` and
`documents` (what is written), `parsing` (reading it back), `automaton` (what may come next),
`sources` and `split` (where examples come from). No torch here.
"""

from heuresis_models.language.automaton import Automaton, State
from heuresis_models.language.crystal_text import Crystal, Orbit
from heuresis_models.language.documents import (
    Conservation,
    Contacts,
    Document,
    Entry,
    SecondaryStructure,
    document,
    fragment,
)
from heuresis_models.language.errors import (
    CrystalTextError,
    DocumentError,
    OverlongError,
    SourceError,
    TokenizerFileError,
    UnknownTokenError,
)
from heuresis_models.language.objects import (
    DNA,
    BindingSite,
    CodingDNA,
    Complex,
    Form,
    Framework,
    Molecule,
    Peptide,
    Protein,
    Reaction,
)
from heuresis_models.language.parsing import read_document, read_text
from heuresis_models.language.quantities import Formula, Label, Level, Quantile, Quantity
from heuresis_models.language.vocabulary import Vocabulary

__all__ = [
    "DNA",
    "Automaton",
    "BindingSite",
    "CodingDNA",
    "Complex",
    "Conservation",
    "Contacts",
    "Crystal",
    "CrystalTextError",
    "Document",
    "DocumentError",
    "Entry",
    "Form",
    "Formula",
    "Framework",
    "Label",
    "Level",
    "Molecule",
    "Orbit",
    "OverlongError",
    "Peptide",
    "Protein",
    "Quantile",
    "Quantity",
    "Reaction",
    "SecondaryStructure",
    "SourceError",
    "State",
    "TokenizerFileError",
    "UnknownTokenError",
    "Vocabulary",
    "document",
    "fragment",
    "read_document",
    "read_text",
]
