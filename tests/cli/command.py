"""Ways to call the command line, and runs made without training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cifar_tui import events
from cifar_tui.cli.main import run
from cifar_tui.recipe import resolve
from cifar_tui.runs.checkpoints import CheckpointStore
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.recorder import Recorder

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    """What a command ended with and said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The error object that ``--json`` leaves on stderr, in its last line."""
        return json.loads(self.err.splitlines()[-1])


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> Outcome:
    """Run a command in this process."""
    capsys.readouterr()
    code = run([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return Outcome(code, said.out, said.err)


def environment(**extra: str) -> dict[str, str]:
    """The environment of a command in a process of its own: no folders, proxies or colours of this one."""
    mine = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CIFAR_TUI_", "COV_", "PYTEST_")) and "proxy" not in name.lower()
    }
    return {**mine, "PYTHONPATH": str(ROOT), **extra}


def spawn(*arguments: object, timeout: float = 120, **extra: str) -> Outcome:
    """Run a command in a process of its own."""
    found = subprocess.run(
        [sys.executable, "-m", "cifar_tui", *(str(argument) for argument in arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment(**extra),
        check=False,
    )
    return Outcome(found.returncode, found.stdout, found.stderr)


def make_run(
    root: Path,
    name: str,
    *,
    accuracy: float = 0.5,
    created: str = "2026-01-02T03:04:05Z",
    dataset_state: str = "synthetic",
    state: events.RunState | None = "done",
    **flags: str,
) -> RunDirectory:
    """A recorded run of 20 of 40 steps with two evaluations and a checkpoint, as a training leaves it."""
    recipe = resolve(flags={"dataset": "synthetic", "model": "cnn", "steps": "40", **flags})
    config = recipe.config.model_dump()
    dataset = {"name": recipe.config.dataset, "state": dataset_state, "fingerprint": "00", "classes": 10}
    meta = {
        "title": name,
        "created": created,
        "config": config,
        "origins": recipe.origins,
        "versions": {"cifar-tui": "0.1.0"},
        "device": {"device": "cpu", "name": "a CPU"},
        "dataset": dataset,
    }
    found = RunDirectory.create(root, meta, name=name, stem="")
    now = time.time()
    with Recorder(found) as recorder:
        recorder.append(
            events.RunStarted(
                time=now,
                run=name,
                step=0,
                target=40,
                steps_per_epoch=200,
                config=config,
                device={},
                dataset=dataset,
                parameters=10,
            )
        )
        recorder.append(_progress(10, 2.0))
        recorder.append(_progress(20, 1.5))
        for split in ("train", "test"):
            recorder.append(
                events.Evaluation(
                    step=20,
                    epoch=0.1,
                    split=split,
                    examples=2000,
                    loss=1.25,
                    accuracy=accuracy,
                    top5=0.9,
                    confusion=[[1]],
                    seconds=0.1,
                )
            )
        CheckpointStore(found.checkpoints).save(20, {"model.safetensors": b"weights"}, {})
        if state is not None:
            recorder.append(
                events.RunEnded(
                    run=name,
                    state=state,
                    step=20,
                    seconds=1.0,
                    steps_per_second=20.0,
                    median_step_us=50.0,
                    train=None,
                    test=None,
                    reason="as asked",
                )
            )
    return found


def _progress(step: int, loss: float) -> events.Progress:
    return events.Progress(
        step=step,
        target=40,
        epoch=step / 200,
        loss=loss,
        loss_min=loss,
        loss_max=loss,
        moving_loss=loss,
        moving_accuracy=0.2,
        mean_loss=loss,
        mean_accuracy=0.2,
        learning_rate=1e-4,
        steps_per_second=20.0,
        images_per_second=1000.0,
        seconds=step / 20,
    )
