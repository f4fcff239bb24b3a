"""Heuresis: agent-driven, closed-loop discovery for molecules, materials and programs."""

__version__ = "0.1.0"
