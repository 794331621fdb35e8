"""``python -m cifar_tui`` and the ``cifar-tui`` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from cifar_tui.cli import start

    if start.folders_of(sys.argv[1:]) is not None:
        sys.exit(start.main(sys.argv[1:]))  # the app, without loading the commands
    from cifar_tui.cli.main import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
