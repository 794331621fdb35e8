"""What the commands share: options that all of them take, and how results are printed."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cifar_tui.fsio import dump_json
from cifar_tui.text import safe_text

DataDir = Annotated[
    str | None,
    typer.Option(
        "--data-dir", metavar="DIR", help="Where datasets are [env: CIFAR_TUI_DATA_DIR].", show_default=False
    ),
]
RunsDir = Annotated[
    str | None,
    typer.Option(
        "--runs-dir", metavar="DIR", help="Where runs are [env: CIFAR_TUI_RUNS_DIR].", show_default=False
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
NewRun = Annotated[
    str | None, typer.Option("--name", metavar="RUN", help="Id of the new run [default: MODEL-DATASET-N].")
]
Device = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps.")]
Offline = Annotated[bool, typer.Option("--offline", help="Never download.")]
AllowUnverified = Annotated[
    bool, typer.Option("--allow-unverified", help="Take well-formed data whose hash is not the official one.")
]


def new_app(**settings: Any) -> typer.Typer:
    """A Typer app with the project's settings."""
    return typer.Typer(
        rich_markup_mode=None,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        **settings,
    )


def data_dir(option: str | None) -> Path:
    """The folder of datasets that a command works on."""
    from cifar_tui.datasets.store import data_dir as resolve

    return resolve(option)


def runs_dir(option: str | None) -> Path:
    """The folder of runs that a command works on."""
    from cifar_tui.runs.directory import runs_dir as resolve

    return resolve(option)


def print_json(value: Any) -> None:
    """One line of strict JSON on stdout, flushed."""
    print(dump_json(value), flush=True)


def say(text: str) -> None:
    """Narration on stderr."""
    print(text, file=sys.stderr, flush=True)


def on_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def use_colour() -> bool:
    """Whether stdout may be coloured: a terminal, and neither NO_COLOR nor a dumb one."""
    return on_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") != "dumb"


def paint(text: str, code: str) -> str:
    """Text in an SGR code such as ``32`` where stdout may be coloured, else as it is."""
    return f"\x1b[{code}m{text}\x1b[0m" if code and use_colour() else text


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    right: Sequence[int] = (),
    colours: Mapping[tuple[int, int], str] | None = None,
) -> str:
    """A plain table: columns as wide as their widest cell, those in `right` set to the right.

    Args:
        header: names of the columns; bold where stdout may be coloured.
        rows: cells; ``str()`` is applied and the text is made safe.
        right: columns of numbers.
        colours: SGR codes by (row, column), used where stdout may be coloured.
    """
    from cifar_tui.charts.cells import cell_width

    columns = []
    for column, name in enumerate(header):
        text = [safe_text(name), *(safe_text(row[column]) for row in rows)]
        widths = [cell_width(cell) for cell in text]
        widest = max(widths)
        pads = [" " * (widest - width) for width in widths]
        if use_colour():
            codes = ["1", *((colours or {}).get((number, column), "") for number in range(len(rows)))]
            text = [paint(cell, code) if cell else "" for cell, code in zip(text, codes, strict=True)]
        both = (pads, text) if column in right else (text, pads)
        columns.append([first + second for first, second in zip(*both, strict=True)])
    return "\n".join("  ".join(cells).rstrip() for cells in zip(*columns, strict=True))


def command(text: str, *, data_dir: str | None = None, runs_dir: str | None = None) -> str:
    """A command for a hint that works as written: with the folders that were given on the command line."""
    for flag, value in (("--data-dir", data_dir), ("--runs-dir", runs_dir)):
        if value is not None:
            text += f" {flag} {safe_text(shlex.quote(value))}"
    return f"cifar-tui {text}"


def terminal_width() -> int:
    """Cells in a line of the terminal, from ``COLUMNS`` or the terminal itself; 80 where it is not known."""
    return max(20, shutil.get_terminal_size((80, 24)).columns)


STATE_COLOURS = {
    "ready": "32",
    "done": "32",
    "running": "36",
    "unverified": "33",
    "stopped": "33",
    "interrupted": "33",
    "missing": "2",
    "new": "2",
    "damaged": "31",
    "failed": "31",
    "diverged": "31",
}
