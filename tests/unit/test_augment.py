"""What training may do to its pictures, and that it is a function of (seed, step)."""

from __future__ import annotations

import numpy as np
import pytest

from cifar_tui.datasets import augment
from cifar_tui.datasets.augment import GREY, Augment, Draw
from cifar_tui.recipe import resolve
from cifar_tui.seeds import step_seed, uniform

NONE = np.zeros(1, np.int64)


def picture() -> np.ndarray:
    """One picture, in which every pixel tells its place."""
    y, x = np.mgrid[0:32, 0:32]
    return np.stack([y, x, y + 100], axis=-1).astype(np.uint8)[None]


def drawn(flipped: bool = False, down: int = 0, right: int = 0, hole: tuple[int, int] = (0, 0)) -> Draw:
    return Draw(np.array([flipped]), NONE + down, NONE + right, NONE + hole[0], NONE + hole[1])


def test_nothing_asked_for_is_nothing_done() -> None:
    assert Augment.of(resolve().config) is None
    assert Augment.of(resolve(flags={"crop": "4"}).config) == Augment(crop=4)
    np.testing.assert_array_equal(augment.augmented(picture(), Augment(crop=4), drawn()), picture())


def test_a_flip_is_the_mirror_image() -> None:
    found = augment.augmented(picture(), Augment(flip=True), drawn(flipped=True))
    np.testing.assert_array_equal(found, picture()[:, :, ::-1])


@pytest.mark.parametrize(("down", "right"), [(3, 0), (-4, 2), (16, -16), (0, 1)])
@pytest.mark.parametrize("flipped", [False, True])
def test_a_shift_is_a_window_of_the_picture_reflected_at_its_edges(
    down: int, right: int, flipped: bool
) -> None:
    padded = np.pad(picture(), ((0, 0), (16, 16), (16, 16), (0, 0)), mode="reflect")
    window = padded[:, 16 - down : 48 - down, 16 - right : 48 - right]
    if flipped:  # the mirror image, then moved: its window lies on the other side
        mirrored = np.pad(picture()[:, :, ::-1], ((0, 0), (16, 16), (16, 16), (0, 0)), mode="reflect")
        window = mirrored[:, 16 - down : 48 - down, 16 + right : 48 + right]
    found = augment.augmented(picture(), Augment(flip=True, crop=16), drawn(flipped, down, right))
    np.testing.assert_array_equal(found, window)


@pytest.mark.parametrize(("hole", "count"), [((16, 16), 64), ((0, 0), 16), ((31, 16), 40), ((2, 31), 30)])
def test_a_hole_is_a_grey_square_cut_off_at_the_edge(hole: tuple[int, int], count: int) -> None:
    found = augment.augmented(picture(), Augment(cutout=8), drawn(hole=hole))
    grey = (found == GREY).all(axis=-1)
    assert grey.sum() == count
    np.testing.assert_array_equal(found[~grey], picture()[~grey])


def test_what_is_drawn_is_fair_and_within_bounds() -> None:
    found = augment.draw(Augment(flip=True, crop=4, cutout=8), 0, 0, 40, 500)
    assert abs(found.flipped.mean() - 0.5) < 0.02
    for shift in (found.down, found.right):
        counts = np.bincount(shift + 4)
        assert len(counts) == 9 and counts.min() > 0.9 * 20_000 / 9 and counts.max() < 1.1 * 20_000 / 9
    for middle in (found.hole_y, found.hole_x):
        assert middle.min() == 0 and middle.max() == 31
    assert abs(np.corrcoef(found.down, found.right)[0, 1]) < 0.03


def test_a_step_draws_the_same_whichever_steps_are_drawn_with_it() -> None:
    settings = Augment(flip=True, crop=4, cutout=8)
    whole = augment.draw(settings, 7, 100, 6, 50)
    later = augment.draw(settings, 7, 104, 1, 50)
    for one, other in zip(whole, later, strict=True):
        np.testing.assert_array_equal(one[200:250], other)
    assert any(
        (one != two).any() for one, two in zip(whole, augment.draw(settings, 8, 100, 6, 50), strict=True)
    )


def test_numbers_of_a_key_are_those_of_the_published_method() -> None:
    # SplitMix64 from state 0: the first two outputs, as its authors' reference program prints them
    first = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]
    np.testing.assert_array_equal(uniform(0, 2), [(value >> 11) * 2.0**-53 for value in first])
    assert uniform(step_seed(2**31 - 1, 10**9), 3).max() < 1.0
