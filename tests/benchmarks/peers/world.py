"""What every peer trains: the two models of the notebook, its optimizer, and the same random pictures."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

BATCH = 50
RATE, DECAY, EPSILON, BETAS = 1e-4, 0.004, 1e-7, (0.9, 0.999)
WIDTH, BLOCKS = 128, {"fnn": 7, "cnn": 1}
FILTERS = (32, 64, 64)
L2, DROPOUT = {"fnn": 0.0, "cnn": 0.01}, {"fnn": 0.0, "cnn": 0.1}
NORM_EPSILON, NORM_MOMENTUM = 1e-3, 0.99
PICTURES = 20_000
CLASSES = 10


class Peer(Protocol):
    """A library that trains.

    Attributes:
        parameters: trained numbers of its model.
        remark: how it differs from the others, "" where it does not.
    """

    parameters: int
    remark: str

    def run(self, steps: int) -> float:
        """Run so many steps and wait until they are done; returns the loss of the last."""
        ...


def pictures(count: int = PICTURES) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The pictures and labels that `cifar_tui.bench` makes: uint8 (N, 32, 32, 3), int64 (N,)."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    return images, rng.integers(0, CLASSES, count)
