"""Evaluation: the field's metrics as pure functions, and one table of them.

Reading order: `molecules` and `distribution`, `crystals` and `composition`, `reactions`, `heldout`
(the metrics); `references` (what to compare with); `molecule_rows`, `measuring` (running a model);
`table` and `command` (showing it). Importing this package loads nothing heavy.
"""
