"""Training is faster than the loop of a tutorial, on the same machine in the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch

from cifar_tui.datasets.split import Split
from cifar_tui.engine.control import Control
from cifar_tui.engine.device import select
from cifar_tui.engine.trainer import Trainer, TrainingData
from cifar_tui.recipe import resolve

from .plain import PlainLoop

WINDOWS = 7


def random_split(count: int) -> Split:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    names = tuple(f"class {index}" for index in range(10))
    return Split(name="train", images=images, labels=rng.integers(0, 10, count), names=names)


def rate(run: Callable[[int], object], steps: int) -> float:
    began = time.perf_counter()
    run(steps)
    return steps / (time.perf_counter() - began)


@pytest.mark.slow
@pytest.mark.benchmark
@pytest.mark.xdist_group("alone")
@pytest.mark.parametrize(("preset", "steps"), [("seed-fnn", 40), ("seed-cnn", 12)])
def test_training_beats_a_plain_loop_with_a_dataloader(
    preset: str, steps: int, record_property: Callable[[str, object], None]
) -> None:
    device = select("cpu")
    config = resolve(preset=preset).config
    split = random_split(5000)
    data = TrainingData(split, split.take(100), None, split.names, "")
    trainer = Trainer(config, data, device, emit=lambda _event: None, control=Control())
    plain = PlainLoop(config, split)
    position = [0]

    def ours(count: int) -> None:
        trainer._engine.run(position[0], count)
        position[0] += count

    for run in (ours, plain.run):
        run(3)
    pairs = [(rate(ours, steps), rate(plain.run, steps)) for _ in range(WINDOWS)]
    mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    threads = torch.get_num_threads()
    print(f"\n{preset}: {mine:.1f} steps/s, plain loop {theirs:.1f}, ratio {ratio:.2f}, {threads} threads")
    record_property("ratio", round(ratio, 2))
    assert ratio > 1.0
