"""One setting of the C allocator that spares training most of its time in the kernel."""

from __future__ import annotations

import ctypes

# Names and numbers of <malloc.h>.
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_MAX = -4
_KEEP_BYTES = 2**31 - 1
_GROW_BYTES = 64 * 2**20


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed memory instead of returning it to the kernel.

    A training step frees and takes the same few hundred megabytes again and again; with the
    default setting the kernel clears each page anew, a fifth of the time of a step. Affects the
    whole process, so only commands call this.

    Returns:
        Whether the allocator took the setting; False where the C library is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    taken = [
        mallopt(_M_MMAP_MAX, 0),
        mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES),
        mallopt(_M_TOP_PAD, _GROW_BYTES),
    ]
    return all(taken)
