"""The chart panes in an app: what stands in their cells and borders, keys, mouse, threads, other runs."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cifar_tui import charts, events
from cifar_tui.fsio import dump_json
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.tui import theme
from cifar_tui.tui.live import LiveRun
from cifar_tui.tui.messages import CopyRequested
from cifar_tui.tui.settings import Settings
from cifar_tui.tui.widgets import chart_pane
from cifar_tui.tui.widgets.chart_pane import ChartPane
from tests.tui.runs_by_hand import CONFIG, Panes, ended, evaluation, live_run, progress, started

SIZE = (80, 24)


def both(tmp_path: Path, settings: Settings | None = None, name: str = theme.DARK) -> Panes:
    return Panes([ChartPane("loss", settings), ChartPane("accuracy", settings)], tmp_path, name)


def drawn(app: Panes, number: int = 0) -> Any:
    pane: Any = app.panes[number]
    return "\n".join("".join(sign for sign, _ in row) for row in pane.view.cells)


def border(app: Panes, number: int = 0) -> tuple[str, str]:
    pane: Any = app.panes[number]
    return pane._border_title.plain, pane._border_subtitle.plain


def record(root: Path, name: str, best: float, steps: int = 500) -> None:
    run = RunDirectory.create(root, {"config": CONFIG, "dataset": {"name": "cifar10"}}, name=name, stem="x")
    found: list[events.Event] = [started()]
    found += [progress(step) for step in range(50, steps + 1, 50)]
    found += [evaluation(steps, accuracy=best), ended(steps)]
    run.events_path.write_text("".join(dump_json(events.to_json(event)) + "\n" for event in found))


async def test_an_empty_chart_says_the_next_key(tmp_path: Path) -> None:
    app = both(tmp_path)
    async with app.run_test(size=SIZE):
        app.tell(LiveRun())
        await app.until(lambda: app.text.count("No curve yet") == 2)
        assert "space starts the recipe, 4 opens a run" in app.text


async def test_a_chart_that_waits_says_what_for(tmp_path: Path) -> None:
    app = both(tmp_path)
    async with app.run_test(size=SIZE):
        live = LiveRun()
        live.begin()
        live.add(events.Phase(phase="import", text="torch"))
        app.tell(live)
        await app.until(lambda: "Waiting for the first step" in app.text and "torch" in app.text)


async def test_curves_legend_and_last_values_are_in_the_cells(tmp_path: Path) -> None:
    app = both(tmp_path)
    async with app.run_test(size=SIZE):
        app.tell(live_run())
        await app.until(lambda: "65.0%" in drawn(app, 1) and "1.500" in drawn(app))
        assert border(app)[0] == "Loss  ━━ train  ━━ test  ·· notebook, with penalty"
        assert border(app, 1)[0] == "Accuracy  ━━ train  ━━ test  ·· notebook"
        assert border(app)[1] == "x step  l linear  +- smooth 0.6  m braille  v rates"
        assert "1.500" in drawn(app)
        assert "1k" in drawn(app)
        assert "best 65.0% at 500" in app.text


async def test_the_band_of_raw_losses_is_drawn_without_a_value_of_its_own(tmp_path: Path) -> None:
    app = both(tmp_path)
    async with app.run_test(size=SIZE):
        live = live_run()
        live.target = 2 * live.step  # under way: values stand beside the curves
        app.tell(live)
        await app.until(lambda: drawn(app) != "")
        pane: Any = app.panes[0]
        band = charts.role_colour("batch", "default", True)  # type: ignore[arg-type]
        inks = [
            (sign, s.bold)
            for row in pane.view.cells
            for sign, s in row
            if s.color and s.color.triplet == band
        ]
        assert inks and not any(bold for _sign, bold in inks)


async def test_the_legend_has_the_colours_of_the_lines(tmp_path: Path) -> None:
    for name, palette, dark in ((theme.DARK, "default", True), (theme.LIGHT_BLIND, "colour-blind", False)):
        app = both(tmp_path, name=name)
        async with app.run_test(size=SIZE):
            app.tell(live_run())
            await app.until(lambda app=app: drawn(app) != "")
            pane: Any = app.panes[0]
            wanted = charts.role_colour("test", palette, dark)  # type: ignore[arg-type]
            inks = {tuple(s.color.triplet) for row in pane.view.cells for _, s in row if s.color is not None}
            assert wanted in inks
            assert "#{:02x}{:02x}{:02x}".format(*wanted) in pane._border_title.markup


async def test_l_x_m_v_and_plus_change_both_charts_and_are_remembered(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path / "settings.toml")
    app = both(tmp_path, settings)
    async with app.run_test(size=SIZE) as pilot:
        app.tell(live_run())
        await app.until(lambda: drawn(app) != "" and drawn(app, 1) != "")
        app.panes[0].focus()
        await pilot.press("l", "x", "m", "plus")
        wanted = "x epoch  l log  +- smooth 0.8  m block  v rates"
        assert border(app)[1] == border(app, 1)[1] == wanted
        await app.until(lambda: "epoch" in drawn(app) and "epoch" in drawn(app, 1))
        assert not any("\u2800" < sign < "\u28ff" for sign in drawn(app))
        await pilot.press("v")
        await app.until(lambda: "50" in drawn(app))
        assert border(app)[0].startswith("Steps per second")
        assert border(app, 1)[0].startswith("Learning rate")
        assert "1e-4" in drawn(app, 1)
    assert settings.save()
    again = Settings.load(tmp_path / "settings.toml")
    assert (again.log_x, again.x_axis, again.marker) == (True, "epoch", "block")
    assert (again.smoothing, again.chart_pair) == (0.8, "rates")
    other = both(tmp_path, again)
    async with other.run_test(size=SIZE):
        assert border(other)[1] == "x epoch  l log  +- smooth 0.8  m block  v loss, accuracy"


async def test_the_cursor_shows_exact_values_in_both_charts_until_escape(tmp_path: Path) -> None:
    app = both(tmp_path)
    live = live_run()
    async with app.run_test(size=SIZE) as pilot:
        app.tell(live)
        await app.until(lambda: drawn(app) != "" and drawn(app, 1) != "")
        app.panes[0].focus()
        await pilot.press("right")
        known = live.series.curve("train-batch", "moving_loss").value[-1]
        assert border(app)[1].startswith("step 500  ")
        assert f"train {known:.4f}" in border(app)[1]
        assert "test 1.5000" in border(app)[1]
        assert "train 42.50%" in border(app, 1)[1]
        assert "test 65.00%" in border(app, 1)[1]
        await app.until(lambda: sum(line.count("│") >= 3 for line in app.text.split("\n")) > 8)
        await pilot.press("shift+left")
        assert border(app)[1].split()[1] == border(app, 1)[1].split()[1]
        assert " at 300" in border(app)[1] or " at 400" in border(app)[1]
        await pilot.press("home", "left", "end", "right", "escape")
        assert border(app)[1].startswith("x step")
        assert border(app, 1)[1].startswith("x step")


async def test_the_mouse_puts_and_drags_the_cursor(tmp_path: Path) -> None:
    app = both(tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        app.tell(live_run())
        await app.until(lambda: drawn(app) != "" and drawn(app, 1) != "")
        view = app.panes[1].view  # type: ignore[attr-defined]
        await pilot.mouse_down(view, offset=(30, 4))
        first = int(border(app)[1].split()[1].replace(",", ""))
        await pilot.hover(view, offset=(20, 4))
        await pilot.mouse_up(view, offset=(20, 4))
        second = int(border(app)[1].split()[1].replace(",", ""))
        assert 0 < second < first < 500
        assert app.focused is app.panes[1]
        await pilot.hover(view, offset=(40, 4))
        assert int(border(app)[1].split()[1]) == second


async def test_y_copies_the_values_at_the_cursor(tmp_path: Path) -> None:
    app = both(tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        app.tell(live_run())
        await app.until(lambda: drawn(app, 1) != "")
        app.panes[1].focus()
        await pilot.press("y")
        asked = app.asked[0]
        assert isinstance(asked, CopyRequested)
        assert asked.text == "Accuracy\tstep\tvalue\ntrain\t500\t0.425\ntest\t500\t0.65"


async def test_nothing_is_drawn_again_where_nothing_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[threading.Thread] = []
    build = chart_pane._build
    monkeypatch.setattr(
        chart_pane, "_build", lambda *work: (calls.append(threading.current_thread()), build(*work))[1]
    )
    monkeypatch.setattr(chart_pane, "CHEAP_SECONDS", 0.0)
    app = both(tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        live = live_run()
        app.tell(live)
        await app.until(lambda: drawn(app) != "" and drawn(app, 1) != "")
        await asyncio.sleep(0.1)
        before = len(calls)
        for _ in range(20):
            app.tell(live, frozenset({"phase"}))
            app.tell(live, frozenset())
        app.panes[0].focus()
        await pilot.press("right", "right", "left", "escape")
        await asyncio.sleep(0.6)
        assert len(calls) == before
        assert threading.main_thread() not in calls  # dear ones are drawn in a thread


async def test_a_chart_is_drawn_at_most_twice_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[float] = []
    build = chart_pane._build
    monkeypatch.setattr(chart_pane, "_build", lambda *work: (calls.append(0.0), build(*work))[1])
    app = Panes([ChartPane("loss")], tmp_path)
    async with app.run_test(size=SIZE):
        live = live_run()
        app.tell(live)
        await app.until(lambda: drawn(app) != "")
        start = len(calls)
        for tick in range(24):  # longer than it ever waits
            live.add(progress(505 + 5 * tick))
            app.tell(live, frozenset({"progress"}))
            await asyncio.sleep(0.1)
        assert 1 <= len(calls) - start <= 6
        newest = f"{live.series.curve('train-batch', 'moving_loss').value[-1]:.3f}"
        await app.until(lambda: newest in drawn(app), 4.0)  # the newest always comes


async def test_while_one_is_drawn_the_newest_request_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, calls = threading.Event(), []
    build = chart_pane._build

    def slow(*work: Any) -> Any:
        calls.append(work[1])
        assert gate.wait(5)
        return build(*work)

    monkeypatch.setattr(chart_pane, "_build", slow)
    app = Panes([ChartPane("loss")], tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        app.tell(live_run())
        await app.until(lambda: len(calls) == 1)
        app.panes[0].focus()
        await pilot.press("l", "x", "x", "m", "minus")  # the loop is free while the thread works
        assert border(app)[1] == "x time  l log  +- smooth off  m block  v rates"
        assert len(calls) == 1
        gate.set()
        await app.until(lambda: drawn(app) != "" and len(calls) == 2)
        assert (calls[1].log_x, calls[1].x_axis, calls[1].marker) == (True, "time", "block")


async def test_a_hidden_chart_is_drawn_when_it_is_shown(tmp_path: Path) -> None:
    app = both(tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        app.panes[1].display = False
        await pilot.pause()
        app.tell(live_run())
        await app.until(lambda: drawn(app) != "")
        assert drawn(app, 1) == ""
        app.panes[1].display = True
        await app.until(lambda: drawn(app, 1) != "")


async def test_the_best_run_of_the_same_model_and_dataset_is_a_ghost(tmp_path: Path) -> None:
    record(tmp_path, "good", 0.71)
    record(tmp_path, "poor", 0.31)
    record(tmp_path, "cnn-a", 0.99)  # the run itself does not count
    app = both(tmp_path)
    async with app.run_test(size=SIZE):
        app.tell(live_run())
        await app.until(lambda: "best good" in border(app, 1)[0])
        await app.until(lambda: "71.0%" in drawn(app, 1))


async def test_marked_runs_are_laid_over_in_their_own_colours(tmp_path: Path) -> None:
    record(tmp_path, "one", 0.71)
    record(tmp_path, "two", 0.31)
    app = both(tmp_path)
    async with app.run_test(size=SIZE):
        app.tell(live_run())
        app.panes[1].set_overlays(["one", "missing", "two"])  # type: ignore[attr-defined]
        await app.until(lambda: "━━ one" in border(app, 1)[0] and "━━ two" in border(app, 1)[0])
        await app.until(lambda: "31.0%" in drawn(app, 1))
        app.panes[1].set_overlays([])  # type: ignore[attr-defined]
        await app.until(lambda: "two" not in border(app, 1)[0])


async def test_fault_093_a_diverged_run_is_said_in_the_border_and_drawn(tmp_path: Path) -> None:
    app = both(tmp_path)
    async with app.run_test(size=SIZE):
        live = live_run(evaluations=False)
        live.add(progress(505, loss=math.nan))
        live.add(events.Note(level="error", id="E-DIVERGED", text="the loss is not finite", step=505))
        app.tell(live)
        await app.until(lambda: "! not finite from 505" in border(app)[0])
        await app.until(lambda: "✕" in drawn(app))


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (200, 50), (30, 8), (10, 4), (3, 3), (1, 1)])
async def test_charts_live_at_any_size(tmp_path: Path, size: tuple[int, int]) -> None:
    app = both(tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        app.tell(live_run())
        await pilot.resize_terminal(*size)
        await pilot.pause(0.3)
        app.panes[0].focus()
        await pilot.press("right", "l", "v", "x", "left")
        await pilot.pause(0.2)
        await pilot.resize_terminal(*SIZE)
        await app.until(lambda: "steps" in border(app)[0].lower() and drawn(app) != "")


async def test_outside_text_in_a_legend_is_text(tmp_path: Path) -> None:
    app = both(tmp_path)
    async with app.run_test(size=SIZE):
        live = live_run()
        app.tell(live)
        from cifar_tui.tui.widgets.chart_data import Other
        from cifar_tui.tui.widgets.cursor import ChartLink

        link = ChartLink.of(app)
        link.overlays = [Other("[/x]\x1b[31m[@click=app.bell]y", "other:0", live.series, 1.0, 100)]
        for pane in app.panes:
            pane.others_changed()  # type: ignore[attr-defined]
        await app.until(lambda: "[/x]" in border(app)[0])
        assert "\x1b" not in app.text


def test_the_panes_are_imported_without_numpy_torch_and_plotext() -> None:
    code = (
        "import sys, cifar_tui.tui.widgets.chart_pane, cifar_tui.tui.widgets.report_pane;"
        "print([name for name in ('numpy', 'torch', 'plotext') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


async def test_a_chart_whose_drawing_is_done_after_the_pane_was_taken_down_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = chart_pane._build

    def slow(*work: Any) -> Any:
        time.sleep(0.3)
        return built(*work)

    app = both(tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        pane: Any = app.panes[0]
        monkeypatch.setattr(chart_pane, "_build", slow)
        pane._cost = 1.0  # so it is drawn aside
        live = LiveRun()
        live.add(started())
        live.add(progress(100))
        app.tell(live)
        await app.until(lambda: pane._busy)
        await pane.view.remove()
        await app.until(lambda: not pane._busy)
        await pilot.pause(0.1)
