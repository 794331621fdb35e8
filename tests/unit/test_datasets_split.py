"""Splits, batches and the order of an epoch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cifar_tui.datasets.split import Split, epoch_order
from cifar_tui.datasets.summary import channel_statistics, statistics
from cifar_tui.errors import UsageError


def make_split(count: int = 100, classes: int = 10) -> Split:
    images = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(count, dtype=np.int64) % classes
    names = tuple(f"class {label}" for label in range(classes))
    return Split("train", images, labels, names, fine_labels=labels, coarse_labels=labels // 5)


def test_the_order_of_an_epoch_is_a_permutation_that_never_changes() -> None:
    for count in (0, 1, 7, 1000):
        order = epoch_order(count, 3, 5)
        assert order.dtype == np.int64
        assert sorted(order.tolist()) == list(range(count))
        assert np.array_equal(order, epoch_order(count, 3, 5))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = {tuple(epoch_order(50, seed, epoch)) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


def test_the_order_is_drawn_from_raw_words_so_that_it_outlives_a_numpy_release() -> None:
    words = np.random.PCG64(np.random.SeedSequence([3, 5])).random_raw(20)
    assert epoch_order(20, 3, 5).tolist() == sorted(range(20), key=lambda place: int(words[place]))


@pytest.mark.parametrize("arguments", [(-1, 0, 0), (5, -1, 0), (5, 0, -1)])
def test_negative_counts_and_seeds_are_usage_errors(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError):
        epoch_order(*arguments)


def test_pictures_and_labels_cannot_be_changed_by_accident() -> None:
    split = make_split()
    for array in (split.images, split.labels, split.take(5).images, split.subset([1, 2]).labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_take_and_subset_keep_pictures_labels_and_both_kinds_together() -> None:
    split = make_split()
    part = split.subset([7, 3, 3])
    assert len(part) == 3
    assert part.labels.tolist() == [7, 3, 3]
    assert part.coarse_labels is not None
    assert part.coarse_labels.tolist() == [1, 0, 0]
    assert np.array_equal(part.images[1], split.images[3])
    assert len(split.take(4)) == 4
    assert len(split.take(4000)) == 100
    assert len(split.subset([])) == 0


@pytest.mark.parametrize("indices", [[100], [-1], [5, 1_000_000]])
def test_a_picture_that_is_not_there_is_named(indices: list[int]) -> None:
    with pytest.raises(UsageError, match="there is no picture"):
        make_split().subset(indices)


@pytest.mark.parametrize("count", [0, 1, 10, 33, 50, 99, 100])
def test_holding_out_divides_every_class_alike_and_repeats(count: int) -> None:
    split = make_split()
    rest, held = split.hold_out(count, seed=4)
    again = split.hold_out(count, seed=4)[1]
    assert (len(rest), len(held)) == (100 - count, count)
    counts = np.bincount(held.labels, minlength=10)
    assert counts.max() - counts.min() <= 1
    assert np.array_equal(held.images, again.images)
    rows = {image.tobytes() for image in rest.images} | {image.tobytes() for image in held.images}
    assert len(rows) == 100
    assert held.name == "validation"


def test_another_seed_holds_out_other_pictures() -> None:
    split = make_split()
    assert not np.array_equal(split.hold_out(20, 0)[1].images, split.hold_out(20, 1)[1].images)


def test_holding_out_more_than_there_is_names_the_range() -> None:
    with pytest.raises(UsageError) as caught:
        make_split().hold_out(101, 0)
    assert caught.value.hint == "range: 0 to 100"


def test_batches_visit_every_picture_once() -> None:
    split = make_split()
    batches = list(split.batches(30))
    assert [len(batch.labels) for batch in batches] == [30, 30, 30, 10]
    assert np.concatenate([batch.indices for batch in batches]).tolist() == list(range(100))
    assert [len(batch.labels) for batch in split.batches(30, drop_last=True)] == [30, 30, 30]


def test_shuffled_batches_follow_the_order_of_the_epoch() -> None:
    split = make_split()
    for epoch in (0, 3):
        batches = list(split.batches(32, shuffle_seed=5, epoch=epoch))
        order = np.concatenate([batch.indices for batch in batches])
        assert np.array_equal(order, epoch_order(100, 5, epoch))
        assert np.array_equal(batches[1].images, split.images[order[32:64]])
        assert np.array_equal(batches[1].labels, split.labels[order[32:64]])


def test_infinite_batches_go_on_with_the_next_epoch() -> None:
    batches = list(itertools.islice(make_split().batches(50, shuffle_seed=1, infinite=True, epoch=7), 6))
    order = np.concatenate([batch.indices for batch in batches])
    assert np.array_equal(order, np.concatenate([epoch_order(100, 1, epoch) for epoch in (7, 8, 9)]))


def test_batches_that_cannot_be_made_are_usage_errors_and_never_hang() -> None:
    split = make_split()
    for bad in ({"batch_size": 0}, {"batch_size": 101, "drop_last": True, "infinite": True}):
        with pytest.raises(UsageError):
            split.batches(**bad)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        split.take(0).batches(1, infinite=True)
    assert list(split.batches(101, drop_last=True)) == []


def test_statistics_agree_with_floating_point_and_find_duplicates() -> None:
    split = make_split(60)
    doubled = split.subset([*range(60), 4, 4, 5])
    relabelled = Split("train", doubled.images, np.append(doubled.labels[:62], 9), split.names)
    found = statistics(relabelled)
    pixels = relabelled.images.astype(np.float64) / 255
    assert np.allclose(found.mean, pixels.mean(axis=(0, 1, 2)), atol=1e-12)
    assert np.allclose(found.std, pixels.std(axis=(0, 1, 2)), atol=1e-12)
    assert (found.count, found.duplicates, found.duplicates_across_labels) == (63, 3, 1)
    assert dict(found.class_counts)["class 4"] == 8
    assert found.to_json()["classes"]["class 9"] == 7


def test_statistics_of_an_empty_split_are_zero() -> None:
    empty = make_split().take(0)
    assert statistics(empty).count == 0
    assert channel_statistics(empty.images) == ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
