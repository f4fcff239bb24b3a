"""Writing with a trained model: conditioned, constrained, guided.

Reading order: `prompts` (what is asked), `settings` (how), `decoding` (`generate`), `masking` (the
grammar while decoding), `molecules` and `scaffolds` (what molecules need beyond that), `crystals`,
`formulas` and `formula_walk` (crystals that meet a requirement, or have a formula).
"""

from heuresis_models.generation.crystals import (
    CheckedCrystals,
    checked_crystals,
    crystals_of_formulas,
)
from heuresis_models.generation.decoding import Sample, generate
from heuresis_models.generation.formulas import FormulaPool
from heuresis_models.generation.knowledge import Clipped, Knowledge
from heuresis_models.generation.molecules import (
    SampleQuality,
    quality,
    sample_molecules,
)
from heuresis_models.generation.prompts import (
    OBJECT_KINDS,
    ObjectKind,
    Prompt,
    object_kind,
    payload,
    prompt,
)
from heuresis_models.generation.scaffolds import (
    Grown,
    Scaffold,
    grow,
    ring_scaffold,
    scaffold_of,
)
from heuresis_models.generation.selection import SPREADS, distance, nearest
from heuresis_models.generation.settings import Sampling, torch_generator

__all__ = [
    "OBJECT_KINDS",
    "SPREADS",
    "CheckedCrystals",
    "Clipped",
    "FormulaPool",
    "Grown",
    "Knowledge",
    "ObjectKind",
    "Prompt",
    "Sample",
    "SampleQuality",
    "Sampling",
    "Scaffold",
    "checked_crystals",
    "crystals_of_formulas",
    "distance",
    "generate",
    "grow",
    "nearest",
    "object_kind",
    "payload",
    "prompt",
    "quality",
    "ring_scaffold",
    "sample_molecules",
    "scaffold_of",
    "torch_generator",
]
