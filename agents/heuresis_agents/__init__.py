"""Proposers and agents: they decide what to try next."""
