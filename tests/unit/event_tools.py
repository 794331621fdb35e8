"""A clock by hand and events of a small run."""

from __future__ import annotations

from cifar_tui.events import Evaluation, Event, Note, Progress, RunEnded, RunStarted
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.reader import read_events


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def started(step: int = 0) -> RunStarted:
    return RunStarted(
        run="a",
        step=step,
        target=100,
        steps_per_epoch=10,
        config={"model": "cnn"},
        device={},
        dataset={"name": "cifar10", "state": "ready"},
        parameters=1,
    )


def progress(step: int, loss: float | None = 1.0) -> Progress:
    return Progress(
        step=step,
        target=100,
        epoch=step / 10,
        loss=loss,
        loss_min=loss,
        loss_max=loss,
        moving_loss=loss,
        moving_accuracy=0.5,
        mean_loss=loss,
        mean_accuracy=0.5,
        learning_rate=1e-3,
        steps_per_second=10.0,
        images_per_second=100.0,
        seconds=step / 10,
    )


def evaluation(step: int, accuracy: float = 0.5) -> Evaluation:
    return Evaluation(
        step=step,
        epoch=step / 10,
        split="test",
        examples=10,
        loss=1.0,
        accuracy=accuracy,
        top5=0.9,
        confusion=[[1, 2], [3, 4]],
        seconds=0.1,
    )


def note(text: str = "x") -> Note:
    return Note(level="info", id="I-X", text=text)


def ended(step: int = 100) -> RunEnded:
    return RunEnded(
        run="a",
        state="done",
        step=step,
        seconds=1.0,
        steps_per_second=1.0,
        median_step_us=None,
        train=None,
        test=None,
    )


def read(run: RunDirectory) -> list[Event]:
    result = read_events(run.events_path)
    assert result.damaged == 0
    return result.events
