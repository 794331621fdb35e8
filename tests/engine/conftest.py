"""A small world to train in: random pictures, a sink in memory, a trainer and sessions over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from cifar_tui import events
from cifar_tui.config import RunConfig
from cifar_tui.datasets import store
from cifar_tui.datasets.places import DatasetStatus
from cifar_tui.datasets.split import Dataset, Split
from cifar_tui.engine.control import Control
from cifar_tui.engine.device import Device
from cifar_tui.engine.trainer import Trainer, TrainingData
from cifar_tui.errors import StorageError
from cifar_tui.recipe import resolve
from cifar_tui.session import Session, TrainRequest

NAMES = tuple(f"class {index}" for index in range(10))


def make_split(name: str, count: int, seed: int) -> Split:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count)
    images = rng.integers(0, 100, (count, 32, 32, 3), dtype=np.uint8)
    for index, label in enumerate(labels):  # something to learn: a bright band, at a height of its own
        images[index, 3 * label : 3 * label + 3] += 150
    return Split(name=name, images=images, labels=labels.astype(np.int64), names=NAMES)


@dataclass
class MemorySink:
    """Keeps checkpoints in memory; fails on demand."""

    saved: list[tuple[int, dict[str, bytes], dict[str, Any], bool]] = field(default_factory=list)
    fail: Callable[[int], bool] = lambda _step: False

    def save(
        self, step: int, files: Mapping[str, bytes], manifest: dict[str, Any], *, best: bool = False
    ) -> Any:
        if self.fail(step):
            raise StorageError("no space left")
        self.saved.append((step, dict(files), manifest, best))
        return SimpleNamespace(name=f"{'best' if best else 'step'}-{step:09d}")

    def newest(self) -> tuple[int, dict[str, bytes], dict[str, Any], bool]:
        return [entry for entry in self.saved if not entry[3]][-1]


@dataclass
class World:
    """A trainer with all that it talks to."""

    trainer: Trainer
    control: Control
    sink: MemorySink
    events: list[events.Event]

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture(scope="session")
def data() -> TrainingData:
    return TrainingData(make_split("train", 230, 1), make_split("test", 60, 2), None, NAMES, "f" * 64)


@pytest.fixture
def make_world(data: TrainingData) -> Callable[..., World]:
    def make(preset: str | None = None, /, *, data: TrainingData = data, **values: Any) -> World:
        flags = {
            "steps": "12",
            "batch_size": "20",
            "num_nodes": "16",
            "eval_batch_size": "50",
            "evaluate": "end",
        }
        flags |= {name: str(value) for name, value in values.items()}
        config: RunConfig = resolve(preset=preset, flags=flags).config
        torch.set_num_threads(1)
        device = Device(torch.device("cpu"), "test", 1 << 30, 1)
        control, sink, seen = Control(), MemorySink(), []
        trainer = Trainer(config, data, device, emit=seen.append, control=control, sink=sink, run="test")
        return World(trainer, control, sink, seen)

    return make


def tiny(state: str = "synthetic", fingerprint: str = "a" * 64) -> Dataset:
    train, test = make_split("train", 200, 1), make_split("test", 50, 2)
    return Dataset(
        name="synthetic",
        title="Synthetic",
        labels_kind="fine",
        train=train,
        test=test,
        names=NAMES,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        state=state,
        fingerprint=fingerprint,
        path=None,
    )


@pytest.fixture
def dataset(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `store.load` gives; tests may change it."""
    given: dict[str, Any] = {"dataset": tiny(), "state": "ready"}

    def status(name: str, _data_dir: Path) -> DatasetStatus:
        return DatasetStatus(name, given["state"], 200, 50, 10, 0, None, "")

    monkeypatch.setattr(store, "status", status)
    monkeypatch.setattr(store, "load", lambda *_args, **_options: given["dataset"])
    return given


Make = Callable[..., Session]


@pytest.fixture
def make(tmp_path: Path, dataset: dict[str, Any]) -> Make:
    def build(*, resume: str | None = None, changes: dict[str, str] | None = None, **options: Any) -> Session:
        request = {k: options.pop(k) for k in ("name", "at", "strict", "offline", "record") if k in options}
        places = {"data_dir": tmp_path / "data", "runs_dir": tmp_path / "runs"}
        if resume is not None:
            return Session(TrainRequest(**places, resume=resume, changes=changes or {}, **request))
        flags = {
            "dataset": "synthetic",
            "steps": "12",
            "batch_size": "20",
            "num_nodes": "16",
            "evaluate": "end",
            "threads": "1",
        }
        flags |= {name: str(value) for name, value in options.items()}
        return Session(TrainRequest(**places, recipe=resolve(flags=flags), **request))

    return build
