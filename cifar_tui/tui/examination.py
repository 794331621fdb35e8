"""A checkpoint evaluated in a thread, split by split, for the report room."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar_tui.errors import CifarTuiError, NotThereError

if TYPE_CHECKING:
    from cifar_tui import events
    from cifar_tui.datasets.split import Dataset
    from cifar_tui.runs.checkpoints import CheckpointInfo
    from cifar_tui.session.evaluate import Answered


class Examination:
    """One evaluation under way; the thread writes, the screen reads.

    Attributes:
        run: id of the run.
        splits: what is evaluated, in this order.
        parts: the splits that are done.
        dataset: the pictures, once a split is done; let go by the screen when it is not looked at.
        phase: what is done just now, or None.
        notes: what the user should know, such as a damaged checkpoint that was passed over.
        error: what stopped it, or None.
        done: the thread has ended.
    """

    def __init__(
        self,
        run: str,
        runs_dir: Path,
        data_dir: Path,
        *,
        step: int | None,
        best: bool = False,
        splits: tuple[str, ...] = ("test",),
        threads: int = 0,
        evaluate: Callable[..., Any] | None = None,
    ) -> None:
        """Nothing is read yet; without a checkpoint of the `step` the newest one is taken."""
        self.run = run
        self.splits = splits
        self.parts: list[Answered] = []
        self.dataset: Dataset | None = None
        self.phase: events.Phase | None = None
        self.notes: list[str] = []
        self.error: Exception | None = None
        self.done = False
        self._runs_dir, self._data_dir = runs_dir, data_dir
        self._step, self._best, self._threads = step, best, threads
        self._evaluate = evaluate
        self._cancel = threading.Event()

    def cancel(self) -> None:
        """Stop after the batch; splits that are done stay."""
        self._cancel.set()

    @property
    def cancelled(self) -> bool:
        """Whether it was asked to stop."""
        return self._cancel.is_set()

    def work(self) -> None:
        """Evaluate; runs in a worker thread and touches no widget."""
        try:
            from cifar_tui.runs.directory import RunDirectory
            from cifar_tui.session.evaluate import evaluate_run

            run = RunDirectory.open(self._runs_dir, self.run)
            (self._evaluate or evaluate_run)(
                run,
                self._data_dir,
                which=self._which(run),
                splits=self.splits,
                threads=self._threads,
                emit=self._hear,
                cancelled=self._cancel.is_set,
                deliver=self._deliver,
            )
        except Exception as error:  # noqa: BLE001 - handed over to the screen
            self.error = error
        finally:
            self.phase = None
            self.done = True

    def _which(self, run: Any) -> Any:
        if self._best:
            return "best"
        known = {info.step for info in checkpoints(run)}
        return self._step if self._step in known else "last"

    def _hear(self, event: Any) -> None:
        if event.kind == "phase":
            self.phase = event
        elif event.kind == "note" and event.level != "info":
            self.notes.append(event.text)

    def _deliver(self, answered: Answered) -> None:
        if self.dataset is None and not self.cancelled:
            self.dataset = pictures(answered.dataset, self._data_dir)
        self.parts.append(answered)


def pictures(dataset: dict[str, Any], data_dir: Path) -> Dataset:
    """The pictures of a dataset that a run recorded.

    Raises:
        NotThereError: the pictures on disk are others.
        CifarTuiError: they are not there or damaged.
    """
    from cifar_tui.datasets import store

    found = store.load(str(dataset["name"]), data_dir, labels=str(dataset.get("labels", "fine")))
    if found.fingerprint != dataset.get("fingerprint"):
        raise NotThereError(
            f"the pictures of {found.title} on this disk are not those that the run was evaluated on",
            hint=f"cifar-tui data verify {found.name}",
            id="E-REPORT-DATA",
        )
    return found


def checkpoints(run: Any) -> list[CheckpointInfo]:
    """The checkpoints of a run, newest first; none where they cannot be listed."""
    from cifar_tui.runs.checkpoints import CheckpointStore

    try:
        return CheckpointStore(run.checkpoints).list()[::-1]
    except CifarTuiError:
        return []
