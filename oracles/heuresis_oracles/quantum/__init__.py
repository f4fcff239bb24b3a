"""Density functional theory with PySCF."""
