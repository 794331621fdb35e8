"""The convolutional steps in C compute what autograd computes, resume bit for bit, on any thread count."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cifar_tui.engine import native, native_build
from cifar_tui.engine.native import NativeStep
from cifar_tui.engine.trainer import TrainingData

from .conftest import World
from .test_native import assert_same_bits

pytestmark = pytest.mark.skipif(not native_build.can_compile(), reason="there is no C compiler here")
MakeWorld = Callable[..., World]
CNN: dict[str, Any] = {"model": "cnn", "hidden_layers": 2, "learning_rate": 1e-4}
PRESET: dict[str, Any] = {"norm": "batch", "l2_reg": 0.01, "dropout": 0.1}
CASES: list[dict[str, Any]] = [
    PRESET,
    {"norm": "layer"},
    {"norm": "none"},
    {"norm": "layer", "conv_norm": "batch", "hidden_layers": 4, "dropout": 0.3},
    {"norm": "batch", "conv_norm": "none", "optimizer": "adam", "weight_decay": 0.01},
    {"norm": "none", "conv_norm": "layer", "l2_reg": 0.01, "hidden_layers": 1, "dropout": 0.3},
    {"norm": "layer", "batch_size": 1},
    {"norm": "batch", "batch_size": 3},
    PRESET | {"num_nodes": 1},
    PRESET | {"num_nodes": 7, "batch_size": 31},
    {"norm": "layer", "num_nodes": 100, "l2_reg": 0.01, "dropout": 0.2},
    PRESET | {"schedule": "cosine", "warmup_steps": 20},
    PRESET | {"flip": "true", "crop": 4, "cutout": 8},
]


def trainer_of(make_world: MakeWorld, engine: str = "native", **values: Any) -> Any:
    return make_world(**{"engine": engine, "steps": 40, **CNN, **values}).trainer


class Exact(nn.Module):
    """The dropout of a float32 net, for one of float64."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self._share = share

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.empty(x.shape).bernoulli_(1.0 - self._share).div_(1.0 - self._share)


def make_exact(module: nn.Module) -> None:
    """Let a module compute in float64: eager float32 steps are up to 1e-3 from it after 40 steps."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Dropout):
                setattr(parent, name, Exact(child.p))
    module.double()
    module.register_forward_pre_hook(lambda _module, inputs: (inputs[0].double(),))


def assert_equal_to_exact(make_world: MakeWorld, steps: int, **values: Any) -> None:
    ours, reference = (
        trainer_of(make_world, engine=name, steps=steps, **values) for name in ("native", "eager")
    )
    assert (ours._engine.name, reference._engine.name) == ("native", "eager")
    reference._engine._draws = bool(values.get("dropout"))
    make_exact(reference.module)
    np.testing.assert_allclose(
        ours._engine.run(0, steps).losses, reference._engine.run(0, steps).losses, rtol=1e-4
    )
    wanted = reference.module.state_dict()
    for name, tensor in ours.module.state_dict().items():
        torch.testing.assert_close(tensor.double(), wanted[name].double(), rtol=1e-2, atol=1e-3, msg=name)


@pytest.mark.parametrize("values", CASES, ids=str)
def test_the_native_engine_equals_exact_steps(make_world: MakeWorld, values: dict[str, Any]) -> None:
    assert_equal_to_exact(make_world, 30, **values)


@pytest.mark.slow
def test_the_preset_has_the_loss_of_exact_steps_for_200_steps(make_world: MakeWorld) -> None:
    assert_equal_to_exact(make_world, 200, **PRESET, num_nodes=128, batch_size=50)


@pytest.mark.parametrize("values", CASES, ids=str)
def test_the_native_engine_begins_as_eager_does(make_world: MakeWorld, values: dict[str, Any]) -> None:
    ours, reference = (trainer_of(make_world, engine=name, **values) for name in ("native", "eager"))
    np.testing.assert_allclose(ours._engine.run(0, 12).losses, reference._engine.run(0, 12).losses, rtol=1e-4)


def test_any_number_of_classes_will_do(make_world: MakeWorld, data: TrainingData) -> None:
    names = tuple(f"class {index}" for index in range(100))
    splits = [
        dataclasses.replace(split, labels=split.labels * 10 + np.arange(len(split.labels)) % 10, names=names)
        for split in (data.train, data.test)
    ]
    many = dataclasses.replace(data, train=splits[0], test=splits[1], names=names)
    found = [
        trainer_of(make_world, engine=name, data=many, **PRESET)._engine.run(0, 12).losses
        for name in ("native", "eager")
    ]
    np.testing.assert_allclose(*found, rtol=1e-4)


def test_as_many_hits_are_counted_as_eager_counts(make_world: MakeWorld) -> None:
    ours, reference = (trainer_of(make_world, engine=name, **PRESET) for name in ("native", "eager"))
    found, wanted = (trainer._engine.run(0, 40).accuracies for trainer in (ours, reference))
    assert found.tolist() == wanted.tolist()
    assert wanted.max() > wanted.min()


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_running_averages_and_counters_are_those_of_eager_after_a_step(
    make_world: MakeWorld, norm: str
) -> None:
    ours, reference = (
        trainer_of(make_world, engine=name, norm=norm, conv_norm="batch") for name in ("native", "eager")
    )
    for trainer in (ours, reference):
        trainer._engine.run(0, 1)
    layers = [
        [layer for layer in trainer.module.modules() if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]
        for trainer in (ours, reference)
    ]
    assert layers[0]
    for mine, wanted in zip(*layers, strict=True):
        assert int(mine.num_batches_tracked) == 1
        torch.testing.assert_close(mine.running_mean, wanted.running_mean)
        torch.testing.assert_close(mine.running_var, wanted.running_var)


@pytest.mark.parametrize("values", [PRESET, {"norm": "layer", "dropout": 0.2}, {"norm": "none"}], ids=str)
@pytest.mark.parametrize("threads", [2, 3, 7])
def test_the_bits_do_not_depend_on_the_thread_count(
    make_world: MakeWorld, threads: int, values: dict[str, Any]
) -> None:
    one, other = (trainer_of(make_world, **values) for _ in range(2))
    assert_same_bits(one, other, threads, 12)


@pytest.mark.parametrize("values", [PRESET, {"norm": "layer", "num_nodes": 20}, CASES[-1]], ids=str)
def test_a_resume_of_native_steps_is_bit_exact(make_world: MakeWorld, values: dict[str, Any]) -> None:
    straight, cut, resumed = (trainer_of(make_world, **values) for _ in range(3))
    straight._engine.run(0, 20)
    cut._engine.run(0, 13)
    resumed.restore(13, cut.state(), cut._files(), "checkpoint")
    resumed._engine.run(13, 7)
    assert resumed._files() == straight._files()


def test_steps_are_the_same_in_chunks_of_any_size(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, third = (trainer_of(make_world, **PRESET) for _ in range(3))
    whole = one._engine.run(0, 12).losses
    parts = np.concatenate([other._engine.run(first, 1).losses for first in range(12)])
    assert whole.tolist() == parts.tolist()
    assert one._files() == other._files()
    third._engine._masks.steps = 5  # as if the masks of more steps were too much memory
    assert third._engine.run(0, 12).losses.tolist() == whole.tolist()


@pytest.mark.parametrize("values", [PRESET, {"norm": "layer"}], ids=str)
def test_the_padding_of_the_memory_stays_zero(make_world: MakeWorld, values: dict[str, Any]) -> None:
    engine = trainer_of(make_world, num_nodes=20, **values)._engine
    assert isinstance(engine, NativeStep)
    engine.run(0, 12)
    for flat in engine._memory._flat:
        rest = flat.clone()
        for _parameter, view in engine._memory._of(rest):
            view.zero_()
        assert not rest.any()


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_a_loss_that_is_no_number_is_told_as_such(make_world: MakeWorld, norm: str) -> None:
    trainer = trainer_of(make_world, norm=norm)
    with torch.no_grad():
        next(trainer.module.parameters())[0, 0] = float("nan")
    assert np.isnan(trainer._engine.run(0, 2).losses).all()


def test_the_time_is_split_into_the_parts_of_a_step(make_world: MakeWorld) -> None:
    engine = trainer_of(make_world, **PRESET)._engine
    result = engine.run(0, 12)
    assert list(engine.parts) == list(native.PARTS)
    assert all(seconds > 0 for seconds in engine.parts.values())
    assert sum(engine.parts.values()) <= result.durations.sum()


def test_fused_steps_go_on_from_native_ones(make_world: MakeWorld) -> None:
    ours, fused = (trainer_of(make_world, engine=name, **PRESET) for name in ("native", "fused"))
    ours._engine.run(0, 10)
    fused.restore(10, ours.state(), ours._files(), "checkpoint")
    np.testing.assert_allclose(fused._engine.run(10, 10).losses, ours._engine.run(10, 10).losses, rtol=1e-4)
