"""What became of a run: a summary folded from its events, and its last evaluation report."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from cifar_tui import events as ev
from cifar_tui.errors import CifarTuiError, DamagedError, from_os_error
from cifar_tui.events import Event
from cifar_tui.fsio import FILE_MODE, dump_json, replace_json, temporary_beside
from cifar_tui.runs.checkpoints import CheckpointStore
from cifar_tui.runs.directory import RunDirectory, folder_time, iterate_runs
from cifar_tui.runs.files import json_safe, parse_object, read_regular, refuse_link
from cifar_tui.runs.liveness import held_state
from cifar_tui.runs.reader import read_events
from cifar_tui.runs.recorder import Recorder

State = Literal[
    "running",
    "paused",
    "stalled",
    "done",
    "stopped",
    "diverged",
    "failed",
    "interrupted",
    "new",
    "damaged",
]
Later = list[Callable[[], None]]
_CACHE_SCHEMA = 2
_WATCHED = ("run.json", "events.jsonl", "checkpoints", "run.lock")
_STAMP = 3  # numbers about one of them
_CACHE_LIMIT = 1 << 20
_REPORT_LIMIT = 256 << 20


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One row of the list of runs.

    Attributes:
        run: the id.
        title: free text from outside.
        state: "running", "paused" or "stalled" while a process trains it (see `liveness.Liveness`); else how
            the last session ended, "interrupted" where it says nothing, "new" before the first one; "damaged"
            where ``run.json`` cannot be read.
        step, target: steps done, and the step at which the run is done.
        model, dataset: their names; "" where not known.
        dataset_state: "ready", "unverified" and so on, as it was at the start; "" where not known.
        best_test_accuracy: fraction; None without an evaluation on the test split.
        best_step: the step it was reached at.
        last_test_accuracy: fraction, of the newest evaluation on the test split; None without one.
        created: RFC 3339 in UTC.
        seconds: time spent in training steps.
        checkpoints: how many there are.
        parent: `{"run", "step"}` of a fork, else None.
        path: the folder.
    """

    run: str
    title: str
    state: State
    step: int = 0
    target: int = 0
    model: str = ""
    dataset: str = ""
    dataset_state: str = ""
    best_test_accuracy: float | None = None
    best_step: int | None = None
    created: str = ""
    seconds: float = 0.0
    checkpoints: int = 0
    parent: dict[str, Any] | None = None
    path: str = ""
    last_test_accuracy: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The summary as JSON values."""
        return dict(vars(self))


@dataclass
class Fold:
    """What a run's events add up to. `add` takes them in order; rewinds drop what they supersede."""

    started: ev.RunStarted | None = None
    ended: ev.RunEnded | None = None
    step: int = 0
    target: int = 0
    seconds: float = 0.0
    evaluations: list[ev.Evaluation] = dataclasses.field(default_factory=list)

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
            self.evaluations.append(dataclasses.replace(event, confusion=[]))
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
    return fold(read_events(run.events_path, progress_limit=1).events)


def stamps(run: RunDirectory) -> list[int]:
    """Numbers that change with the files of a run that its summary depends on; zeros for a missing one."""
    found = []
    base = run.base
    for name in _WATCHED:
        try:
            status = os.stat(f"{base}/{name}")  # noqa: PTH116 - thousands of runs: no Path objects
            found += [status.st_size, status.st_mtime_ns, status.st_ino]
        except OSError:
            found += [0] * _STAMP
    return found


def summarise(run: RunDirectory, *, seen: list[int] | None = None, later: Later | None = None) -> RunSummary:
    """The summary of a run. Never raises for damage: that is a state.

    What the events say is kept in ``.summary.json`` until a file of the run changes.

    Args:
        run: the run.
        seen: its `stamps`, where they were taken just now.
        later: where given, writing ``.summary.json`` is added to it instead of done: to make thousands of
            files takes longer than to read them.
    """
    seen = stamps(run) if seen is None else seen
    key = [_CACHE_SCHEMA, *seen[:-_STAMP]]  # without the lock
    summary = _read_cache(run, key)
    if summary is None:
        computed = summary = _compute(run)
        if summary.state != "damaged":
            if later is None:
                _write_cache(run, key, summary)
            else:
                later.append(lambda: _write_cache(run, key, computed))
    if summary.state != "damaged" and any(seen[-_STAMP:]):
        held = held_state(run)
        if held is not None and held != "crashed":
            summary = dataclasses.replace(summary, state=cast("State", held))
    return summary


def summaries(runs_dir: Path, *, later: Later | None = None) -> list[RunSummary]:
    """The summaries of all runs, newest first; `later` as for `summarise`.

    Raises:
        CifarTuiError: the folder cannot be read; a missing one has no runs.
    """
    found = [summarise(run, later=later) for run in iterate_runs(runs_dir)]
    found.sort(key=lambda summary: (summary.created, summary.run), reverse=True)
    return found


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


def _compute(run: RunDirectory) -> RunSummary:
    path = run.base
    try:
        meta = run.meta()
        events = read_events(run.events_path, progress_limit=1)
    except CifarTuiError:
        created = folder_time(run.path)
        return RunSummary(run=run.id, title=run.id, state="damaged", created=created, path=path)
    found = fold(events.events)
    config = meta.get("config") if isinstance(meta.get("config"), dict) else {}
    assert isinstance(config, dict)
    dataset = found.started.dataset if found.started is not None else meta.get("dataset")
    dataset = dataset if isinstance(dataset, dict) else {}
    if found.started is not None:
        config = {**config, **found.started.config}
    best, last = found.best(), found.last("test")
    with contextlib.suppress(CifarTuiError):
        return RunSummary(
            run=run.id,
            title=_text(meta.get("title")) or run.id,
            state=_state(found, events.damaged),
            step=found.step,
            target=found.target if found.started is not None else _count(config.get("steps")),
            model=_text(config.get("model")),
            dataset=_text(dataset.get("name")) or _text(config.get("dataset")),
            dataset_state=_text(dataset.get("state")),
            best_test_accuracy=None if best is None else best.accuracy,
            best_step=None if best is None else best.step,
            last_test_accuracy=None if last is None else last.accuracy,
            created=_text(meta.get("created")) or folder_time(run.path),
            seconds=found.seconds,
            checkpoints=len(CheckpointStore(run.checkpoints).list()),
            parent=meta["parent"] if isinstance(meta.get("parent"), dict) else None,
            path=path,
        )
    return RunSummary(run=run.id, title=run.id, state="damaged", created=folder_time(run.path), path=path)


def _state(found: Fold, damaged: int) -> State:
    if found.ended is not None:
        return found.ended.state
    if found.started is not None:
        return "interrupted"
    return "damaged" if damaged else "new"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _cache_path(run: RunDirectory) -> Path:
    return run.path / ".summary.json"


def _read_cache(run: RunDirectory, key: list[int]) -> RunSummary | None:
    try:
        values = parse_object(read_regular(f"{run.base}/.summary.json", _CACHE_LIMIT, follow=False))
        if values.get("key") != key:
            return None
        fields = values["summary"]
        summary = RunSummary(**{**fields, "run": run.id, "path": run.base})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return summary if _well_formed(summary) else None


def _well_formed(summary: RunSummary) -> bool:
    """Whether the types of a cached summary are right: the file may hold anything."""
    texts = (summary.title, summary.model, summary.dataset, summary.dataset_state, summary.created)
    counts = (summary.step, summary.target, summary.checkpoints)
    best = (summary.best_test_accuracy, summary.best_step)
    return (
        summary.state in ("done", "stopped", "diverged", "failed", "interrupted", "new")
        and all(type(text) is str for text in texts)
        and all(type(count) is int for count in counts)
        and type(summary.seconds) in {int, float}
        and type(summary.last_test_accuracy) in {int, float, type(None)}
        and (best == (None, None) or (type(best[0]) in {int, float} and type(best[1]) is int))
        and (summary.parent is None or isinstance(summary.parent, dict))
    )


def _write_cache(run: RunDirectory, key: list[int], summary: RunSummary) -> None:
    """Best effort and without fsync: a torn cache is no JSON, and is computed again."""
    if run.path.is_symlink():
        return
    path = _cache_path(run)
    temporary = temporary_beside(path)
    try:
        data = dump_json({"key": key, "summary": json_safe(summary.to_json())}).encode("ascii")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, FILE_MODE)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except (OSError, ValueError):
        with contextlib.suppress(OSError):
            temporary.unlink()
