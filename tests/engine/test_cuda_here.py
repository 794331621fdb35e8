"""What is promised of a GPU, tested where there is one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from cifar_tui import events
from cifar_tui.config import RunConfig
from cifar_tui.engine import cuda_native
from cifar_tui.engine import device as devices
from cifar_tui.engine.control import Control
from cifar_tui.engine.trainer import Trainer, TrainingData
from cifar_tui.recipe import resolve

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
    pytest.mark.xdist_group("cuda"),
]
PRESETS = ("seed-fnn", "seed-cnn")


def config_of(preset: str, **values: Any) -> RunConfig:
    flags = {"steps": "200", "batch_size": "50", "evaluate": "end"}
    return resolve(preset=preset, flags=flags | {name: str(value) for name, value in values.items()}).config


@pytest.fixture
def make(data: TrainingData) -> Any:
    """Trainers on the GPU, and the sentences that they told."""

    def make(preset: str, **values: Any) -> tuple[Trainer, list[str]]:
        told: list[str] = []

        def hear(event: Any) -> None:
            told.extend([event.text] if isinstance(event, events.Note) else [])

        config = config_of(preset, **values)
        return Trainer(config, data, devices.select("cuda"), emit=hear, control=Control()), told

    return make


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("engine", ["graph", "native"])
def test_each_engine_has_the_loss_of_eager_steps(make: Any, preset: str, engine: str) -> None:
    (ours, told), (eager, _) = make(preset, engine=engine), make(preset, engine="eager")
    assert ours._engine.name == engine, told
    found, wanted = (each._engine.run(0, 200) for each in (ours, eager))
    np.testing.assert_allclose(found.losses, wanted.losses, rtol=1e-4)
    assert (found.accuracies == wanted.accuracies).mean() > 0.9


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("engine", ["eager", "graph", "native"])
def test_a_resume_is_bit_exact(make: Any, preset: str, engine: str) -> None:
    straight, cut, resumed = (make(preset, engine=engine)[0] for _ in range(3))
    straight._engine.run(0, 120)
    cut._engine.run(0, 77)
    resumed.restore(77, cut.state(), cut._files(), "checkpoint")
    resumed._engine.run(77, 43)
    assert resumed._files() == straight._files()


@pytest.mark.parametrize("preset", PRESETS)
def test_left_to_itself_a_training_runs_native_steps_to_its_end(make: Any, preset: str) -> None:
    assert cuda_native.why_not(config_of(preset), torch.device("cuda")) is None
    trainer, told = make(preset)
    ended = trainer.run()
    assert (ended.state, trainer.banner()["engine"], told) == ("done", "native", [])
    assert trainer.reports["test"]
