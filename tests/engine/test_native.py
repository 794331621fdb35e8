"""The dense steps in C compute what autograd computes, resume bit for bit, on any thread count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from cifar_tui.engine import native_build
from cifar_tui.engine.native import NativeStep, why_not
from cifar_tui.engine.trainer import Trainer

from .conftest import World
from .test_fused import losses_of

pytestmark = pytest.mark.skipif(not native_build.can_compile(), reason="there is no C compiler here")
MakeWorld = Callable[..., World]
CASES: list[dict[str, Any]] = [
    {},
    {"norm": "none"},
    {"l2_reg": 0.01},
    {"l2_reg": 0.01, "norm": "none", "optimizer": "adam", "weight_decay": 0.01},
    {"hidden_layers": 1},
    {"hidden_layers": 2},
    {"hidden_layers": 20},  # more norms than a cache line has numbers
    {"num_nodes": 1},
    {"num_nodes": 7, "l2_reg": 0.01},
    {"num_nodes": 50, "batch_size": 1},
    {"num_nodes": 100, "batch_size": 31},
    {"schedule": "cosine", "warmup_steps": 20},
    {"flip": "true", "crop": 4, "cutout": 8},
]


def assert_same_bits(alone: Trainer, together: Trainer, threads: int, steps: int) -> None:
    """Steps on one thread and on several leave the same."""
    wanted = alone._engine.run(0, steps)
    torch.set_num_threads(threads)
    try:
        found = together._engine.run(0, steps)
    finally:
        torch.set_num_threads(1)
    assert found.losses.tolist() == wanted.losses.tolist()
    assert found.accuracies.tolist() == wanted.accuracies.tolist()
    assert together._files() == alone._files()


@pytest.mark.parametrize("values", CASES, ids=str)
def test_the_native_engine_equals_eager(make_world: MakeWorld, values: dict[str, Any]) -> None:
    steps = 200
    ours, reference = (make_world(engine=name, steps=steps, **values).trainer for name in ("native", "eager"))
    assert (ours._engine.name, reference._engine.name) == ("native", "eager")
    # at a learning rate as high as the smallest net wants, rounding grows to 1e-4 of the loss in some cases
    np.testing.assert_allclose(losses_of(ours, steps), losses_of(reference, steps), rtol=1e-4)
    wanted = reference.module.state_dict()
    for name, tensor in ours.module.state_dict().items():
        torch.testing.assert_close(tensor, wanted[name], rtol=1e-2, atol=1e-3, msg=name)


def test_as_many_hits_are_counted_as_eager_counts(make_world: MakeWorld) -> None:
    ours, reference = (make_world(engine=name, steps=60).trainer for name in ("native", "eager"))
    found, wanted = (trainer._engine.run(0, 60).accuracies for trainer in (ours, reference))
    assert found.tolist() == wanted.tolist()
    assert wanted.max() > wanted.min()


@pytest.mark.parametrize("threads", [2, 3, 7, 64])
def test_the_bits_do_not_depend_on_the_thread_count(make_world: MakeWorld, threads: int) -> None:
    one, other = (make_world(engine="native", steps=30, l2_reg=0.01).trainer for _ in range(2))
    assert_same_bits(one, other, threads, 30)


@pytest.mark.parametrize("values", [{}, {"l2_reg": 0.01, "num_nodes": 20}, CASES[-1]], ids=str)
def test_a_resume_of_native_steps_is_bit_exact(make_world: MakeWorld, values: dict[str, Any]) -> None:
    straight, cut, resumed = (make_world(engine="native", steps=30, **values).trainer for _ in range(3))
    straight._engine.run(0, 30)
    cut._engine.run(0, 13)
    resumed.restore(13, cut.state(), cut._files(), "checkpoint")
    resumed._engine.run(13, 17)
    assert resumed._files() == straight._files()


def test_steps_are_the_same_in_chunks_of_any_size(make_world: MakeWorld) -> None:
    one, other = (make_world(engine="native", steps=20).trainer for _ in range(2))
    whole = one._engine.run(0, 20).losses
    parts = np.concatenate([other._engine.run(first, 1).losses for first in range(20)])
    assert whole.tolist() == parts.tolist()
    assert one._files() == other._files()


def test_the_padding_of_the_memory_stays_zero(make_world: MakeWorld) -> None:
    engine = make_world(engine="native", steps=20, num_nodes=20, l2_reg=0.01).trainer._engine
    assert isinstance(engine, NativeStep)
    engine.run(0, 20)
    for flat in engine._memory._flat:
        rest = flat.clone()
        for _parameter, view in engine._memory._of(rest):
            view.zero_()
        assert not rest.any()


def test_a_loss_that_is_no_number_is_told_as_such(make_world: MakeWorld) -> None:
    trainer = make_world(engine="native", steps=20).trainer
    with torch.no_grad():
        next(trainer.module.parameters())[0, 0] = float("nan")
    assert np.isnan(trainer._engine.run(0, 2).losses).all()


def test_the_time_is_split_into_the_parts_of_a_step(make_world: MakeWorld) -> None:
    engine = make_world(engine="native", steps=20).trainer._engine
    assert isinstance(engine, NativeStep)
    result = engine.run(0, 20)
    assert list(engine.parts) == ["feed", "forward", "backward", "optimizer"]
    assert all(seconds > 0 for seconds in engine.parts.values())
    assert sum(engine.parts.values()) <= result.durations.sum()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"norm": "batch"}, "it has no batch norm for fnn, only layer and none"),
        ({"dropout": 0.1}, "it has no dropout for fnn"),
        ({"model": "cnn", "norm": "batch", "dropout": 0.1}, None),
        ({"optimizer": "sgd"}, "it has no sgd, only adamw and adam"),
    ],
)
def test_what_it_cannot_do_is_said(make_world: MakeWorld, values: dict[str, Any], reason: str | None) -> None:
    config = make_world(engine="eager", **values).trainer.config
    assert why_not(config, torch.device("cpu")) == reason


def test_the_engine_that_auto_takes_after_a_native_run_goes_on_from_it(make_world: MakeWorld) -> None:
    native, fused = (make_world(engine=name, steps=30).trainer for name in ("native", "fused"))
    native._engine.run(0, 15)
    fused.restore(15, native.state(), native._files(), "checkpoint")
    np.testing.assert_allclose(fused._engine.run(15, 15).losses, native._engine.run(15, 15).losses, rtol=1e-5)
