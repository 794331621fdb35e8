"""From a run's curves to a chart: what is drawn, how many points, and that no number breaks it."""

from __future__ import annotations

import dataclasses
import math
import time

import numpy as np
import pytest

from cifar_tui import charts
from cifar_tui.runs.series import Curve, SeriesBuilder
from cifar_tui.tui.live import LiveRun, Mark
from cifar_tui.tui.widgets.chart_data import Snapshot, Track, reference, snapshot
from cifar_tui.tui.widgets.chart_options import SMOOTHING, ChartOptions
from cifar_tui.tui.widgets.chart_plan import column_of, plan, step_of, value_at
from cifar_tui.tui.widgets.chart_view import draw
from tests.tui.runs_by_hand import evaluation, live_run, progress, started

STEP = ChartOptions(smoothing=0.0)


def curve(steps: object, values: object) -> Curve:
    return Curve(np.asarray(steps, np.int64), np.asarray(values, np.float64))


def text_of(cells: list[list[tuple[str, object]]]) -> str:
    return "\n".join("".join(sign for sign, _ in row) for row in cells)


def lines_of(live: LiveRun, kind: str = "loss", options: ChartOptions = STEP) -> dict[str, charts.Line]:
    found = plan(snapshot(live, kind, options), options, 78, 10)  # type: ignore[arg-type]
    return {line.label: line for line in found.spec.lines}


def test_a_loss_chart_has_the_raw_band_the_moving_average_and_the_evaluations() -> None:
    lines = lines_of(live_run())
    assert [(name, line.role) for name, line in lines.items()] == [
        ("batch", "batch"), ("train", "train"), ("test", "test"), ("notebook, with penalty", "ghost"),
    ]  # fmt: skip
    assert lines["test"].x.tolist() == [100, 200, 300, 400, 500]
    assert lines["train"].x[-1] == 500


def test_the_notebook_s_published_value_is_a_level_ghost_over_the_whole_axis() -> None:
    line = lines_of(live_run(), "accuracy")["notebook"]
    assert line.y.tolist() == [0.6707, 0.6707]
    assert line.x.tolist() == [5, 1000]
    assert reference({"model": "fnn", "dataset": "cifar10"}, "loss") == ("notebook", 1.447)
    assert reference({"model": "fnn", "dataset": "cifar100"}, "loss") is None
    assert reference({"model": "fnn", "dataset": "synthetic"}, "loss") is None


def test_a_batch_loss_with_an_unknown_penalty_is_not_drawn_beside_losses_without_one() -> None:
    lines = lines_of(live_run(l2_reg=0.01))
    assert "batch" not in lines
    assert lines["train"].y.tolist() == [1.3] * 5


def test_the_penalty_is_taken_off_the_batch_loss_where_it_is_recorded() -> None:
    live = LiveRun()
    live.add(started(l2_reg=0.01))
    for step in (100, 200, 300):
        live.add(progress(step, loss=4.0 - step / 100))
        live.add(evaluation(step, "train", penalty=2.0 - step / 200))
    assert lines_of(live)["train"].y == pytest.approx([1.5, 1.0, 0.5])


def test_at_most_two_points_a_column_and_the_newest_are_drawn() -> None:
    steps = np.arange(1, 200_001)
    noisy = curve(steps, np.sin(steps) + 2)
    for log_x in (False, True):
        options = dataclasses.replace(STEP, log_x=log_x)
        found = plan(Snapshot("loss", Track(noisy, noisy), target=200_000), options, 78, 10)
        for line in found.spec.lines:
            assert found.scale is not None
            columns = np.rint(found.scale.cells(line.x))
            assert len(line.x) <= 2 * 65 + 1
            assert np.unique(columns, return_counts=True)[1].max() <= 5  # edges may fall between columns
            assert line.y[-1] == noisy.value[-1]
            assert line.y.max() > 2.9
            assert line.y.min() < 1.1


def test_a_smoothed_curve_ends_in_the_recorded_value() -> None:
    live = live_run()
    known = live.series.curve("train-batch", "moving_loss")
    for level in SMOOTHING:
        line = lines_of(live, options=ChartOptions(smoothing=level))["train"]
        assert line.y[-1] == known.value[-1]
        assert line.x[-1] == known.step[-1]


def test_more_smoothing_makes_the_curve_calmer() -> None:
    noisy = curve(np.arange(1, 2001), np.random.default_rng(0).normal(1, 0.5, 2000))
    spread = []
    for level in SMOOTHING[1:]:
        found = plan(Snapshot("loss", Track(noisy, noisy)), ChartOptions(smoothing=level), 78, 10)
        spread.append(float(np.std(found.spec.lines[1].y[:-1])))
    assert spread == sorted(spread, reverse=True)
    assert ChartOptions(smoothing=0.0).smoother(False).smoothing == 0.0
    assert ChartOptions(smoothing=0.98).smoother(True).smoothing == 0.98


def test_the_x_axis_counts_steps_epochs_or_seconds() -> None:
    live = live_run()
    assert lines_of(live)["test"].x[-1] == 500
    assert lines_of(live, options=ChartOptions(x_axis="epoch"))["test"].x[-1] == 5.0
    assert lines_of(live, options=ChartOptions(x_axis="time"))["test"].x[-1] == pytest.approx(10.0)
    found = plan(snapshot(live, "loss", ChartOptions(x_axis="time")), ChartOptions(x_axis="time"), 78, 10)
    assert found.spec.x_label == "s"


def test_the_axis_reaches_to_the_target_so_that_the_rest_shows() -> None:
    found = plan(snapshot(live_run(), "loss", STEP), STEP, 78, 10)
    assert found.spec.x_end == 1000
    assert found.spec.lines[0].x[-1] == 500


@pytest.mark.parametrize("log_x", [False, True])
@pytest.mark.parametrize("x_axis", ["step", "epoch", "time"])
def test_a_column_s_step_lies_in_that_column(x_axis: str, log_x: bool) -> None:
    options = ChartOptions(x_axis=x_axis, log_x=log_x)
    found = plan(snapshot(live_run(), "loss", options), options, 78, 10)
    for column in (0, 1, 17, 40, 64):
        step = step_of(found, column)
        assert step is not None
        assert column_of(found, step) == column


def test_the_cursor_s_axis_is_the_drawn_one() -> None:
    found = plan(snapshot(live_run(1000), "loss", STEP), STEP, 78, 10)
    rows = text_of(draw(found)).split("\n")
    ticks = [place - 6 for place, sign in enumerate(rows[-2]) if sign == "┴"]
    assert found.scale is not None
    assert ticks == [column for column, _ in found.scale.ticks]


def test_the_nearest_point_is_the_exact_value() -> None:
    known = curve([10, 20, 40], [1.0, 2.0, 3.0])
    assert [value_at(known, step) for step in (0, 14, 16, 29, 31, 1e9, math.inf)] == [
        (10, 1.0), (10, 1.0), (20, 2.0), (20, 2.0), (40, 3.0), (40, 3.0), (40, 3.0),
    ]  # fmt: skip


def test_events_of_the_run_are_signs_on_the_axis() -> None:
    live = live_run()
    live.marks = [Mark(200, "checkpoint", "checkpoint 200"), Mark(300, "learning_rate", "to 0.001")]
    axis = text_of(draw(plan(snapshot(live, "loss", STEP), STEP, 78, 10))).split("\n")[-2]
    assert axis.count("▴") == 1
    assert axis.count("◇") == 1
    assert axis.index("▴") < axis.index("◇")


def test_the_best_evaluation_is_marked_with_its_value() -> None:
    text = text_of(draw(plan(snapshot(live_run(), "accuracy", STEP), STEP, 78, 12)))
    assert "◆" in text
    assert "best 65.0% at 500" in text


@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize("size", [(78, 12), (78, 3), (30, 1)])
def test_the_value_of_the_raw_band_does_not_jump_at_the_line_end(colour: bool, size: tuple[int, int]) -> None:
    live = live_run(1000, evaluations=False)
    live.add(progress(1001, loss=7.777, moving_loss=1.234))
    text = text_of(draw(plan(snapshot(live, "loss", STEP), STEP, *size, colour=colour)))
    assert "1.234" in text
    assert "7.777" not in text


BAD = [math.nan, math.inf, -math.inf, 1e308, -1e308, 0.0]


@pytest.mark.parametrize(
    "values", [[], [1.0], [2.5] * 9, [math.nan], [math.nan] * 9, [0.0] * 9, BAD, [1, 2, *BAD]]
)
@pytest.mark.parametrize("log_x", [False, True])
@pytest.mark.parametrize("size", [(78, 10), (20, 4), (19, 3), (8, 1), (1, 1), (2, 30), (200, 2)])
def test_fault_093_no_series_breaks_a_chart(values: list[float], log_x: bool, size: tuple[int, int]) -> None:
    known = curve(range(len(values)), values)
    for x_axis in ("step", "epoch", "time"):
        for smoothing in (0.0, 0.9):
            options = ChartOptions(log_x=log_x, x_axis=x_axis, smoothing=smoothing)
            track = Track(known, known, {"test": known}, known, 3.0, 2)
            for kind in ("loss", "accuracy", "rate", "learning_rate"):
                snap = Snapshot(kind, track, marks=[Mark(1, "best", "x")], best=("test", 1, 0.5), target=9)  # type: ignore[arg-type]
                cells = draw(plan(snap, options, *size))
                assert len(cells) == size[1]
                assert all(sum(len(sign) or 1 for sign, _ in row) >= size[0] for row in cells)


def test_fault_093_a_loss_that_is_not_finite_is_said_and_leaves_a_sign() -> None:
    live = live_run(evaluations=False)
    live.add(progress(600, loss=math.nan))
    found = plan(snapshot(live, "loss", STEP), STEP, 78, 10)
    assert found.bad == "! not finite from 600"
    assert "!" in text_of(draw(found)).split("\n")[-2]


def test_without_colour_the_legend_stays_with_the_lines_as_they_differ_by_sign() -> None:
    found = plan(snapshot(live_run(), "loss", STEP), STEP, 78, 10, colour=False)
    text = text_of(draw(found))
    assert len(text.split("\n")) == 10
    assert "train" in text.split("\n")[0]


def test_ascii_charts_hold_ascii_only() -> None:
    live = live_run()
    live.marks = [Mark(200, "checkpoint", "c"), Mark(300, "learning_rate", "l"), Mark(400, "diverged", "d")]
    assert text_of(draw(plan(snapshot(live, "loss", STEP), STEP, 78, 10, marker="ascii"))).isascii()


def million() -> SeriesBuilder:
    builder = SeriesBuilder()
    steps = np.arange(1, 1_000_001)
    noise = np.random.default_rng(0).normal(0, 0.1, steps.size)
    for metric, values in (("loss", 2.3 / np.sqrt(steps) + noise), ("moving_loss", 2.3 / np.sqrt(steps))):
        builder._append("train-batch", metric, 1, 0.0)
        known = builder._series["train-batch", metric]
        known._step, known._value, known.count = steps.copy(), values, steps.size
    return builder


@pytest.mark.benchmark
def test_fault_091_a_million_points_are_repainted_in_60_ms() -> None:
    live = live_run(5, evaluations=False)
    live.__dict__["series"] = million()
    live.target = live.step = 1_000_000
    options = ChartOptions()
    draw(plan(snapshot(live, "loss", options), options, 76, 10))  # loads plotext
    times = []
    for turn in range(9):
        options = ChartOptions(log_x=turn % 2 == 1)
        start = time.perf_counter()
        draw(plan(snapshot(live, "loss", options), options, 76, 10))
        times.append(time.perf_counter() - start)
    assert sorted(times)[4] <= 0.060, f"median {1000 * sorted(times)[4]:.0f} ms"


@pytest.mark.benchmark
@pytest.mark.slow
def test_fault_091_a_million_points_open_in_a_second(tmp_path: object) -> None:
    from pathlib import Path

    from cifar_tui import events
    from cifar_tui.fsio import dump_json
    from cifar_tui.runs.directory import RunDirectory

    assert isinstance(tmp_path, Path)
    run = RunDirectory.create(tmp_path, {"config": {}}, name="long", stem="x")
    with run.events_path.open("w") as file:
        file.write(dump_json(events.to_json(started(1_000_000))) + "\n")
        line = dump_json(events.to_json(progress(123_456, target=1_000_000)))
        before, after = line.split('"step": 123456')
        file.writelines(f'{before}"step": {step}{after}\n' for step in range(1, 1_000_001))
    times, yardstick = [], []
    for _ in range(3):
        start = time.process_time()  # other programs do not count
        sum(number * number for number in range(5_000_000))
        yardstick.append(time.process_time() - start)
        start = time.process_time()
        live = LiveRun.from_run(run, progress_limit=5000)
        draw(plan(snapshot(live, "loss", STEP), STEP, 76, 10))
        times.append(time.process_time() - start)
    assert live.step == 1_000_000
    allowed = max(1.0, 4.5 * min(yardstick))  # a processor may be slow: then as much work as in a second
    assert min(times) <= allowed, f"fastest of {[f'{seconds:.2f}' for seconds in times]} s, {yardstick}"


def test_the_penalty_falls_between_before_and_after_the_evaluations() -> None:
    live = LiveRun()
    live.add(started(l2_reg=0.01))
    for step in range(50, 500, 50):
        penalty = 8.0 * 0.5 ** (step / 100)
        live.add(progress(step, loss=1.0 + penalty, moving_loss=1.0 + penalty))
        if step in {100, 300}:
            live.add(evaluation(step, "train", penalty=penalty))
    assert lines_of(live)["batch"].y == pytest.approx([1.0] * 9)
