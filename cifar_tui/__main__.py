"""``python -m cifar_tui`` and the ``cifar-tui`` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    if not sys.argv[1:]:
        from cifar_tui.cli.start import main as open_app

        sys.exit(open_app())  # the app, without loading the commands
    from cifar_tui.cli.main import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
