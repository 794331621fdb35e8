"""The report of a run's checkpoint on its dataset, without training."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cifar_tui import events
from cifar_tui.config import RunConfig
from cifar_tui.errors import UsageError
from cifar_tui.runs.checkpoints import CheckpointInfo, CheckpointStore
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.session import prepare
from cifar_tui.session.resume import check_data, recorded_config

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cifar_tui.datasets.split import Dataset
    from cifar_tui.engine.answers import Answers
    from cifar_tui.engine.trainer import TrainingData

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


@dataclass(frozen=True, eq=False)
class Answered:
    """What a checkpoint said of one split.

    Attributes:
        split: "train", "validation" or "test", as the run divides its dataset.
        step: steps done at the checkpoint.
        checkpoint: name of its folder.
        dataset: as a run records it.
        report: see `engine.evaluation.report`.
        answers: the most likely classes of each picture.
        source: the split of the files that the pictures are in, "train" or "test".
        rows: int64 (N,), their places there.
    """

    split: str
    step: int
    checkpoint: str
    dataset: dict[str, Any]
    report: dict[str, Any]
    answers: Answers
    source: str
    rows: NDArray[np.int64]


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
    cancelled: Callable[[], bool] = lambda: False,
    deliver: Callable[[Answered], None] | None = None,
) -> dict[str, Any]:
    """Evaluate a checkpoint of a run on whole splits.

    Args:
        run: the run; nothing of it is changed.
        data_dir: the folder that holds the datasets.
        which: the checkpoint.
        splits: in this order.
        device: see `engine.device.select`.
        threads: likewise.
        allow_unverified: take well-formed data of unknown origin.
        emit: told of phases, with the pictures done, and of damaged checkpoints.
        cancelled: asked before each batch; True ends it with the splits that are done.
        deliver: given each split as soon as it is done, with what was said of every picture.

    Returns:
        `{"run", "step", "checkpoint", "dataset", "splits": {name: report}}`, see `engine.evaluation.report`.

    Raises:
        CifarTuiError: the run, its checkpoint, its dataset or a split is not there, or damaged.
    """
    ready = _prepare(run, data_dir, which, device, threads, allow_unverified, emit, cancelled)
    from cifar_tui.engine import evaluation
    from cifar_tui.engine.answers import Keeping
    from cifar_tui.engine.batches import DeviceSplit

    info, config, dataset = ready.info, ready.config, ready.dataset
    described = prepare.describe(dataset, ready.data)
    kept = Keeping(ready.module) if deliver is not None else None
    reports = {}
    for name in splits:
        pictures = getattr(ready.data, name, None)
        if pictures is None:
            raise UsageError(
                f'run "{run.id}" has no {name} split', hint="--split takes train, test or validation"
            )
        predictions = evaluation.predict(
            kept or ready.module,
            DeviceSplit(pictures, ready.place),
            config.eval_batch_size,
            cancelled=cancelled,
            progress=_teller(name, info.step, emit),
        )
        if predictions is None:
            break
        reports[name] = evaluation.report(predictions, dataset.names, ready.penalty)
        if kept is not None and deliver is not None:
            source, rows = places(dataset, config, name)
            answers = kept.take(predictions)
            deliver(Answered(name, info.step, info.name, described, reports[name], answers, source, rows))
    return {
        "run": run.id,
        "step": info.step,
        "checkpoint": info.name,
        "dataset": described,
        "splits": reports,
    }


class _Ready(NamedTuple):
    """A checkpoint that can be asked."""

    info: CheckpointInfo
    config: RunConfig
    dataset: Dataset
    data: TrainingData
    module: nn.Module
    penalty: float
    place: torch.device


def _prepare(
    run: RunDirectory,
    data_dir: Path,
    which: Which,
    device: str,
    threads: int,
    allow_unverified: bool,
    emit: Callable[[events.Event], None],
    cancelled: Callable[[], bool],
) -> _Ready:
    """The model of a checkpoint and the pictures of its run."""
    meta = run.meta()
    values = recorded_config(run, meta)
    info, manifest, notes = find_checkpoint(run, which)
    for text in notes:
        emit(events.Note(time=time.time(), level="warning", id="W-CKPT-DAMAGED", text=text, step=info.step))
    emit(events.Phase(time=time.time(), phase="import", text="torch"))
    from cifar_tui.engine import device as devices

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
        cancelled=cancelled,
    )
    check_data(run.id, manifest, dataset.fingerprint)
    data = prepare.split(dataset, config)
    module, penalty = _model(run, info, manifest, config, dataset.num_classes, place)
    return _Ready(info, config, dataset, data, module, penalty, place)


def _model(
    run: RunDirectory,
    info: CheckpointInfo,
    manifest: dict[str, Any],
    config: RunConfig,
    classes: int,
    place: torch.device,
) -> tuple[nn.Module, float]:
    """The model of a checkpoint, and what its L2 penalty adds to the loss."""
    from cifar_tui.engine import checkpoint
    from cifar_tui.engine.build import build_module
    from cifar_tui.engine.step import l2_penalty, penalised

    module = build_module(config, classes, place)
    weights = checkpoint.read_files(info.path, manifest)[checkpoint.MODEL_FILE]
    checkpoint.load_model(module, weights, f"{run.id}/{info.name}/{checkpoint.MODEL_FILE}")
    penalty = float(l2_penalty(penalised(module), config.l2_reg).detach()) if config.l2_reg else 0.0
    return module, penalty


def places(dataset: Dataset, config: RunConfig, split: str) -> tuple[str, NDArray[np.int64]]:
    """Where the pictures of a run's split are in the files.

    Returns:
        The split of the files, "train" or "test", and int64 (N,) places there.
    """
    whole = dataset.test if split == "test" else dataset.train
    rows = np.arange(len(whole), dtype=np.int64)
    if split == "test" or not config.validation_examples:
        return whole.name, rows
    # The same division as that of the run, of place numbers in place of pictures.
    numbers = replace(whole, images=whole.images[:, :1, :1], fine_labels=rows)
    rest, held = numbers.hold_out(config.validation_examples, config.seed)
    found = (held if split == "validation" else rest).fine_labels
    assert found is not None
    return whole.name, found


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
