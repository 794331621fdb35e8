"""Freed memory stays with the process, so that the next step need not ask the kernel for it again."""

from __future__ import annotations

import ctypes
from functools import cache

# Of <malloc.h>
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
KEPT_BYTES = 256 * 2**20
BLOCK_BYTES = 64 * 2**20  # larger blocks come from the kernel and go back to it


@cache
def keep_freed_memory() -> bool:
    """Let the C library keep freed blocks; True where it does. It is for glibc, elsewhere nothing happens.

    Left to itself glibc gives the activations of each step back to the kernel and takes them anew, page by
    page: 400 to 2,800 page faults a step of the convolutional net, 1 to 5 ms of kernel time. The threshold
    for trimming alone makes it worse, as glibc then no longer raises the other one by itself. One arena for
    all threads, as those of other threads are pieces of 64 MiB, which come and go as a whole; a thread that
    already has an arena keeps it.
    """
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - other libraries have a `mallopt` that means other things
        wanted = ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, BLOCK_BYTES), (_TRIM_THRESHOLD, KEPT_BYTES))
        return all(library.mallopt(option, value) == 1 for option, value in wanted)
    except (OSError, AttributeError, TypeError):  # in this order: no such library, no such function, Windows
        return False
