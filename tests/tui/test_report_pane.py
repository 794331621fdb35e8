"""The report pane: the numbers in its cells while a run trains and after its end, at each size."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

from cifar_tui import events
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.report import write_report
from cifar_tui.tui import theme
from cifar_tui.tui.live import LiveRun
from cifar_tui.tui.messages import CopyRequested
from cifar_tui.tui.widgets.report_numbers import Counts, milliseconds, report_of
from cifar_tui.tui.widgets.report_pane import ReportPane
from tests.tui.runs_by_hand import CONFIG, Panes, confusion, ended, evaluation, live_run, progress, started

WIDE, SMALL, TALL = (79, 12), (78, 18), (62, 47)


def rows_of(app: Panes) -> list[str]:
    return [line.strip("│╭╮╰╯─ ") for line in app.text.split("\n")]


def finished() -> LiveRun:
    live = live_run(1000)
    live.add(evaluation(1000, "train", loss=1.291, accuracy=0.789, top5=0.988, final=True))
    live.add(evaluation(1000, loss=1.512, accuracy=0.7, top5=0.974, final=True))
    live.add(ended())
    return live


async def test_an_empty_report_says_the_next_key(tmp_path: Path) -> None:
    app = Panes([ReportPane()], tmp_path)
    async with app.run_test(size=WIDE):
        app.tell(LiveRun())
        await app.until(lambda: "No numbers yet" in app.text)
        assert "space starts the recipe" in app.text


async def test_a_run_in_training_shows_moving_and_mean_numbers_rates_and_evaluations(tmp_path: Path) -> None:
    app = Panes([ReportPane()], tmp_path)
    async with app.run_test(size=WIDE):
        app.tell(live_run())
        await app.until(lambda: "Report   test after step 500" in app.text and "~train" in app.text)
        rows = [" ".join(row.split()) for row in rows_of(app)]
        assert any(row.startswith("loss accuracy top-5") for row in rows)
        assert any(row.startswith("~train 1.103 42.5%") for row in rows)
        assert any(row.startswith("mean 1.103 40.0%") for row in rows)
        assert any(row.startswith("train 1.300 70.0% 97.0%") for row in rows)
        assert any(row.startswith("test 1.500 65.0% 97.0%") for row in rows)
        text = " ".join(app.text.split())
        for wanted in (
            "lr 1e-4",
            "steps/s 50.0",
            "images/s 2,500",
            "elapsed 0:10",
            "ETA 0:10",
            "epoch 5.0",
        ):
            assert wanted in text
        assert "truck 61.0%" in text  # the worst class
        assert "truck → plane 39" in text


async def test_a_finished_run_shows_splits_best_times_and_the_map(tmp_path: Path) -> None:
    app = Panes([ReportPane()], tmp_path)
    async with app.run_test(size=WIDE):
        app.tell(finished())
        await app.until(lambda: "test after step 1,000" in app.text and "truck 9" in app.text)
        text = " ".join(app.text.split())
        assert "train 1.291 78.9% 98.8%" in text
        assert "test 1.512 70.0% 97.4%" in text
        assert "at 1,000" in text
        assert "time 0:20 median step 14.2 ms" in text
        assert "p95 62.1 ms" in text
        assert "~train" not in text
        for name in ("plane 0", "auto 1", "truck 9"):
            assert name in app.text
        greens = 0
        for strip in app.screen._compositor.render_strips():
            for part in strip:
                if part.text == "  " and part.style is not None and part.style.bgcolor is not None:
                    red, green, _ = part.style.bgcolor.triplet  # type: ignore[misc]
                    greens += green > red + 20
        assert greens == 10  # the diagonal


@pytest.mark.parametrize(
    "size", [WIDE, SMALL, TALL, (76, 6), (40, 10), (30, 5), (12, 4), (4, 3), (1, 1), (200, 60)]
)
@pytest.mark.parametrize("name", [theme.DARK, theme.LIGHT_BLIND])
async def test_no_line_is_longer_than_the_pane(tmp_path: Path, size: tuple[int, int], name: str) -> None:
    for live in (finished(), live_run(), live_run(evaluations=False)):
        pane = ReportPane()
        app = Panes([pane], tmp_path, name)
        async with app.run_test(size=size) as pilot:
            app.tell(live)
            await pilot.pause()
            width, height = pane.content_size
            if width >= 2 and height:
                lines = str(pane.query_one("Static").render()).split("\n")
                assert len(lines) <= height
                assert max(len(line) for line in lines) <= width


async def test_a_tall_report_has_all_classes_and_the_counts(tmp_path: Path) -> None:
    app = Panes([ReportPane()], tmp_path)
    async with app.run_test(size=TALL):
        app.tell(finished())
        await app.until(lambda: "Confusion" in app.text)
        text = " ".join(app.text.split())
        assert all(f"{name} " in text for name in ("plane", "auto", "bird", "cat", "deer", "dog", "frog"))
        assert "plane 0 70 30 0 0" in text
        assert "truck 9 39 0 0 0 0 0 0 0 0 61" in text


async def test_numbers_keep_their_columns_while_a_run_trains(tmp_path: Path) -> None:
    pane = ReportPane()
    app = Panes([pane], tmp_path)
    places = set()
    async with app.run_test(size=WIDE) as pilot:
        live = live_run()
        for step, loss, rate in (
            (505, 9.9, 9.5),
            (510, 123.4, 950.0),
            (515, 0.01, 33.8),
            (999, 1.0, 12_345.6),
        ):
            live.add(progress(step, loss=loss, steps_per_second=rate, seconds_left=step * 30.0))
            pane._painted_at = -math.inf
            app.tell(live)
            await pilot.pause()
            lines = str(pane.query_one("Static").render()).split("\n")
            text = "\n".join(lines)
            places.add(
                tuple(
                    text.index(word) - text.rindex("\n", 0, text.index(word))
                    for word in ("ETA", "images/s", "epoch", "Worst")
                )
            )
            assert lines[1].startswith("~train") and lines[1][16] != " " and lines[1][17] == " "
    assert len(places) == 1


async def test_a_report_is_painted_at_most_once_a_second_but_an_evaluation_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pane = ReportPane()
    app = Panes([pane], tmp_path)
    async with app.run_test(size=WIDE) as pilot:
        live = live_run()
        app.tell(live)
        await pilot.pause()
        painted: list[Any] = []
        static = pane.query_one("Static")
        update = static.update  # type: ignore[attr-defined]
        monkeypatch.setattr(
            static, "update", lambda text, layout: (painted.append(text), update(text, layout=layout))
        )
        for tick in range(14):
            live.add(progress(505 + tick))
            app.tell(live, frozenset({"progress"}))
            await asyncio.sleep(0.1)
        assert 1 <= len(painted) <= 2
        before = len(painted)
        live.add(evaluation(600, accuracy=0.9))
        app.tell(live, frozenset({"evaluation"}))
        assert len(painted) == before + 1
        app.tell(live, frozenset({"status"}))
        await asyncio.sleep(1.2)
        assert len(painted) == before + 1  # nothing changed


async def test_the_calibration_error_comes_from_the_report_file_of_that_step(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, {"config": CONFIG}, name="cnn-a", stem="x")
    splits = {"test": {"examples": 10, "accuracy": 0.7, "calibration": {"ece": 0.0412}}}
    for step, seen in ((999, False), (1000, True)):
        write_report(run, {"run": "cnn-a", "step": step, "dataset": {}, "splits": splits})
        app = Panes([ReportPane()], tmp_path)
        async with app.run_test(size=WIDE) as pilot:
            app.tell(finished())
            if seen:
                await app.until(lambda app=app: "calibration error 0.041" in app.text)
            else:
                await pilot.pause(0.3)
                assert "calibration" not in app.text


async def test_a_damaged_report_file_is_left_out(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, {"config": CONFIG}, name="cnn-a", stem="x")
    run.report_path.write_text('{"step": 1000, "splits": [1')
    app = Panes([ReportPane()], tmp_path)
    async with app.run_test(size=WIDE) as pilot:
        app.tell(finished())
        await pilot.pause(0.3)
        assert "70.0%" in app.text


async def test_a_hundred_classes_are_summed_up(tmp_path: Path) -> None:
    live = LiveRun()
    begin = started()
    live.add(dataclasses.replace(begin, dataset={"names": [f"class_{n}" for n in range(100)]}))
    live.add(evaluation(100, confusion=confusion(100, 99)))
    for size in (SMALL, TALL):
        app = Panes([ReportPane()], tmp_path)
        async with app.run_test(size=size):
            app.tell(live)
            await app.until(lambda app=app: "class_99" in app.text)
            if size == TALL:
                await app.until(lambda app=app: "100 classes, median recall" in app.text)
                assert "80-100%" in app.text


async def test_without_colour_the_map_holds_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = Panes([ReportPane()], tmp_path)
    async with app.run_test(size=WIDE):
        app.tell(finished())
        await app.until(lambda: "plane 0  7 3 . ." in app.text)


async def test_y_copies_the_table(tmp_path: Path) -> None:
    app = Panes([ReportPane()], tmp_path)
    async with app.run_test(size=WIDE) as pilot:
        app.tell(finished())
        app.panes[0].focus()
        await pilot.press("y")
        (asked,) = app.asked
        assert isinstance(asked, CopyRequested)
        lines = asked.text.split("\n")
        assert lines[:2] == ["test after step 1,000", "split\tloss\taccuracy\ttop-5\tnote"]
        assert "test\t1.512\t0.7\t0.974" in lines
        assert "median step\t14.2 ms" in lines
        assert "truck\tplane\t39" in lines


async def test_names_from_outside_are_text(tmp_path: Path) -> None:
    live = LiveRun()
    names = ["[/x]", "\x1b[31mred", "[@click=app.bell]y", "猫", *map(str, range(6))]
    live.add(dataclasses.replace(started(), dataset={"names": names}))
    live.add(evaluation(100))
    for size in (WIDE, TALL):
        app = Panes([ReportPane()], tmp_path)
        async with app.run_test(size=size):
            app.tell(live)
            await app.until(lambda app=app: "[/x]" in app.text)
            assert "\x1b" not in app.text


def test_fault_093_numbers_that_are_not_there_or_not_finite_are_dashes() -> None:
    live = LiveRun()
    live.add(started())
    live.add(
        progress(
            5, loss=math.nan, moving_accuracy=None, mean_loss=None, mean_accuracy=None, seconds_left=None
        )
    )
    live.add(evaluation(10, loss=None, confusion=[[1, 2], [3]]))
    live.add(events.RunEnded(run="r", state="diverged", step=10, seconds=0.0, steps_per_second=0.0,
                             median_step_us=None, train=None, test=None))  # fmt: skip
    report = report_of(live, Counts(), {})
    assert report.confusion == ()
    assert report.worst == []
    from cifar_tui.tui.widgets.report_blocks import arrange

    lines = arrange(report, 75, 10, {"good": "#3fb68b", "bad": "#e06c75", "panel": "#151a21"})
    assert any(line.plain.split()[:3] == ["test", "-", "65.5%"] for line in lines)
    assert milliseconds(950.0) == "950 µs"


@pytest.mark.parametrize("name", theme.NAMES)
def test_counts_on_every_shade_of_the_matrix_are_read(name: str) -> None:
    found = theme.build(name)
    own, screen, panel = (
        theme.channels(str(colour)) for colour in (found.foreground, found.background, found.panel)
    )
    for role in ("good", "bad"):
        full = theme.channels(found.variables[role])
        for tenths in range(10):
            back = theme.mix(panel, full, tenths / 10)
            ink = own if theme.text_is_read(back, own, screen) else screen
            assert theme.contrast(back, ink) >= 3


async def test_a_map_painted_between_a_theme_and_its_colours_takes_them_all_the_same(tmp_path: Path) -> None:
    pane = ReportPane()
    app = Panes([pane], tmp_path)
    async with app.run_test(size=TALL) as pilot:
        app.tell(live_run())
        await app.until(lambda: "Confusion" in app.text)
        app.theme = theme.LIGHT
        pane._paint()
        await pilot.pause(0.2)
        darkest = sum(theme.channels(str(theme.build(theme.DARK).panel))) + 60
        used = {
            segment.style.bgcolor.triplet
            for strip in app.screen._compositor.render_strips()
            for segment in strip
            if segment.style is not None and segment.style.bgcolor is not None
        }
        assert theme.channels(app.theme_variables["panel"]) in used
        assert not [colour for colour in used if colour is not None and sum(colour) < darkest]
