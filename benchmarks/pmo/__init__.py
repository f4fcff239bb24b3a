"""The PMO benchmark: how good the ten best molecules are after how many oracle calls.

Run: ``python -m benchmarks.pmo --help`` from the root of the repository. See README.md.
"""
