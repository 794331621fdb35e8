"""The whole benchmark: every engine that can run a model, and plain loops, window by window."""

from __future__ import annotations

import gc
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cifar_tui
from cifar_tui.bench import load, profile, startup, subjects, windows
from cifar_tui.datasets.split import Split
from cifar_tui.engine.device import Device, select, usable_cores
from cifar_tui.models._layers import total_parameters
from cifar_tui.recipe import Recipe

STARTED = ("loader-pil",)  # plain loops whose start-up is measured too; the others start alike


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        engines: to be measured; all that can run when empty.
        rounds: windows of each loop.
        seconds: length of a window.
        startup: whether to measure start-up and memory, a process each.
        trace: where the profiler's trace goes, or None.
        pictures: how many random pictures there are.
    """

    engines: tuple[str, ...] = ()
    rounds: int = 7
    seconds: float = 0.4
    startup: bool = True
    trace: Path | None = None
    pictures: int = subjects.PICTURES


def measure(recipes: Sequence[Recipe], settings: Settings, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure each recipe's model; nothing is recorded but the trace.

    Args:
        recipes: at least one; all use the device and threads of the first.
        settings: how.
        say: called with what is being done.

    Returns:
        JSON values: `version`, `machine`, `settings`, and `models`, each as `_model` gives it.

    Raises:
        UsageError: no engine can run a model, or the device is unknown.
        UnavailableError: the device is not here.
        CifarTuiError: the trace cannot be written.
    """
    if settings.trace is not None:
        profile.check_destination(settings.trace)
    first = recipes[0].config
    device = select(first.device, first.threads or usable_cores())
    split = subjects.random_split(settings.pictures)
    gc.freeze()  # as a training does
    models: list[dict[str, Any]] = []
    loops: dict[tuple[str, str], windows.Loop] = {}
    for recipe in recipes:
        found, mine = _model(recipe, device, split, settings, say)
        models.append(found)
        loops |= {(found["name"], name): loop for name, loop in mine.items()}
    say("where the time goes")
    names: dict[str, dict[str, windows.Loop]] = {"engine": {}, "plain": {}}
    for model in models:
        for each in model["loops"]:
            key = (model["name"], each["name"])
            names[each["kind"]][" ".join(key)] = loops[key]
    cuda = device.kind == "cuda"
    traced = profile.profile(names["engine"], cuda=cuda, file=settings.trace)
    traced |= profile.profile(names["plain"], cuda=cuda)
    for model in models:
        for each in model["loops"]:
            each["profile"] = traced[f"{model['name']} {each['name']}"]
    if settings.startup:
        for recipe, model in zip(recipes, models, strict=True):
            _start(recipe, model, device, settings, say)
    return {
        "version": cifar_tui.__version__,
        "machine": machine(device),
        "settings": {
            "rounds": settings.rounds,
            "window_seconds": settings.seconds,
            "pictures": settings.pictures,
            "profiled_steps": profile.STEPS,
        },
        "models": models,
        "trace": None if settings.trace is None else str(settings.trace),
    }


def machine(device: Device) -> dict[str, Any]:
    """What the figures come from."""
    return {
        **device.to_json(),
        "cpu": select("cpu", device.threads).name,
        "cores": usable_cores(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _model(
    recipe: Recipe, device: Device, split: Split, settings: Settings, say: Callable[[str], None]
) -> tuple[dict[str, Any], dict[str, windows.Loop]]:
    """One model's figures, and its loops.

    The figures are `loops`, each a loop's summary; `ratios` of each engine to each plain loop; and `refused`,
    the engines that cannot run it with the reason.
    """
    config, name = recipe.config, recipe.preset or recipe.config.model
    place = device.torch_device
    found, refused = subjects.engine_subjects(config, split, place, settings.engines)
    found += [subjects.plain_subject(each, config, split, place) for each in subjects.PLAIN]
    loops: dict[str, windows.Loop] = {subject.name: subject.loop for subject in found}
    say(f"{name}: {', '.join(loops)}")

    def told(number: int) -> None:
        say(f"{name}: round {number + 1} of {settings.rounds}")

    others = load.OtherLoad([os.getpid()])
    taken = windows.interleaved(loops, settings.rounds, settings.seconds, told=told, others=others.look)
    rates = {each: [window.rate for window in taken[each]] for each in taken}
    engines = [subject for subject in found if subject.kind == "engine"]
    plain = [subject for subject in found if subject.kind == "plain"]
    return {
        "name": name,
        "preset": recipe.preset,
        "config": config.model_dump(),
        "parameters": _parameters(recipe),
        "loops": [
            {
                "name": subject.name,
                "title": subject.title,
                "kind": subject.kind,
                "asked": subject.asked,
                "note": subject.note,
                **windows.summary(taken[subject.name], config.batch_size),
            }
            for subject in found
        ],
        "ratios": [
            {"engine": ours.name, "to": theirs.name, **windows.ratio(rates[ours.name], rates[theirs.name])}
            for ours in engines
            for theirs in plain
        ],
        "refused": refused,
    }, loops


def _parameters(recipe: Recipe) -> int:
    from cifar_tui import catalog

    config = recipe.config
    return total_parameters(catalog.get("models", config.model).layers(config, subjects.CLASSES))


def _start(
    recipe: Recipe, model: dict[str, Any], device: Device, settings: Settings, say: Callable[[str], None]
) -> None:
    for each in model["loops"]:
        if each["kind"] == "engine" or each["name"] in STARTED:
            say(f"{model['name']}: start-up, {each['name']}")
            each.update(startup.measure(recipe.config, each["asked"], settings.pictures, device.threads))
