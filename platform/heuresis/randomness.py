"""Named random streams: every draw is keyed by (seed, stream, index), so no state needs saving.

A resumed campaign asks for stream ("propose", 17) and gets the numbers that the uninterrupted one
would have got.
"""

from __future__ import annotations

import hashlib

import numpy as np


def random_generator(seed: int, stream: str, index: int) -> np.random.Generator:
    """Return the generator of one draw (PCG64 keyed by SHA-256 of the three parts)."""
    digest = hashlib.sha256(f"{seed}\0{stream}\0{index}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


def derived_seed(seed: int, *parts: str) -> int:
    """Return a 31-bit seed for native codes, derived from the campaign seed and names."""
    digest = hashlib.sha256("\0".join((str(seed), *parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF
