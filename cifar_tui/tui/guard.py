"""Signals, and a terminal that is always given back. Standard library only.

A signal handler only writes a byte into a pipe; a thread reads it, asks the training to save, asks the app to
leave, and ends the process itself when that takes too long, as it does when nobody reads the terminal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

SAVE_SECONDS = 1.7  # for the training to save after a signal
RESTORE_SECONDS = 0.3
LEAVE_SECONDS = 0.5  # for the app to restore the terminal after that
WRITER = "textual-output"  # the name of the thread that writes to the terminal
WAKE = getattr(signal, "SIGURG", 0)  # ignored by all others
CAUGHT = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

# Each mode that the app or Textual may switch on, off again: bracketed paste, in-band resize, mouse in all
# its encodings, focus, kitty keys, wrap on, colours, alternate screen off, cursor shown, synchronised
# output off.
RESET = (
    "\x1b[?2004l\x1b[?2048l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l\x1b[?1004l"
    "\x1b[<u\x1b[?7h\x1b[0m\x1b[?1049l\x1b[?25h\x1b[?2026l"
)


def terminal_state(descriptor: int = 0) -> list[Any] | None:
    """The terminal's settings, for `restore_terminal`; None where there is no terminal."""
    try:
        import termios

        return termios.tcgetattr(descriptor)
    except (ImportError, OSError, ValueError):
        return None
    except Exception:  # noqa: BLE001 - termios.error is no OSError
        return None


def restore_terminal(state: list[Any] | None, descriptor: int = 0) -> None:
    """Give the terminal back as it was, without waiting longer than `RESTORE_SECONDS` for it.

    A thread that waits in a write to a terminal that nobody reads holds a lock that no other write gets past.
    A signal wakes it, and as its descriptor does not wait any more, it is refused.
    """
    threading.excepthook = lambda _arguments: None  # of the thread that is refused
    with contextlib.suppress(Exception), _unblocked():
        target = os.open(os.ttyname(descriptor), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            _write_past(target, RESET.encode("ascii"))
        finally:
            os.close(target)
    if state is not None:
        with contextlib.suppress(Exception):
            import termios

            termios.tcsetattr(descriptor, termios.TCSANOW, state)


@contextlib.contextmanager
def _unblocked() -> Iterator[None]:
    """No write of this process to a terminal waits; the terminal's other users get its flags back."""
    import fcntl

    before: dict[int, int] = {}
    for number in (0, 1, 2):
        with contextlib.suppress(OSError):
            if os.isatty(number):
                before[number] = fcntl.fcntl(number, fcntl.F_GETFL)
    for number, flags in before.items():
        fcntl.fcntl(number, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    try:
        yield
    finally:
        for number, flags in before.items():
            fcntl.fcntl(number, fcntl.F_SETFL, flags)


def _write_past(target: int, data: bytes) -> None:
    """Write all of `data` to a terminal that is not read, in place of what waits there."""
    import termios

    deadline = time.monotonic() + RESTORE_SECONDS
    while data and time.monotonic() < deadline:
        for thread in threading.enumerate():
            if thread.name == WRITER and thread.ident is not None:
                signal.pthread_kill(thread.ident, WAKE)
        time.sleep(0.01)  # it goes
        termios.tcflush(target, termios.TCOFLUSH)
        with contextlib.suppress(BlockingIOError):
            data = data[os.write(target, data) :]


def _woken(_number: int, _frame: FrameType | None) -> None:
    """What a thread was waiting for is over; a signal without a handler would not end it."""


class Guard:
    """Watches for signals while the app runs.

    Args:
        stop: asks the training to save and end; called in the guard's thread with the signal's number.
        saved: whether nothing is left to save.
        leave: asks the app to end; called in the guard's thread.

    Attributes:
        number: the first signal that came, 0 before.
    """

    def __init__(
        self, stop: Callable[[int], None], saved: Callable[[], bool], leave: Callable[[], None]
    ) -> None:
        self.number = 0
        self._stop, self._saved, self._leave = stop, saved, leave
        self._before: dict[int, Any] = {}
        self._reader, self._writer = os.pipe()
        self._terminal = terminal_state()
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="guard", daemon=True)

    def __enter__(self) -> Guard:
        os.set_blocking(self._writer, False)
        for number in CAUGHT:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        if WAKE:
            signal.signal(WAKE, _woken)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            with contextlib.suppress(TypeError, ValueError, OSError):
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._finished.set()
        with contextlib.suppress(OSError):
            os.write(self._writer, b"\0")

    def raise_(self, number: int) -> None:
        """Behave as if a signal had come; from any thread."""
        with contextlib.suppress(OSError):
            os.write(self._writer, bytes([number]))

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.raise_(number)

    def _watch(self) -> None:
        while True:
            try:
                byte = os.read(self._reader, 1)
            except OSError:
                return
            if not byte or byte == b"\0":
                return
            if not self.number:
                self.number = byte[0]
                threading.Thread(target=self._end, name="guard-end", daemon=True).start()
            elif byte[0] == signal.SIGINT:
                self.leave_at_once()

    def _end(self) -> None:
        with contextlib.suppress(Exception):
            self._stop(self.number)
        deadline = time.monotonic() + SAVE_SECONDS
        while time.monotonic() < deadline and not self._saved():
            time.sleep(0.02)
        with contextlib.suppress(Exception):
            self._leave()
        if not self._finished.wait(LEAVE_SECONDS):
            self.hard_exit()

    def leave_at_once(self) -> None:
        """What a second Ctrl+C means: no waiting for what is being saved, which is whole or not there."""
        self.number = self.number or signal.SIGINT
        self.hard_exit()

    def hard_exit(self, code: int | None = None) -> None:
        """Restore the terminal and end the process now."""
        restore_terminal(self._terminal)
        os._exit(128 + self.number if code is None else code)


def end_process(code: int) -> None:
    """End after everything was saved, without waiting for a thread that cannot be interrupted."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)
