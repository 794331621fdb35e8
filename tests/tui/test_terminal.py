"""The app in a real pseudo-terminal: a whole training by keys, and a terminal given back after every end."""

from __future__ import annotations

import json
import os
import signal
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.tui.terminal import Terminal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs a Linux pseudo-terminal")


def ending(folder: Path) -> dict[str, object]:
    """The last event of the only run."""
    (run,) = (folder / "runs").iterdir()
    last = json.loads((run / "events.jsonl").read_text().splitlines()[-1])
    assert isinstance(last, dict)
    return last


def begin_training(terminal: Terminal) -> None:
    """Three keys of the first start."""
    terminal.wait_for("Welcome")
    terminal.press("d")
    terminal.wait_for("Quick look")
    terminal.press("q")
    terminal.wait_for("Start training")
    terminal.press(" ")
    terminal.wait_for(r"cnn-synthetic-1 .*ETA +\d", 60)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
def test_a_training_from_the_first_start_to_the_end_by_keys(tmp_path: Path, size: tuple[int, int]) -> None:
    with Terminal(tmp_path, size=size) as terminal:
        begin_training(terminal)
        terminal.press(" ")
        terminal.wait_for("‖ paused")
        terminal.press(" ")
        terminal.wait_for("● (training|evaluating)")
        terminal.press("e")
        terminal.wait_for(r"test after step", 30)
        terminal.press("s")
        terminal.wait_for("■ stopped", 30)
        terminal.press("q")
        assert terminal.wait_end() == 0
        terminal.assert_restored()
    assert ending(tmp_path)["state"] == "stopped"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_while_training_saves_the_run_and_restores_the_terminal(tmp_path: Path, number: int) -> None:
    with Terminal(tmp_path) as terminal:
        begin_training(terminal)
        terminal.child.kill(number)
        assert terminal.wait_end(2.5) == 128 + number
        terminal.assert_restored()
    last = ending(tmp_path)
    assert (last["event"], last["state"]) == ("run_ended", "stopped")
    (run,) = (tmp_path / "runs").iterdir()
    assert any(entry.name.startswith("step-") for entry in (run / "checkpoints").iterdir())


@pytest.mark.slow
def test_fault_088_quitting_while_training_asks_and_saves(tmp_path: Path) -> None:
    with Terminal(tmp_path) as terminal:
        begin_training(terminal)
        terminal.press("q")
        terminal.wait_for("Stop and save")
        terminal.press("s")
        assert terminal.wait_end(5.0) == 0
        terminal.assert_restored()
    assert ending(tmp_path)["reason"] == "the app was closed"


@pytest.mark.slow
def test_leaving_while_torch_is_loaded_does_not_wait_for_it(tmp_path: Path) -> None:
    with Terminal(tmp_path) as terminal:
        terminal.wait_for("Welcome")
        terminal.press("d")
        terminal.wait_for("Quick look")
        terminal.press("q")
        terminal.wait_for("Start training")
        terminal.press(" ")
        terminal.wait_for("loading torch")
        terminal.press("q")
        terminal.wait_for("just starting")
        terminal.press("s")
        assert terminal.wait_end(3.0) == 0
        terminal.assert_restored()


def test_quitting_restores_the_terminal(tmp_path: Path) -> None:
    with Terminal(tmp_path) as terminal:
        terminal.wait_for("Welcome")
        terminal.press("\x1b")
        terminal.wait_for("Dashboard")
        terminal.pump(0.3)
        terminal.press("q")
        assert terminal.wait_end() == 0
        terminal.assert_restored()


def test_fault_096_suspending_gives_the_terminal_back_and_going_on_paints_anew(tmp_path: Path) -> None:
    with Terminal(tmp_path) as terminal:
        terminal.wait_for("Welcome")
        terminal.pump(0.5)
        terminal.press("\x1a")
        deadline = 50
        while terminal.raw.count(b"\x1b[?1049l") == 0 and deadline:
            terminal.pump(0.1)
            deadline -= 1
        terminal.pump(0.3)
        stat = Path(f"/proc/{terminal.child.pid}/stat").read_text().rpartition(")")[2].split()[0]
        assert stat == "T", "the parent stops with the app, so that the shell takes over"
        os.killpg(terminal.child.pid, signal.SIGCONT)
        terminal.screen.reset()
        terminal.wait_for("Dashboard")
        terminal.press("\x03")
        assert terminal.wait_end() == 0
        terminal.assert_restored()


def test_the_settings_of_the_terminal_are_those_of_the_start(tmp_path: Path) -> None:
    code = (
        "import sys, termios\n"
        "before = termios.tcgetattr(0)\n"
        "from cifar_tui.cli.start import main\n"
        "code = main()\n"
        "print('SAME' if termios.tcgetattr(0) == before else 'OTHER')\n"
        "sys.exit(code)\n"
    )
    with Terminal(tmp_path, code=code) as terminal:
        assert terminal.before[3] & termios.ECHO
        terminal.wait_for("Welcome")
        terminal.press("\x03")
        assert terminal.wait_end() == 0
        assert b"SAME" in terminal.raw and b"OTHER" not in terminal.raw


def test_the_frame_is_painted_before_torch_numpy_and_pydantic_are_loaded(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from cifar_tui.tui.screens.dashboard import Dashboard\n"
        "first = []\n"
        "def load(self):\n"
        "    first.append(sorted({'torch', 'numpy', 'pydantic', 'plotext'} & sys.modules.keys()))\n"
        "    self.app.exit()\n"
        "Dashboard.load_panes = load\n"
        "from pathlib import Path\n"
        "from cifar_tui.tui.app import run_app\n"
        f"run_app(Path({str(tmp_path)!r}), Path({str(tmp_path)!r}))\n"
        "print('LOADED', first)\n"
    )
    with Terminal(tmp_path, code=code) as terminal:
        assert terminal.wait_end() == 0
        assert b"LOADED [[]]" in terminal.raw


def test_no_torch_is_loaded_before_a_training_asks_for_it(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from cifar_tui.tui.app import run_app\n"
        f"run_app(Path({str(tmp_path)!r}), Path({str(tmp_path)!r}))\n"
        "print('TORCH', 'torch' in sys.modules)\n"
    )
    with Terminal(tmp_path, code=code) as terminal:
        terminal.wait_for("Welcome")
        terminal.press("\x1b")
        terminal.pump(0.3)
        for key in "23451":
            terminal.press(key)
            terminal.pump(0.4)
        terminal.press("q")
        assert terminal.wait_end() == 0
        assert b"TORCH False" in terminal.raw


def test_a_folder_that_cannot_be_used_is_an_error_in_words(tmp_path: Path) -> None:
    with Terminal(tmp_path, environment={"CIFAR_TUI_RUNS_DIR": " "}) as terminal:
        assert terminal.wait_end() == 2
        terminal.assert_restored()
        assert b"is no folder name" in terminal.raw and b"Traceback" not in terminal.raw


def test_the_terminal_is_restored_although_output_that_nobody_read_still_waits(tmp_path: Path) -> None:
    code = """
import os, sys, threading, time
from cifar_tui.tui.guard import WRITER, Guard, restore_terminal, terminal_state

def write():
    while True:
        sys.__stderr__.write("frame " * 20_000)

with Guard(lambda _number: None, lambda: True, lambda: None):
    threading.Thread(target=write, name=WRITER, daemon=True).start()
    time.sleep(0.5)
    restore_terminal(terminal_state())
    os._exit(0 if all(os.get_blocking(number) for number in (0, 1, 2)) else 3)
"""
    with Terminal(tmp_path, code=code) as terminal:
        time.sleep(3.0)  # nobody reads
        assert terminal.wait_end() == 0, "the descriptors wait again, as their other users expect"
        terminal.assert_restored()
        assert b"Traceback" not in terminal.raw
