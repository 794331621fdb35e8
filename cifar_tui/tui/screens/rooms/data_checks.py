"""The part of the data room that counts pixels and checks files, both in threads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual.containers import Horizontal
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static

from cifar_tui.errors import CifarTuiError
from cifar_tui.tui import data_facts
from cifar_tui.tui.data_facts import SplitFacts, Verification
from cifar_tui.tui.messages import CancelDownload
from cifar_tui.tui.places import data_folder
from cifar_tui.tui.screens.rooms import data_text
from cifar_tui.tui.widgets.dataset_lines import TITLES
from cifar_tui.tui.widgets.dataset_pane import DatasetPane

if TYPE_CHECKING:
    from cifar_tui.datasets.split import Dataset
    from cifar_tui.datasets.transfer import Transfer
    from cifar_tui.tui.live import LiveRun

POLL_SECONDS = 0.1


class Counted(Message, bubble=False, namespace="data_checks"):
    """From a thread: the numbers of a split."""

    def __init__(self, key: tuple[str, str], facts: SplitFacts) -> None:
        super().__init__()
        self.key, self.facts = key, facts


class DataChecks(Horizontal):
    """Pixel statistics of the split in sight, and `verify` with progress and cancel."""

    def __init__(self, *, data_dir: Path | None = None, id: str | None = None) -> None:
        super().__init__(id=id, classes="room")
        self._data_dir = data_dir
        self._counted: dict[tuple[str, str], SplitFacts] = {}
        self._counting: tuple[str, str] | None = None
        self._check: Verification | None = None
        self._timer: Timer | None = None

    @property
    def folder(self) -> Path:
        """Where the datasets are."""
        return self._data_dir or data_folder(self.app)

    # ---- for the app ----

    def show_live(self, live: LiveRun, kinds: frozenset[str]) -> None:
        """Follow the training's dataset."""
        self.query_one(DatasetPane).show_live(live, kinds)

    def show_transfer(self, transfer: Transfer | None, dataset: str | None = None) -> None:
        """As `DatasetPane.show_transfer`."""
        self.query_one(DatasetPane).show_transfer(transfer, dataset)

    def show_error(self, error: BaseException | None) -> None:
        """As `DatasetPane.show_error`."""
        self.query_one(DatasetPane).show_error(error)

    # ---- pixels ----

    def show_pixels(self, dataset: Dataset | None, part: str) -> None:
        """Mean, deviation and duplicates of a split; counted once."""
        pane = self.query_one("#data-pixels", Static)
        if dataset is None:
            pane.update("")
            return
        key = (dataset.fingerprint, part)
        found = self._counted.get(key)
        pane.update(data_text.pixels(found, max(16, pane.content_size.width or 24)))
        if found is not None or self._counting == key:
            return
        self._counting = key

        def count() -> None:
            self.post_message(Counted(key, data_facts.facts(dataset, part)))

        self.run_worker(count, thread=True, exclusive=True, group="room-pixels", exit_on_error=False)

    def on_data_checks_counted(self, message: Counted) -> None:
        """The numbers are there."""
        message.stop()
        self._counted[message.key] = message.facts
        if self._counting == message.key:
            self._counting = None
            pane = self.query_one("#data-pixels", Static)
            pane.update(data_text.pixels(message.facts, max(16, pane.content_size.width or 24)))

    # ---- files ----

    def action_verify(self) -> None:
        """Hash every file of the selected dataset again."""
        pane = self.query_one(DatasetPane)
        if self._check is not None:
            return
        self._check = Verification(pane.selected, self.folder)
        self.run_worker(self._check.work, thread=True, group="room-verify", exit_on_error=False)
        if self._timer is None:
            self._timer = self.set_interval(POLL_SECONDS, self._poll)

    def _poll(self) -> None:
        check = self._check
        if check is None:
            return
        pane, done = self.query_one(DatasetPane), check.done
        if not done:
            if check.transfer is not None:
                pane.show_transfer(check.transfer, check.dataset)
            return
        self._check = None
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        pane.show_transfer(None)
        title = TITLES[check.dataset]
        if check.cancelled:
            self._tell(f"{title}: the check was stopped; nothing was changed")
        elif check.error is not None:
            pane.show_error(check.error)
            if not isinstance(check.error, CifarTuiError):
                self._tell(f"{title} could not be checked: {type(check.error).__name__}", "error")
        elif check.state == "ready":
            self._tell(f"{title}: every file has its official SHA-256")
        else:
            self._tell(f"{title} is well formed, but not the official archive", "warning")

    def on_unmount(self) -> None:
        """The app waits for its threads when it ends."""
        if self._check is not None:
            self._check.cancel()

    def _tell(self, text: str, severity: str = "information") -> None:
        self.app.notify(text, severity=severity, markup=False, timeout=4)  # type: ignore[arg-type]

    def on_cancel_download(self, message: CancelDownload) -> None:
        """The pane's cancel stops the check, where one is under way."""
        if self._check is not None:
            message.stop()
            self._check.cancel()
