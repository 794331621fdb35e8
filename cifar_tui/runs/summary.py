"""What became of a run, in one row: folded from its record and its events, and kept in an index."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

from cifar_tui.errors import CifarTuiError
from cifar_tui.runs.checkpoints import CheckpointStore
from cifar_tui.runs.directory import RunDirectory, folder_time, iterate_runs
from cifar_tui.runs.liveness import held_state
from cifar_tui.runs.report import Fold, fold_run
from cifar_tui.runs.summary_index import SummaryIndex

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
_TEXT, _COUNT = (str,), (int,)
_NUMBER, _NONE = (float, int), (type(None),)
# What is stored of a summary, and of which types.
_TYPES: dict[str, tuple[type, ...]] = {
    "title": _TEXT,
    "state": _TEXT,
    "step": _COUNT,
    "target": _COUNT,
    "model": _TEXT,
    "dataset": _TEXT,
    "dataset_state": _TEXT,
    "best_test_accuracy": (*_NUMBER, *_NONE),
    "best_step": (*_COUNT, *_NONE),
    "last_test_accuracy": (*_NUMBER, *_NONE),
    "created": _TEXT,
    "seconds": _NUMBER,
    "checkpoints": _COUNT,
    "parent": (dict, *_NONE),
}
_STORED = tuple(_TYPES)
_ENDED = frozenset({"done", "stopped", "diverged", "failed", "interrupted", "new"})
_WATCHED = ("run.json", "events.jsonl", "checkpoints", "run.lock")
_STAMP = 3  # numbers about one of them
_EVENTS = slice(_STAMP, 2 * _STAMP)
_CHECKPOINTS = slice(2 * _STAMP, 3 * _STAMP)
_LOCK = slice(3 * _STAMP, 4 * _STAMP)


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


def pack(summary: RunSummary) -> list[Any]:
    """The values of a summary that do not follow from where the run is; for `unpack`."""
    return [getattr(summary, name) for name in _STORED]


def unpack(run: RunDirectory, values: list[Any]) -> RunSummary:
    """The summary of a run from the values that `pack` gave; its folder may have been moved since."""
    return RunSummary(run=run.id, path=run.base, **dict(zip(_STORED, values, strict=True)))


def summarise(
    run: RunDirectory, index: SummaryIndex | None = None, *, seen: list[int] | None = None
) -> RunSummary:
    """The summary of a run. Never raises for damage: that is a state.

    Args:
        run: the run.
        index: what was known of its files earlier; what is found out now is put there, to be saved by the
            caller. Without one all is read.
        seen: its `stamps`, where they were taken just now.
    """
    seen = stamps(run) if seen is None else seen
    key = seen[: _LOCK.start]
    summary = None if index is None else _from_index(index, run, key)
    if summary is None:
        summary = _compute(run, any(seen[_CHECKPOINTS]))
        if index is not None and summary.state != "damaged":
            index.put(run.id, key, pack(summary), seen[_EVENTS.start])
    if summary.state != "damaged" and any(seen[_LOCK]):
        held = held_state(run)
        if held is not None and held != "crashed":
            summary = dataclasses.replace(summary, state=cast("State", held))
    return summary


def summaries(runs_dir: Path, index: SummaryIndex | None = None) -> list[RunSummary]:
    """The summaries of all runs, newest first.

    Args:
        runs_dir: the folder of all runs.
        index: as for `summarise`; without one the folder's own is read, and saved where there is news.

    Raises:
        CifarTuiError: the folder cannot be read; a missing one has no runs.
    """
    known = SummaryIndex.read(runs_dir) if index is None else index
    found = [summarise(run, known) for run in iterate_runs(runs_dir)]
    found.sort(key=lambda summary: (summary.created, summary.run), reverse=True)
    if index is None:
        known.save()
    return found


def _compute(run: RunDirectory, checkpoints: bool) -> RunSummary:
    path = run.base
    try:
        meta = run.meta()
        found = fold_run(run)
    except CifarTuiError:
        created = folder_time(run.path)
        return RunSummary(run=run.id, title=run.id, state="damaged", created=created, path=path)
    config = _mapping(meta.get("config"))
    dataset = found.started.dataset if found.started is not None else _mapping(meta.get("dataset"))
    if found.started is not None:
        config = {**config, **found.started.config}
    best, last = found.best(), found.last("test")
    with contextlib.suppress(CifarTuiError):
        return RunSummary(
            run=run.id,
            title=_text(meta.get("title")) or run.id,
            state=_state(found),
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
            checkpoints=len(CheckpointStore(run.checkpoints).list()) if checkpoints else 0,
            parent=meta["parent"] if isinstance(meta.get("parent"), dict) else None,
            path=path,
        )
    return RunSummary(run=run.id, title=run.id, state="damaged", created=folder_time(run.path), path=path)


def _state(found: Fold) -> State:
    if found.ended is not None:
        return found.ended.state
    if found.started is not None:
        return "interrupted"
    return "damaged" if found.damaged else "new"


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _from_index(index: SummaryIndex, run: RunDirectory, key: list[int]) -> RunSummary | None:
    values = index.get(run.id, key)
    if values is None or not _types_fit(*map(type, values)):
        return None
    summary = unpack(run, values)
    judged = summary.best_test_accuracy is not None
    return summary if summary.state in _ENDED and judged == (summary.best_step is not None) else None


@lru_cache(maxsize=256)
def _types_fit(*types: type) -> bool:
    """Whether values of these types can be a summary's: the file that they come from may hold anything."""
    return len(types) == len(_STORED) and all(
        found in _TYPES[name] for name, found in zip(_STORED, types, strict=True)
    )
