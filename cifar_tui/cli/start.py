"""``cifar-tui`` without a command: the app.

The module loads no Typer, so that the first paint does not wait for it; see ``__main__``.
"""

from __future__ import annotations

import gc
import os
import sys

from cifar_tui.errors import CifarTuiError, UsageError

_HINT = "cifar-tui train --preset seed-fnn works without one; cifar-tui --help lists all commands"


def check_terminal() -> None:
    """Refuse a place where the app cannot be shown.

    Raises:
        UsageError: standard input, output or error is not a terminal, or it is a dumb one.
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


def run_app() -> int:
    """Open the app and wait for its end; returns the exit code.

    Raises:
        UsageError: there is no terminal for it.
    """
    check_terminal()
    from cifar_tui.tui.supervisor import supervise

    code = supervise()
    if code is not None:  # this is the parent, and the app has ended
        return code
    gc.disable()  # no pause before the first paint; the app switches it on again once its panes are there
    from cifar_tui.tui import app

    return app.run_app()


def open_app() -> None:
    """Open the app from the root command.

    Raises:
        UsageError: there is no terminal for it.
        typer.Exit: it ended with a code other than 0.
    """
    import typer

    raise typer.Exit(run_app())


def main() -> int:
    """The command line without arguments; returns the exit code."""
    try:
        return run_app()
    except CifarTuiError as error:
        print(error.block(), file=sys.stderr)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - shown as every command shows a bug of ours
        from cifar_tui.cli.main import show_bug

        return show_bug(error)
