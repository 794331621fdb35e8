"""Signals while a training runs: the first one asks it to save and end, a second Ctrl+C leaves at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, Self

WATCHED = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class SignalWatch:
    """Catches the signals that end a command, for as long as the block lasts.

    The handler takes no lock: it writes down the number, and the main loop reads it. Signals that were
    ignored before, as under nohup, stay ignored. Outside the main thread it does nothing.

    Attributes:
        number: the first signal that came, 0 before.
        cost: what is lost when the command leaves at once; the main loop keeps it fresh.
    """

    def __init__(self) -> None:
        self.number = 0
        self.cost = ""
        self._before: dict[int, Any] = {}

    @property
    def name(self) -> str:
        """Name of the signal that came, such as ``SIGINT``; "" before."""
        return signal.Signals(self.number).name if self.number else ""

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in WATCHED:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before.clear()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if not self.number:
            self.number = number
        elif number == signal.SIGINT:
            leave_at_once(number, self.cost)


def leave_at_once(number: int, message: str) -> None:
    """End the process without another word from anyone; exit code 128 + `number`."""
    text = f"\r\x1b[K{message}\n" if sys.stderr.isatty() else f"{message}\n"
    with contextlib.suppress(OSError):
        os.write(2, text.encode("utf-8", "backslashreplace"))
    os._exit(128 + number)
