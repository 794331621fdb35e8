"""``cifar-tui bench``: training steps on this machine beside plain PyTorch loops."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cifar_tui.cli import common
from cifar_tui.cli.options import Asked, SectionedCommand, recipe_options
from cifar_tui.errors import UsageError
from cifar_tui.text import safe_text

if TYPE_CHECKING:
    from cifar_tui.recipe import Recipe

app = common.new_app()

PRESETS = ("seed-fnn", "seed-cnn")
FLAGS = (
    "model",
    "hidden_layers",
    "num_nodes",
    "norm",
    "dropout",
    "batch_size",
    "optimizer",
    "device",
    "threads",
)


@app.command(cls=SectionedCommand, epilog="Example: cifar-tui bench --preset seed-fnn --windows 3")
@recipe_options(preset=False, only=FLAGS)
def bench(
    asked: Asked,
    presets: Annotated[
        list[str] | None,
        typer.Option(
            "--preset", metavar="NAME", help="What to measure; may be repeated [default: seed-fnn, seed-cnn]."
        ),
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(
            "--engine",
            metavar="NAME",
            help="Only this step engine; may be repeated [default: all that can run].",
        ),
    ] = None,
    rounds: Annotated[
        int, typer.Option("--windows", metavar="N", min=1, max=1000, help="Windows of each loop.")
    ] = 7,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="S", min=0.01, max=600, help="Length of a window.")
    ] = 0.4,
    startup: Annotated[
        bool, typer.Option("--startup/--no-startup", help="Measure start-up and memory, a process each.")
    ] = True,
    profile: Annotated[
        Path | None,
        typer.Option(
            "--profile", metavar="FILE", help="Write a trace for Perfetto; print the costliest operations."
        ),
    ] = None,
    as_json: common.Json = False,
) -> None:
    """Measure steps per second on this machine, beside plain PyTorch loops.

    Every engine and three plain loops train the same model on the same random pictures, in windows taken in
    turn. The plain loops are a DataLoader of PIL pictures as torchvision makes them, a DataLoader of a
    tensor, and no DataLoader; all are eager, with the optimizer's default implementation and the loss read
    every step. Nothing is recorded, and no dataset is needed. It takes about a minute.
    """
    recipes = _recipes(asked, presets)
    from cifar_tui.bench import measure as work

    settings = work.Settings(
        engines=tuple(engine or ()), rounds=rounds, seconds=seconds, startup=startup, trace=profile
    )
    narration = _Narration()
    try:
        found = work.measure(recipes, settings, narration.say)
    finally:
        narration.close()
    if as_json:
        common.print_json(found)
        return
    print(text(found, costliest=profile is not None), flush=True)
    if profile is not None:
        common.say(f"\nthe trace is in {safe_text(profile)}: open it at https://ui.perfetto.dev")


def _recipes(asked: Asked, presets: list[str] | None) -> list[Recipe]:
    """The recipes to measure; ``--model`` without a preset begins from the schema's defaults."""
    from cifar_tui.recipe import resolve

    if presets is None and "model" in asked.flags:
        return [resolve(flags=asked.flags)]
    names = list(dict.fromkeys(presets or PRESETS))
    if len(names) > 1 and "model" in asked.flags:
        raise UsageError("--model goes with one preset or none", hint="cifar-tui bench --model cnn")
    return [resolve(preset=name, flags=asked.flags) for name in names]


class _Narration:
    """What is being done, on stderr: one line that is rewritten on a terminal, else a line for each thing."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._said = False

    def say(self, text: str) -> None:
        """Show what is done now."""
        text = safe_text(text)
        if self._live:
            width = common.terminal_width() - 1
            sys.stderr.write(f"\r\x1b[K{text[:width]}")
            sys.stderr.flush()
        else:
            common.say(text)
        self._said = True

    def close(self) -> None:
        """Take the line away."""
        if self._live and self._said:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def text(found: Mapping[str, Any], *, costliest: bool) -> str:
    """All figures as tables.

    Args:
        found: what `measure` gave.
        costliest: whether to list the costliest operations of each engine.
    """
    from cifar_tui.bench import table

    blocks = [table.heading(found["machine"], found["settings"])]
    for model in found["models"]:
        blocks.append(common.paint(table.title(model), "1"))
        blocks += [_table(part(model)) for part in (table.speeds, table.ratios, table.parts)]
        notes = [f"note: {safe_text(each['note'])}" for each in model["loops"] if each["note"]]
        for reason in dict.fromkeys(model["refused"].values()):
            names = [name for name, why in model["refused"].items() if why == reason]
            notes.append(f"not run: {', '.join(names)}: {safe_text(reason)}")
        if notes:
            blocks.append("\n".join(notes))
        for each in model["loops"] if costliest else ():
            if each["kind"] == "engine":
                blocks.append(f"{model['name']}, {each['title']}\n{_table(table.costliest(each))}")
    if warning := table.disturbed(found):
        blocks.append(common.paint(f"warning: {warning}", "33"))
    return "\n\n".join(blocks)


def _table(parts: tuple[tuple[str, ...], list[list[str]], tuple[int, ...]]) -> str:
    header, rows, right = parts
    return common.table(header, rows, right=right)
