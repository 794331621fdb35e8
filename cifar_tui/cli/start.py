"""``cifar-tui`` without a command: the app."""

from __future__ import annotations

import os
import sys

from cifar_tui.errors import UsageError

_HINT = "cifar-tui train --preset seed-fnn works without one; cifar-tui --help lists all commands"


def check_terminal() -> None:
    """Refuse a place where the app cannot be shown.

    Raises:
        UsageError: standard input or output is not a terminal, or it is a dumb one.
    """
    for stream, name in ((sys.stdin, "input"), (sys.stdout, "output"), (sys.stderr, "error")):
        try:
            there = stream is not None and stream.isatty()
        except ValueError:
            there = False
        if not there:
            raise UsageError(
                f"the app needs a terminal, and standard {name} is none", hint=_HINT, id="E-NO-TERMINAL"
            )
    if os.environ.get("TERM", "") == "dumb":
        raise UsageError(
            "the app cannot be drawn on a terminal with TERM=dumb", hint=_HINT, id="E-DUMB-TERMINAL"
        )


def open_app(data_dir: str | None = None, runs_dir: str | None = None) -> int:
    """Open the app and wait for its end; returns the exit code.

    Raises:
        UsageError: there is no terminal for it.
    """
    check_terminal()
    from cifar_tui.tui.supervisor import supervise

    code = supervise()
    if code is not None:  # this is the parent, and the app has ended
        return code
    from cifar_tui.datasets.places import data_dir as resolve_data
    from cifar_tui.runs.directory import runs_dir as resolve_runs
    from cifar_tui.tui.app import run_app

    return run_app(resolve_data(data_dir), resolve_runs(runs_dir))
