"""The rooms: data, report, runs, log and machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.color import Color
from textual.widget import Widget

from cifar_tui.runs.directory import RunDirectory
from cifar_tui.tui import machine_data, theme
from cifar_tui.tui.live import ALL_KINDS, LiveRun
from cifar_tui.tui.screens.rooms.data import RoomData
from cifar_tui.tui.screens.rooms.machine import RoomMachine
from cifar_tui.tui.screens.rooms.report import RoomReport
from cifar_tui.tui.screens.rooms.runs import RoomRuns
from tests.tui.pane_app import PaneApp
from tests.tui.run_maker import make_run
from tests.tui.waiting import until

pytestmark = pytest.mark.usefixtures("small_synthetic")


def app_with(room: Widget, tmp_path: Path) -> PaneApp:
    return PaneApp(room, tmp_path / "data", tmp_path / "runs")


def line_with(app: PaneApp, words: str) -> str:
    return next((line for line in app.text.splitlines() if words in line), "")


def live_of(run: RunDirectory) -> LiveRun:
    return LiveRun.from_run(run)


# ---- 5 Log and machine ----


async def test_the_log_tells_what_happened_in_order_and_w_only_warnings(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "cnn-1")
    room = RoomMachine()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(120, 30)) as pilot:
        room.show_live(live_of(run), ALL_KINDS)
        await until(pilot, lambda: "cnn-1 starts, to 1,000, on CIFAR-10" in app.text)
        places = [
            app.text.index(words)
            for words in ("starts", "test 35.0%", "the disk is slow", "test 70.0%", "done at step 1,000")
        ]
        assert places == sorted(places)
        assert "1 warning, 0 errors" in app.text
        room.focus_first()
        await pilot.press("w")
        await pilot.pause()
        assert "the disk is slow" in app.text and "starts" not in app.text
        await pilot.press("y")
        assert "the disk is slow" in app.asked[-1].text  # type: ignore[attr-defined]


async def test_a_long_line_of_the_log_goes_on_below_its_text_and_uses_the_whole_width(tmp_path: Path) -> None:
    from cifar_tui import events

    words = " ".join(f"word{number:02}" for number in range(24))
    room = RoomMachine()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(120, 30)) as pilot:
        room._lines = machine_data.log_lines([events.Note(level="warning", id="W", text=words, time=1.0)])
        room._write_log()
        for columns in (120, 80, 200):
            await pilot.resize_terminal(columns, 30)
            await until(pilot, lambda: "word23" in app.text and app.size.width == columns)  # noqa: B023
            await pilot.pause(0.1)
            lines = [line.strip("│ ") for line in app.text.splitlines() if "word" in line]
            starts = {line.index("word") for line in app.text.splitlines() if "word" in line}
            assert len(starts) == 1, "one column for the text"
            assert " ".join(" ".join(line[line.index("word") :].split()) for line in lines) == words
            fits = (columns - 4 - 20) // 7
            assert all(line.count("word") >= fits - 1 for line in lines[:-1])


async def test_the_machine_is_measured_while_it_is_in_sight(tmp_path: Path) -> None:
    room = RoomMachine()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: " cores" in app.text and "disk free" in app.text)
        assert "this process" in app.text
        assert "4 open one" in app.text


async def test_fault_099_escapes_in_a_note_are_shown_not_sent(tmp_path: Path) -> None:
    from cifar_tui import events

    lines = machine_data.log_lines([events.Note(level="error", id="E", text="a\x1b]0;x\x07[/b]", time=1.0)])
    room = RoomMachine()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        room._lines = lines
        room._write_log()
        await pilot.pause()
        assert "a\\x1b]0;x\\x07[/b]" in app.text


def test_a_sample_of_the_machine_is_sound(tmp_path: Path) -> None:
    sample = machine_data.Sampler(tmp_path / "not" / "there").take()
    assert sample.cores >= 1
    assert 0 < sample.used < sample.total
    assert sample.process_memory > 0
    assert sample.free_disk is not None


@pytest.mark.parametrize("room", [RoomData, RoomReport, RoomRuns, RoomMachine])
async def test_rooms_follow_a_change_of_theme(tmp_path: Path, room: type[Widget]) -> None:
    run = make_run(tmp_path / "runs", "cnn-1")
    app = app_with(room(), tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        app.widget.show_live(live_of(run), ALL_KINDS)  # type: ignore[attr-defined]
        await pilot.pause(0.3)
        app.theme = theme.LIGHT
        await pilot.pause(0.1)
        dark = Color.parse("#d7dde5").rich_color
        strips = app.screen._compositor.render_strips()
        left = [s.text for strip in strips for s in strip if s.style is not None and s.style.color == dark]
        assert left == []


@pytest.mark.parametrize("size", [(20, 5), (44, 10), (1, 1), (200, 50)])
@pytest.mark.parametrize("room", [RoomData, RoomReport, RoomRuns, RoomMachine])
async def test_rooms_are_drawn_at_any_size(tmp_path: Path, room: type[Widget], size: tuple[int, int]) -> None:
    run = make_run(tmp_path / "runs", "cnn-1")
    app = app_with(room(), tmp_path)
    async with app.run_test(size=size) as pilot:
        app.widget.show_live(live_of(run), ALL_KINDS)  # type: ignore[attr-defined]
        await pilot.pause(0.1)
        await pilot.press("tab", "down", "right", "end", "home")
        await pilot.pause()
