"""The tasks of PMO (Practical Molecular Optimization) that need nothing but RDKit, as an oracle."""
