"""The part of the report room that evaluates checkpoints and keeps what was said of each picture."""

from __future__ import annotations

import dataclasses
import gc
from pathlib import Path
from typing import TYPE_CHECKING

from textual.containers import VerticalScroll
from textual.events import Hide, Show
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer

from cifar_tui.errors import CifarTuiError
from cifar_tui.text import safe_text
from cifar_tui.tui import examination, report_data
from cifar_tui.tui.examination import Examination
from cifar_tui.tui.places import data_folder, runs_folder
from cifar_tui.tui.report_data import RunReport

if TYPE_CHECKING:
    from cifar_tui.datasets.split import Dataset
    from cifar_tui.session.evaluate import Answered

POLL_SECONDS = 0.1


class Examining(VerticalScroll):
    """Runs one `Examination` at a time in a thread and folds what it says.

    Attributes:
        exam: the one under way, or None.
        exam_error: what stopped the last one, or None.
        examined: the report of the checkpoint that was evaluated here, or None.
        answers: what was said of each picture, by split.
        dataset: the pictures, while they are looked at.
    """

    class _PicturesRead(Message):
        bubble = False

        def __init__(self, run: str, dataset: Dataset | None, error: BaseException | None) -> None:
            super().__init__()
            self.run, self.dataset, self.error = run, dataset, error

    def __init__(self, *, runs_dir: Path | None = None, id: str | None = None) -> None:
        super().__init__(id=id, classes="room")
        self._runs_dir = runs_dir
        self._run = ""
        self._training = False
        self._recorded: RunReport | None = None
        self.exam: Examination | None = None
        self.exam_error: BaseException | None = None
        self.examined: RunReport | None = None
        self.answers: dict[str, Answered] = {}
        self.dataset: Dataset | None = None
        self._taken = 0
        self._timer: Timer | None = None
        self._let_go = False  # of the pictures, as the room is not looked at

    def exam_changed(self) -> None:
        """Show how far it is; the room does that."""
        raise NotImplementedError

    @property
    def folder(self) -> Path:
        """Where the runs are."""
        return self._runs_dir or runs_folder(self.app)

    def examine(self, splits: tuple[str, ...], step: int | None, *, best: bool = False) -> None:
        """Begin to evaluate a checkpoint; the one under way is cancelled."""
        if self.exam is not None:
            self.exam.cancel()
        self.exam_error = None
        self._taken = 0
        threads = 1 if self._training else 0  # the training in this process keeps its cores
        exam = Examination(
            self._run,
            self.folder,
            data_folder(self.app),
            step=step,
            best=best,
            splits=splits,
            threads=threads,
        )
        self.exam = exam
        self.run_worker(exam.work, thread=True, group="room-examine", exit_on_error=False)
        if self._timer is None:
            self._timer = self.set_interval(POLL_SECONDS, self._poll)
        self.exam_changed()

    def forget(self) -> None:
        """Another run: nothing of the old one counts."""
        if self.exam is not None:
            self.exam.cancel()
        self.exam, self.exam_error, self.examined, self.dataset = None, None, None, None
        self.answers = {}

    def _poll(self) -> None:
        exam = self.exam
        if exam is None:
            if self._timer is not None:
                self._timer.stop()
                self._timer = None
            return
        ended = exam.done  # asked before the parts are taken, so that none is left
        while self._taken < len(exam.parts):
            self._take(exam.parts[self._taken], exam)
            self._taken += 1
        if ended:
            self.exam = None
            self.exam_error = None if exam.cancelled else exam.error
            gc.freeze()  # torch's objects: a full collection over them stops the screen for 0.1 s
            for note in exam.notes:
                self.app.notify(safe_text(note, 300), severity="warning", markup=False)
        self.exam_changed()

    def _take(self, part: Answered, exam: Examination) -> None:
        values = {"step": part.step, "dataset": part.dataset, "splits": {part.split: part.report}}
        found = report_data.from_json(exam.run, values)
        known = self.examined or self._recorded
        if known is not None and known.step == found.step:
            merged = dict(known.splits) | dict(found.splits)
            order = [name for name in report_data.SPLITS if name in merged]
            found = dataclasses.replace(found, splits={name: merged[name] for name in order})
        if self.examined is None or self.examined.step != found.step:
            self.answers = {}
        self.examined = found
        self.answers[part.split] = part
        self.dataset = exam.dataset or self.dataset

    def action_cancel(self) -> None:
        """Stop the evaluation."""
        if self.exam is not None:
            self.exam.cancel()

    def on_unmount(self) -> None:
        """The app waits for its threads when it ends."""
        if self.exam is not None:
            self.exam.cancel()

    # ---- pictures are in memory only while they are looked at ----

    def on_mount(self) -> None:
        """Hear of every layout: shown again soon after a scroll, a widget may get no Show from Textual."""
        self.screen.screen_layout_refresh_signal.subscribe(self, self._laid_out)

    def _laid_out(self, _screen: Screen[object]) -> None:
        if self._let_go and self.display and self.is_on_screen:
            self._read_again()

    def on_hide(self, _event: Hide) -> None:
        """Let go of the pictures."""
        self.dataset, self._let_go = None, True
        self.exam_changed()

    def on_show(self, _event: Show) -> None:
        """Read them again."""
        self._read_again()

    def _read_again(self) -> None:
        self._let_go = False
        if self.dataset is None and self.answers:
            run, folder = self._run, data_folder(self.app)
            described = next(iter(self.answers.values())).dataset

            def read() -> None:
                try:
                    self.post_message(self._PicturesRead(run, examination.pictures(described, folder), None))
                except CifarTuiError as error:
                    self.post_message(self._PicturesRead(run, None, error))

            self.run_worker(read, thread=True, exclusive=True, group="room-pixels", exit_on_error=False)

    def on_examining__pictures_read(self, message: _PicturesRead) -> None:
        """They are in memory again."""
        message.stop()
        if message.run == self._run and self.display:
            self.dataset, self.exam_error = message.dataset, message.error
            self.exam_changed()
