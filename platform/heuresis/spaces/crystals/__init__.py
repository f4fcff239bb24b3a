"""Inorganic crystals: text, symmetry, and what can be said of them without a calculation.

Reading order: `text` (what is written), `symmetry` (the 230 groups), `standard` (any cell → its
text), `normalizer` (one text for one crystal), `composition` (charges), `geometry` (distances),
`structures` (pymatgen), `rules` and `space` (the design space), `features`, `picture`.
"""
