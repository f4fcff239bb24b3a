"""Moves on molecular graphs: small edits, crossover, and what we refuse to draw."""
