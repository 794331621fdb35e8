"""Random keys, clicks, resizes and pastes as bytes of a pseudo-terminal, with a training under way.

``CIFAR_TUI_RANDOM_EVENTS`` is how many (500), ``CIFAR_TUI_RANDOM_SEED`` which ones; a failure names the seed.
"""

from __future__ import annotations

import os
import random
import re
import sys
import time
from pathlib import Path

import pytest

from cifar_tui.runs.checkpoints import CheckpointStore
from cifar_tui.runs.directory import list_runs
from cifar_tui.runs.reader import read_events
from cifar_tui.tui.settings import Settings
from tests.tui.terminal import Terminal

EVENTS = int(os.environ.get("CIFAR_TUI_RANDOM_EVENTS", "500"))
SEED = int(os.environ.get("CIFAR_TUI_RANDOM_SEED", "0")) or time.time_ns() % 1_000_000
SIZES = ((80, 24), (120, 40), (200, 50))
FORM = {"dataset": "synthetic", "model": "fnn", "hidden_layers": "1", "num_nodes": "16", "steps": "1000000"}

LETTERS = [*"abcdefghijklmnoprtuvwxyzERTFO12345+-[]{}=?/.", " "]
SPECIAL = [
    *("\r", "\t", "\x1b[Z", "\x1b", "\x7f", "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b[H", "\x1b[F"),
    *("\x1b[5~", "\x1b[6~", "\x1b[3~", "\x1bOP", "\x1bOQ", "\x1bOR", "\x1b[17~", "\x1b[17;2~", "\x1b[20~"),
    *("\x01", "\x05", "\x07", "\x0b", "\x0e", "\x0f", "\x10", "\x12", "\x13", "\x14", "\x15", "\x17", "\x19"),
]
LEAVING = ["q", "\x11", "\x03"]
START = (
    "import os, sys\n"
    "from cifar_tui.cli.start import main\n"
    "os.chdir({folder!r})\n"  # files that are saved by chance go there
    "sys.exit(main())\n"
)


def one_event(terminal: Terminal, choose: random.Random) -> None:
    """Something that a user, a cat or a terminal may send."""
    columns, lines = terminal.screen.columns, terminal.screen.lines
    x, y = choose.randint(1, columns), choose.randint(1, lines)
    kind = choose.random()
    if kind < 0.45:
        data = choose.choice(LETTERS).encode()
    elif kind < 0.70:
        data = choose.choice(SPECIAL).encode()
    elif kind < 0.71:
        data = choose.choice(LEAVING).encode()
    elif kind < 0.83:
        data = f"\x1b[<0;{x};{y}M\x1b[<0;{x};{y}m".encode()
    elif kind < 0.87:
        to_x, to_y = choose.randint(1, columns), choose.randint(1, lines)
        data = f"\x1b[<0;{x};{y}M\x1b[<32;{to_x};{to_y}M\x1b[<0;{to_x};{to_y}m".encode()
    elif kind < 0.91:
        data = f"\x1b[<{choose.choice((64, 65, 66, 67, 35, 2, 1))};{x};{y}M".encode()
    elif kind < 0.94:
        letters = "".join(
            chr(choose.choice((choose.randint(32, 126), choose.randint(160, 0x2FFF)))) for _ in range(40)
        )
        data = b"\x1b[200~" + letters.replace("/", " ").encode() * choose.choice((1, 1, 20)) + b"\x1b[201~"
    elif kind < 0.96:
        data = bytes(choose.randrange(128, 256) for _ in range(choose.randint(1, 8)))
    elif kind < 0.98:
        size = (
            choose.choice(SIZES) if choose.random() < 0.7 else (choose.randint(1, 220), choose.randint(1, 60))
        )
        terminal.resize(*size)
        return
    else:
        data = choose.choice(
            (b"\x1b[<0;5", b"\x1b[", b"\x1bO", b"\x1b[200~x", b"\x1b]0;t\x07", b"\x1b[I\x1b[O", b"\x00")
        )
    for start in range(0, len(data), 2048):
        terminal.child.send(data[start : start + 2048])
        terminal.pump(0.005, show=False)


def see(terminal: Terminal) -> str:
    """The screen, painted anew; "" where the app has ended."""
    terminal.resize(100, 31)
    terminal.pump(0.3)
    terminal.resize(120, 40)
    return terminal.text if terminal.pump(0.7) else ""


def is_training(text: str) -> bool:
    """Whether the header says so."""
    return re.search(r"● (training|evaluating|saving|starting)|‖ paused|◌|↻", text) is not None


def begin(terminal: Terminal) -> None:
    """Out of every dialog and field, and start where nothing trains; steps are many again."""
    for _ in range(4):
        terminal.press("\x1b")
        terminal.pump(0.15, show=False)
    if terminal.child.isalive() and not is_training(see(terminal)):
        terminal.press("\x13")  # ctrl+s
        end = time.monotonic() + 10  # what was typed into the form may have made it invalid
        while time.monotonic() < end and terminal.pump(0.2):
            if "● training" in terminal.text:
                return


def leave(terminal: Terminal) -> int:
    """As a user would: out of what is open, quit, save; returns the exit code."""
    end = time.monotonic() + 120
    while terminal.child.isalive() and time.monotonic() < end:
        terminal.press("\x1b[201~\x1b")
        if not terminal.pump(0.3, show=False):
            break
        terminal.press("\x11")  # ctrl+q
        text = see(terminal)
        if "Stop and save" in text:
            terminal.press("s")
        elif not text:
            break
    return terminal.wait_end(60)


def session(folder: Path, choose: random.Random, left: int) -> tuple[int, int]:
    """One life of the app; returns how many events it got, and how often a training was seen."""
    settings = Settings.load(folder / "config" / "settings.toml")
    settings.set(form=FORM, preset="", seen_start=True)
    settings.save()
    dead = "http://127.0.0.1:9"
    environment = {"CIFAR_TUI_MIRROR": dead, "http_proxy": dead, "https_proxy": dead}
    sent = seen = 0
    work = folder / "work"
    work.mkdir(exist_ok=True)
    code = START.format(folder=str(work))
    with Terminal(folder, size=choose.choice(SIZES), code=code, environment=environment) as terminal:
        terminal.wait_for("Welcome|Recipe|no run yet", 60)
        terminal.pump(0.5)
        begin(terminal)
        while sent < left and terminal.child.isalive():
            one_event(terminal, choose)
            sent += 1
            if sent % 200 == 0:
                text = see(terminal)
                seen += is_training(text)
                begin(terminal)
        code_at_end = leave(terminal)
        log = "".join(path.read_text() for path in (folder / "state").rglob("cifar-tui.log"))
        assert not log, f"seed {SEED}, after {sent} events:\n{log}"
        for word in (b"Traceback", b"a bug in cifar-tui"):
            place = terminal.raw.find(word)
            said = bytes(terminal.raw[max(0, place - 200) : place + 3000]).decode(errors="replace")
            assert place < 0, f"seed {SEED}, after {sent} events:\n{said}"
        assert code_at_end in {0, 130}, f"exit code {code_at_end}:\n{terminal.text}"
        terminal.assert_restored()
    return sent, seen


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs a Linux pseudo-terminal")
@pytest.mark.timeout(300 + EVENTS)
def test_random_input_while_training_ends_no_session_badly_and_no_record(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    choose = random.Random(SEED)
    sent = seen = sessions = 0
    while sent < EVENTS:
        more, trained = session(tmp_path, choose, EVENTS - sent)
        sent, seen, sessions = sent + max(more, 1), seen + trained, sessions + 1
        print(f"{sent} events, {sessions} sessions", flush=True)
    print(f"{sent} events in {sessions} sessions; a training was seen {seen} times")
    runs = list_runs(tmp_path / "runs")
    for run in runs:
        run.meta()
        found = read_events(run.events_path)
        assert found.damaged == 0, run.id
        assert not found.events or found.events[-1].kind == "run_ended", (run.id, found.events[-1])
        store = CheckpointStore(run.checkpoints)
        for info in store.list():
            store.verify(info)
        assert not list(run.checkpoints.glob(".*tmp*")), run.id
    assert runs or EVENTS < 300
