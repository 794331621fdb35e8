"""A split that lives on the device as uint8, and the order in which its pictures are taken."""

from __future__ import annotations

import torch
from torch import Tensor

from cifar_tui.datasets.split import Split, epoch_order


class DeviceSplit:
    """Pictures and labels on a device.

    Attributes:
        images: uint8 (N, 32, 32, 3).
        labels: int64 (N,).
    """

    def __init__(self, split: Split, device: torch.device) -> None:
        self.name = split.name
        self.images = torch.from_numpy(
            split.images.copy() if not split.images.flags.writeable else split.images
        ).to(device)
        self.labels = torch.from_numpy(
            split.labels.copy() if not split.labels.flags.writeable else split.labels
        ).to(device)

    def __len__(self) -> int:
        return int(self.labels.shape[0])

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures as float32 (B, 3, 32, 32) in [0, 1], channels-last in memory, and labels (B,).

        Args:
            indices: int64 (B,) on the device.
        """
        return as_float(self.images.index_select(0, indices)), self.labels.index_select(0, indices)

    def slice(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Like `take`, for the pictures from `start` to `stop`."""
        return as_float(self.images[start:stop]), self.labels[start:stop]


def as_float(images: Tensor) -> Tensor:
    """uint8 (B, H, W, 3) to float32 (B, 3, H, W) in [0, 1]; the view is channels-last in memory."""
    return images.to(torch.float32).mul_(1.0 / 255.0).permute(0, 3, 1, 2)


class TrainingOrder:
    """Which pictures each step takes: a function of (seed, step) and nothing else.

    An epoch is one shuffle of all pictures cut into full batches; what remains after the last full batch is
    left out of that epoch, as the notebook's `BatchSize(n, dropIncomplete)` did.
    """

    def __init__(self, count: int, batch_size: int, seed: int, device: torch.device) -> None:
        self._count = count
        self._batch_size = batch_size
        self._seed = seed
        self._device = device
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)
        self.steps_per_epoch = count // batch_size

    def indices(self, step: int) -> Tensor:
        """int64 (batch_size,) on the device: the pictures of step `step` (0 is the first)."""
        return self.rows(step, 1)[0]

    def rows(self, step: int, count: int) -> Tensor:
        """int64 (n, batch_size): the pictures of `step` and those after it, `count` at most, in one epoch."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            order = torch.from_numpy(epoch_order(self._count, self._seed, epoch))
            self._order, self._epoch = order.to(self._device), epoch
        stop = min(position + count, self.steps_per_epoch)
        return self._order[position * self._batch_size : stop * self._batch_size].view(-1, self._batch_size)
