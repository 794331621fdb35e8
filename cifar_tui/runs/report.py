"""What became of a run: its events folded, and its last evaluation report."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cifar_tui import events as ev
from cifar_tui.errors import DamagedError, from_os_error
from cifar_tui.events import Event
from cifar_tui.fsio import replace_json
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.files import json_safe, parse_object, read_regular, refuse_link
from cifar_tui.runs.reader import read_events
from cifar_tui.runs.recorder import Recorder

_REPORT_LIMIT = 256 << 20


@dataclass
class Fold:
    """What a run's events add up to. `add` takes them in order; rewinds drop what they supersede.

    Attributes:
        started: the newest start.
        ended: how it ended; None while it goes on, or where its process died.
        step, target: steps done, and the step at which the run is done.
        seconds: time spent in training steps.
        evaluations: all that count, without their confusion counts.
        damaged: lines that were no events, where they were read from a file.
    """

    started: ev.RunStarted | None = None
    ended: ev.RunEnded | None = None
    step: int = 0
    target: int = 0
    seconds: float = 0.0
    evaluations: list[ev.Evaluation] = dataclasses.field(default_factory=list)
    damaged: int = 0

    def add(self, event: Event) -> None:
        """Take in the next event."""
        if isinstance(event, ev.RunStarted):
            self.started, self.ended = event, None
            self.step, self.target = event.step, event.target
            self.evaluations = [known for known in self.evaluations if known.step <= event.step]
        elif isinstance(event, ev.Progress):
            self.step, self.target, self.seconds = event.step, event.target, event.seconds
        elif isinstance(event, ev.Evaluation):
            self.step = event.step
            self.evaluations.append(dataclasses.replace(event, confusion=[]) if event.confusion else event)
        elif isinstance(event, ev.Checkpoint):
            self.step = max(self.step, event.step)  # it may be told later than the steps that followed it
        elif isinstance(event, ev.RunEnded):
            self.step, self.seconds, self.ended = event.step, event.seconds, event

    def best(self, split: str = "test") -> ev.Evaluation | None:
        """The evaluation of a split with the greatest accuracy; the earliest of equals."""
        return max(self.of(split), key=lambda found: found.accuracy, default=None)

    def last(self, split: str) -> ev.Evaluation | None:
        """The newest evaluation of a split."""
        found = self.of(split)
        return found[-1] if found else None

    def of(self, split: str) -> list[ev.Evaluation]:
        """The evaluations of a split, without their confusion counts."""
        return [known for known in self.evaluations if known.split == split]


def fold(events: Iterable[Event]) -> Fold:
    """The fold over all of the events."""
    result = Fold()
    for event in events:
        result.add(event)
    return result


def fold_run(run: RunDirectory) -> Fold:
    """The fold over a run's events; of progress events few are read, the newest always.

    Raises:
        CifarTuiError: they cannot be read.
    """
    read = read_events(f"{run.base}/events.jsonl", progress_limit=1, confusion=False)
    result = fold(read.events)
    result.damaged = read.damaged
    return result


def read_report(run: RunDirectory) -> dict[str, Any] | None:
    """The last evaluation report; None where there is none.

    Raises:
        DamagedError: it is no JSON object.
        CifarTuiError: it cannot be read.
    """
    try:
        return parse_object(read_regular(run.report_path, _REPORT_LIMIT))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise from_os_error(error, "read", run.report_path) from error
    except ValueError as error:
        raise DamagedError(
            f'report.json of run "{run.id}" is damaged ({error})',
            where=run.report_path,
            state="nothing changed; the checkpoints are untouched",
            hint=f"cifar-tui evaluate {run.id}",
            id="E-REPORT-DAMAGED",
        ) from error


def write_report(run: RunDirectory, report: dict[str, Any]) -> None:
    """Replace the evaluation report; values that are not finite become null.

    Raises:
        CifarTuiError: it cannot be written; the old one is still there.
    """
    refuse_link(run.path)
    try:
        replace_json(run.report_path, json_safe(report))
    except OSError as error:
        raise from_os_error(error, "write", run.report_path) from error


def mark_interrupted(run: RunDirectory) -> bool:
    """Give the last session its end, where its process died without a word. The caller holds the lock.

    Returns:
        Whether a `run_ended` with state "interrupted" was appended.
    """
    found = fold_run(run)
    if found.started is None or found.ended is not None:
        return False
    best = found.best()
    values = None if best is None else {"step": best.step, "split": "test", "accuracy": best.accuracy}
    with Recorder(run) as recorder:
        recorder.append(
            ev.RunEnded(
                time=_last_change(run),
                run=run.id,
                state="interrupted",
                step=found.step,
                seconds=found.seconds,
                steps_per_second=0.0,
                median_step_us=None,
                train=_metrics(found.last("train")),
                test=_metrics(found.last("test")),
                validation=_metrics(found.last("validation")),
                best=values,
                reason="its process ended without a last word",
            )
        )
        return recorder.failure is None


def _metrics(evaluation: ev.Evaluation | None) -> dict[str, Any] | None:
    if evaluation is None:
        return None
    return {"loss": evaluation.loss, "accuracy": evaluation.accuracy, "top5": evaluation.top5}


def _last_change(run: RunDirectory) -> float:
    try:
        return run.events_path.stat().st_mtime
    except OSError:
        return 0.0
