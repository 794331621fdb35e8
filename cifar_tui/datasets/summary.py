"""Numbers about a split: how many of each class, mean and deviation of each channel, duplicate pictures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifar_tui.datasets.split import Split

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class SplitStatistics:
    """What `statistics` found."""

    split: str
    count: int
    class_counts: tuple[tuple[str, int], ...]
    """(class name, pictures) in label order."""
    mean: tuple[float, float, float]
    """Per channel, of pictures in [0, 1]; 0 for an empty split."""
    std: tuple[float, float, float]
    """Per channel, population standard deviation."""
    duplicates: int
    """Pictures whose every pixel equals an earlier picture's."""
    duplicates_across_labels: int
    """Those of them that have another label than the first of their kind."""

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {
            "split": self.split,
            "count": self.count,
            "classes": dict(self.class_counts),
            "mean": list(self.mean),
            "std": list(self.std),
            "duplicates": self.duplicates,
            "duplicates_across_labels": self.duplicates_across_labels,
        }


def statistics(split: Split) -> SplitStatistics:
    """Count classes, measure channels exactly and find duplicate pictures."""
    counts = np.bincount(split.labels, minlength=len(split.names))
    mean, std = channel_statistics(split.images)
    duplicates, across = _duplicates(split)
    return SplitStatistics(
        split=split.name,
        count=len(split),
        class_counts=tuple((name, int(count)) for name, count in zip(split.names, counts, strict=True)),
        mean=mean,
        std=std,
        duplicates=duplicates,
        duplicates_across_labels=across,
    )


def channel_statistics(images: NDArray[np.uint8]) -> tuple[Triple, Triple]:
    """Mean and population standard deviation of each channel in [0, 1], from exact integer sums.

    Args:
        images: (N, 32, 32, 3) uint8.
    """
    values = np.arange(256, dtype=np.int64)
    means = [0.0, 0.0, 0.0]
    deviations = [0.0, 0.0, 0.0]
    for channel in range(3):
        histogram = np.zeros(256, dtype=np.int64)
        for start in range(0, len(images), 2048):  # bounds the copy that a strided channel needs
            plane = images[start : start + 2048, ..., channel].reshape(-1)
            histogram += np.bincount(plane, minlength=256)
        total = int(histogram.sum())
        if total == 0:
            continue
        first, second = int((histogram * values).sum()), int((histogram * values * values).sum())
        means[channel] = first / total / 255
        deviations[channel] = float(total * second - first * first) ** 0.5 / total / 255
    return (means[0], means[1], means[2]), (deviations[0], deviations[1], deviations[2])


def _duplicates(split: Split) -> tuple[int, int]:
    seen: dict[bytes, int] = {}
    across = 0
    for image, label in zip(split.images, split.labels.tolist(), strict=True):
        key = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
        across += seen.setdefault(key, label) != label
    return len(split) - len(seen), across
