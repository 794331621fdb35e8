"""``cifar-tui`` without a command: the app.

The module loads no Typer, so that the first paint does not wait for it; see ``__main__``.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cifar_tui.errors import CifarTuiError, UsageError
from cifar_tui.text import safe_text

if TYPE_CHECKING:
    from pathlib import Path

_FOLDERS = ("--data-dir", "--runs-dir")
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


def folders_of(arguments: Sequence[str]) -> tuple[str | None, str | None] | None:
    """The folders for the app where the command line asks for the app and no more; None for anything else.

    Args:
        arguments: words after the command's name; ``--data-dir X``, ``--data-dir=X`` and likewise
            ``--runs-dir`` are understood here, so that the first paint does not wait for Typer.
    """
    found: dict[str, str] = {}
    words = iter(arguments)
    for word in words:
        flag, sign, value = word.partition("=")
        if flag not in _FOLDERS:
            return None
        following = value if sign else next(words, None)
        if following is None or (not sign and following.startswith("-")):
            return None
        found[flag] = following
    return found.get("--data-dir"), found.get("--runs-dir")


def run_app(data_dir: str | None = None, runs_dir: str | None = None, *, watch: str | None = None) -> int:
    """Open the app and wait for its end; returns the exit code.

    Args:
        data_dir: where datasets are, as the user wrote it; None for the usual folder.
        runs_dir: where runs are; None likewise.
        watch: id of the run to open.

    Raises:
        UsageError: there is no terminal for it, or a folder's name is none.
    """
    check_terminal()
    data, runs = _folder(_FOLDERS[0], data_dir), _folder(_FOLDERS[1], runs_dir)
    from cifar_tui.tui.supervisor import supervise

    code = supervise()
    if code is not None:  # this is the parent, and the app has ended
        return code
    gc.disable()  # no pause before the first paint; the app switches it on again once its panes are there
    from cifar_tui.tui import app

    return app.run_app(data, runs, watch=watch)


def _folder(flag: str, text: str | None) -> Path | None:
    """A folder that was named, absolute; the app finds the usual one itself, after its first paint."""
    if text is None:
        return None
    if not text.strip() or "\0" in text:
        raise UsageError(f"{flag} is empty", hint=f"cifar-tui {flag} ./folder")
    if flag == "--data-dir":
        from cifar_tui.datasets.places import data_dir as resolve
    else:
        from cifar_tui.runs.directory import runs_dir as resolve
    folder = resolve(text).absolute()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{flag}: {safe_text(folder, 200)} is no folder", hint=f"cifar-tui {flag} ./folder")
    return folder


def open_app(data_dir: str | None = None, runs_dir: str | None = None) -> None:
    """Open the app from the root command.

    Raises:
        UsageError: there is no terminal for it.
        typer.Exit: it ended.
    """
    import typer

    raise typer.Exit(run_app(data_dir, runs_dir))


def main(arguments: Sequence[str] = ()) -> int:
    """The command line where `folders_of` understands all of it; returns the exit code."""
    try:
        return run_app(*(folders_of(arguments) or (None, None)))
    except CifarTuiError as error:
        print(error.block(), file=sys.stderr)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - shown as every command shows a bug of ours
        from cifar_tui.cli.main import show_bug

        return show_bug(error)
