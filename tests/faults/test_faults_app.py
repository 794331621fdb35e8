"""Faults of the app: sizes, terminals, signals, keys, and bugs of its own. Numbers are those of FAULTS.md."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from cifar_tui.tui.live import ALL_KINDS
from tests.tui.fake_session import (
    FakeSession,
    evaluation,
    make_app,
    progress,
    ready,
    screen_text,
    started,
    until,
)
from tests.tui.terminal import Terminal, app_pid

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs a Linux pseudo-terminal")


@pytest.mark.parametrize("size", [(20, 5), (30, 8), (10, 3), (2, 2), (1, 1)])
async def test_fault_081_a_tiny_terminal_shows_step_and_loss_and_nothing_fails(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=size) as pilot:
        await ready(pilot)
        for event in (started(target=20_000), progress(12_400, target=20_000)):
            app.live.add(event)
        app.dashboard.show_live(app.live, ALL_KINDS)
        await pilot.pause()
        text = screen_text(app)
        if size == (20, 5):
            assert "12,400/20,000" in text and "loss 2.050" in text and "q quit" in text
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        assert "─ Recipe" in screen_text(app)


async def test_fault_082_a_huge_terminal_is_filled(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(400, 100)) as pilot:
        await ready(pilot)
        await until(pilot, lambda: "─ Report" in screen_text(app))
        lines = screen_text(app).splitlines()
        assert len(lines) == 100 and all(len(line) == 400 for line in lines)
        assert lines[-2].rstrip().endswith("╯") and len(lines[-2].rstrip()) == 400


async def test_fault_083_a_storm_of_resizes_while_training_is_survived(tmp_path: Path) -> None:
    class Long(FakeSession):
        rate = 300.0

    app = make_app(tmp_path, Long)
    choose = random.Random(83)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("space")
        await until(pilot, lambda: app.live.step > 0)
        for _ in range(60):
            await pilot.resize_terminal(choose.randint(1, 220), choose.randint(1, 60))
        await pilot.resize_terminal(120, 40)
        step = app.live.step
        await until(pilot, lambda: app.live.step > step or app.live.ended is not None)
        await until(pilot, lambda: "─ Recipe" in screen_text(app))
        await pilot.press("s")
        await until(pilot, lambda: app.desk.thread is None)


@linux
def test_fault_084_a_dumb_terminal_is_refused_with_a_command_that_works(tmp_path: Path) -> None:
    with Terminal(tmp_path, environment={"TERM": "dumb"}) as terminal:
        assert terminal.wait_end() == 2
        assert b"TERM=dumb" in terminal.raw and b"cifar-tui train" in terminal.raw
        assert b"\x1b" not in terminal.raw


@linux
def test_fault_084_without_colour_the_states_have_signs_and_words(tmp_path: Path) -> None:
    with Terminal(tmp_path, environment={"NO_COLOR": "1", "LANG": "C", "LC_ALL": "C"}) as terminal:
        terminal.wait_for("○ CIFAR-10 +missing")
        terminal.press("\x03")
        assert terminal.wait_end() == 0


def test_fault_085_without_a_terminal_the_app_names_train_and_ends(tmp_path: Path) -> None:
    environment = {**os.environ, "CIFAR_TUI_CONFIG_DIR": str(tmp_path)}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "cifar_tui"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment,
        timeout=20,
        check=False,
    )
    assert done.returncode == 2 and time.monotonic() - began < 10
    assert "needs a terminal" in done.stderr and "cifar-tui train" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


@linux
def test_fault_085_the_end_of_the_input_ends_the_app(tmp_path: Path) -> None:
    with Terminal(tmp_path) as terminal:
        terminal.wait_for("Welcome")
        pid = app_pid(terminal)
        os.close(terminal.child.child_fd)  # the window is gone
        terminal.child.child_fd = os.open(os.devnull, os.O_RDWR)
        end = time.monotonic() + 4.0
        while time.monotonic() < end and Path(f"/proc/{pid}").exists():
            time.sleep(0.05)
        gone = not Path(f"/proc/{pid}").exists()
        assert gone or "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@linux
def test_fault_086_invalid_utf8_half_sequences_and_a_big_paste_do_not_end_the_app(tmp_path: Path) -> None:
    choose = random.Random(86)
    with Terminal(tmp_path) as terminal:
        terminal.wait_for("Welcome")
        terminal.press("\x1b")
        terminal.pump(0.3)
        noise = bytes(choose.randrange(128, 256) for _ in range(2000))
        for data in (
            b"\xff\xfe",
            b"\xc3",
            noise,
            b"\x1b[200~" + b"x" * 200_000 + b"\xff\x1b[201~",
            b"\x1b[<",
            b"\x1b",
        ):
            for start in range(0, len(data), 4096):
                terminal.child.send(data[start : start + 4096])
                terminal.pump(0.01)
        terminal.pump(0.6)
        assert terminal.child.isalive()
        terminal.press("\x1b")
        terminal.pump(0.3)
        terminal.press("\x11")  # ctrl+q
        assert terminal.wait_end() == 0
        terminal.assert_restored()


async def test_fault_087_mashed_keys_while_training_raise_nothing_and_the_app_still_quits(
    tmp_path: Path,
) -> None:
    class Long(FakeSession):
        rate = 300.0

    names = (
        "space enter escape tab shift+tab up down left right f2 f3 f6 plus minus left_square_bracket "
        "equals_sign question_mark backspace delete pageup pagedown home end"
    )
    keys = [*"abcdefghijklmnoprtuvwxyzERT1234567890", *names.split()]
    choose = random.Random(87)
    app = make_app(tmp_path, Long)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        for number in range(300):
            if app._exit:
                break
            key = choose.choice(keys)
            app.simulate_key(key)
            if number % 10 == 0:
                await pilot.pause(0.01)
        for _ in range(20):
            if app._exit or (app.screen is app.dashboard):
                break
            await pilot.press("escape")
        app.leave()
        await until(pilot, lambda: app._exit)
    for session in app.sessions:
        end = time.monotonic() + 5
        while session.ended is None and time.monotonic() < end:
            time.sleep(0.02)
        assert session.ended is not None


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf"), 0.0, 1e308])
async def test_fault_093_curves_of_any_kind_are_drawn(tmp_path: Path, bad: float | None) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        app.live.add(started())
        for step in (0, 1, 2, 3):
            app.live.add(progress(step, loss=bad, moving_loss=bad, learning_rate=0.0))
            app.live.add(evaluation(step, loss=bad))
            app.dashboard.show_live(app.live, ALL_KINDS)
            await pilot.pause()
        await pilot.press("l")
        await pilot.pause(0.6)
        assert "─ Loss" in screen_text(app)


@linux
def test_fault_094_a_terminal_that_is_not_read_does_not_keep_the_app_from_ending(tmp_path: Path) -> None:
    with Terminal(tmp_path) as terminal:
        terminal.wait_for("Welcome")
        terminal.press("\x1b")
        terminal.pump(0.5)
        for _ in range(150):  # each paints the whole screen, and nobody reads it
            terminal.press("z")
            terminal.press("\x1b[13~")  # f3
            time.sleep(0.01)
        began = time.monotonic()
        terminal.child.kill(signal.SIGTERM)
        while time.monotonic() < began + 4.0 and terminal.child.isalive():
            time.sleep(0.02)
        assert not terminal.child.isalive() and time.monotonic() - began < 2.5
        assert terminal.child.exitstatus == 143
        assert termios.tcgetattr(terminal.child.child_fd)[3] & termios.ECHO


@linux
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_fault_095_a_signal_restores_the_terminal(tmp_path: Path, number: int) -> None:
    with Terminal(tmp_path) as terminal:
        terminal.wait_for("Welcome")
        terminal.child.kill(number)
        assert terminal.wait_end(2.5) == 128 + number
        terminal.assert_restored()


@linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGQUIT])
def test_fault_095_even_a_death_that_cannot_be_caught_restores_the_terminal(
    tmp_path: Path, number: int
) -> None:
    with Terminal(tmp_path) as terminal:
        terminal.wait_for("Welcome")
        os.kill(app_pid(terminal), number)
        assert terminal.wait_end(2.5) == 128 + number
        terminal.assert_restored()
        assert termios.tcgetattr(terminal.child.child_fd)[3] & termios.ECHO


@linux
@pytest.mark.parametrize("place", ["CifarTuiApp.action_theme", "Dashboard.show_live", "CifarTuiApp.tick"])
def test_fault_095_an_exception_in_any_handler_restores_the_terminal(tmp_path: Path, place: str) -> None:
    owner, _, method = place.partition(".")
    code = (
        "import sys, os\n"
        "from cifar_tui.tui import app\n"
        "from cifar_tui.tui.app import CifarTuiApp\n"
        "from cifar_tui.tui.screens.dashboard import Dashboard\n"
        f"usual = {place}\n"
        "def boom(self, *a):\n"
        "    if getattr(self, 'ready', None) or getattr(getattr(self, 'dashboard', None), 'ready', None):\n"
        "        raise RuntimeError('[/broken] screen')\n"
        "    return usual(self, *a)\n"
        f"{owner}.{method} = boom\n"
        "from cifar_tui.cli.start import main\n"
        "sys.exit(main())\n"
    )
    with Terminal(tmp_path, code=code) as terminal:
        if method == "action_theme":
            terminal.wait_for("Welcome")
            terminal.press("\x1b")
            terminal.pump(0.3)
            terminal.press("\x1bOQ")  # f2
        assert terminal.wait_end() == 1
        terminal.assert_restored()
        assert b"a bug in cifar-tui: RuntimeError: [/broken] screen" in terminal.raw
        assert b"cifar-tui.log" in terminal.raw
        assert b"Traceback" not in terminal.raw
    (log,) = (tmp_path / "state").rglob("cifar-tui.log")
    assert "RuntimeError: [/broken] screen" in log.read_text()


async def test_fault_097_a_bug_in_a_widget_saves_the_run_before_the_app_ends(tmp_path: Path) -> None:
    class Long(FakeSession):
        rate = 100.0

    app = make_app(tmp_path, Long)
    with contextlib.suppress(RuntimeError):
        async with app.run_test(size=(120, 40)) as pilot:
            await ready(pilot)
            await pilot.press("space")
            await until(pilot, lambda: app.live.step > 0)

            def boom(*_: object) -> None:
                raise RuntimeError("a broken widget")

            app.dashboard.header.show_live = boom
            await until(pilot, lambda: app.crash is not None)
    session = app.sessions[0]
    end = time.monotonic() + 5
    while session.ended is None and time.monotonic() < end:
        time.sleep(0.02)
    assert session.ended is not None and session.saved and session.ended.state == "stopped"
