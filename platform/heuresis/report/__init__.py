"""Projections of the ledger for people: numbers, tables, and one self-contained HTML file."""
