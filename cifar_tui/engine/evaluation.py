"""Predictions of a model on a split, and the report made of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from cifar_tui.engine.batches import DeviceSplit, as_float
from cifar_tui.engine.folding import folded

CALIBRATION_BINS = 15
TOP_MISTAKES = 100
# Pictures that convolutions take at a time on a CPU: 10,000 pictures of `cnn` took 0.57 s by 100 and 1.8 s by
# 2000, whose activations no cache holds.
CPU_IMAGES = 100


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model said of each picture, in the order of the split.

    Attributes:
        labels: int64 (N,), true classes.
        predicted: int64 (N,), the most likely class.
        confidence: float32 (N,), its probability.
        losses: float32 (N,), cross-entropy in nats.
        in_top5: bool (N,), whether the true class is among the five most likely.
        classes: number of classes.
    """

    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float32]
    losses: NDArray[np.float32]
    in_top5: NDArray[np.bool_]
    classes: int

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats."""
        return float(self.losses.mean(dtype=np.float64))

    @property
    def accuracy(self) -> float:
        """Share of pictures whose most likely class is the true one."""
        return float((self.predicted == self.labels).mean())

    @property
    def top5(self) -> float:
        """Share of pictures whose true class is among the five most likely."""
        return float(self.in_top5.mean())

    def confusion(self) -> NDArray[np.int64]:
        """Counts (classes, classes), true class by row, predicted class by column."""
        flat = np.bincount(self.labels * self.classes + self.predicted, minlength=self.classes**2)
        return flat.reshape(self.classes, self.classes).astype(np.int64)


class Scores(NamedTuple):
    """What a model says of a batch; tensors (B,) on its device, see `Predictions`."""

    predicted: Tensor
    confidence: Tensor
    losses: Tensor
    in_top5: Tensor
    classes: int


# module, uint8 pictures (B, 32, 32, 3), labels (B,) -> scores
Judge = Callable[[nn.Module, Tensor, Tensor], Scores]


def scores(module: nn.Module, images: Tensor, labels: Tensor) -> Scores:
    """Scores of a batch of pictures, uint8 (B, 32, 32, 3), by a module in evaluation mode."""
    logits = _logits(module, images)
    classes = logits.shape[1]
    confidence, predicted = logits.softmax(1).max(1)
    in_top5 = (logits.topk(min(5, classes), dim=1).indices == labels[:, None]).any(1)
    losses = functional.cross_entropy(logits, labels, reduction="none")
    return Scores(predicted, confidence, losses, in_top5, classes)


def _logits(module: nn.Module, images: Tensor) -> Tensor:
    if images.device.type == "cpu" and any(isinstance(layer, nn.Conv2d) for layer in module.modules()):
        starts = range(0, len(images), CPU_IMAGES)
        return torch.cat([module(as_float(images[start : start + CPU_IMAGES])).float() for start in starts])
    return module(as_float(images)).float()  # type: ignore[no-any-return]


def predict(
    module: nn.Module,
    split: DeviceSplit,
    batch_size: int,
    *,
    limit: int | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    judge: Judge | None = None,
) -> Predictions | None:
    """Run a model over a split, or its first `limit` pictures, in evaluation mode.

    Args:
        module: float32 (B, 3, 32, 32) to logits.
        split: pictures on the module's device.
        batch_size: pictures at a time; the last batch may be smaller.
        limit: at most this many pictures.
        cancelled: asked before each batch.
        progress: told pictures done and pictures in all.
        judge: gives the scores of a batch; None for `scores`.

    Returns:
        The predictions, or None when it was cancelled.
    """
    count = len(split) if limit is None else min(limit, len(split))
    parts: list[tuple[NDArray[Any], ...]] = []
    classes = 0
    judge = judge or scores
    was_training = module.training
    module.eval()
    try:
        # a GPU is kept busy by captured graphs, which hold the modules as they are
        lend = folded(module) if split.images.device.type == "cpu" else nullcontext()
        with torch.inference_mode(), lend:
            for start in range(0, count, batch_size):
                if cancelled():
                    return None
                part = slice(start, min(start + batch_size, count))
                labels = split.labels[part]
                found = judge(module, split.images[part], labels)
                classes = found.classes
                tensors = (labels, found.predicted, found.confidence, found.losses, found.in_top5)
                parts.append(tuple(t.cpu().numpy() for t in tensors))
                progress(min(start + batch_size, count), count)
    finally:
        module.train(was_training)
    labels_, predicted_, confidence_, losses_, top5_ = (
        np.concatenate(arrays) for arrays in zip(*parts, strict=True)
    )
    return Predictions(labels_, predicted_, confidence_, losses_, top5_, classes)


def report(predictions: Predictions, names: tuple[str, ...], penalty: float = 0.0) -> dict[str, Any]:
    """Everything a report shows of one split, as JSON values.

    Keys: `examples`; `loss` (nats, without penalty) and `loss_with_penalty`; `accuracy`; `top5`; `confusion`
    (counts by true and predicted class); `classes` (for each its name, support, precision, recall, f1, and
    the class it is most often taken for); `calibration` (`ece`, the expected calibration error, and `bins`
    with count, confidence and accuracy); `mistakes` (the most confident ones: index, label, predicted,
    confidence); `most_confused` (pairs with counts).

    Calibration is that of Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599, with
    15 bins of equal width.
    """
    confusion = predictions.confusion()
    return {
        "examples": len(predictions.labels),
        "loss": _number(predictions.loss),
        "loss_with_penalty": _number(predictions.loss + penalty),
        "accuracy": predictions.accuracy,
        "top5": predictions.top5,
        "confusion": confusion.tolist(),
        "classes": _per_class(confusion, names),
        "calibration": _calibration(predictions),
        "mistakes": _mistakes(predictions),
        "most_confused": _most_confused(confusion, names),
    }


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _per_class(confusion: NDArray[np.int64], names: tuple[str, ...]) -> list[dict[str, Any]]:
    rows = []
    for index, name in enumerate(names):
        hits, support, claimed = (
            int(n) for n in (confusion[index, index], confusion[index].sum(), confusion[:, index].sum())
        )
        precision = hits / claimed if claimed else 0.0
        recall = hits / support if support else 0.0
        others = confusion[index].copy()
        others[index] = 0
        rows.append(
            {
                "name": name,
                "support": support,
                "precision": precision,
                "recall": recall,
                "f1": 2 * precision * recall / (precision + recall) if hits else 0.0,
                "taken_for": names[int(others.argmax())] if others.any() else None,
            }
        )
    return rows


def _calibration(predictions: Predictions) -> dict[str, Any]:
    confidence = np.nan_to_num(predictions.confidence.astype(np.float64))
    correct = predictions.predicted == predictions.labels
    which = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    bins, error = [], 0.0
    for index in range(CALIBRATION_BINS):
        inside = which == index
        count = int(inside.sum())
        mean_confidence = float(confidence[inside].mean()) if count else None
        accuracy = float(correct[inside].mean()) if count else None
        if mean_confidence is not None and accuracy is not None:
            error += count / len(confidence) * abs(accuracy - mean_confidence)
        bins.append(
            {
                "from": index / CALIBRATION_BINS,
                "to": (index + 1) / CALIBRATION_BINS,
                "count": count,
                "confidence": _number(mean_confidence) if mean_confidence is not None else None,
                "accuracy": accuracy,
            }
        )
    return {"ece": _number(error), "bins": bins}


def _mistakes(predictions: Predictions) -> list[dict[str, Any]]:
    wrong = np.flatnonzero(predictions.predicted != predictions.labels)
    order = wrong[np.argsort(-predictions.confidence[wrong], kind="stable")][:TOP_MISTAKES]
    return [
        {
            "index": int(i),
            "label": int(predictions.labels[i]),
            "predicted": int(predictions.predicted[i]),
            "confidence": _number(float(predictions.confidence[i])),
        }
        for i in order
    ]


def _most_confused(confusion: NDArray[np.int64], names: tuple[str, ...]) -> list[dict[str, Any]]:
    others = confusion.copy()
    np.fill_diagonal(others, 0)
    order = np.argsort(-others, axis=None, kind="stable")[:10]
    pairs = [divmod(int(flat), len(names)) for flat in order]
    return [
        {"label": names[true], "predicted": names[guess], "count": int(others[true, guess])}
        for true, guess in pairs
        if others[true, guess]
    ]
