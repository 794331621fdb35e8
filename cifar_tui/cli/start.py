"""``cifar-tui`` without a command."""

from __future__ import annotations

import sys

from cifar_tui.errors import UsageError


def open_app() -> None:
    """Open the app, where there is a terminal.

    Raises:
        UsageError: standard input or output is not a terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "the app needs a terminal, and standard input or output is none",
            hint="cifar-tui train --preset seed-fnn works without one; cifar-tui --help lists all commands",
        )
    raise UsageError(
        "the app is not part of this version", hint="cifar-tui train --preset seed-fnn; or cifar-tui demo"
    )
