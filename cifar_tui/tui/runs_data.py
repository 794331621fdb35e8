"""The list of runs, kept up to date by looking at the times of files; and runs side by side. No Textual."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cifar_tui.errors import CifarTuiError
from cifar_tui.runs.directory import RunDirectory, iterate_runs
from cifar_tui.runs.listing import Apart, read_apart
from cifar_tui.runs.liveness import LIVE, held_state
from cifar_tui.runs.reader import Tail
from cifar_tui.runs.report import Fold, fold, fold_run
from cifar_tui.runs.summary import RunSummary, stamps, summarise
from cifar_tui.runs.summary_index import SummaryIndex
from cifar_tui.tui.places import has_many_runs

if TYPE_CHECKING:
    from cifar_tui.runs.compare import Comparison
    from cifar_tui.runs.summary import State

FOLLOWED = 32  # runs in training whose events are followed line by line; more are read anew at each look
PART_SECONDS = 0.5  # a first look that takes longer shows what it has
FRESH_SECONDS = 2.0  # what was read ahead no longer ago is as good as a look


class Follower:
    """The summary of a run in training, from the lines that were added since the last call."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._base = summarise(run)
        self._resets = 0
        read, self._tail = Tail.after(run.events_path, progress_limit=1)
        self._fold = fold(read.events)

    def summary(self) -> RunSummary:
        """As it is now; its state is as `summarise` gives it once nobody trains it any more."""
        held = held_state(self._run)
        if held not in LIVE:
            return summarise(self._run)
        for event in self._tail.poll():
            if self._tail.resets != self._resets:
                self._resets, self._fold = self._tail.resets, Fold()
            self._fold.add(event)
        best, last = self._fold.best(), self._fold.last("test")
        return dataclasses.replace(
            self._base,
            state=cast("State", held),
            step=self._fold.step,
            target=self._fold.target or self._base.target,
            seconds=self._fold.seconds,
            best_test_accuracy=None if best is None else best.accuracy,
            best_step=None if best is None else best.step,
            last_test_accuracy=None if last is None else last.accuracy,
        )

    def close(self) -> None:
        """Close its file."""
        self._tail.close()


class RunsReader:
    """Summaries of all runs of a folder; for one thread at a time, but that `prepare` has its own.

    A run is read anew only when one of its files has another time or size than at the last look; one that is
    being trained is followed through the lines that it adds.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, tuple[list[int], RunSummary]] = {}
        self._followers: dict[str, Follower] = {}
        self._index: SummaryIndex | None = None
        self._apart: Apart | None = None
        self._ahead = -math.inf  # when all was read ahead
        self._told = False  # of some runs by the process that reads ahead
        self._awaited = threading.Event()
        self._lock = threading.Lock()

    def prepare(self, stop: Callable[[], bool]) -> None:
        """Read ahead what the first `look` needs, until it is asked for or `stop` says so."""
        with self._lock, contextlib.suppress(CifarTuiError):
            if self._awaited.is_set():
                return
            if has_many_runs(self.folder):
                self._apart = read_apart(self.folder)
                self._gather(lambda: self._awaited.is_set() or stop())
                if not self._awaited.is_set():
                    self._end_apart()
                return
            for run in iterate_runs(self.folder):
                if self._awaited.is_set() or stop():
                    return
                key = stamps(run)
                self._known[run.id] = (key, summarise(run, self._stored(), seen=key))

    def look(self, part: Callable[[list[RunSummary]], object] | None = None) -> list[RunSummary]:
        """All runs, in no order.

        Args:
            part: called with the runs so far where the look takes long.

        Raises:
            CifarTuiError: the folder cannot be read; a missing one has no runs.
        """
        self._awaited.set()
        with self._lock:
            return self._look(part)

    def _look(self, part: Callable[[list[RunSummary]], object] | None) -> list[RunSummary]:
        due = time.monotonic() + PART_SECONDS

        def tell(runs: dict[str, tuple[list[int], RunSummary]]) -> bool:
            nonlocal due
            if part is not None and time.monotonic() >= due:
                part([summary for _, summary in runs.values()])
                due = time.monotonic() + 4 * PART_SECONDS
            return False

        self._gather(lambda: tell(self._known))
        if time.monotonic() - self._ahead < FRESH_SECONDS:
            self._ahead = -math.inf
            self.look_at_live()
            return [summary for _, summary in self._known.values()]
        self._ahead = -math.inf
        found: dict[str, tuple[list[int], RunSummary]] = {}
        for run in iterate_runs(self.folder):
            key = stamps(run)
            known = self._known.get(run.id)
            if run.id in self._followers or (known is not None and known[1].state in LIVE):
                found[run.id] = (key, self._follow(run))
            elif known is not None and known[0] == key:
                found[run.id] = known
            else:
                found[run.id] = (key, summarise(run, self._stored(), seen=key))
            tell(found)
        for gone in self._followers.keys() - found.keys():
            self._followers.pop(gone).close()
        self._known = found
        return [summary for _, summary in found.values()]

    def _gather(self, stop: Callable[[], bool]) -> None:
        """Take what the process tells that reads ahead, until all is known or `stop` says so."""
        if self._apart is None or self._ahead > -math.inf:
            return
        try:
            for found in self._apart:
                if found is None:
                    self._ahead = time.monotonic()
                    return
                self._told = True
                id, key, summary = found
                self._known[id] = (key, summary)
                if stop():
                    return
        except OSError:
            self._apart = None  # what it did not tell is read here

    def _end_apart(self) -> None:
        if self._apart is not None:
            self._apart.close()
            self._apart = None

    def save(self) -> None:
        """Keep what was found out for the looks of later starts."""
        if self._index is not None or not self._told:
            self._stored().save(whole=not self._told)
        self._end_apart()  # which has kept what it found out itself
        self._index = SummaryIndex(self.folder)  # what is known here is newer than what is stored

    def look_at_live(self) -> list[RunSummary]:
        """Those runs that were being trained at the last look, as they are now."""
        now = []
        for id, (key, before) in list(self._known.items()):
            run = RunDirectory(self.folder, id)
            if before.state in LIVE and run.path.is_dir():
                now.append(self._follow(run))
                self._known[id] = (key, now[-1])
        return now

    def close(self) -> None:
        """Close the files of the runs that are followed, and end what reads ahead."""
        if self._lock.acquire(blocking=False):
            self._end_apart()
            self._lock.release()
        while self._followers:
            self._followers.popitem()[1].close()

    def _stored(self) -> SummaryIndex:
        if self._index is None:
            self._index = SummaryIndex.read(self.folder)
        return self._index

    def _follow(self, run: RunDirectory) -> RunSummary:
        follower = self._followers.get(run.id)
        if follower is None:
            if len(self._followers) >= FOLLOWED:
                return summarise(run)
            try:
                follower = self._followers[run.id] = Follower(run)
            except CifarTuiError:
                return summarise(run)
        summary = follower.summary()
        if summary.state not in LIVE:
            self._followers.pop(run.id).close()
        return summary


@dataclass(frozen=True)
class Beside:
    """Runs side by side.

    Attributes:
        runs: their ids; those that could not be read are left out.
        curves: for each run and split, (step, loss or None, accuracy) of every evaluation.
        comparison: differing settings and results; None without a run.
        equal: how many settings are the same in all.
        parameters: trained numbers of each run's model; 0 where not known.
    """

    runs: tuple[str, ...] = ()
    curves: tuple[dict[str, list[tuple[int, float | None, float]]], ...] = ()
    comparison: Comparison | None = None
    equal: int = 0
    parameters: tuple[int, ...] = ()


def beside(folder: Path, ids: Sequence[str]) -> Beside:
    """Read runs for a comparison; in a thread."""
    from cifar_tui.runs.compare import compare

    runs: list[RunDirectory] = []
    folds: list[Fold] = []
    for id in ids:
        with contextlib.suppress(CifarTuiError):
            run = RunDirectory.open(folder, id)
            folds.append(fold_run(run))
            runs.append(run)
    if not runs:
        return Beside()
    try:
        comparison = compare(runs)
    except CifarTuiError:
        return Beside()
    settings: set[str] = set()
    for found in folds:
        settings |= set(found.started.config if found.started is not None else {})
    equal = max(0, len(settings) - len(comparison.differences))
    return Beside(
        tuple(run.id for run in runs),
        tuple(_curves(found) for found in folds),
        comparison,
        equal,
        tuple(found.started.parameters if found.started is not None else 0 for found in folds),
    )


def _curves(found: Fold) -> dict[str, list[tuple[int, float | None, float]]]:
    splits: dict[str, list[tuple[int, float | None, float]]] = {}
    for known in found.evaluations:
        splits.setdefault(known.split, []).append((known.step, known.loss, known.accuracy))
    return splits


def shown(value: Any) -> str:
    """A setting as people write it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
