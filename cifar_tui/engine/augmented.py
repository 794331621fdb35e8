"""Augmentation on the device: the pictures of some steps, changed in one gather before the steps run."""

from __future__ import annotations

import torch
from torch import Tensor

from cifar_tui.config import RunConfig
from cifar_tui.datasets import augment
from cifar_tui.datasets.augment import SIDE, Augment


class Augmentation:
    """Changes the pictures of a run; the same for every engine and any number of steps at a time.

    Args:
        settings: what is done.
        seed: of the run.
    """

    def __init__(self, settings: Augment, seed: int) -> None:
        self._settings, self._seed = settings, seed

    @classmethod
    def of(cls, config: RunConfig) -> Augmentation | None:
        """That of a config; None where it leaves the pictures as they are."""
        settings = Augment.of(config)
        return cls(settings, config.seed) if settings is not None else None

    def pictures(self, images: Tensor, rows: Tensor, first: int) -> Tensor:
        """Pictures as the steps from `first` on see them, uint8 (steps * B, 32, 32, 3).

        Args:
            images: uint8 (N, 32, 32, 3) on the device.
            rows: int64 (steps, B) on the device, pictures of each step.
            first: number of the first of these steps.
        """
        drawn = augment.draw(self._settings, self._seed, first, *rows.shape)
        y, x = (torch.from_numpy(part).to(images.device) for part in augment.origins(drawn))
        places = rows.reshape(-1, 1, 1) * (SIDE * SIDE) + y[:, :, None] * SIDE + x[:, None]
        found = images.reshape(-1, 3).index_select(0, places.flatten()).view(-1, SIDE, SIDE, 3)
        if self._settings.cutout:
            holes = torch.from_numpy(augment.holes(self._settings, drawn)).to(images.device)
            found.masked_fill_(holes[..., None], augment.GREY)
        return found
