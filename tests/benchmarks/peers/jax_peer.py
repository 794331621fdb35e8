"""JAX on the CPU: pictures lie on the device as bytes, a batch is gathered inside the compiled step, state is
donated, and the loss is read once a window. With `scan` fifty steps are one call.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .world import (
    BATCH,
    BETAS,
    BLOCKS,
    CLASSES,
    DECAY,
    DROPOUT,
    EPSILON,
    FILTERS,
    L2,
    NORM_EPSILON,
    NORM_MOMENTUM,
    RATE,
    WIDTH,
    pictures,
)  # fmt: skip

SCAN = 50


def initial(model: str, key: Any) -> dict[str, Any]:
    """Weights from uniform(-0.1, 0.1), as the notebook's."""
    found: dict[str, Any] = {}

    def add(name: str, shape: tuple[int, ...]) -> None:
        nonlocal key
        key, first, second = jax.random.split(key, 3)
        found[f"{name}/w"] = jax.random.uniform(first, shape, minval=-0.1, maxval=0.1)
        found[f"{name}/b"] = jax.random.uniform(second, shape[-1:], minval=-0.1, maxval=0.1)

    def norm(name: str, size: int) -> None:
        found[f"{name}/gain"], found[f"{name}/offset"] = jnp.ones(size), jnp.zeros(size)

    inputs, channels = 3072, 3
    if model == "cnn":
        for index, filters in enumerate(FILTERS):
            add(f"conv{index}", (3, 3, channels, filters))
            norm(f"conv_norm{index}", filters)
            channels = filters
        inputs = 4 * 4 * channels
    for index in range(BLOCKS[model] + 1):
        add(f"dense{index}", (WIDTH if index else inputs, WIDTH))
        norm(f"norm{index}", 1 if model == "fnn" else WIDTH)
    add("final", (WIDTH, CLASSES))
    return found


def averages(parameters: dict[str, Any]) -> dict[str, Any]:
    """Running mean and variance of each batch norm; none for layer norms."""
    found = {}
    for name, value in parameters.items():
        if name.endswith("/gain") and value.size > 1:
            found[name[:-5]] = (jnp.zeros_like(value), jnp.ones_like(value))
    return found


def layer_norm(p: dict[str, Any], name: str, x: Any) -> Any:
    mean = x.mean(-1, keepdims=True)
    variance = jnp.square(x - mean).mean(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + NORM_EPSILON) * p[f"{name}/gain"] + p[f"{name}/offset"]


def batch_norm(p: dict[str, Any], name: str, x: Any, old: dict[str, Any], new: dict[str, Any]) -> Any:
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axes), x.var(axes)
    new[name] = tuple(
        NORM_MOMENTUM * before + (1 - NORM_MOMENTUM) * lax.stop_gradient(now)
        for before, now in zip(old[name], (mean, variance), strict=True)
    )
    return (x - mean) * (lax.rsqrt(variance + NORM_EPSILON) * p[f"{name}/gain"]) + p[f"{name}/offset"]


def logits(
    model: str, p: dict[str, Any], x: Any, old: dict[str, Any], key: Any
) -> tuple[Any, dict[str, Any]]:
    """Logits of pictures float32 (B, 32, 32, 3), and the new averages."""
    new: dict[str, Any] = {}
    active = jax.nn.sigmoid if model == "fnn" else jax.nn.relu

    def norm(name: str, value: Any) -> Any:
        return layer_norm(p, name, value) if model == "fnn" else batch_norm(p, name, value, old, new)

    if model == "cnn":
        for index in range(len(FILTERS)):
            x = lax.conv_general_dilated(
                x, p[f"conv{index}/w"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = jax.nn.relu(norm(f"conv_norm{index}", x + p[f"conv{index}/b"]))
            if index < len(FILTERS) - 1:
                x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = x.reshape(x.shape[0], -1)
    x = norm("norm0", x @ p["dense0/w"] + p["dense0/b"])
    for index in range(1, BLOCKS[model] + 1):
        hidden = active(x)
        if DROPOUT[model]:
            kept = jax.random.bernoulli(jax.random.fold_in(key, index), 1 - DROPOUT[model], hidden.shape)
            hidden = jnp.where(kept, hidden / (1 - DROPOUT[model]), 0)
        x = x + norm(f"norm{index}", hidden @ p[f"dense{index}/w"] + p[f"dense{index}/b"])
    return active(x) @ p["final/w"] + p["final/b"], new


def loss(model: str, p: dict[str, Any], x: Any, labels: Any, old: dict[str, Any], key: Any) -> Any:
    """Cross entropy with the L2 penalty, and the new averages."""
    found, new = logits(model, p, x, old, key)
    rows = jnp.arange(labels.shape[0])
    value = -jax.nn.log_softmax(found)[rows, labels].mean()
    if L2[model]:
        value += L2[model] * sum(jnp.square(v).sum() for n, v in p.items() if n.endswith(("/w", "/gain")))
    return value, new


def step(
    model: str, images: Any, labels: Any, state: dict[str, Any], rows: Any
) -> tuple[dict[str, Any], Any]:
    """One step of AdamW on the pictures `rows`."""
    batch = images[rows].astype(jnp.float32) * (1 / 255)
    number = state["step"] + 1
    key = jax.random.fold_in(jax.random.key(0), number)
    gradient = jax.value_and_grad(partial(loss, model), has_aux=True)
    (value, kept), grads = gradient(state["p"], batch, labels[rows], state["kept"], key)
    first, second = BETAS
    mean = jax.tree.map(lambda m, g: first * m + (1 - first) * g, state["mean"], grads)
    square = jax.tree.map(lambda v, g: second * v + (1 - second) * g * g, state["square"], grads)
    of_mean, of_square = 1 - first**number, 1 - second**number

    def moved(p: Any, m: Any, v: Any) -> Any:
        return p * (1 - RATE * DECAY) - RATE * (m / of_mean) / (jnp.sqrt(v / of_square) + EPSILON)

    parameters = jax.tree.map(moved, state["p"], mean, square)
    return {"p": parameters, "mean": mean, "square": square, "kept": kept, "step": number}, value


class JaxPeer:
    """Trains in JAX, a step or `SCAN` steps a call."""

    def __init__(self, model: str, *, scan: bool) -> None:
        images, labels = pictures()
        self._images, self._labels = jnp.asarray(images), jnp.asarray(labels.astype(np.int32))
        parameters = initial(model, jax.random.key(0))
        self.parameters = sum(value.size for value in parameters.values())
        self.remark = f"{SCAN} steps a call" if scan else ""
        zeros = jax.tree.map(jnp.zeros_like, parameters)
        self._state = {
            "p": parameters, "mean": zeros, "square": jax.tree.map(jnp.zeros_like, parameters),
            "kept": averages(parameters), "step": jnp.zeros((), jnp.float32),
        }  # fmt: skip
        self._scan = scan
        self._rng = np.random.default_rng(0)
        self._order = np.empty(0, np.int32)
        self._position = 0
        one = partial(step, model)

        def many(images: Any, labels: Any, state: dict[str, Any], rows: Any) -> tuple[dict[str, Any], Any]:
            return lax.scan(partial(one, images, labels), state, rows)

        self._call = jax.jit(many if scan else one, donate_argnums=2)

    def _rows(self, count: int) -> Any:
        """int32 (count, BATCH)"""
        if self._position + count * BATCH > len(self._order):
            self._order = self._rng.permutation(len(self._labels)).astype(np.int32)
            self._position = 0
        start = self._position
        self._position += count * BATCH
        return self._order[start : self._position].reshape(count, BATCH)

    def run(self, steps: int) -> float:
        """Run `steps`; with `scan` a multiple of `SCAN`."""
        value: Any = jnp.nan
        for _ in range(steps // SCAN if self._scan else steps):
            rows = self._rows(SCAN) if self._scan else self._rows(1)[0]
            self._state, value = self._call(self._images, self._labels, self._state, rows)
        return float(np.asarray(value).reshape(-1)[-1])
