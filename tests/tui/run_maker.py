"""Makes small recorded runs for the screens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cifar_tui import events
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.recorder import Recorder
from cifar_tui.runs.report import write_report

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
DATASET = {"name": "cifar10", "title": "CIFAR-10", "state": "ready", "names": NAMES, "classes": 10}
START = 1_750_000_000.0


def confusion(wrong: int = 1, size: int = 10, right: int = 50) -> list[list[int]]:
    """Counts with `right` on the diagonal, `wrong` right of it, and 40 cats called dogs."""
    rows = [
        [right if i == j else wrong if j == (i + 1) % size else 0 for j in range(size)] for i in range(size)
    ]
    rows[3][5] = 40
    return rows


def evaluation(step: int, split: str = "test", accuracy: float = 0.7, **fields: Any) -> events.Evaluation:
    """An evaluation of ten classes."""
    values: dict[str, Any] = {
        "time": START + step,
        "step": step,
        "epoch": 1.0,
        "split": split,
        "examples": 1000,
        "loss": 1.25,
        "accuracy": accuracy,
        "top5": 0.95,
        "confusion": confusion(),
        "seconds": 0.5,
    }
    return events.Evaluation(**(values | fields))


def started(run: str, target: int = 1000, names: list[str] | None = None) -> events.RunStarted:
    """The first event of a run."""
    return events.RunStarted(
        time=START,
        run=run,
        step=0,
        target=target,
        steps_per_epoch=100,
        config={"model": "cnn", "dataset": "cifar10", "steps": target},
        device={
            "device": "cpu",
            "name": "a processor",
            "threads": 2,
            "precision": "float32",
            "torch": "2.13",
        },
        dataset=DATASET | ({"names": names} if names else {}),
        parameters=1234,
    )


def ended(run: str, step: int, state: str = "done") -> events.RunEnded:
    """The last event of a run."""
    return events.RunEnded(
        time=START + 5000,
        run=run,
        state=state,  # type: ignore[arg-type]
        step=step,
        seconds=61.0,
        steps_per_second=16.0,
        median_step_us=1500.0,
        p95_step_us=2500.0,
        train=None,
        test=None,
        reason="reached its target",
    )


def report_values(run: str, step: int, accuracy: float = 0.7) -> dict[str, Any]:
    """The content of a report.json."""
    split = {
        "examples": 1000,
        "loss": 1.25,
        "loss_with_penalty": 1.5,
        "accuracy": accuracy,
        "top5": 0.95,
        "confusion": confusion(),
        "calibration": {
            "ece": 0.11,
            "bins": [{"from": 0.8, "to": 0.9, "count": 250, "confidence": 0.85, "accuracy": 0.7}],
        },
    }
    return {
        "run": run,
        "step": step,
        "dataset": DATASET,
        "splits": {"train": {**split, "accuracy": 0.9}, "test": split},
    }


def make_run(
    folder: Path,
    name: str,
    *,
    accuracy: float = 0.7,
    state: str = "done",
    step: int = 1000,
    report: bool = True,
) -> RunDirectory:
    """A run of 1,000 steps with two evaluations, a checkpoint note, an end and a report."""
    meta = {
        "title": name,
        "config": {"model": "cnn", "dataset": "cifar10", "steps": 1000},
        "dataset": DATASET,
    }
    run = RunDirectory.create(folder, meta, name=name, stem="cnn")
    with Recorder(run) as recorder:
        recorder.append(started(name))
        recorder.append(evaluation(step // 2, accuracy=accuracy / 2))
        note = events.Note(time=START + 1, level="warning", id="W-DISK", text="the disk is slow", step=step)
        recorder.append(note)
        recorder.append(evaluation(step, accuracy=accuracy))
        recorder.append(ended(name, step, state))
    if report:
        write_report(run, report_values(name, step, accuracy))
    return run
