"""Going back to the last finite weights, and seeing that there are no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import nn

from cifar_tui.engine.rewind import Rewind

from .conftest import World

MakeWorld = Callable[..., World]


class Counting:
    """Adds one to every weight at each step, until a step from which on nothing is a number."""

    def __init__(self, bad_from: int) -> None:
        self.module = nn.Linear(2, 2)
        self.bad_from = bad_from
        self.steps_run = 0
        with torch.no_grad():
            for weight in self.module.parameters():
                weight.zero_()

    def run(self, first: int, count: int) -> None:
        self.steps_run += count
        with torch.no_grad():
            for weight in self.module.parameters():
                weight.add_(count if first + count <= self.bad_from else float("nan"))

    def dump(self) -> Callable[[], dict[str, bytes]]:
        copy: Any = [weight.detach().clone() for weight in self.module.parameters()]
        return lambda: copy

    def load(self, files: Mapping[str, bytes], _where: str) -> None:
        with torch.no_grad():
            for weight, kept in zip(self.module.parameters(), files, strict=True):
                weight.copy_(kept)  # type: ignore[arg-type]

    def rewind(self) -> Rewind:
        return Rewind(self.module, self, self.dump, self.load, clock=lambda: 1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("good", [0, 1, 2, 499, 500, 999, 1000])
def test_the_last_finite_step_is_found_without_taking_each_step_alone(good: int) -> None:
    counting = Counting(good)
    rewind = counting.rewind()
    rewind.remember(0)
    counting.run(0, 1000)
    counting.steps_run = 0
    assert rewind.back_to(1000) == good
    assert all(bool((weight == good).all()) for weight in counting.module.parameters())
    assert counting.steps_run <= 3000


@pytest.mark.parametrize("engine", ["eager", "fused", "native"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_one_weight_that_is_no_number_is_seen_wherever_weights_lie(
    make_world: MakeWorld, engine: str, value: float
) -> None:
    trainer = make_world(engine=engine, steps=20).trainer
    trainer._engine.run(0, 2)
    assert trainer._rewind.is_finite()
    for weight in trainer.module.parameters():
        place = tuple(size - 1 for size in weight.shape)
        with torch.no_grad():
            kept = weight[place].clone()
            weight[place] = value
            assert not trainer._rewind.is_finite()
            weight[place] = kept
    assert trainer._rewind.is_finite()
