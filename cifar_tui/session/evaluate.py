"""The report of a run's checkpoint on its dataset, without training."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from cifar_tui import events
from cifar_tui.config import RunConfig
from cifar_tui.errors import UsageError
from cifar_tui.runs.checkpoints import CheckpointInfo, CheckpointStore
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.session import prepare
from cifar_tui.session.resume import check_data, recorded_config

Which = Literal["best", "last"] | int


def find_checkpoint(run: RunDirectory, which: Which) -> tuple[CheckpointInfo, dict[str, Any], list[str]]:
    """The checkpoint meant by "best", "last" or a step, verified; nothing on disk is changed.

    Raises:
        CifarTuiError: it is not there or damaged.
    """
    store = CheckpointStore(run.checkpoints)
    if which == "best":
        return store.newest_good(best=True, read_only=True)
    return store.newest_good(None if which == "last" else which, read_only=True)


def evaluate_run(
    run: RunDirectory,
    data_dir: Path,
    *,
    which: Which = "last",
    splits: tuple[str, ...] = ("train", "test"),
    device: str = "auto",
    threads: int = 0,
    allow_unverified: bool = False,
    emit: Callable[[events.Event], None] = lambda _event: None,
) -> dict[str, Any]:
    """Evaluate a checkpoint of a run on whole splits.

    Returns:
        `{"run", "step", "checkpoint", "dataset", "splits": {name: report}}`, see `engine.evaluation.report`.

    Raises:
        CifarTuiError: the run, its checkpoint, its dataset or a split is not there, or damaged.
    """
    meta = run.meta()
    values = recorded_config(run, meta)
    info, manifest, notes = find_checkpoint(run, which)
    for text in notes:
        emit(events.Note(time=time.time(), level="warning", id="W-CKPT-DAMAGED", text=text, step=info.step))
    emit(events.Phase(time=time.time(), phase="import", text="torch"))
    from cifar_tui.engine import checkpoint, evaluation
    from cifar_tui.engine import device as devices
    from cifar_tui.engine.batches import DeviceSplit
    from cifar_tui.engine.build import build_module
    from cifar_tui.engine.step import l2_penalty, penalised

    config = RunConfig(**values)
    place = devices.select(device, threads).torch_device
    emit(events.Phase(time=time.time(), phase="data", text=config.dataset))
    dataset = prepare.obtain(
        config,
        data_dir,
        allow_unverified=allow_unverified,
        offline=True,
        mirrors=(),
        emit=emit,
        cancelled=lambda: False,
    )
    check_data(run.id, manifest, dataset.fingerprint)
    data = prepare.split(dataset, config)
    module = build_module(config, dataset.num_classes, place)
    weights = checkpoint.read_files(info.path, manifest)[checkpoint.MODEL_FILE]
    checkpoint.load_model(module, weights, f"{run.id}/{info.name}/{checkpoint.MODEL_FILE}")
    penalty = float(l2_penalty(penalised(module), config.l2_reg).detach()) if config.l2_reg else 0.0
    reports = {}
    for name in splits:
        pictures = getattr(data, name, None)
        if pictures is None:
            raise UsageError(
                f'run "{run.id}" has no {name} split', hint="--split takes train, test or validation"
            )
        predictions = evaluation.predict(
            module,
            DeviceSplit(pictures, place),
            config.eval_batch_size,
            progress=_teller(name, info.step, emit),
        )
        assert predictions is not None
        reports[name] = evaluation.report(predictions, dataset.names, penalty)
    return {
        "run": run.id,
        "step": info.step,
        "checkpoint": info.name,
        "dataset": prepare.describe(dataset, data),
        "splits": reports,
    }


def _teller(name: str, step: int, emit: Callable[[events.Event], None]) -> Callable[[int, int], None]:
    """What an evaluation tells of its progress."""

    def tell(done: int, total: int) -> None:
        emit(
            events.Phase(
                time=time.time(),
                phase="evaluate",
                step=step,
                text=name,
                done=done,
                total=total,
                unit="images",
            )
        )

    return tell
