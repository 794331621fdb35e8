"""What the engines share that run many steps in one call, on pictures that lie in the memory of the CPU."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from cifar_tui.engine.augmented import Augmentation
from cifar_tui.engine.batches import TrainingOrder
from cifar_tui.engine.step import ChunkResult

# number of the first step, int64 (steps, B) pictures of each, and where losses and hits (steps,) go
Call = Callable[[int, Tensor, Tensor, Tensor], None]


def run_by_epoch(order: TrainingOrder, batch_size: int, first: int, count: int, call: Call) -> ChunkResult:
    """Run `count` steps in calls that do not cross an epoch."""
    losses = torch.empty(count)
    correct = torch.empty(count, dtype=torch.int64)
    durations = np.empty(count)
    done = 0
    while done < count:
        rows = order.rows(first + done, count - done)
        part = slice(done, done + len(rows))
        began = time.perf_counter()
        call(first + done, rows, losses[part], correct[part])
        durations[part] = (time.perf_counter() - began) / len(rows)
        done += len(rows)
    return ChunkResult(losses.numpy().astype(np.float64), correct.numpy() / batch_size, durations)


def pictures_of(
    augmentation: Augmentation | None, images: Tensor, labels: Tensor, rows: Tensor, first: int
) -> tuple[Tensor, Tensor, Tensor]:
    """What steps are trained on: pictures, labels, and which of them each step takes.

    Args:
        augmentation: what is done to pictures; None for nothing, then all are given back as they are.
        images: uint8 (N, height, width, channels).
        labels: int64 (N,).
        rows: int64 (steps, B).
        first: number of the first step.
    """
    if augmentation is None:
        return images, labels, rows
    chosen = labels.index_select(0, rows.flatten())
    return augmentation.pictures(images, rows, first), chosen, torch.arange(rows.numel()).view_as(rows)
