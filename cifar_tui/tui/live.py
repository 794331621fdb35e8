"""What the panes show: a pure fold over the events of one run. No Textual, and no numpy before the data."""

from __future__ import annotations

from collections import deque
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cifar_tui import events
    from cifar_tui.runs.directory import RunDirectory
    from cifar_tui.runs.series import SeriesBuilder

Status = Literal[
    "idle",
    "starting",
    "training",
    "paused",
    "evaluating",
    "saving",
    "done",
    "stopped",
    "diverged",
    "failed",
]
LIVE: frozenset[str] = frozenset({"starting", "training", "paused", "evaluating", "saving"})
ENDED: frozenset[str] = frozenset({"done", "stopped", "diverged", "failed"})
ALL_KINDS: frozenset[str] = frozenset(
    {"run_started", "phase", "progress", "evaluation", "checkpoint", "note", "run_ended", "status"}
)
NOTE_LIMIT = 1000
MARK_LIMIT = 5000
PROGRESS_LIMIT = 5_000


class Mark(NamedTuple):
    """Something that happened at a step, for the charts.

    Attributes:
        step: steps done.
        kind: "checkpoint", "best", "learning_rate", "diverged" or "resume".
        text: what, for people.
    """

    step: int
    kind: str
    text: str


class LiveRun:
    """The run in the panes: trained right now by this process, or read from disk.

    Attributes:
        run_id: its id; "" before there is one.
        config: the complete config as JSON values; None before the start.
        dataset, device: as in `RunStarted`.
        parameters: trained numbers in the model.
        steps_per_epoch: full batches in one pass over the training split; 0 before the start.
        step, target, epoch, seconds: where it is.
        status: what it does, in one word.
        phase, progress: the newest event of each kind, or None.
        learning_rate: the one in force, as far as is known; None before the first step.
        last: the newest evaluation by split.
        best: the evaluation with the greatest accuracy; on the validation split, without one on test.
        marks: what happened at which step, in order.
        notes: the newest notes, newest last.
        ended: the last event of a finished run, else None.
        error: what kept it from starting or going on, else None.
        warning: notes of level warning or error since the start.
        recorded: read from disk, not trained by this process.
        watched: trained by another process now, and followed.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.run_id = ""
        self.config: dict[str, Any] | None = None
        self.dataset: dict[str, Any] = {}
        self.device: dict[str, Any] = {}
        self.parameters = 0
        self.steps_per_epoch = 0
        self.step = 0
        self.target = 0
        self.epoch = 0.0
        self.seconds = 0.0
        self.status: Status = "idle"
        self.phase: events.Phase | None = None
        self.progress: events.Progress | None = None
        self.learning_rate: float | None = None
        self.last: dict[str, events.Evaluation] = {}
        self.best: events.Evaluation | None = None
        self.marks: list[Mark] = []
        self.notes: deque[events.Note] = deque(maxlen=NOTE_LIMIT)
        self.ended: events.RunEnded | None = None
        self.error: BaseException | None = None
        self.warnings = 0
        self.recorded = False
        self.watched = False
        self._bests: dict[str, list[events.Evaluation]] = {}  # each better than the one before
        self.__dict__.pop("series", None)

    @cached_property
    def series(self) -> SeriesBuilder:
        """The curves so far."""
        from cifar_tui.runs.series import SeriesBuilder

        return SeriesBuilder()

    @property
    def is_live(self) -> bool:
        """Whether it is trained now, by this process or by one that is watched."""
        return self.status in LIVE and not self.recorded

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return self.status == "idle" and self.config is None

    def begin(self, target: int = 0) -> None:
        """A session was started; its first event is on the way."""
        self.status = "starting"
        self.ended = None
        self.error = None
        self.recorded = self.watched = False
        self.target = target or self.target

    def fail(self, error: BaseException) -> None:
        """The session ended with an error."""
        self.error = error
        if self.ended is None:
            self.status = "failed"
        self.phase = None

    def watch(self, *, starting: bool, paused: bool) -> None:
        """Another process trains it, and its events will come; `starting` where it has not begun yet."""
        self.recorded, self.watched = False, True
        if starting:
            self.begin()
            self.watched = True
        elif self.status not in LIVE or self.status == "paused" or paused:
            self.ended = None
            self.status = "paused" if paused else "training"

    def add(self, event: events.Event) -> None:
        """Take in the next event."""
        handler = _HANDLERS.get(event.kind)
        if handler is not None:
            handler(self, event)

    @classmethod
    def from_run(
        cls,
        run: RunDirectory,
        *,
        progress_limit: int = PROGRESS_LIMIT,
        history: Iterable[events.Event] | None = None,
    ) -> LiveRun:
        """A recorded run, for the panes.

        Args:
            run: the run.
            progress_limit: about how many points of each curve are kept, evenly thinned.
            history: its events, where they were read already.

        Raises:
            CifarTuiError: its record cannot be read.
        """
        from cifar_tui.runs.reader import read_events

        meta = run.meta()
        live = cls()
        live.recorded = True
        live.run_id = run.id
        live.config = meta["config"] if isinstance(meta.get("config"), dict) else None
        live.dataset = meta["dataset"] if isinstance(meta.get("dataset"), dict) else {}
        live.device = meta["device"] if isinstance(meta.get("device"), dict) else {}
        if history is None:
            history = read_events(run.events_path, progress_limit=progress_limit).events
        for event in history:
            live.add(event)
        live.run_id = run.id  # the record keeps the old name of a renamed run
        live.recorded = True
        if live.ended is None:
            live.status = "stopped" if live.step else "idle"
        live.phase = None
        return live

    # ---- one kind of event each ----

    def _run_started(self, event: events.RunStarted) -> None:
        self.run_id = event.run
        self.config = event.config
        self.dataset, self.device = event.dataset, event.device
        self.parameters = event.parameters
        self.steps_per_epoch = event.steps_per_epoch
        self.step, self.target = event.step, event.target
        self.epoch = event.step / event.steps_per_epoch if event.steps_per_epoch else 0.0
        self.ended, self.error = None, None
        self.status = "starting"
        self.series.add(event)
        if event.step:
            self.marks = [mark for mark in self.marks if mark.step <= event.step]
            self._mark(event.step, "resume", f"resumed at {event.step:,}")
        self.last = {split: known for split, known in self.last.items() if known.step <= event.step}
        for split, bests in self._bests.items():
            self._bests[split] = [known for known in bests if known.step <= event.step]
        self._choose_best()
        if self.progress is not None and self.progress.step > event.step:
            self.progress = None

    def _phase(self, event: events.Phase) -> None:
        self.phase = event
        if self.ended is not None:
            return
        if event.phase == "train":
            self.status = "training"
        elif event.phase == "evaluate":
            self.status = "evaluating"
        elif event.phase == "save":
            self.status = "saving"
        else:
            self.status = "starting"

    def _progress(self, event: events.Progress) -> None:
        self.progress = event
        self.learning_rate = event.learning_rate
        self.step, self.target, self.epoch, self.seconds = (
            event.step,
            event.target,
            event.epoch,
            event.seconds,
        )
        if event.loss is not None or event.moving_loss is None:
            self.series.add(event)  # else it repeats what was said, without a step in between
        if event.paused:
            self.status = "paused"
        elif self.status in {"paused", "starting"}:
            self.status = "training"

    def _evaluation(self, event: events.Evaluation) -> None:
        self.step = max(self.step, event.step)
        self.last[event.split] = event
        self.series.add(event)
        bests = self._bests.setdefault(event.split, [])
        if not bests or event.accuracy > bests[-1].accuracy:
            bests.append(event)
            self._choose_best()

    def _checkpoint(self, event: events.Checkpoint) -> None:
        kind = "best" if event.reason == "best" else "checkpoint"
        self._mark(event.step, kind, f"{kind} {event.step:,}")

    def _note(self, event: events.Note) -> None:
        self.notes.append(event)
        if event.level != "info":
            self.warnings += 1
        if event.id == "I-LEARNING-RATE":
            self._mark(event.step, "learning_rate", event.text)
            self.learning_rate = event.values.get("learning_rate", self.learning_rate)
        elif event.id == "W-ENGINE" and isinstance(event.values.get("engine"), str):
            self.device = {**self.device, "engine": event.values["engine"]}
        elif event.id in {"I-THREADS", "W-THREADS"} and isinstance(event.values.get("threads"), int):
            self.device = {**self.device, "threads": event.values["threads"]}
        elif event.id == "E-DIVERGED":
            self._mark(event.step, "diverged", event.text)

    def _run_ended(self, event: events.RunEnded) -> None:
        self.ended = event
        self.step, self.seconds = event.step, event.seconds
        self.status = "stopped" if event.state == "interrupted" else event.state
        self.phase = None

    def _choose_best(self) -> None:
        bests = self._bests.get("validation") or self._bests.get("test")
        self.best = bests[-1] if bests else None

    def _mark(self, step: int, kind: str, text: str) -> None:
        self.marks.append(Mark(step, kind, text))
        if len(self.marks) > MARK_LIMIT:
            del self.marks[: MARK_LIMIT // 10]


_HANDLERS: dict[str, Any] = {
    "run_started": LiveRun._run_started,
    "phase": LiveRun._phase,
    "progress": LiveRun._progress,
    "evaluation": LiveRun._evaluation,
    "checkpoint": LiveRun._checkpoint,
    "note": LiveRun._note,
    "run_ended": LiveRun._run_ended,
}
