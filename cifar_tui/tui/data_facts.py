"""Numbers about all pictures of a split, and checking a dataset. Called in threads; touches no widget."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cifar_tui.datasets.split import Dataset, Split
    from cifar_tui.datasets.transfer import Transfer


@dataclass(frozen=True)
class SplitFacts:
    """What was counted.

    Attributes:
        mean, std: of each channel, of pictures in [0, 1].
        duplicates: pictures whose every pixel equals an earlier one's.
        shared: pictures of the split that are in the other split too.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    duplicates: int
    shared: int


def facts(dataset: Dataset, part: str) -> SplitFacts:
    """The numbers of "train" or "test"."""
    from cifar_tui.datasets.summary import channel_statistics

    split, other = (dataset.train, dataset.test) if part == "train" else (dataset.test, dataset.train)
    mean, std = channel_statistics(split.images)
    own = _hashes(split)
    seen, there = set(own), set(_hashes(other))
    return SplitFacts(mean, std, len(own) - len(seen), sum(key in there for key in own))


def _hashes(split: Split) -> list[bytes]:
    return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in split.images]


def relabelled(split: Split, coarse_names: tuple[str, ...]) -> Split:
    """The same pictures with the labels of their superclasses; nothing is copied."""
    if split.coarse_labels is None:
        return split
    return replace(split, labels=split.coarse_labels, names=coarse_names)


class Verification:
    """Every file of a dataset hashed again in a thread.

    Attributes:
        dataset: its name.
        transfer: how far it is, None at first.
        state: what the check found, "" before its end.
        error: what is wrong, or None.
        done: the thread has ended.
    """

    def __init__(self, dataset: str, data_dir: Path) -> None:
        self.dataset = dataset
        self.transfer: Transfer | None = None
        self.state = ""
        self.error: Exception | None = None
        self.done = False
        self._data_dir = data_dir
        self._cancel = threading.Event()

    def cancel(self) -> None:
        """Stop after the file."""
        self._cancel.set()

    @property
    def cancelled(self) -> bool:
        """Whether it was asked to stop."""
        return self._cancel.is_set()

    def work(self) -> None:
        """Check; runs in a worker thread."""
        try:
            from cifar_tui.datasets import store

            found = store.verify(self.dataset, self._data_dir, self._report, cancelled=self._cancel.is_set)
            self.state = found.state
        except Exception as error:  # noqa: BLE001 - handed over to the screen
            self.error = error
        finally:
            self.done = True

    def _report(self, transfer: Transfer) -> None:
        self.transfer = transfer
