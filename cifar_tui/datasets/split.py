"""Pictures and labels in memory: a split, a dataset, and the order of an epoch.

N pictures of 32 x 32 pixels and 3 channels (red, green, blue), K classes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cifar_tui.errors import UsageError

Labels = NDArray[np.int64]


class Batch(NamedTuple):
    """Some pictures of a split, with where they stand in it."""

    images: NDArray[np.uint8]
    """(B, 32, 32, 3) uint8."""
    labels: Labels
    """(B,) int64."""
    indices: NDArray[np.int64]
    """(B,) int64, rows of the split."""


def epoch_order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order in which an epoch visits `count` pictures.

    A pure function of its arguments: the raw 64-bit words of PCG64, seeded by (seed, epoch), are sorted and
    their places are the order. Raw words are used because numpy keeps bit generators the same between
    versions, which it does not promise for `Generator.permutation`.

    Args:
        count: number of pictures, at least 0.
        seed: at least 0.
        epoch: at least 0.

    Returns:
        (count,) int64, a permutation of 0 .. count - 1.

    Raises:
        UsageError: a negative argument.
    """
    if count < 0 or seed < 0 or epoch < 0:
        raise UsageError(f"count, seed and epoch must be 0 or more, found {count}, {seed} and {epoch}")
    words = np.random.PCG64(np.random.SeedSequence([seed, epoch])).random_raw(count)
    return np.argsort(words, kind="stable").astype(np.int64, copy=False)


@dataclass(frozen=True, eq=False)
class Split:
    """Pictures with labels. The arrays are read-only; a part of a split shares or copies them."""

    name: str
    """``train``, ``test`` or the name of a part of one."""
    images: NDArray[np.uint8]
    """(N, 32, 32, 3) uint8, NHWC, red green blue."""
    labels: Labels
    """(N,) int64 in [0, K): the labels that are trained."""
    names: tuple[str, ...]
    """K class names; the index is the label."""
    fine_labels: Labels | None = None
    """(N,) int64, where the dataset has both kinds, whichever is trained."""
    coarse_labels: Labels | None = None

    def __post_init__(self) -> None:
        for array in (self.images, self.labels, self.fine_labels, self.coarse_labels):
            if array is not None:
                array.flags.writeable = False

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, count: int) -> Split:
        """The first `count` pictures, or all where there are fewer; nothing is copied."""
        if count < 0:
            raise UsageError(f"cannot take {count} pictures: the count must be 0 or more")
        return self._part(slice(0, count))

    def subset(self, indices: NDArray[np.int64] | Sequence[int]) -> Split:
        """The pictures at `indices`, in that order, as a copy.

        Raises:
            UsageError: an index outside [0, N).
        """
        rows = np.asarray(indices, dtype=np.int64).reshape(-1)
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            bad = int(rows[(rows < 0) | (rows >= len(self))][0])
            raise UsageError(f"there is no picture {bad} in {self.name}: it holds {len(self)}")
        return self._part(rows)

    def _part(self, rows: slice | NDArray[np.int64]) -> Split:
        return replace(
            self,
            images=self.images[rows],
            labels=self.labels[rows],
            fine_labels=None if self.fine_labels is None else self.fine_labels[rows],
            coarse_labels=None if self.coarse_labels is None else self.coarse_labels[rows],
        )

    def hold_out(self, count: int, seed: int) -> tuple[Split, Split]:
        """Divide the split into (rest, held out), each class giving its share.

        The same `count` and `seed` always hold out the same pictures. Both parts keep the order of the split.

        Args:
            count: pictures to hold out, in [0, N].
            seed: at least 0.

        Raises:
            UsageError: `count` outside [0, N].
        """
        if not 0 <= count <= len(self):
            raise UsageError(f"cannot hold out {count} pictures", hint=f"range: 0 to {len(self)}")
        order = epoch_order(len(self), seed, 0)
        by_class = order[np.argsort(self.labels[order], kind="stable")]
        sizes = np.bincount(self.labels, minlength=len(self.names))
        chosen = np.zeros(len(self), dtype=bool)
        starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
        for start, share in zip(starts, _shares(sizes, count), strict=True):
            chosen[by_class[start : start + share]] = True
        rest, held = self._part(np.flatnonzero(~chosen)), self._part(np.flatnonzero(chosen))
        return rest, replace(held, name="validation")

    def batches(
        self,
        batch_size: int,
        *,
        drop_last: bool = False,
        shuffle_seed: int | None = None,
        infinite: bool = False,
        epoch: int = 0,
    ) -> Iterator[Batch]:
        """Go through the split in batches.

        Args:
            batch_size: pictures a batch, at least 1.
            drop_last: leave out a last batch that is not full.
            shuffle_seed: order of each epoch by `epoch_order`; None keeps the order of the split.
            infinite: start the next epoch after the last batch, without end.
            epoch: number of the first epoch, for the order.

        Raises:
            UsageError: a batch size below 1, or `infinite` where an epoch has no batch.
        """
        if batch_size < 1:
            raise UsageError(f"the batch size must be 1 or more, found {batch_size}")
        if infinite and len(self) < (batch_size if drop_last else 1):
            raise UsageError(f"{self.name} holds {len(self)} pictures: no batch of {batch_size} can be made")
        return self._batches(batch_size, drop_last, shuffle_seed, infinite, epoch)

    def _batches(
        self, batch_size: int, drop_last: bool, shuffle_seed: int | None, infinite: bool, first_epoch: int
    ) -> Iterator[Batch]:
        end = len(self) - batch_size + 1 if drop_last else len(self)
        for epoch in itertools.count(first_epoch):
            if shuffle_seed is None:
                order = np.arange(len(self), dtype=np.int64)
            else:
                order = epoch_order(len(self), shuffle_seed, epoch)
            for start in range(0, end, batch_size):
                rows = order[start : start + batch_size]
                yield Batch(self.images[rows], self.labels[rows], rows)
            if not infinite:
                return


def _shares(sizes: NDArray[Any], count: int) -> list[int]:
    """How many of `count` each class gives, by largest remainder, so that the shares add up to `count`."""
    total = int(sizes.sum())
    if total == 0:
        return [0] * len(sizes)
    scaled = [int(size) * count for size in sizes]
    shares = [value // total for value in scaled]
    by_remainder = sorted(range(len(sizes)), key=lambda label: (-(scaled[label] % total), label))
    for label in by_remainder[: count - sum(shares)]:
        shares[label] += 1
    return shares


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test split with what is needed to train on them and to say what they are."""

    name: str
    title: str
    labels_kind: str
    """``fine`` or ``coarse``."""
    train: Split
    test: Split
    names: tuple[str, ...]
    mean: tuple[float, float, float]
    """Per channel, of pictures in [0, 1]."""
    std: tuple[float, float, float]
    state: str
    """``ready`` (official hashes), ``unverified`` or ``synthetic``."""
    fingerprint: str
    """64 hex digits: changes whenever a picture, a label or their order changes."""
    path: Path | None
    notes: tuple[str, ...] = ()
    """What the user should be told, such as a names file that could not be used."""

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return len(self.names)
