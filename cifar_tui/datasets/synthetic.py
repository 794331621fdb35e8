"""A drawn stand-in for CIFAR: ten kinds of shapes at random places, for demos and tests without a download.

Every picture has one shape on a two-colour gradient, with random place, size, turn and colours, small
distractors and noise. Neither colour nor place says anything about the class, so that a network must look at
the shape.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cifar_tui.datasets.spec import DatasetSpec

if TYPE_CHECKING:
    from cifar_tui.datasets.split import Dataset

TRAIN = 10_000
TEST = 2_000

SPEC = DatasetSpec(
    name="synthetic",
    title="Synthetic (drawn pictures, not CIFAR)",
    names=(
        "disc",
        "ring",
        "square",
        "triangle",
        "cross",
        "star",
        "checker",
        "stripes_level",
        "stripes_upright",
        "stripes_slanted",
    ),
    mean=(0.500, 0.499, 0.498),
    std=(0.285, 0.286, 0.286),
    train=TRAIN,
    test=TEST,
    synthetic=True,
)


def build(seed: int = 0, train: int = TRAIN, test: int = TEST) -> Dataset:
    """Draw the dataset. The same numpy on the same kind of machine draws the same bytes for the same seed.

    Args:
        seed: at least 0.
        train: number of training pictures, at least 0.
        test: number of test pictures, at least 0.

    Raises:
        UsageError: a negative argument.
    """
    from cifar_tui.datasets.drawing import draw_part
    from cifar_tui.datasets.split import Dataset, Split

    parts = {}
    digest = hashlib.sha256()
    for number, (name, count) in enumerate((("train", train), ("test", test))):
        images, labels = draw_part(count, seed, number)
        digest.update(images.data)
        digest.update(labels.data)
        parts[name] = Split(name=name, images=images, labels=labels, names=SPEC.names)
    return Dataset(
        name=SPEC.name,
        title=SPEC.title,
        labels_kind="fine",
        train=parts["train"],
        test=parts["test"],
        names=SPEC.names,
        mean=SPEC.mean,
        std=SPEC.std,
        state="synthetic",
        fingerprint=digest.hexdigest(),
        path=None,
    )
