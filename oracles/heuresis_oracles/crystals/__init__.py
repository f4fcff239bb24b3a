"""What the oracles of crystals are built from.

Reading order: `reading` (text → atoms), `potentials` (energies and forces), `relaxing`,
`references` (the convex hull), `elasticity` and `shaking` (short dynamics), `known` (novelty).
`build_references` is the command that makes the shipped reference files; `elemental_crystals` are
its structures of the elements.
"""
