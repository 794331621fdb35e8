"""A parent process that gives the terminal back where the app cannot: after SIGKILL or a crash in C.

It forks before anything large is loaded, waits, and passes signals on. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType
from typing import Any

from cifar_tui.tui.guard import CAUGHT, restore_terminal, terminal_state

OFF_VARIABLE = "CIFAR_TUI_NO_SUPERVISOR"


def supervise() -> int | None:
    """Fork. Returns None in the child, which becomes the app; in the parent, the app's exit code.

    A child that was ended by a signal counts as 128 + its number. A child that was stopped (Ctrl+Z) stops the
    parent too, so that the shell takes over, and both go on together.
    """
    if not hasattr(os, "fork") or os.environ.get(OFF_VARIABLE):
        return None
    state = terminal_state()
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        child = os.fork()
    except OSError:  # no more processes: the app works without a supervisor too
        return None
    if child == 0:
        return None
    before = _pass_signals_on(child)
    try:
        status = _wait(child)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        restore_terminal(state)
        if number in {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE}:
            with contextlib.suppress(OSError):
                text = (
                    f"cifar-tui was ended by {signal.Signals(number).name}; the newest checkpoint is intact\n"
                )
                os.write(2, text.encode("ascii"))
        return 128 + number
    return os.WEXITSTATUS(status)


def _pass_signals_on(child: int) -> dict[int, Any]:
    def forward(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    before: dict[int, Any] = {}
    for number in (*CAUGHT, signal.SIGQUIT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, forward)
    return before


def _wait(child: int) -> int:
    while True:
        try:
            _pid, status = os.waitpid(child, os.WUNTRACED)
        except InterruptedError:
            continue
        if os.WIFSTOPPED(status):
            os.kill(os.getpid(), signal.SIGSTOP)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGCONT)
            continue
        return status
