"""A new run from a checkpoint of another."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cifar_tui.errors import UsageError
from cifar_tui.recipe import Recipe, resolve
from cifar_tui.runs.checkpoints import CheckpointInfo, CheckpointStore
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.session.resume import FIXED, changes, recorded_config

_EMPTY_SAFETENSORS = struct.pack("<Q", 2) + b"{}"
_OPTIMIZER_FILE = "optimizer.safetensors"


def fork(
    source: RunDirectory,
    runs_dir: Path,
    *,
    at: int | None,
    name: str | None,
    flags: Mapping[str, str],
    sets: tuple[str, ...] = (),
    file: Path | None = None,
    best: bool = False,
) -> tuple[RunDirectory, CheckpointInfo, dict[str, tuple[Any, Any]]]:
    """Make a new run that begins at a checkpoint of `source`; the source is not touched.

    Args:
        source: run to fork.
        runs_dir: where the new run goes.
        at: step of the checkpoint; None for the newest good one.
        name: id of the new run; None for the first free one.
        flags: changes to the config by field name, as typed. The model's shape and the dataset stay.
        sets: the same as ``key=value``.
        file: the same as a TOML file.
        best: take the best checkpoint in place of the newest.

    Returns:
        The new run, the checkpoint it begins at, and what was changed (old and new values).

    Raises:
        UsageError: a change to the model's shape or the dataset.
        CifarTuiError: no good checkpoint, or the name is taken.
    """
    meta = source.meta()
    base = recorded_config(source, meta)
    recipe = resolve(base=base, base_origin=f"run {source.id}", file=file, sets=sets, flags=flags)
    changed = changes(base, recipe.config)
    _refuse_fixed(source, changed)
    found, manifest, _notes = CheckpointStore(source.checkpoints).newest_good(at, best=best, read_only=True)
    files: dict[str, bytes] = {name_: (found.path / name_).read_bytes() for name_ in manifest["files"]}
    if "optimizer" in changed:
        files[_OPTIMIZER_FILE] = _EMPTY_SAFETENSORS  # moments of one rule mean nothing to another
    new = RunDirectory.create(
        runs_dir,
        _meta(meta, recipe, source, found),
        name=name,
        stem=f"{recipe.config.model}-{recipe.config.dataset}",
    )
    state = {key: value for key, value in manifest.items() if key not in {"files", "schema", "step"}}
    state["config"] = recipe.config.model_dump()
    state["best"] = None
    state["rng"] = {**state.get("rng", {}), "seed": recipe.config.seed}
    info = CheckpointStore(new.checkpoints, max(1, recipe.config.checkpoint_keep)).save(
        found.step, files, state
    )
    assert info is not None
    return new, info, changed


def _refuse_fixed(source: RunDirectory, changed: Mapping[str, tuple[Any, Any]]) -> None:
    fixed = {name: pair for name, pair in changed.items() if name in FIXED}
    if fixed:
        table = ", ".join(f"{name} {old} -> {new}" for name, (old, new) in fixed.items())
        raise UsageError(
            f'a fork of "{source.id}" keeps its model and dataset; it cannot change {table}',
            state="nothing changed",
            hint="start a new run with cifar-tui train",
            id="E-RESUME-FIXED",
        )


def _meta(
    meta: Mapping[str, Any], recipe: Recipe, source: RunDirectory, at: CheckpointInfo
) -> dict[str, Any]:
    kept = {key: meta[key] for key in ("versions", "device", "dataset", "preset") if key in meta}
    return {
        **kept,
        "title": f"{source.id} from step {at.step}",
        "config": recipe.config.model_dump(),
        "origins": recipe.origins,
        "parent": {"run": source.id, "step": at.step},
    }
