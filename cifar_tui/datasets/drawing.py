"""Drawing the pictures of the synthetic dataset: signed distances with soft edges, a block at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifar_tui.datasets.split import epoch_order

Array = NDArray[np.float32]

_BLOCK = 250  # pictures drawn at once: their floats stay in the cache
_PIXELS_PER_UNIT = 16.0
_NOISE = 0.04
_TIP, _NOTCH = 1.05, 0.42  # radius of a star's tips and of the corners between them
_EDGE = np.array([_NOTCH * np.sin(np.pi / 5), _TIP - _NOTCH * np.cos(np.pi / 5)])
_EDGE_NORMAL = (_EDGE / np.hypot(*_EDGE)).astype(np.float32)


def draw_part(count: int, seed: int, part: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pictures and labels of one part of the synthetic set.

    Args:
        count: pictures N.
        seed: at least 0.
        part: 0 for training, 1 for test.

    Returns:
        ((N, 32, 32, 3) uint8, (N,) int64), every class as often as the others to within one.
    """
    labels = epoch_order(count, seed, part) % len(_SHAPES)
    images = np.empty((count, 32, 32, 3), dtype=np.uint8)
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, part, 1])))
    for start in range(0, count, _BLOCK):
        rows = slice(start, min(start + _BLOCK, count))
        images[rows] = _draw(labels[rows], random)
    return images, labels


def _draw(labels: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.uint8]:
    """Pictures for `labels`: (n, 32, 32, 3) uint8."""
    n = len(labels)
    axis = (np.arange(32, dtype=np.float32) - 15.5) / _PIXELS_PER_UNIT
    x, y = axis[None, None, :], axis[None, :, None]
    picture = _background(n, x, y, random)
    front = _contrasting(picture.mean(axis=(1, 2)), random)
    place = _uniform(random, -0.3, 0.3, (2, n, 1, 1))
    size = _uniform(random, 0.50, 0.72, (n, 1, 1))
    # stripes keep their direction to within 0.2 radians, the other shapes turn freely
    reach = np.where(labels < 7, np.pi, 0.2).astype(np.float32)[:, None, None]
    slant = np.where(labels == 9, np.pi / 4, 0).astype(np.float32)[:, None, None]
    turn = _uniform(random, -1, 1, (n, 1, 1)) * reach + _sign(random, (n, 1, 1)) * slant
    u = ((x - place[0]) * np.cos(turn) + (y - place[1]) * np.sin(turn)) / size
    v = ((y - place[1]) * np.cos(turn) - (x - place[0]) * np.sin(turn)) / size
    distance = np.empty((n, 32, 32), dtype=np.float32)
    for label, shape in enumerate(_SHAPES):
        rows = np.flatnonzero(labels == label)
        distance[rows] = shape(u[rows], v[rows])
    _distract(picture, x, y, random)
    mask = np.clip(0.5 - distance * size * _PIXELS_PER_UNIT, 0, 1)[..., None]
    picture += mask * (front[:, None, None, :] - picture)
    picture += random.standard_normal(picture.shape, dtype=np.float32) * np.float32(_NOISE)
    return np.asarray(np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8))


def _uniform(random: np.random.Generator, low: float, high: float, shape: tuple[int, ...]) -> Array:
    return random.random(shape, dtype=np.float32) * np.float32(high - low) + np.float32(low)


def _sign(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.where(random.random(shape, dtype=np.float32) < 0.5, np.float32(-1), np.float32(1))


def _background(n: int, x: Array, y: Array, random: np.random.Generator) -> Array:
    """(n, 32, 32, 3): from one colour to another across a random direction."""
    first = _uniform(random, 0, 1, (n, 1, 1, 3))
    second = np.clip(first + _uniform(random, -0.35, 0.35, (n, 1, 1, 3)), 0, 1)
    angle = _uniform(random, 0, float(2 * np.pi), (n, 1, 1))
    share = np.clip((x * np.cos(angle) + y * np.sin(angle)) * 0.5 + 0.5, 0, 1)[..., None]
    return np.asarray(first + share * (second - first))


def _contrasting(mean: Array, random: np.random.Generator) -> Array:
    """(n, 3): a colour at least 0.35 away from the mean of the background in every channel, either way."""
    shift = _uniform(random, 0.35, 0.65, mean.shape)
    up = mean + shift
    down = mean - shift
    wanted = np.where(random.random(mean.shape) < 0.5, up, down)
    other = np.where(wanted == up, down, up)
    return np.clip(np.where((wanted < 0) | (wanted > 1), other, wanted), 0, 1).astype(np.float32)


def _distract(picture: Array, x: Array, y: Array, random: np.random.Generator) -> None:
    """Draw two small dots and one thin line of random colours on each picture."""
    n = len(picture)
    for _ in range(2):
        place = _uniform(random, -1, 1, (2, n, 1, 1))
        radius = _uniform(random, 0.06, 0.14, (n, 1, 1))
        distance = np.hypot(x - place[0], y - place[1]) - radius
        _paint(picture, distance, random)
    angle = _uniform(random, 0, float(np.pi), (n, 1, 1))
    offset = _uniform(random, -0.9, 0.9, (n, 1, 1))
    _paint(picture, np.abs(x * np.cos(angle) + y * np.sin(angle) - offset) - 0.04, random)


def _paint(picture: Array, distance: Array, random: np.random.Generator) -> None:
    colour = _uniform(random, 0, 1, (len(picture), 1, 1, 3))
    mask = np.clip(0.5 - distance * np.float32(_PIXELS_PER_UNIT), 0, 1)[..., None]
    picture += mask * (colour - picture)


# Signed distances in the shape's own frame, negative inside; the shape has a radius of about 1.


def _disc(u: Array, v: Array) -> Any:
    return np.hypot(u, v) - 0.95


def _ring(u: Array, v: Array) -> Any:
    return np.abs(np.hypot(u, v) - 0.75) - 0.22


def _square(u: Array, v: Array) -> Any:
    return np.maximum(np.abs(u), np.abs(v)) - 0.82


def _triangle(u: Array, v: Array) -> Any:
    return np.maximum(v - 0.6, 0.866 * np.abs(u) - 0.5 * v - 0.6)


def _cross(u: Array, v: Array) -> Any:
    a, b = np.abs(u), np.abs(v)
    return np.minimum(np.maximum(a - 1, b - 0.28), np.maximum(b - 1, a - 0.28))


def _star(u: Array, v: Array) -> Any:
    fold = np.abs((np.arctan2(v, u) + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)
    radius = np.hypot(u, v)
    return (radius * np.cos(fold) - _TIP) * _EDGE_NORMAL[0] + radius * np.sin(fold) * _EDGE_NORMAL[1]


def _stripes(_u: Array, v: Array) -> Any:
    return 0.18 - np.abs((v * 1.5 + 0.25) % 1 - 0.5)


def _patch(pattern: Callable[[Array, Array], Any]) -> Callable[[Array, Array], Any]:
    """A pattern inside a square of side 2."""

    def shape(u: Array, v: Array) -> Any:
        return np.maximum(np.maximum(np.abs(u), np.abs(v)) - 1, pattern(u, v))

    return shape


def _checker(u: Array, v: Array) -> Any:
    return -np.sin(u * np.float32(1.5 * np.pi)) * np.sin(v * np.float32(1.5 * np.pi)) * 0.3


def _swapped(u: Array, v: Array) -> Any:
    return _stripes(v, u)


_SHAPES = (
    _disc,
    _ring,
    _square,
    _triangle,
    _cross,
    _star,
    _patch(_checker),
    _patch(_stripes),
    _patch(_swapped),
    _patch(_stripes),
)
"""In the order of the labels; the last is turned by an eighth of a circle when it is drawn."""
