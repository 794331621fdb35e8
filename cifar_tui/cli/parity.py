"""``cifar-tui parity``: the original notebook's two trainings, ours beside theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cifar_tui.cli import common
from cifar_tui.cli.report_text import Places
from cifar_tui.errors import UsageError
from cifar_tui.text import safe_text

app = common.new_app()

PRESETS = {"fnn": "seed-fnn", "cnn": "seed-cnn"}
NOTE = (
    "The notebook's figures were printed in July 2023 on a CUDA device; speeds compare devices, not programs."
)


@app.command(epilog="Example: cifar-tui parity --model fnn --steps 1000")
def parity(
    model: Annotated[str, typer.Option("--model", metavar="fnn|cnn|all", help="Which of the two.")] = "all",
    steps: Annotated[
        str | None,
        typer.Option(
            "--steps", metavar="N", help="Fewer steps, to try it out; the figures are then no parity."
        ),
    ] = None,
    seed: Annotated[str, typer.Option("--seed", metavar="N", help="Seed of both trainings.")] = "0",
    device: common.Device = "auto",
    offline: common.Offline = False,
    allow_unverified: common.AllowUnverified = False,
    data_dir: common.DataDir = None,
    runs_dir: common.RunsDir = None,
    as_json: common.Json = False,
) -> None:
    """Run the presets seed-fnn and seed-cnn on CIFAR-10 and print ours beside the notebook's figures.

    Both trainings are recorded as runs. Losses include the L2 penalty, as the notebook's do.
    """
    from cifar_tui.cli import driving
    from cifar_tui.recipe import resolve
    from cifar_tui.session import TrainRequest

    flags = {"seed": seed, "device": device} | ({"steps": steps} if steps is not None else {})
    recipes = [resolve(preset=preset, flags=flags) for preset in chosen(model)]
    results = []
    for recipe in recipes:
        request = TrainRequest(
            data_dir=common.data_dir(data_dir),
            runs_dir=common.runs_dir(runs_dir),
            recipe=recipe,
            title=f"parity {recipe.preset}",
            allow_unverified=allow_unverified,
            offline=offline,
        )
        session = driving.train(
            request, Places(data_dir, runs_dir), charts=False, next_commands=False, quiet=as_json
        )
        results.append(result(recipe.preset or "", session))
    if as_json:
        common.print_json(results)
        return
    for found in results:
        print(f"\n{text(found)}", flush=True)
    common.say(f"\n{NOTE}")


def chosen(model: str) -> list[str]:
    """The presets of ``--model``.

    Raises:
        UsageError: neither fnn, cnn nor all.
    """
    if model == "all":
        return list(PRESETS.values())
    if model not in PRESETS:
        raise UsageError(f'--model is "{safe_text(model, 80)}", expected fnn, cnn or all', hint="--model all")
    return [PRESETS[model]]


def result(preset: str, session: Any) -> dict[str, Any]:
    """Ours, the notebook's and the differences, as JSON values."""
    from cifar_tui import catalog

    module = catalog.get("presets", preset)
    ended, trainer = session.ended, session.trainer
    ours: dict[str, Any] = {
        split: {
            "loss": trainer.reports[split]["loss_with_penalty"],
            "accuracy": trainer.reports[split]["accuracy"],
        }
        for split in ("train", "test")
    }
    ours |= {"steps_per_second": ended.steps_per_second, "median_step_us": ended.median_step_us}
    device = trainer.device.to_json()
    return {
        "preset": preset,
        "run": ended.run,
        "steps": ended.step,
        "reference_steps": module.VALUES["steps"],
        "device": device["device"],
        "device_name": device["name"],
        "ours": ours,
        "notebook": module.REFERENCE,
        "difference": differences(ours, module.REFERENCE),
    }


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Ours less theirs, value by value; None where one of them is missing."""
    found: dict[str, Any] = {}
    for name, value in theirs.items():
        mine = ours.get(name)
        if isinstance(value, Mapping):
            found[name] = differences(mine or {}, value)
        else:
            found[name] = None if mine is None else mine - value
    return found


def text(found: Mapping[str, Any]) -> str:
    """One preset's comparison as a table."""
    ours, theirs = found["ours"], found["notebook"]
    rows = []
    for split in ("train", "test"):
        rows.append(_row(f"{split} loss", ours[split]["loss"], theirs[split]["loss"], "{:.3f}"))
        accuracies = (ours[split]["accuracy"] * 100, theirs[split]["accuracy"] * 100)
        rows.append(_row(f"{split} accuracy (%)", *accuracies, "{:.2f}"))
    rows.append(_row("steps/s", ours["steps_per_second"], theirs["steps_per_second"], "{:,.0f}"))
    rows.append(_row("median step (us)", ours["median_step_us"], theirs["median_step_us"], "{:,.0f}"))
    device = f"{found['device']} ({safe_text(found['device_name'], 60)})"
    title = f"{found['preset']}, {found['steps']:,} steps on {device}"
    if found["steps"] != found["reference_steps"]:
        title += f"; the notebook trained {found['reference_steps']:,} steps, so this is no parity"
    return f"{title}\n{common.table(['', 'ours', 'notebook', 'difference'], rows, right=(1, 2, 3))}"


def _row(name: str, ours: float | None, theirs: float, form: str) -> list[str]:
    if ours is None:
        return [name, "-", form.format(theirs), "-"]
    return [name, form.format(ours), form.format(theirs), form.replace(":", ":+").format(ours - theirs)]
