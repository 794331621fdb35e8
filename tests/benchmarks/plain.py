"""The loop of a PyTorch tutorial: Dataset, DataLoader, eager model, default AdamW, a loss read every step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from cifar_tui import catalog
from cifar_tui.config import RunConfig
from cifar_tui.datasets.split import Split


class Pictures(Dataset[tuple[Tensor, int]]):
    """One picture at a time: uint8 HWC to float CHW in [0, 1]."""

    def __init__(self, split: Split) -> None:
        self.images = split.images
        self.labels = split.labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = torch.from_numpy(self.images[index].copy()).permute(2, 0, 1).contiguous()
        return picture.float().div(255), int(self.labels[index])


class PlainLoop:
    """Trains the model of a config, step by step."""

    def __init__(self, config: RunConfig, split: Split) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.module: nn.Module = catalog.get("models", config.model).build(config, len(split.names))
        self.optimizer = torch.optim.AdamW(
            self.module.parameters(), lr=config.learning_rate, weight_decay=0.004, eps=1e-7
        )
        self.loader = DataLoader(Pictures(split), config.batch_size, shuffle=True, drop_last=True)
        self._batches = self._forever()

    def _forever(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from self.loader

    def run(self, steps: int) -> float:
        """Train so many steps; returns the mean loss."""
        losses = []
        for _ in range(steps):
            images, labels = next(self._batches)
            logits = self.module(images)
            loss = functional.cross_entropy(logits, labels)
            if self.config.l2_reg:
                loss = loss + self.config.l2_reg * sum(
                    (w**2).sum() for w in self.module.parameters() if w.dim() > 1
                )
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
        return float(np.mean(losses))
