"""Pictures for a training: fetched where they are missing, loaded, split, and measured against memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from cifar_tui import catalog, events
from cifar_tui.config import RunConfig
from cifar_tui.datasets import store
from cifar_tui.datasets.split import Dataset
from cifar_tui.datasets.transfer import Transfer
from cifar_tui.engine.threads import MARGIN, SCREEN_MARGIN, ThreadPolicy
from cifar_tui.errors import NotThereError, UsageError
from cifar_tui.models._layers import total_parameters
from cifar_tui.session.request import TrainRequest
from cifar_tui.text import human_bytes

if TYPE_CHECKING:
    from cifar_tui.engine.trainer import TrainingData

BYTES_A_PARAMETER = 4 * (2 + 2 + 4)  # weight, gradient, two moments, and the copies a checkpoint is made from


def obtain(
    config: RunConfig,
    data_dir: Path,
    *,
    allow_unverified: bool,
    offline: bool,
    mirrors: tuple[str, ...],
    emit: Callable[[events.Event], None],
    cancelled: Callable[[], bool],
) -> Dataset:
    """The dataset of a config; downloaded first where it is missing, unless `offline`.

    Raises:
        NotThereError: missing, and offline.
        CifarTuiError: what the download or the check of the data found.
    """
    status = store.status(config.dataset, data_dir)
    if status.state == "missing":
        if offline:
            raise NotThereError(
                f"dataset {config.dataset} is missing in {data_dir}, and --offline forbids to fetch it",
                hint=f"cifar-tui data download {config.dataset}",
                id="E-DATA-MISSING",
            )

        from cifar_tui.datasets import download

        def report(transfer: Transfer) -> None:
            emit(
                events.Phase(
                    time=time.time(),
                    phase="data",
                    text=f"{transfer.phase} {transfer.file}",
                    done=transfer.done,
                    total=transfer.total or 0,
                    unit="bytes",
                    rate=transfer.rate,
                )
            )

        def note(text: str) -> None:
            emit(events.Note(time=time.time(), level="info", id="I-DATA", text=text))

        download.fetch(
            config.dataset,
            data_dir,
            mirrors=mirrors,
            allow_unverified=allow_unverified,
            report=report,
            note=note,
            cancelled=cancelled,
        )
    return store.load(config.dataset, data_dir, labels=config.labels, allow_unverified=allow_unverified)


def split(dataset: Dataset, config: RunConfig) -> TrainingData:
    """The splits of a training; the validation pictures are drawn from the seed.

    Raises:
        UsageError: more pictures held out than there are, or a batch larger than the training split.
    """
    from cifar_tui.engine.trainer import TrainingData

    train, validation = dataset.train, None
    if config.validation_examples >= len(train):
        raise UsageError(
            f"validation_examples is {config.validation_examples}, "
            f"but {dataset.name} has {len(train)} training pictures",
            id="E-CONFIG-VALUE",
        )
    if config.validation_examples:
        train, validation = train.hold_out(config.validation_examples, config.seed)
    if config.batch_size > len(train):
        raise UsageError(
            f"batch_size is {config.batch_size}, but there are {len(train)} pictures to train on",
            hint=f"--batch-size takes at most {len(train)} here",
            id="E-CONFIG-VALUE",
        )
    return TrainingData(train, dataset.test, validation, dataset.names, dataset.fingerprint)


def describe(dataset: Dataset, data: TrainingData) -> dict[str, Any]:
    """The dataset as a run records it."""
    return {
        "name": dataset.name,
        "title": dataset.title,
        "labels": dataset.labels_kind,
        "state": dataset.state,
        "fingerprint": dataset.fingerprint,
        "train": len(data.train),
        "test": len(data.test),
        "validation": len(data.validation) if data.validation else 0,
        "classes": dataset.num_classes,
        "names": list(dataset.names),
        "path": str(dataset.path) if dataset.path else None,
    }


def thread_policy(config: RunConfig, request: TrainRequest, *, recorded: bool = False) -> ThreadPolicy:
    """What a training may do about its thread count: nothing where the user gave one.

    Args:
        config: its `threads` is 0 where the user leaves it to us.
        request: a strict one keeps the count, and beside a screen more threads must be worth more.
        recorded: the count comes from the record of the run, so that it goes on with the same bits.
    """
    if config.threads:
        return ThreadPolicy()
    margin = SCREEN_MARGIN if request.screen else MARGIN
    return ThreadPolicy(probe=not recorded, watch=not request.strict, margin=margin)


def parameters(config: RunConfig, num_classes: int) -> int:
    """Trained numbers of the model of a config, computed without torch."""
    return total_parameters(catalog.get("models", config.model).layers(config, num_classes))


def memory_needed(config: RunConfig, num_classes: int) -> int:
    """About how many bytes a training of this config takes, its pictures included."""
    layers = catalog.get("models", config.model).layers(config, num_classes)
    numbers = 0
    for layer in layers:
        size = 1
        for extent in layer.shape:
            size *= extent
        numbers += size
    widest = max(config.batch_size * 3, config.eval_batch_size // 2)
    return total_parameters(layers) * BYTES_A_PARAMETER + numbers * 4 * widest + 400_000_000


def check_memory(config: RunConfig, num_classes: int) -> None:
    """Refuse a model that this machine cannot hold, before anything is allocated.

    Raises:
        UsageError: it needs more than there is; both are named.
    """
    needed, have = memory_needed(config, num_classes), int(psutil.virtual_memory().available)
    if needed > have:
        raise UsageError(
            f"{config.model} with hidden_layers {config.hidden_layers}, num_nodes {config.num_nodes} and "
            f"batch_size {config.batch_size} needs about {human_bytes(needed)} of memory, "
            f"have {human_bytes(have)}",
            hint="use fewer nodes or layers, or a smaller batch",
            id="E-CONFIG-MEMORY",
        )
