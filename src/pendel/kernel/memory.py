"""How the C library keeps memory: what large work frees goes back to the system at once.

glibc takes larger and larger blocks from its heaps (up to 32 MiB each) once some have been freed,
and a heap shrinks only from its end. Many threads that make and drop arrays of some MiB, as the
sections of a fleet do, then hold gigabytes that nobody uses.
"""

import ctypes
import sys

M_MMAP_THRESHOLD = -3
OWN_BLOCK_BYTES = 1 << 20


def give_back_memory() -> bool:
    """From now on, blocks of 1 MiB and more live outside the heaps and leave when they are freed.

    False where the C library is not glibc: nothing is changed there.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        library = ctypes.CDLL(None)
        mallopt, trim = library.mallopt, library.malloc_trim
    except (OSError, AttributeError):
        return False
    done = bool(mallopt(M_MMAP_THRESHOLD, OWN_BLOCK_BYTES))
    trim(0)
    return done
