"""How many threads native codes may use in this process."""

from __future__ import annotations

import ctypes
import os


def limit_native_threads(count: int) -> None:
    """Let OpenMP codes loaded in this process (tblite) use ``count`` threads from now on.

    One thread per worker keeps two workers from fighting for a core, and it makes sums
    reproducible: with more, the order of additions changes from run to run.
    """
    # The variable reaches an OpenMP runtime that is not loaded yet; the call one that is.
    os.environ["OMP_NUM_THREADS"] = str(count)
    try:
        ctypes.CDLL("libgomp.so.1").omp_set_num_threads(ctypes.c_int(count))
    except OSError:
        return  # another OpenMP runtime; the variable above is what it reads
