"""Peptides: built from their sequence, simulated with Amber14, read for their helices."""
