"""A report's numbers are what they are called."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cifar_tui.engine.batches import DeviceSplit
from cifar_tui.engine.evaluation import Predictions, predict, report

from .conftest import make_split

NAMES = ("cat", "dog", "frog")


class Fixed(torch.nn.Module):
    """Gives picture i the i-th row of a table; knows the picture by its first pixel."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits[(images[:, 0, 0, 0] * 255).round().long()]


def numbered(count: int) -> DeviceSplit:
    split = make_split("test", count, 0)
    images = split.images.copy()
    images[:, 0, 0, 0] = np.arange(count)
    return DeviceSplit(replace(split, images=images), torch.device("cpu"))


@pytest.mark.parametrize("batch_size", [1, 7, 60, 1000])
def test_predictions_do_not_depend_on_the_batch_size(batch_size: int) -> None:
    logits = torch.randn(60, 10, generator=torch.Generator().manual_seed(0))
    split = numbered(60)
    found = predict(Fixed(logits), split, batch_size)
    assert found is not None
    labels = split.labels
    assert found.predicted.tolist() == logits.argmax(1).tolist()
    assert found.loss == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)), rel=1e-5)
    top5 = [int(label) in row.topk(5).indices.tolist() for label, row in zip(labels, logits, strict=True)]
    assert found.in_top5.tolist() == top5
    assert found.accuracy == (logits.argmax(1) == labels).double().mean().item()


def test_a_limit_takes_the_first_pictures() -> None:
    logits = torch.randn(60, 10, generator=torch.Generator().manual_seed(0))
    found = predict(Fixed(logits), numbered(60), 7, limit=20)
    assert found is not None
    assert found.predicted.tolist() == logits[:20].argmax(1).tolist()


def test_it_can_be_cancelled_and_leaves_the_mode_alone() -> None:
    module = Fixed(torch.zeros(60, 10)).train()
    asked: list[int] = []
    assert predict(module, numbered(60), 7, cancelled=lambda: bool(asked.append(1)) or len(asked) > 2) is None
    assert module.training


def example() -> Predictions:
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 2])
    predicted = np.array([0, 0, 1, 2, 1, 1, 0, 1])
    confidence = np.array([0.9, 0.8, 0.99, 0.5, 0.7, 0.6, 0.4, 0.95], dtype=np.float32)
    return Predictions(labels, predicted, confidence, np.ones(8, np.float32), np.ones(8, bool), 3)


def test_the_confusion_matrix_counts_true_by_row() -> None:
    assert example().confusion().tolist() == [[2, 1, 1], [1, 2, 0], [0, 1, 0]]


def test_precision_recall_and_f1_of_each_class() -> None:
    rows = report(example(), NAMES)["classes"]
    cat, dog, frog = rows
    assert (cat["support"], cat["precision"], cat["recall"]) == (4, pytest.approx(2 / 3), 0.5)
    assert cat["f1"] == pytest.approx(2 * (2 / 3) * 0.5 / (2 / 3 + 0.5))
    assert (dog["precision"], dog["recall"], dog["taken_for"]) == (0.5, pytest.approx(2 / 3), "cat")
    assert (frog["precision"], frog["recall"], frog["f1"], frog["taken_for"]) == (0.0, 0.0, 0.0, "dog")


def test_the_most_confident_mistakes_come_first() -> None:
    mistakes = report(example(), NAMES)["mistakes"]
    assert [m["index"] for m in mistakes] == [2, 7, 3, 6]
    assert mistakes[0] == {"index": 2, "label": 0, "predicted": 1, "confidence": pytest.approx(0.99)}


def test_the_most_confused_pairs_have_counts() -> None:
    pairs = report(example(), NAMES)["most_confused"]
    assert {(p["label"], p["predicted"], p["count"]) for p in pairs} == {
        ("cat", "dog", 1),
        ("cat", "frog", 1),
        ("dog", "cat", 1),
        ("frog", "dog", 1),
    }


def test_a_model_as_sure_as_it_is_right_has_no_calibration_error() -> None:
    count = 1000
    confidence = np.full(count, 0.75, np.float32)
    predicted = np.where(np.arange(count) % 4 == 0, 1, 0)
    sure = Predictions(
        np.zeros(count, np.int64), predicted, confidence, np.ones(count, np.float32), np.ones(count, bool), 3
    )
    calibration = report(sure, NAMES)["calibration"]
    assert calibration["ece"] == pytest.approx(0.0)
    assert sum(b["count"] for b in calibration["bins"]) == count


def test_an_overconfident_model_has_the_gap_as_calibration_error() -> None:
    confidence = np.full(10, 1.0, np.float32)
    wrong = Predictions(
        np.zeros(10, np.int64),
        np.ones(10, np.int64),
        confidence,
        np.ones(10, np.float32),
        np.ones(10, bool),
        3,
    )
    assert report(wrong, NAMES)["calibration"]["ece"] == pytest.approx(1.0)


def test_the_loss_with_penalty_is_the_notebooks_mean_loss() -> None:
    values = report(example(), NAMES, penalty=0.25)
    assert values["loss"] == pytest.approx(1.0)
    assert values["loss_with_penalty"] == pytest.approx(1.25)


def test_a_loss_that_is_not_finite_is_null() -> None:
    import json

    broken = Predictions(
        np.zeros(2, np.int64),
        np.zeros(2, np.int64),
        np.array([np.nan, 1.0], np.float32),
        np.array([np.inf, 1.0], np.float32),
        np.ones(2, bool),
        3,
    )
    values = report(broken, NAMES)
    assert values["loss"] is None
    json.dumps(values, allow_nan=False)
