"""What training does to its pictures: flips, shifts and holes, drawn from (seed, step). Without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from cifar_tui.seeds import step_seed, uniform

SIDE = 32
GREY = 128
"""What a hole is filled with: the middle of the range, about the mean of CIFAR's pixels."""
_STREAM = 0x41756700000000  # apart from the dropout of the same step

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Asked(Protocol):
    """What a config says of it."""

    @property
    def flip(self) -> bool: ...  # noqa: D102
    @property
    def crop(self) -> int: ...  # noqa: D102
    @property
    def cutout(self) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class Augment:
    """What is done to each picture of a batch.

    Attributes:
        flip: mirror it, left to right, with a chance of one half.
        crop: shift it by up to so many pixels each way; what comes in is the picture reflected at its edge.
        cutout: side in pixels of a grey square somewhere on it, partly over the edge as it falls; 0 for none.
            Method: DeVries and Taylor 2017, "Improved Regularization of Convolutional Neural Networks with
            Cutout".
    """

    flip: bool = False
    crop: int = 0
    cutout: int = 0

    @classmethod
    def of(cls, config: Asked) -> Augment | None:
        """That of a config; None where it leaves the pictures as they are."""
        found = cls(config.flip, config.crop, config.cutout)
        return found if found != cls() else None


class Draw(NamedTuple):
    """What was drawn for n pictures.

    Attributes:
        flipped: bool (n,).
        down, right: int64 (n,), pixels by which the picture moves, from ``-crop`` to ``crop``.
        hole_y, hole_x: int64 (n,), middle of the square, 0 to 31.
    """

    flipped: Mask
    down: Indices
    right: Indices
    hole_y: Indices
    hole_x: Indices


def draw(augment: Augment, seed: int, first: int, steps: int, batch_size: int) -> Draw:
    """What is done to the pictures of `steps` steps from `first` on, one step after the other."""
    numbers = np.stack(
        [uniform(step_seed(seed + _STREAM, step), 5 * batch_size) for step in range(first, first + steps)]
    ).reshape(steps, 5, batch_size)
    flip, down, right, hole_y, hole_x = np.moveaxis(numbers, 1, 0).reshape(5, steps * batch_size)
    span = 2 * augment.crop + 1
    return Draw(
        (flip < 0.5) & augment.flip,
        (down * span).astype(np.int64) - augment.crop,
        (right * span).astype(np.int64) - augment.crop,
        (hole_y * SIDE).astype(np.int64),
        (hole_x * SIDE).astype(np.int64),
    )


def origins(drawn: Draw) -> tuple[Indices, Indices]:
    """Row (n, 32) and column (n, 32) of the picture that each row and column of the result comes from."""
    along = np.arange(SIDE)
    rows = along - drawn.down[:, None]
    columns = np.where(drawn.flipped[:, None], SIDE - 1 - along, along) - drawn.right[:, None]
    return _reflected(rows), _reflected(columns)


def _reflected(index: Indices) -> Indices:
    last = SIDE - 1
    reflected: Indices = last - np.abs(last - np.abs(index))
    return reflected


def holes(augment: Augment, drawn: Draw) -> Mask:
    """The pixels of the squares, bool (n, 32, 32)."""
    rows, columns = (_covered(middle, augment.cutout) for middle in (drawn.hole_y, drawn.hole_x))
    return rows[:, :, None] & columns[:, None]


def _covered(middle: Indices, side: int) -> Mask:
    begin = middle[:, None] - side // 2
    along = np.arange(SIDE)
    covered: Mask = (along >= begin) & (along < begin + side)
    return covered


def augmented(images: NDArray[np.uint8], augment: Augment, drawn: Draw) -> NDArray[np.uint8]:
    """The pictures (n, 32, 32, 3) as a step would see them."""
    rows, columns = origins(drawn)
    number = np.arange(len(images))[:, None, None]
    found: NDArray[np.uint8] = images[number, rows[:, :, None], columns[:, None]]
    if augment.cutout:
        found[holes(augment, drawn)] = GREY
    return found
