"""Molecular dynamics: running it, and what is read from its trajectory."""
