"""``cifar-tui samples``: pictures of a dataset with their labels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cifar_tui.cli import common
from cifar_tui.errors import CannotCreateError, UsageError, from_os_error
from cifar_tui.text import did_you_mean, safe_text

if TYPE_CHECKING:
    from cifar_tui.datasets.split import Dataset, Split

app = common.new_app()
MOST = 1000


@app.command(epilog="Example: cifar-tui samples synthetic -n 4 --class ring")
def samples(
    name: Annotated[str, typer.Argument(metavar="DATASET", help="cifar10, cifar100 or synthetic.")],
    count: Annotated[
        int, typer.Option("-n", "--count", metavar="N", help=f"How many, 1 to {MOST}.", show_default=True)
    ] = 8,
    split: Annotated[str, typer.Option("--split", metavar="SPLIT", help="train or test.")] = "train",
    classes: Annotated[
        list[str] | None, typer.Option("--class", metavar="NAME", help="Only this class; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Which ones are drawn.")] = 0,
    index: Annotated[
        list[int] | None,
        typer.Option("--index", metavar="N", help="This very picture, from 0; may be repeated."),
    ] = None,
    labels: Annotated[
        str, typer.Option("--labels", metavar="KIND", help="fine, or coarse for the 20 of cifar100.")
    ] = "fine",
    png: Annotated[
        str | None, typer.Option("--png", metavar="FILE", help="Also write the pictures as a PNG sheet.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="With --png: replace a file that exists.")] = False,
    colour: Annotated[
        str,
        typer.Option(
            "--colour", "--color", metavar="WHEN", help="auto, always (also into a pipe) or never (ASCII)."
        ),
    ] = "auto",
    allow_unverified: common.AllowUnverified = False,
    data_dir: common.DataDir = None,
    as_json: common.Json = False,
) -> None:
    """Show pictures of a dataset with their labels.

    Off a terminal it prints a line for each: index, label and name, separated by tabs.
    """
    from cifar_tui.cli.data import check_split

    check_split(split)
    _check(count, seed, classes, index, colour)
    target = None if png is None else _target(png, force)
    from cifar_tui.datasets import load

    dataset = load(name, common.data_dir(data_dir), labels=labels, allow_unverified=allow_unverified)
    part: Split = getattr(dataset, split)
    rows = _choose(part, dataset, count, classes or [], seed, index or [])
    chosen = part.subset(rows)
    names = [part.names[label] for label in chosen.labels.tolist()]
    found = list(zip(rows, chosen.labels.tolist(), names, strict=True))
    if as_json:
        common.print_json([{"index": row, "label": label, "name": text} for row, label, text in found])
    elif colour == "always" or common.on_terminal():
        print(_drawing(dataset, split, part, chosen.images, found, colour))
    else:
        for row, label, text in found:
            print(f"{row}\t{label}\t{safe_text(text)}")
    if target is not None:
        _write(target, chosen.images, [f"{row} {text}" for row, _label, text in found])


def _check(count: int, seed: int, classes: list[str] | None, index: list[int] | None, colour: str) -> None:
    if not 1 <= count <= MOST:
        raise UsageError(f"-n is {count}, expected 1 to {MOST}")
    if seed < 0:
        raise UsageError(f"--seed is {seed}, expected 0 or more")
    if classes and index:
        raise UsageError("--index names the pictures, and --class draws them", hint="leave one of them out")
    if colour not in {"auto", "always", "never"}:
        raise UsageError(f'--colour is "{safe_text(colour, 40)}"', hint="valid: auto, always, never")


def _choose(
    part: Split, dataset: Dataset, count: int, classes: list[str], seed: int, index: list[int]
) -> list[int]:
    """Rows of the split: those of `index`, else drawn from the seed; every class asked for gets its share."""
    import numpy as np

    for row in index:
        if not 0 <= row < len(part):
            raise UsageError(
                f"there is no picture {safe_text(row, 30)} in {part.name}",
                hint=f"--index 0 to {len(part) - 1}",
            )
    if index:
        return index
    random = np.random.default_rng(seed)
    if not classes:
        return [int(row) for row in random.choice(len(part), min(count, len(part)), replace=False)]
    wanted = list(dict.fromkeys(_class(text, dataset) for text in classes))
    pools = [random.permutation(np.flatnonzero(part.labels == label)).tolist() for label in wanted]
    rows: list[int] = []
    while len(rows) < count and any(pools):
        rows += [pool.pop() for pool in pools if pool]
    return rows[:count]


def _class(text: str, dataset: Dataset) -> int:
    if text not in dataset.names:
        raise UsageError(
            f'{dataset.title} has no class "{safe_text(text, 40)}"', hint=did_you_mean(text, dataset.names)
        )
    return dataset.names.index(text)


def _drawing(
    dataset: Dataset, split: str, part: Split, images: Any, found: list[tuple[int, int, str]], colour: str
) -> str:
    from cifar_tui import pictures

    colours = pictures.colours_for(os.environ, is_tty=common.on_terminal())
    if colour == "always":
        colours = "truecolour"
    elif colour == "never":
        colours = "ascii"
    mark = {"synthetic": "", "ready": ""}.get(dataset.state, f" · {dataset.state}")
    heading = f"{dataset.title} · {split} · {len(found)} of {len(part):,} pictures{mark}"
    captions = [f"{row} {name}" for row, _label, name in found]
    drawn = pictures.grid(images, captions, width=common.terminal_width(), colours=colours)
    return f"{common.paint(heading, '1')}\n\n{drawn}"


def _target(text: str, force: bool) -> Path:
    """The path of the PNG file, refused before anything is read where it cannot be written."""
    path = Path(text).expanduser()
    if path.is_dir():
        raise CannotCreateError(f"{path} is a folder, expected the name of a PNG file")
    if path.exists() and not force:
        raise CannotCreateError(
            f"{path} exists already",
            state="nothing changed",
            hint="add --force to replace it, or name another",
        )
    return path


def _write(path: Path, images: Any, captions: list[str]) -> None:
    from cifar_tui import pictures
    from cifar_tui.fsio import replace_bytes

    data = pictures.png_grid(images, captions=captions)
    try:
        replace_bytes(path, data)
    except OSError as error:
        raise from_os_error(error, "write", path) from None
    common.say(f"wrote {safe_text(path)}: {len(captions)} pictures")
