"""``cifar-tui evaluate``."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cifar_tui.cli import common
from cifar_tui.errors import UsageError
from cifar_tui.text import safe_text

if TYPE_CHECKING:
    from cifar_tui import events
    from cifar_tui.session.evaluate import Which

app = common.new_app()

SPLITS = ("train", "test", "validation")
MANY_CLASSES = 20


@app.command(epilog="Example: cifar-tui evaluate cnn-synthetic-1 --checkpoint best --split test")
def evaluate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of the run; cifar-tui runs list shows them.")],
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", metavar="best|last|STEP", help="Which checkpoint.")
    ] = "last",
    split: Annotated[
        list[str] | None,
        typer.Option(
            "--split",
            metavar="NAME",
            help="train, test or validation; may be repeated [default: train and test].",
            show_default=False,
        ),
    ] = None,
    all_classes: Annotated[
        bool, typer.Option("--all-classes", help="All classes, not only the worst ten of 100.")
    ] = False,
    device: common.Device = "auto",
    allow_unverified: common.AllowUnverified = False,
    data_dir: common.DataDir = None,
    runs_dir: common.RunsDir = None,
    as_json: common.Json = False,
) -> None:
    """Report of a run's checkpoint on whole splits: accuracy, classes, confusions, calibration.

    Nothing of the run is changed.
    """
    from cifar_tui.runs.directory import RunDirectory
    from cifar_tui.session.evaluate import evaluate_run

    which, splits = parse_checkpoint(checkpoint), parse_splits(split)
    found = RunDirectory.open(common.runs_dir(runs_dir), run)
    with busy_line(as_json) as emit:
        result = evaluate_run(
            found,
            common.data_dir(data_dir),
            which=which,
            splits=splits,
            device=device,
            allow_unverified=allow_unverified,
            emit=emit,
        )
    if as_json:
        common.print_json(result)
    else:
        print(report(result, all_classes=all_classes), flush=True)


def parse_checkpoint(text: str) -> Which:
    """The checkpoint meant by "best", "last" or a step.

    Raises:
        UsageError: neither.
    """
    if text == "best":
        return "best"
    if text == "last":
        return "last"
    if re.fullmatch(r"[0-9]{1,12}", text, re.ASCII):
        return int(text)
    raise UsageError(
        f'--checkpoint is "{safe_text(text, 80)}", expected best, last or a step', hint="--checkpoint best"
    )


def parse_splits(names: list[str] | None) -> tuple[str, ...]:
    """The splits asked for, each once.

    Raises:
        UsageError: no such split.
    """
    for name in names or ():
        if name not in SPLITS:
            raise UsageError(
                f'--split is "{safe_text(name, 80)}", expected {", ".join(SPLITS)}', hint="--split test"
            )
    return tuple(dict.fromkeys(names or ("train", "test")))


@contextmanager
def busy_line(quiet: bool) -> Iterator[Callable[[events.Event], None]]:
    """A function that shows events: phases as one line on a terminal, notes as lines on stderr."""
    from cifar_tui import events
    from cifar_tui.cli.console import ERASE, Screen
    from cifar_tui.cli.progress_line import phase_line

    screen = Screen.current()
    drawn_at = 0.0

    def emit(event: events.Event) -> None:
        nonlocal drawn_at
        if isinstance(event, events.Note) and not quiet:
            sys.stderr.write(ERASE if screen.terminal else "")
            common.say(f"{event.level}: {safe_text(event.text)}")
        elif isinstance(event, events.Phase) and screen.terminal and not quiet:
            now = time.monotonic()
            if now - drawn_at >= 0.1 or event.done in {0, event.total}:
                drawn_at = now
                sys.stderr.write(
                    f"\r{phase_line(event, screen.size()[0] - 1, 0.0, unicode=screen.unicode)}\x1b[K"
                )
                sys.stderr.flush()

    try:
        yield emit
    finally:
        if screen.terminal and not quiet:
            sys.stderr.write(ERASE)
            sys.stderr.flush()


def report(result: dict[str, Any], *, all_classes: bool) -> str:
    """The report of `session.evaluate.evaluate_run` as text."""
    from cifar_tui.cli.console import Screen
    from cifar_tui.cli.report_text import classes_table, confused_table, splits_table

    dataset, splits = result["dataset"], result["splits"]
    origin = " (unverified)" if dataset["state"] == "unverified" else ""
    on = f"{safe_text(dataset['name'])}{origin}"
    blocks = [
        f"run {result['run']}, checkpoint of step {result['step']:,}, on {on}",
        splits_table(splits, Screen.current()),
    ]
    for name, found in splits.items():
        count = len(found["classes"])
        shorten = count > MANY_CLASSES and not all_classes
        title = (
            f"{name}: the worst ten of {count} classes (--all-classes shows all)"
            if shorten
            else f"{name}: classes"
        )
        blocks.append(f"{title}\n{classes_table(found, only_worst=shorten)}")
        blocks.append(f"{name}: most confused\n{confused_table(found)}")
    return "\n\n".join(blocks)
