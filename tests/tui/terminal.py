"""A real pseudo-terminal with the app in it, and a screen that shows what a user would see."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
import pyte

RESETS = (
    b"\x1b[?1049l",
    b"\x1b[?1000l",
    b"\x1b[?1003l",
    b"\x1b[?1006l",
    b"\x1b[?1004l",
    b"\x1b[?2004l",
    b"\x1b[<u",
    b"\x1b[?7h",
    b"\x1b[?25h",
)
_PRIVATE = re.compile(rb"\x1b\[[<>=][0-9;]*[a-zA-Z]|\x1b\[\?[0-9;]+\$p")  # pyte would print them


class Terminal:
    """The app in a pseudo-terminal of a given size, with its folders under `folder`."""

    def __init__(
        self,
        folder: Path,
        *,
        size: tuple[int, int] = (120, 40),
        code: str = "",
        environment: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        env = {
            **os.environ,
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "CIFAR_TUI_DATA_DIR": str(folder / "data"),
            "CIFAR_TUI_RUNS_DIR": str(folder / "runs"),
            "CIFAR_TUI_CONFIG_DIR": str(folder / "config"),
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            **(environment or {}),
        }
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            if name not in (environment or {}):
                env.pop(name, None)
        columns, lines = size
        arguments = ["-c", code] if code else ["-m", "cifar_tui"]
        self.raw = bytearray()
        self.heard = 0.0  # when the last bytes came, by `time.perf_counter`
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.child: Any = pexpect.spawn(
            sys.executable, arguments, env=env, dimensions=(lines, columns), timeout=1, encoding=None
        )
        self.child.delaybeforesend = 0
        self.before = termios.tcgetattr(self.child.child_fd)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            os.killpg(self.child.pid, signal.SIGKILL)
        with contextlib.suppress(Exception):
            self.child.close(force=True)

    def pump(self, seconds: float = 0.1, *, show: bool = True) -> bool:
        """Take in what the app writes for a while; False once it has closed the terminal.

        Args:
            seconds: how long.
            show: also draw it on the screen, which costs time; without it the screen is out of date.
        """
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                data = self.child.read_nonblocking(65536, timeout=min(left, 0.05))
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                return False
            self.heard = time.perf_counter()
            self.raw += data
            if show:
                self._stream.feed(_PRIVATE.sub(b"", data))
        return True

    def _read_rest(self) -> None:
        """What was still on its way when the app ended, which `pexpect` takes for the end of it."""
        while select.select([self.child.child_fd], [], [], 0.2)[0]:
            try:
                data = os.read(self.child.child_fd, 65536)
            except OSError:  # nobody has the other end any more, and nothing is left
                return
            if not data:
                return
            self.raw += data
            self._stream.feed(_PRIVATE.sub(b"", data))

    def resize(self, columns: int, lines: int) -> None:
        """Another size of the terminal; the app paints anew."""
        self.screen.reset()
        self.screen.resize(lines, columns)
        self.child.setwinsize(lines, columns)

    @property
    def text(self) -> str:
        """The screen, a line a row."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def wait_for(self, pattern: str, seconds: float = 20.0) -> str:
        """Wait until the screen shows something; returns the screen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            alive = self.pump(0.05)
            if re.search(pattern, self.text):
                return self.text
            if not alive:
                break
        raise AssertionError(f"{pattern!r} is not on the screen:\n{self.text}")

    def wait_until(self, true: Callable[[], object], what: str, seconds: float = 20.0) -> None:
        """Wait until something holds, looking again at every change of the screen."""
        end = time.monotonic() + seconds
        while not true():
            alive = self.pump(0.05)
            assert alive and time.monotonic() < end, f"{what}: not after {seconds} s:\n{self.text}"

    def press(self, keys: str) -> None:
        """Type."""
        self.child.send(keys.encode())

    # ---- cells ----

    def row(self, y: int) -> str:
        """A row with one character a cell: a wide one is followed by a blank."""
        line = self.screen.buffer[y]
        return "".join((line[x].data or " ")[0] for x in range(self.screen.columns))

    def look(self, x: int, y: int) -> tuple[str, str, bool, bool]:
        """Colours of a cell, and whether it is bold and reversed."""
        cell = self.screen.buffer[y][x]
        return cell.fg, cell.bg, cell.bold, cell.reverse

    def find(self, text: str, *, rows: tuple[int, int] = (0, 1000), last: bool = False) -> tuple[int, int]:
        """Column and row of a text on the screen, within rows from `rows[0]` up to but without `rows[1]`.

        Raises:
            AssertionError: it is not there.
        """
        found = [
            (spot, y)
            for y in range(max(0, rows[0]), min(rows[1], self.screen.lines))
            if (spot := self.row(y).find(text)) >= 0
        ]
        assert found, f"{text!r} is not in rows {rows} of the screen:\n{self.text}"
        return found[-1 if last else 0]

    def box(self, title: str) -> tuple[int, int, int, int]:
        """First and last column, first and last row of the frame with a title.

        Raises:
            AssertionError: there is none.
        """
        for y in range(self.screen.lines):
            match = re.search(rf"╭─ {re.escape(title)}\b", self.row(y))
            if match is None:
                continue
            left = match.start()
            right = self.row(y).find("╮", left)
            for bottom in range(y + 1, self.screen.lines):
                if self.row(bottom)[left] == "╰":
                    return left, right, y, bottom
        raise AssertionError(f"no frame {title!r} is on the screen:\n{self.text}")

    def inside(self, title: str) -> str:
        """The text within the frame with a title, a line a row."""
        left, right, top, bottom = self.box(title)
        return "\n".join(self.row(y)[left + 1 : right] for y in range(top + 1, bottom))

    # ---- the mouse ----

    def click_at(self, x: int, y: int) -> None:
        """Press and let go of the left button on a cell, counted from 0."""
        self.child.send(f"\x1b[<35;{x + 1};{y + 1}M\x1b[<0;{x + 1};{y + 1}M\x1b[<0;{x + 1};{y + 1}m".encode())

    def wheel_at(self, x: int, y: int, notches: int) -> None:
        """Turn the wheel towards oneself over a cell, counted from 0."""
        self.child.send((f"\x1b[<65;{x + 1};{y + 1}M" * notches).encode())

    def click(self, text: str, *, rows: tuple[int, int] = (0, 1000), last: bool = False) -> None:
        """Click on the first letter of a text that is on the screen; see `find`."""
        x, y = self.find(text, rows=rows, last=last)
        self.click_at(x + len(text) - len(text.lstrip()), y)

    def wait_end(self, seconds: float = 30.0) -> int:
        """The exit code, 128 + n for a signal."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.pump(0.05) or not self.child.isalive():
                break
        self.pump(5.0)  # to the end of what it wrote
        self._read_rest()
        end = time.monotonic() + 1.0
        while self.child.isalive() and time.monotonic() < end:
            time.sleep(0.02)
        assert not self.child.isalive(), f"the app did not end in {seconds} s:\n{self.text}"
        if self.child.signalstatus is not None:
            return 128 + int(self.child.signalstatus)
        return int(self.child.exitstatus)

    def assert_restored(self) -> None:
        """Every mode is off again, after it was last switched on, and the settings are those of the start."""
        for sequence in RESETS:
            assert sequence in self.raw, f"{sequence!r} was not sent"
        assert self.raw.rfind(b"\x1b[?1049l") > self.raw.rfind(b"\x1b[?1049h")
        assert self.raw.rfind(b"\x1b[?1003l") > self.raw.rfind(b"\x1b[?1003h")
        assert self.raw.rfind(b"\x1b[?25h") > self.raw.rfind(b"\x1b[?25l")


def app_pid(terminal: Terminal) -> int:
    """The process of the app below its supervisor."""
    children = Path(f"/proc/{terminal.child.pid}/task/{terminal.child.pid}/children").read_text().split()
    return int(children[0]) if children else int(terminal.child.pid)
