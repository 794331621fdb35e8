"""The rules of going on with a run: what may change, and what makes it not bit-exact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cifar_tui.config import OPTIONS, RunConfig
from cifar_tui.errors import DamagedError, UsageError
from cifar_tui.recipe import Recipe, resolve
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.session.request import TrainRequest

# What does not change the weights of any step that both runs have.
SAFE = frozenset(
    {
        "steps",
        "epochs",
        "max_seconds",
        "target_accuracy",
        "evaluate",
        "evaluate_every",
        "evaluate_first",
        "evaluate_growth",
        "eval_batch_size",
        "eval_train_examples",
        "device",
        "threads",
        "checkpoint_keep",
        "checkpoint_seconds",
        "engine",
    }
)
# What decides which model and which pictures these are: not even a fork may change it.
FIXED = frozenset(
    {
        "dataset",
        "labels",
        "model",
        "hidden_layers",
        "num_nodes",
        "norm",
        "conv_norm",
    }
)


def recorded_config(run: RunDirectory, meta: Mapping[str, Any]) -> dict[str, Any]:
    """The config in a run's record, with defaults for fields it does not have.

    Raises:
        DamagedError: no config, or a value that the schema does not admit.
    """
    values = meta.get("config")
    if not isinstance(values, dict):
        raise DamagedError(f'run "{run.id}" has no config in its record', where=run.run_json)
    known = {name: value for name, value in values.items() if name in OPTIONS}
    try:
        return RunConfig(**known).model_dump()
    except ValueError as error:
        first = str(error).splitlines()[1:3]
        raise DamagedError(
            f'config of run "{run.id}" is damaged: {" ".join(first)}', where=run.run_json
        ) from None


def changed_recipe(run: RunDirectory, meta: Mapping[str, Any], request: TrainRequest) -> Recipe:
    """The recipe of a resumed run with the changes asked for.

    Raises:
        UsageError: a change that would make it another run; old and new values are named.
    """
    base = recorded_config(run, meta)
    recipe = resolve(
        base=base, base_origin=f"run {run.id}", file=request.file, sets=request.sets, flags=request.changes
    )
    differences = changes(base, recipe.config)
    foreign = {name: pair for name, pair in differences.items() if name in FIXED}
    if foreign:
        raise UsageError(
            f'run "{run.id}" cannot change {_table(foreign)}: that is another model or dataset',
            state="nothing changed",
            hint="start a new run with cifar-tui train",
            id="E-RESUME-FIXED",
        )
    unsafe = {name: pair for name, pair in differences.items() if name not in SAFE}
    if unsafe:
        values = " ".join(f"--set {name}={new}" for name, (_old, new) in unsafe.items())
        raise UsageError(
            f'run "{run.id}" goes on as it was; {_table(unsafe)} would make it another run',
            state="nothing changed",
            hint=f"cifar-tui fork {run.id} {values}",
            id="E-RESUME-CHANGE",
        )
    return recipe


def changes(old: Mapping[str, Any], new: RunConfig) -> dict[str, tuple[Any, Any]]:
    """Fields that differ, with their old and new values."""
    return {
        name: (old[name], getattr(new, name))
        for name in OPTIONS
        if name in old and old[name] != getattr(new, name)
    }


def _table(differences: Mapping[str, tuple[Any, Any]]) -> str:
    return ", ".join(f"{name} {old} -> {new}" for name, (old, new) in differences.items())


def inexact(manifest: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs from the machine that wrote a checkpoint, in words; empty for a bit-exact resume."""
    device = manifest.get("device") or {}
    pairs = {
        "torch": (manifest.get("torch"), now["torch"]),
        "device": (device.get("name"), now["name"]),
        "threads": (manifest.get("threads"), now["threads"]),
        "engine": (manifest.get("engine"), now["engine"]),
    }
    return [f"{name} {old} -> {new}" for name, (old, new) in pairs.items() if old != new]


def recorded_threads(recipe: Recipe, manifest: Mapping[str, Any]) -> int:
    """The thread count that a checkpoint was written with, where the user gives none; 0 for no such count.

    A count of a machine with more cores than this one has is none.
    """
    from cifar_tui.engine.device import usable_cores

    found = manifest.get("threads")
    asked = recipe.config.threads or not recipe.origins.get("threads", "").startswith("run ")
    return found if not asked and isinstance(found, int) and 1 <= found <= usable_cores() else 0


def check_data(run_id: str, manifest: Mapping[str, Any], fingerprint: str) -> None:
    """Refuse pictures other than those the run was trained on.

    Raises:
        DamagedError: the fingerprints differ.
    """
    old = manifest.get("dataset_fingerprint")
    if old != fingerprint:
        raise DamagedError(
            f'run "{run_id}" was trained on other pictures: '
            f"fingerprint {str(old)[:12]}, here {fingerprint[:12]}",
            state="the run is untouched",
            hint="cifar-tui data verify",
            id="E-RESUME-DATA",
        )
