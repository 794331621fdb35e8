"""The CUDA kernels of the dense net compute what autograd computes; here they run as C++ on the CPU."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cifar_tui import events
from cifar_tui.engine import cuda_kernels, cuda_native, engines, trainer
from cifar_tui.engine.graph_backend import Uncaptured
from cifar_tui.engine.ladder import Ladder
from cifar_tui.engine.trainer import Trainer

from .conftest import World
from .cuda_on_cpu import COMPILER, KernelsOnCpu

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler here")
MakeWorld = Callable[..., World]
MakeTrainer = Callable[..., Trainer]
SMALL: dict[str, Any] = {"num_nodes": 32, "hidden_layers": 3, "learning_rate": 1e-3}
CASES: list[dict[str, Any]] = [
    {},
    {"norm": "none"},
    {"l2_reg": 0.01},
    {"l2_reg": 0.01, "norm": "none", "optimizer": "adam", "weight_decay": 0.01},
    {"hidden_layers": 1},
    {"hidden_layers": 2, "num_nodes": 96},
    {"num_nodes": 256, "hidden_layers": 2},
    {"batch_size": 1},
    {"batch_size": 75},  # more than a tile of rows has
    {"schedule": "cosine", "warmup_steps": 4},
    {"flip": "true", "crop": 4, "cutout": 8},
]


@pytest.fixture
def make_trainer(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> MakeTrainer:
    """A trainer whose engine is the native one of CUDA devices, on the CPU."""

    def on_cpu(source: Path, macros: Any, _device: torch.device) -> KernelsOnCpu:
        return KernelsOnCpu(source, macros)

    def make(**values: Any) -> Trainer:
        with monkeypatch.context() as patch:
            backend = Uncaptured(torch.device("cpu"))
            patch.setattr(trainer, "choose", partial(engines.choose, backend=backend))
            patch.setattr(cuda_kernels, "why_not", lambda: None)
            patch.setattr(cuda_native, "CudaKernels", on_cpu)
            world = make_world(**({"engine": "native", "steps": 40} | SMALL | values))
        engine = world.trainer._engine
        assert isinstance(engine, Ladder)
        assert engine.name == "native", [event.text for event in world.of(events.Note)]
        return world.trainer

    return make


def losses(made: Trainer, first: int, count: int) -> list[float]:
    return [float(loss) for loss in made._engine.run(first, count).losses]


@pytest.mark.parametrize("values", CASES, ids=str)
def test_the_kernels_do_the_steps_of_autograd(
    make_trainer: MakeTrainer, make_world: MakeWorld, values: dict[str, Any]
) -> None:
    steps = 6
    ours = make_trainer(**values)
    wanted = make_world(engine="eager", steps=40, **(SMALL | values)).trainer
    found, right = (each._engine.run(0, steps) for each in (ours, wanted))
    np.testing.assert_allclose(found.losses, right.losses, rtol=2e-5)
    assert found.accuracies.tolist() == right.accuracies.tolist()
    for (name, mine), other in zip(ours.module.named_parameters(), wanted.module.parameters(), strict=True):
        mine_state, other_state = ours.optimizer.state[mine], wanted.optimizer.state[other]
        for key in ("exp_avg", "exp_avg_sq"):
            largest = float(other_state[key].abs().max())
            torch.testing.assert_close(
                mine_state[key], other_state[key], rtol=0, atol=3e-4 * largest + 1e-12, msg=f"{name} {key}"
            )
        assert float(mine_state["step"]) == float(other_state["step"]) == steps


def test_the_loss_of_200_steps_is_that_of_autograd(make_trainer: MakeTrainer, make_world: MakeWorld) -> None:
    values = {"steps": 200, "learning_rate": 1e-4}
    ours = make_trainer(**values)
    wanted = make_world(engine="eager", **(SMALL | values)).trainer
    np.testing.assert_allclose(losses(ours, 0, 200), losses(wanted, 0, 200), rtol=1e-4)


def test_a_resume_is_bit_exact(make_trainer: MakeTrainer) -> None:
    straight, cut, resumed = (make_trainer(l2_reg=0.01) for _ in range(3))
    straight._engine.run(0, 12)
    cut._engine.run(0, 7)
    resumed.restore(7, cut.state(), cut._files(), "checkpoint")
    resumed._engine.run(7, 5)
    assert resumed._files() == straight._files()


def test_steps_are_the_same_in_launches_of_any_size(make_trainer: MakeTrainer) -> None:
    one, other = (make_trainer() for _ in range(2))
    assert losses(one, 0, 8) == [losses(other, step, 1)[0] for step in range(8)]
    assert one._files() == other._files()


def test_where_kernels_cannot_be_compiled_captured_steps_run_and_the_reason_is_told(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("fnn.cu(7): error: no such thing")

    backend = Uncaptured(torch.device("cpu"))
    monkeypatch.setattr(trainer, "choose", partial(engines.choose, backend=backend))
    monkeypatch.setattr(cuda_kernels, "why_not", lambda: None)
    monkeypatch.setattr(cuda_native, "CudaKernels", broken)
    world = make_world(engine="auto", **SMALL)
    assert world.trainer._engine.name == "graph"
    (note,) = world.of(events.Note)
    assert re.search(r"engine native could not be prepared .*no such thing.*engine graph runs", note.text)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, None),
        ({"norm": "batch"}, "it has no batch norm for fnn, only layer and none"),
        ({"dropout": 0.1}, "it has no dropout for fnn"),
        ({"num_nodes": 100}, "it wants num_nodes of 32, 64, ... 256, not 100"),
        ({"num_nodes": 256, "hidden_layers": 17}, "17 hidden layers of 256 nodes are too many for it"),
        ({"optimizer": "sgd"}, "it has no sgd, only adamw and adam"),
        ({"batch_size": 6000}, "it is for batches of 5000 pictures at most, not of 6000"),
    ],
)
def test_what_it_cannot_do_is_said(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], reason: str | None
) -> None:
    monkeypatch.setattr(cuda_kernels, "why_not", lambda: None)
    config = make_world(engine="eager", **(SMALL | values)).trainer.config
    assert cuda_native.why_not(config, torch.device("cuda")) == reason
