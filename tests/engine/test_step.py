"""A training step is the textbook one, and a function of (seed, step)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from cifar_tui import catalog
from cifar_tui.config import RunConfig
from cifar_tui.engine.batches import DeviceSplit, TrainingOrder, as_float
from cifar_tui.errors import UsageError
from cifar_tui.seeds import step_seed

from .conftest import World, make_split

CPU = torch.device("cpu")


def test_an_epoch_takes_every_picture_once_and_leaves_out_the_remainder() -> None:
    order = TrainingOrder(103, 10, seed=5, device=CPU)
    assert order.steps_per_epoch == 10
    first = torch.cat([order.indices(step) for step in range(10)])
    second = torch.cat([order.indices(step) for step in range(10, 20)])
    assert len(set(first.tolist())) == 100
    assert len(set(second.tolist())) == 100
    assert first.tolist() != second.tolist()


def test_the_order_depends_on_seed_and_step_alone() -> None:
    one, other = TrainingOrder(50, 7, 3, CPU), TrainingOrder(50, 7, 3, CPU)
    later = [other.indices(step).tolist() for step in (20, 3, 9)]  # asked for in another order
    assert later == [one.indices(step).tolist() for step in (20, 3, 9)]
    assert TrainingOrder(50, 7, 4, CPU).indices(0).tolist() != one.indices(0).tolist()


def test_pictures_become_fractions_in_channels_last_memory() -> None:
    images = (
        torch.arange(2 * 32 * 32 * 3, dtype=torch.int64).remainder(256).to(torch.uint8).view(2, 32, 32, 3)
    )
    out = as_float(images)
    assert out.shape == (2, 3, 32, 32)
    assert out.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(out, images.permute(0, 3, 1, 2).float() / 255)


def test_a_device_split_keeps_the_pictures_of_a_read_only_array() -> None:
    split = make_split("train", 12, 0)
    assert not split.images.flags.writeable
    images, labels = DeviceSplit(split, CPU).take(torch.tensor([3, 1]))
    np.testing.assert_allclose(images.permute(0, 2, 3, 1).numpy() * 255, split.images[[3, 1]], atol=1e-3)
    assert labels.tolist() == split.labels[[3, 1]].tolist()


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("model", ["fnn", "cnn"])
@pytest.mark.parametrize("engine", ["eager", "auto"])
def test_steps_equal_plain_autograd_with_the_penalty_in_the_loss(
    make_world: Callable[..., World], model: str, norm: str, engine: str
) -> None:
    values: dict[str, Any] = {"model": model, "l2_reg": 0.01, "steps": 30, "norm": norm, "hidden_layers": 3}
    result = make_world(engine=engine, **values).trainer._engine.run(0, 30)
    reference = make_world(engine="eager", **values).trainer
    config, module = reference.config, reference.module
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-4, eps=1e-7, weight_decay=0.004)
    order = TrainingOrder(230, 20, config.seed, CPU)
    losses = []
    for step in range(30):
        images, labels = reference.rounds.splits["train"].take(order.indices(step))
        # GoMLX has the penalty on kernels and on the gains of normalisations, on nothing that is added
        weights = [w for name, w in module.named_parameters() if name.endswith(("weight", "gain"))]
        loss = functional.cross_entropy(module(images), labels) + 0.01 * sum((w**2).sum() for w in weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    np.testing.assert_allclose(result.losses, losses, rtol=2e-4 if norm == "batch" else 2e-5)


@pytest.mark.parametrize(
    ("values", "reason"),
    [({"optimizer": "sgd"}, "sgd"), ({"optimizer": "sgd", "model": "cnn"}, "sgd")],
)
def test_an_engine_that_cannot_do_it_is_refused_by_name_and_left_by_auto(
    make_world: Callable[..., World], values: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        make_world(engine="fused", **values)
    assert make_world(engine="auto", **values).trainer._engine.name == "eager"


def test_dropout_is_a_function_of_seed_and_step(make_world: Callable[..., World]) -> None:
    one = make_world(dropout=0.5, steps=6).trainer
    other = make_world(dropout=0.5, steps=6).trainer
    first = one._engine.run(0, 6).losses
    torch.manual_seed(123)  # what others draw in between changes nothing
    parts = [other._engine.run(0, 2).losses]
    torch.rand(1000)
    parts.append(other._engine.run(2, 4).losses)
    assert first.tolist() == np.concatenate(parts).tolist()
    assert (
        make_world(dropout=0.5, steps=6, seed=1).trainer._engine.run(0, 6).losses.tolist() != first.tolist()
    )


def test_step_seeds_do_not_collide() -> None:
    seeds = {step_seed(seed, step) for seed in range(20) for step in range(2000)}
    assert len(seeds) == 40_000
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_adamw_computes_what_gomlx_computed() -> None:
    config = RunConfig(weight_decay=0.004, epsilon=1e-7)
    weight = torch.nn.Parameter(torch.tensor([0.5, -2.0, 0.0], dtype=torch.float64))
    optimizer = catalog.get("optimizers", "adamw").build([weight], config)
    gradients = [np.array([0.1, -3.0, 0.0]), np.array([0.2, 1.0, 1e-8])]
    w, m, v = weight.detach().numpy().copy(), np.zeros(3), np.zeros(3)
    for t, gradient in enumerate(gradients, start=1):
        weight.grad = torch.from_numpy(gradient)
        optimizer.step()
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        step = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-7) + 0.004 * w
        w = w - 1e-4 * step
    np.testing.assert_allclose(weight.detach().numpy(), w, rtol=1e-9)


@pytest.mark.parametrize("name", catalog.names("optimizers"))
def test_every_optimizer_learns(make_world: Callable[..., World], name: str) -> None:
    extra: dict[str, Any] = {"momentum": 0.9} if name == "sgd" else {}
    trainer = make_world(
        optimizer=name, learning_rate=0.1 if name == "sgd" else 0.005, steps=60, hidden_layers=2, **extra
    ).trainer
    losses = trainer._engine.run(0, 60).losses
    assert losses[-10:].mean() < losses[:10].mean() - 0.2
