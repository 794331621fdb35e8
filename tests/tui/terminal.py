"""A real pseudo-terminal with the app in it, and a screen that shows what a user would see."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import termios
import time
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
        self.raw = b""
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

    def pump(self, seconds: float = 0.1) -> bool:
        """Take in what the app writes for a while; False once it has closed the terminal."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                data = self.child.read_nonblocking(65536, timeout=min(left, 0.05))
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                return False
            self.raw += data
            self._stream.feed(_PRIVATE.sub(b"", data))
        return True

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

    def press(self, keys: str) -> None:
        """Type."""
        self.child.send(keys.encode())

    def wait_end(self, seconds: float = 10.0) -> int:
        """The exit code, 128 + n for a signal."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.pump(0.05) or not self.child.isalive():
                break
        self.pump(0.1)
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
