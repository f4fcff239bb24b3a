"""Charge balance; it lives in the core, where the design space of crystals asks for it, too."""

from heuresis.spaces.crystals.composition import (
    States,
    balancing_charges,
    charge_balanced,
    ions,
    smact_valid,
)

__all__ = ["States", "balancing_charges", "charge_balanced", "ions", "smact_valid"]
