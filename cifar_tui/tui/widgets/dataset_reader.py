"""What the dataset pane reads from disk. Called in threads; touches no widget."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_tui.datasets import names
from cifar_tui.errors import CifarTuiError
from cifar_tui.tui.widgets.picture_views import Picture

if TYPE_CHECKING:
    from cifar_tui.datasets.places import DatasetStatus

SAMPLES = 48
"""Pictures read at once, so that other ones are there without the disk."""


@dataclass(frozen=True)
class Look:
    """What is on disk.

    Attributes:
        status: by dataset; those that cannot be looked at are left out.
        free: bytes free where the data is, or will be; None where it is not known.
        error: why a dataset could not be looked at, or None.
    """

    status: dict[str, DatasetStatus]
    free: int | None
    error: CifarTuiError | None


@dataclass(frozen=True)
class Samples:
    """Pictures of a dataset, or why there are none."""

    dataset: str
    pictures: list[Picture] = field(default_factory=list)
    error: CifarTuiError | None = None


def look(folder: Path) -> Look:
    """The state of every dataset, from sizes and times."""
    from cifar_tui.datasets import store

    found: dict[str, DatasetStatus] = {}
    error = None
    for dataset in names():
        try:
            found[dataset] = store.status(dataset, folder)
        except CifarTuiError as caught:
            error = caught
    return Look(found, free_bytes(folder), error)


def read_samples(dataset: str, folder: Path, seed: int) -> Samples:
    """Training pictures drawn at random; with seed 0 others each time."""
    try:
        import numpy as np

        from cifar_tui.datasets import store

        split = store.load(dataset, folder).train
        rows = np.random.default_rng(seed or None).choice(len(split), min(SAMPLES, len(split)), replace=False)
        part = split.subset(rows)
        labels = [part.names[label] for label in part.labels.tolist()]
        pictures = [Picture(image, label) for image, label in zip(part.images, labels, strict=True)]
        return Samples(dataset, pictures)
    except CifarTuiError as error:
        return Samples(dataset, [], error)


def accept(dataset: str, folder: Path) -> CifarTuiError | None:
    """Take well-formed data of unknown origin from now on; returns what is wrong with it, or None."""
    from cifar_tui.datasets import store

    try:
        store.load(dataset, folder, allow_unverified=True)
    except CifarTuiError as error:
        return error
    return None


def free_bytes(folder: Path) -> int | None:
    """Free space where the folder is, or will be."""
    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place).free
        except OSError:
            continue
    return None
