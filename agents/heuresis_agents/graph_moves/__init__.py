"""Edits on molecular graphs: mutation, crossover, fresh starts, and what counts as reasonable."""
