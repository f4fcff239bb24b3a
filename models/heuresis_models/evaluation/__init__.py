"""Evaluation: the field's metrics for molecules, crystals, reactions and language; one table."""
