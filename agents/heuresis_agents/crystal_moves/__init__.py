"""Edits of crystals: which elements may stand for which, how cells change, where to begin.

Reading order: `ions` (charges, radii, similar elements), `prototypes` (structure types to begin
from), `edits` (what can be done to one crystal), `moves` (children, with the names of their moves).
"""
