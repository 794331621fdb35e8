"""Random numbers as a function of (seed, step): what a resumed run draws is what the whole run would have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MASK = (1 << 64) - 1
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def step_seed(seed: int, step: int) -> int:
    """Seed of the dropout of one step, in [0, 2**63): SplitMix64 over (seed, step).

    Method: Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number Generators".
    """
    value = (seed * _GOLDEN + step + 1) & _MASK
    value = (value + _GOLDEN) & _MASK
    value = ((value ^ (value >> 30)) * _FIRST) & _MASK
    value = ((value ^ (value >> 27)) * _SECOND) & _MASK
    return (value ^ (value >> 31)) >> 1


def uniform(key: int, count: int) -> NDArray[np.float64]:
    """float64 (count,) in [0, 1): the SplitMix64 stream that begins at `key`; see `step_seed`."""
    with np.errstate(over="ignore"):  # numbers of 64 bits that run over, as the method wants
        z = np.uint64(key & _MASK) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(_FIRST)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(_SECOND)
    z ^= z >> np.uint64(31)
    found: NDArray[np.float64] = (z >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return found
