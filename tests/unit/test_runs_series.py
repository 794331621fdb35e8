from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import pytest

from cifar_tui.events import Evaluation, Event, Note, Progress, RunStarted
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.reader import read_events
from cifar_tui.runs.recorder import Recorder
from cifar_tui.runs.series import (
    Curve,
    SeriesBuilder,
    curves,
    decimate,
    training_plot_points,
)


def started(step: int) -> RunStarted:
    return RunStarted(
        run="a", step=step, target=9, steps_per_epoch=1, config={}, device={}, dataset={}, parameters=1
    )


def progress(step: int, loss: float | None) -> Progress:
    return Progress(
        step=step,
        target=9,
        epoch=0.0,
        loss=loss,
        loss_min=loss,
        loss_max=loss,
        moving_loss=loss,
        moving_accuracy=0.25,
        mean_loss=loss,
        mean_accuracy=0.5,
        learning_rate=0.1,
        steps_per_second=1.0,
        images_per_second=1.0,
        seconds=1.0,
    )


def evaluation(step: int, accuracy: float, split: str = "test", loss: float | None = 2.0) -> Evaluation:
    return Evaluation(
        step=step,
        epoch=0.0,
        split=split,
        examples=1,
        loss=loss,
        accuracy=accuracy,
        top5=1.0,
        confusion=[],
        seconds=0.1,
    )


def points(curve: Curve) -> list[tuple[int, float]]:
    return list(zip(curve.step.tolist(), curve.value.tolist(), strict=True))


def test_curves_hold_what_the_events_say() -> None:
    found = curves([started(0), progress(1, 3.0), Note(level="info", id="x", text="x"), evaluation(1, 0.5)])
    assert points(found["train-batch", "loss"]) == [(1, 3.0)]
    assert points(found["train-batch", "moving_loss"]) == [(1, 3.0)]
    assert points(found["train-batch", "moving_accuracy"]) == [(1, 0.25)]
    assert points(found["train-batch", "learning_rate"]) == [(1, 0.1)]
    assert points(found["test", "loss"]) == [(1, 2.0)]
    assert points(found["test", "accuracy"]) == [(1, 0.5)]
    assert points(found["test", "top5"]) == [(1, 1.0)]
    assert ("train", "loss") not in found
    assert found["test", "loss"].step.dtype == np.int64
    assert found["test", "loss"].value.dtype == np.float64
    assert curves([]) == {}


def test_fault_078_a_rewind_supersedes_later_points_and_the_newer_of_two_wins() -> None:
    events: list[Event] = [started(0)]
    events += [progress(step, float(step)) for step in range(1, 11)]
    events += [evaluation(5, 0.5), evaluation(10, 0.9), started(5), progress(5, 50.0), progress(7, 70.0)]
    events += [evaluation(5, 0.6)]
    found = curves(events)
    assert points(found["train-batch", "loss"]) == [
        (1, 1.0),
        (2, 2.0),
        (3, 3.0),
        (4, 4.0),
        (5, 50.0),
        (7, 70.0),
    ]
    assert points(found["test", "accuracy"]) == [(5, 0.6)]


def test_a_step_back_without_a_start_supersedes_too() -> None:
    found = curves([progress(1, 1.0), progress(90_000, 9.0), progress(2, 2.0), progress(3, 3.0)])
    assert points(found["train-batch", "loss"]) == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_an_unknown_value_is_a_gap_but_replaces_no_known_one() -> None:
    curve = curves([progress(1, 1.0), progress(1, None), progress(2, None), progress(3, 3.0)])[
        "train-batch", "loss"
    ]
    assert curve.step.tolist() == [1, 2, 3]
    assert curve.value[0] == 1.0
    assert math.isnan(curve.value[1])


def test_the_builder_gives_copies_that_later_events_do_not_change() -> None:
    builder = SeriesBuilder()
    assert len(builder.curve("test", "loss")) == 0
    for step in range(1000):
        builder.add(progress(step, float(step)))
    curve = builder.curve("train-batch", "loss")
    builder.add(started(10))
    builder.add(progress(11, -1.0))
    assert curve.value.tolist() == [float(step) for step in range(1000)]
    assert len(builder.curve("train-batch", "loss")) == 12


def test_adding_stays_fast_as_curves_grow() -> None:
    builder = SeriesBuilder()
    event = progress(0, 1.0)
    spent = []
    for part in range(3):
        start = time.perf_counter()
        for step in range(part * 5000, (part + 1) * 5000):
            object.__setattr__(event, "step", step)
            builder.add(event)
        spent.append(time.perf_counter() - start)
    assert len(builder.curve("train-batch", "loss")) == 15_000
    assert spent[2] < 5 * spent[0] + 0.1


def curve_of(values: list[float], first: int = 1) -> Curve:
    return Curve(np.arange(first, first + len(values)), np.array(values, np.float64))


@pytest.mark.parametrize("log_x", [False, True])
def test_decimation_keeps_at_most_two_points_a_column_and_every_extreme(log_x: bool) -> None:
    rng = np.random.default_rng(0)
    curve = Curve(np.cumsum(rng.integers(1, 9, 5000)), rng.normal(size=5000))
    thin = decimate(curve, 80, log_x)
    place = np.log(curve.step) if log_x else curve.step.astype(float)
    edges = np.linspace(place[0], place[-1], 81)

    def column(step: np.ndarray) -> np.ndarray:
        at = np.log(step) if log_x else step
        return np.clip(np.searchsorted(edges, at, side="right") - 1, 0, 79)

    counts = np.bincount(column(thin.step), minlength=80)
    assert counts.max() <= 2
    assert (np.diff(thin.step) > 0).all()
    known = dict(points(curve))
    assert all(known[step] == value for step, value in points(thin))
    assert thin.value.min() == curve.value.min()
    assert thin.value.max() == curve.value.max()
    inside = column(curve.step)
    for number in np.unique(inside)[1:-1]:
        mine = curve.value[inside == number]
        if not log_x:
            assert {mine.min(), mine.max()} == set(thin.value[column(thin.step) == number])


def test_decimation_shows_gaps_and_tolerates_every_odd_curve() -> None:
    gap = decimate(curve_of([1.0] * 100 + [math.nan] * 100 + [math.inf] * 100 + [2.0] * 100), 40)
    assert np.isnan(gap.value[(gap.step > 115) & (gap.step < 285)]).all()
    assert np.isnan(gap.value).any()
    assert np.isfinite(gap.value[gap.step < 90]).all()
    for values in ([], [1.0], [math.nan], [5.0] * 10, [math.nan] * 10, [-math.inf, math.inf]):
        for log_x in (False, True):
            for columns in (0, 1, 7):
                thin = decimate(curve_of(values, first=0), columns, log_x)
                assert len(thin) <= 2 * max(1, columns)
    assert decimate(curve_of([1.0, 2.0], first=0), 10, log_x=True).step.tolist() == [1]


def test_a_million_points_are_decimated_in_time() -> None:
    curve = curve_of(np.random.default_rng(0).normal(size=1_000_000).tolist())
    start = time.perf_counter()
    thin = decimate(curve, 120)
    assert time.perf_counter() - start < 1.0
    assert len(thin) == 240


def test_plot_points_are_those_of_the_notebook(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, {}, name="a", stem="a")
    with Recorder(run, progress_hz=1e9) as recorder:
        for event in [
            started(0),
            progress(1, 3.0),
            progress(2, None),
            evaluation(2, 0.5, "train"),
            evaluation(2, 0.25, "test", None),
        ]:
            recorder.append(event)
    found = training_plot_points(read_events(run.events_path).events)
    assert len(found) == 7
    assert found[0] == {
        "MetricName": "Train: batch loss",
        "Short": "loss",
        "MetricType": "loss",
        "Step": 1.0,
        "Value": 3.0,
    }
    assert {
        (point["MetricName"], point["Short"], point["MetricType"], point["Step"]) for point in found[1:]
    } == {
        ("Train: moving average loss", "~loss", "loss", 1.0),
        ("Train: moving average accuracy", "~acc", "accuracy", 1.0),
        ("Train: moving average accuracy", "~acc", "accuracy", 2.0),
        ("Mean Loss on Train", "#loss", "loss", 2.0),
        ("Mean Accuracy on Train", "#acc", "accuracy", 2.0),
        ("Mean Accuracy on Test", "#acc", "accuracy", 2.0),
    }
    assert type(found[0]["Step"]) is float
    assert training_plot_points([]) == []
