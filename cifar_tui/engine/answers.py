"""What a model said of each picture in full: the five most likely classes, kept while it is evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from cifar_tui.engine.evaluation import Predictions

MOST_LIKELY = 5


@dataclass(frozen=True, eq=False)
class Answers:
    """The most likely classes of each picture, in the order of the split; k is 5, or the number of classes.

    Attributes:
        labels: int64 (N,), true classes.
        classes: int64 (N, k), the most likely class first.
        shares: float32 (N, k), their probabilities; not finite where the model's outputs are not.
    """

    labels: NDArray[np.int64]
    classes: NDArray[np.int64]
    shares: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)


class Keeping(nn.Module):
    """A model that keeps the most likely classes of every picture it is asked about.

    Args:
        module: float32 (B, 3, 32, 32) to logits.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self._parts: list[tuple[NDArray[Any], NDArray[Any]]] = []

    def forward(self, images: Tensor) -> Tensor:
        """The logits of the model."""
        logits: Tensor = self.module(images)
        shares, classes = logits.float().softmax(1).topk(min(MOST_LIKELY, logits.shape[1]), dim=1)
        self._parts.append((classes.cpu().numpy(), shares.cpu().numpy()))
        return logits

    def take(self, predictions: Predictions) -> Answers:
        """What was kept since the last call, of the pictures that these predictions are about."""
        classes, shares = (np.concatenate(arrays) for arrays in zip(*self._parts, strict=True))
        self._parts.clear()
        # Equal probabilities may be ordered otherwise by `max` than by `topk`: the report's choice is first.
        rows = np.flatnonzero(classes[:, 0] != predictions.predicted)
        for row in rows.tolist():
            place = np.flatnonzero(classes[row] == predictions.predicted[row])
            if len(place):
                classes[row, [0, place[0]]] = classes[row, [place[0], 0]]
                shares[row, [0, place[0]]] = shares[row, [place[0], 0]]
            else:
                classes[row, 0] = predictions.predicted[row]
        return Answers(predictions.labels, classes, shares)
