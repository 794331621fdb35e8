"""The hand-written steps compute what autograd computes, for every kind of model, and resume bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from cifar_tui import memory
from cifar_tui.engine import dense_stack, fused, fused_steps
from cifar_tui.engine.step import ChunkResult
from cifar_tui.engine.trainer import Trainer

from .conftest import World

DENSE: list[dict[str, Any]] = [
    {},
    {"norm": "none"},
    {"norm": "batch"},
    {"norm": "batch", "dropout": 0.3, "l2_reg": 0.01, "hidden_layers": 3},
    {"dropout": 0.3},
    {"dropout": 0.3, "norm": "none", "l2_reg": 0.01},
    {"hidden_layers": 1, "dropout": 0.3},
    {"hidden_layers": 2, "dropout": 0.3},
    {"optimizer": "adam", "weight_decay": 0.01},
    {"schedule": "cosine", "warmup_steps": 20},
]
CONV: list[dict[str, Any]] = [
    {"norm": "batch", "l2_reg": 0.01, "dropout": 0.1},
    {"norm": "layer"},
    {"norm": "none"},
    {"norm": "layer", "conv_norm": "batch", "hidden_layers": 3, "dropout": 0.3},
    {"norm": "batch", "conv_norm": "none", "optimizer": "adam"},
    {"norm": "none", "conv_norm": "layer", "l2_reg": 0.01, "hidden_layers": 1},
]
CASES = [{"model": "fnn", **values} for values in DENSE] + [
    {"model": "cnn", "hidden_layers": 2, **values} for values in CONV
]
AUGMENTED = [
    {"model": model, "hidden_layers": 2, "flip": "true", "crop": 4, "cutout": 8} for model in ("fnn", "cnn")
]


def losses_of(trainer: Trainer, steps: int, first: int = 0) -> np.ndarray[Any, Any]:
    parts: list[ChunkResult] = [trainer._engine.run(start, 40) for start in range(first, first + steps, 40)]
    return np.concatenate([part.losses for part in parts])


@pytest.mark.parametrize("values", [*CASES, *AUGMENTED], ids=str)
def test_the_fused_engine_equals_eager(make_world: Callable[..., World], values: dict[str, Any]) -> None:
    # Two small batch-normalised nets drift apart by rounding alone: after 80 steps each is 1e-3 from float64.
    steps = 200 if values["model"] == "fnn" else 40
    ours, reference = (make_world(engine=name, steps=steps, **values).trainer for name in ("fused", "eager"))
    assert (ours._engine.name, reference._engine.name) == ("fused", "eager")
    np.testing.assert_allclose(losses_of(ours, steps), losses_of(reference, steps), rtol=1e-4)
    wanted = reference.module.state_dict()
    for name, tensor in ours.module.state_dict().items():
        # biases before a norm have a gradient of zero, whose rounding noise Adam blows up in eager steps, and
        # a batch norm's running mean follows its bias
        if name.endswith(("bias", "running_mean")) and "final" not in name:
            continue
        torch.testing.assert_close(tensor, wanted[name], rtol=1e-2, atol=1e-3, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["seed-fnn", "seed-cnn"])
def test_the_presets_have_the_loss_of_eager_for_200_steps(
    make_world: Callable[..., World], preset: str
) -> None:
    width = {"num_nodes": 128, "batch_size": 50}
    ours, reference = (
        make_world(preset, engine=name, steps=200, **width).trainer for name in ("fused", "eager")
    )
    np.testing.assert_allclose(losses_of(ours, 200), losses_of(reference, 200), rtol=1e-4)


@pytest.mark.parametrize("values", [{"dropout": 0.2}, CASES[3], CASES[-6], CASES[-3]], ids=str)
def test_the_fused_steps_are_the_same_with_and_without_torchscript(
    make_world: Callable[..., World], values: dict[str, Any]
) -> None:
    scripted, plain = (make_world(engine="fused", steps=40, **values).trainer for _ in range(2))
    plain._engine._steps = fused_steps.steps
    np.testing.assert_allclose(losses_of(scripted, 40), losses_of(plain, 40), rtol=2e-5)


@pytest.mark.parametrize("values", [CASES[0], CASES[3], CASES[-6], CASES[-5], CASES[-4], *AUGMENTED], ids=str)
def test_a_resume_of_fused_steps_is_bit_exact(
    make_world: Callable[..., World], values: dict[str, Any]
) -> None:
    straight, cut, resumed = (make_world(engine="fused", steps=30, **values).trainer for _ in range(3))
    straight._engine.run(0, 30)
    cut._engine.run(0, 13)
    resumed.restore(13, cut.state(), cut._files(), "checkpoint")
    resumed._engine.run(13, 17)
    assert resumed._files() == straight._files()


@pytest.mark.parametrize("values", [CASES[-6], *AUGMENTED], ids=str)
def test_steps_are_the_same_in_chunks_of_any_size(
    make_world: Callable[..., World], values: dict[str, Any]
) -> None:
    one, other = (make_world(engine="fused", steps=20, **values).trainer for _ in range(2))
    whole = one._engine.run(0, 20).losses
    parts = np.concatenate([other._engine.run(first, 1).losses for first in range(20)])
    assert whole.tolist() == parts.tolist()
    assert one._files() == other._files()


@pytest.mark.skipif(not dense_stack.HAS_ONEDNN, reason="this torch has no oneDNN")
@pytest.mark.parametrize("values", [{"num_nodes": 80}, CASES[-6] | {"num_nodes": 250}], ids=str)
def test_wide_products_by_onednn_are_those_of_the_blas(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]
) -> None:
    found = {}
    for choice in (True, False):
        monkeypatch.setattr(fused, "prefers_onednn", lambda choice=choice: choice)
        found[choice] = losses_of(make_world(engine="fused", steps=40, **values).trainer, 40)
    np.testing.assert_allclose(found[True], found[False], rtol=2e-5)
    assert dense_stack.is_wide(torch.zeros(20, 3072), 80, onednn=True)


def test_an_eager_engine_can_go_on_where_a_fused_one_stopped(make_world: Callable[..., World]) -> None:
    trainer = make_world(engine="fused", steps=20, norm="batch").trainer
    trainer._engine.run(0, 10)
    parameters = list(trainer.module.parameters())
    counts = [trainer.optimizer.state[parameter]["step"] for parameter in parameters]
    assert {float(count) for count in counts} == {10.0}
    assert len({count.data_ptr() for count in counts}) == len(counts)  # each can be counted on by itself
    norms = [layer for layer in trainer.module.modules() if isinstance(layer, torch.nn.BatchNorm1d)]
    assert {int(norm.num_batches_tracked) for norm in norms} == {10}


def test_nothing_is_said_about_torchscript(make_world: Callable[..., World]) -> None:
    fused.compiled_steps.cache_clear()  # its warnings would be errors here
    assert fused.compiled_steps()[1]
    make_world(engine="fused", steps=5, model="cnn", norm="batch").trainer._engine.run(0, 5)


def test_without_torchscript_the_steps_run_as_plain_python(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_function: object) -> None:
        raise RuntimeError("retired")

    fused.compiled_steps.cache_clear()
    monkeypatch.setattr(torch.jit, "script", fail)
    try:
        trainer = make_world(engine="fused", steps=5, model="cnn", norm="batch").trainer
        assert trainer._engine.name == "fused (plain)"
        assert np.isfinite(trainer._engine.run(0, 5).losses).all()
    finally:
        fused.compiled_steps.cache_clear()


def test_memory_is_kept_where_the_library_can_and_nothing_breaks_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_library(_name: object) -> None:
        raise OSError("no such library")

    memory.keep_freed_memory.cache_clear()
    monkeypatch.setattr(memory.ctypes, "CDLL", no_library)
    assert memory.keep_freed_memory() is False
    memory.keep_freed_memory.cache_clear()
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _name: object())  # a library that is not glibc
    assert memory.keep_freed_memory() is False
    memory.keep_freed_memory.cache_clear()
