"""The ledger: the append-only journal that everything else is a projection of."""

from heuresis.ledger.sqlite import SQLiteLedger

__all__ = ["SQLiteLedger"]
