"""Which pictures are behind a number of a report, and what the model said of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cifar_tui.session.evaluate import Answered

    Places = NDArray[np.int64]

ORDERS = ("surest first", "least sure first", "by number")


@dataclass(frozen=True)
class Said:
    """What the model said of one picture.

    Attributes:
        index: its place in the split of the files.
        true: its class.
        top: (class, probability) of the most likely ones, the most likely first; nan where it is not finite.
    """

    index: int
    true: int
    top: tuple[tuple[int, float], ...]

    @property
    def said(self) -> int:
        """The most likely class."""
        return self.top[0][0]

    @property
    def confidence(self) -> float:
        """Its probability."""
        return self.top[0][1]

    @property
    def right(self) -> bool:
        """Whether it is the true one."""
        return self.said == self.true


def said_of(answered: Answered, place: int) -> Said:
    """What was said of the picture at a place of an evaluated split."""
    answers = answered.answers
    pairs = zip(answers.classes[place].tolist(), answers.shares[place].tolist(), strict=True)
    top = tuple((int(label), float(share)) for label, share in pairs)
    return Said(int(answered.rows[place]), int(answers.labels[place]), top)


def behind(answered: Answered, true: Sequence[int], said: Sequence[int]) -> Places:
    """The pictures of some classes that were taken for some classes: places in the split, surest first."""
    import numpy as np

    answers = answered.answers
    inside = np.isin(answers.labels, list(true)) & np.isin(answers.classes[:, 0], list(said))
    return ordered(answered, np.flatnonzero(inside), 0)


def mistakes(answered: Answered) -> Places:
    """The pictures whose class was not told: places in the split, surest first."""
    import numpy as np

    answers = answered.answers
    return ordered(answered, np.flatnonzero(answers.labels != answers.classes[:, 0]), 0)


def ordered(answered: Answered, places: Places, order: int) -> Places:
    """Places in one of the `ORDERS`; equal ones by number."""
    import numpy as np

    if order == 2:
        return places[np.argsort(answered.rows[places], kind="stable")].astype(np.int64)
    shares = np.nan_to_num(answered.answers.shares[places, 0].astype(np.float64))
    by_number = np.argsort(answered.rows[places], kind="stable")
    sign = 1 if order == 1 else -1
    best = by_number[np.argsort(sign * shares[by_number], kind="stable")]
    return places[best].astype(np.int64)


def percent(share: float) -> str:
    """A probability in percent, 5 cells wide."""
    return f"{share * 100:5.1f}" if math.isfinite(share) else "    -"
