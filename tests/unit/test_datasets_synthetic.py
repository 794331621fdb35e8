"""The drawn pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cifar_tui.datasets import store
from cifar_tui.datasets.split import Split
from cifar_tui.datasets.summary import channel_statistics
from cifar_tui.datasets.synthetic import SPEC, build
from cifar_tui.errors import UsageError


@pytest.fixture(scope="module")
def train() -> Split:
    return build(train=2000, test=0).train


def test_the_same_seed_draws_the_same_pictures_and_another_seed_others() -> None:
    first, again, other = build(3, 60, 20), build(3, 60, 20), build(4, 60, 20)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert np.array_equal(first.train.images, again.train.images)
    assert not np.array_equal(first.train.images[:20], first.test.images)


def test_the_set_says_that_it_is_not_cifar() -> None:
    dataset = build(train=20, test=10)
    assert dataset.state == "synthetic"
    assert "not CIFAR" in dataset.title
    assert dataset.path is None
    assert dataset.train.images.dtype == np.uint8
    assert dataset.train.images.shape == (20, 32, 32, 3)
    assert dataset.num_classes == 10 == len(dataset.names)


def test_classes_come_equally_often_in_a_mixed_order(train: Split) -> None:
    assert np.bincount(train.labels).tolist() == [200] * 10
    assert len(set(train.labels[:20].tolist())) > 4


def test_colour_says_nothing_about_the_class(train: Split) -> None:
    """The mean colours of the classes lie within what chance gives for 200 pictures each."""
    means = train.images.mean(axis=(1, 2))
    by_class = np.stack([means[train.labels == label].mean(axis=0) for label in range(10)])
    deviation = means.std(axis=0) / np.sqrt(200)
    assert (np.abs(by_class - means.mean(axis=0)) < 4 * deviation).all()


def test_mean_and_deviation_of_the_specification_are_right(train: Split) -> None:
    mean, std = channel_statistics(train.images)
    assert np.allclose(mean, SPEC.mean, atol=0.02)
    assert np.allclose(std, SPEC.std, atol=0.02)


def test_no_two_pictures_are_equal(train: Split) -> None:
    assert len({image.tobytes() for image in train.images}) == len(train)


def test_the_shapes_differ_from_their_background(train: Split) -> None:
    """A shape covers the middle of nearly every picture with a colour that the rim does not have."""
    centre = train.images[:, 12:20, 12:20].astype(float).std(axis=(1, 2)).mean()
    assert centre > 15


def test_status_and_load_need_no_disk(tmp_path: Path) -> None:
    nowhere = tmp_path / "none"
    status = store.status("synthetic", nowhere)
    assert (status.state, status.path, status.bytes, status.detail) == ("ready", None, 0, "built in")
    assert (status.train, status.test, status.classes) == (10_000, 2_000, 10)
    assert store.verify("synthetic", nowhere).state == "ready"
    first = store.load("synthetic", nowhere, seed=1)
    assert (len(first.train), len(first.test)) == (10_000, 2_000)
    assert store.load("synthetic", nowhere, seed=1) is first
    assert not nowhere.exists()


def test_a_negative_seed_or_count_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        build(seed=-1, train=1, test=1)
    with pytest.raises(UsageError):
        build(train=-1)
