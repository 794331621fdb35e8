"""The dataset pane: what is on disk, getting what is missing, and a look at real pictures."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Click, DescendantFocus, Focus, Resize
from textual.message import Message
from textual.widgets import Button, Static

from cifar_tui.errors import CifarTuiError
from cifar_tui.tui.messages import CancelDownload, DownloadRequested
from cifar_tui.tui.places import data_folder
from cifar_tui.tui.widgets import dataset_lines as text
from cifar_tui.tui.widgets.lines import stack
from cifar_tui.tui.widgets.picture_views import Picture, PictureRow

if TYPE_CHECKING:
    from cifar_tui.datasets.places import DatasetStatus
    from cifar_tui.datasets.transfer import Transfer
    from cifar_tui.tui.live import LiveRun

SAMPLES = 48
"""Pictures read at once, so that `n` answers without the disk."""


class DatasetRow(Horizontal):
    """One dataset: its line and, where it is missing, the button that gets it."""

    def __init__(self, dataset: str) -> None:
        super().__init__(id=f"dataset-{dataset}", classes="dataset-row")
        self.dataset = dataset

    def compose(self) -> ComposeResult:
        """The line and the button."""
        yield Static(classes="dataset-line")
        get = Button("Get", compact=True, classes="dataset-get", id=f"get-{self.dataset}")
        get.tooltip = f"Download {text.TITLES[self.dataset]}"
        get.can_focus = False  # the pane takes the keys: g
        yield get

    def paint(
        self, status: DatasetStatus | None, transfer: Transfer | None, selected: bool, width: int
    ) -> None:
        """Show the state."""
        missing = status is not None and status.state in {"missing", "damaged"} and transfer is None
        self.set_class(missing, "-missing")
        self.set_class(selected, "-selected")
        room = width - (6 if missing else 0)
        line = text.row(self.dataset, status, transfer, selected, room)
        self.query_one(".dataset-line", Static).update(line)


class DatasetPane(Vertical, can_focus=True):
    """Status of the datasets, download of what is missing, and samples of the selected one."""

    BORDER_TITLE = "Dataset"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("g", "get", "Get", id="dataset.get", tooltip="Download the selected dataset"),
        Binding("x", "cancel", "Cancel download", id="dataset.cancel", tooltip="Stop; what arrived is kept"),
        Binding("u", "accept", "Use anyway", id="dataset.accept", tooltip="Accept data of unknown origin"),
        Binding("n", "other_samples", "Other samples", id="dataset.samples", tooltip="Show other pictures"),
        Binding("up", "move(-1)", "Previous", id="dataset.previous", show=False),
        Binding("down", "move(1)", "Next", id="dataset.next", show=False),
        Binding("escape", "hide_error", "Hide message", id="dataset.hide", show=False),
    ]
    HELP_TEXT = (
        "The datasets, whether they are on this disk, and pictures of the selected one. A download keeps "
        "what arrived when it stops, and goes on from there; training goes on meanwhile."
    )

    class Selected(Message):
        """Another dataset was selected."""

        def __init__(self, dataset: str) -> None:
            super().__init__()
            self.dataset = dataset

    class StatusChanged(Message):
        """The states were read again: dataset name -> `DatasetStatus`."""

        def __init__(self, found: dict[str, DatasetStatus]) -> None:
            super().__init__()
            self.found = found

    class _Looked(Message):
        bubble = False

        def __init__(
            self, found: dict[str, DatasetStatus], free: int | None, error: BaseException | None
        ) -> None:
            super().__init__()
            self.found, self.free, self.error = found, free, error

    class _Sampled(Message):
        bubble = False

        def __init__(self, dataset: str, pictures: list[Picture], error: BaseException | None) -> None:
            super().__init__()
            self.dataset, self.pictures, self.error = dataset, pictures, error

    def __init__(self, *, data_dir: Path | None = None, pictures: bool = True, id: str | None = None) -> None:
        super().__init__(id=id or "dataset-pane", classes="pane")
        self._data_dir = data_dir
        self._with_pictures = pictures
        self._status: dict[str, DatasetStatus] = {}
        self._free: int | None = None
        self._selected = "cifar10"
        self._chosen = False
        self._transfer: Transfer | None = None
        self._fetching = ""
        self._error: BaseException | None = None
        self._error_is_sample = False
        self._samples: dict[str, list[Picture]] = {}
        self._offset = 0
        self._seed = 0

    def compose(self) -> ComposeResult:
        """Rows, transfer, message, pictures."""
        for dataset in text.DATASETS:
            yield DatasetRow(dataset)
        with Vertical(id="transfer"):
            yield Static(id="transfer-text")
            with Horizontal(id="transfer-buttons"):
                cancel = Button("x Cancel", compact=True, id="cancel-download")
                cancel.tooltip = "Stop the download; what arrived is kept"
                cancel.can_focus = False
                yield cancel
                yield Static("what arrived is kept", classes="muted")
        yield Static(id="dataset-message")
        yield PictureRow(id="dataset-pictures")

    def on_mount(self) -> None:
        """Look at the disk, after the first paint."""
        self._paint()
        self.set_timer(0.05, self.refresh_status)

    # ---- for the app ----

    @property
    def selected(self) -> str:
        """Name of the selected dataset."""
        return self._selected

    @property
    def statuses(self) -> dict[str, DatasetStatus]:
        """What was found on disk, by dataset; empty before the first look."""
        return dict(self._status)

    def select(self, dataset: str) -> None:
        """Show this dataset's pictures, or what getting it takes."""
        self._chosen = True
        if dataset not in text.DATASETS or dataset == self._selected:
            return
        self._selected, self._offset = dataset, 0
        if self._error_is_sample:
            self._set_error(None)
        self._paint()
        self._load_samples()
        self.post_message(self.Selected(dataset))

    def show_transfer(self, transfer: Transfer | None, dataset: str | None = None) -> None:
        """Show how far a download is; None when it is over, after which the disk is looked at again."""
        over = transfer is None and self._transfer is not None
        self._transfer = transfer
        if transfer is not None:
            self._fetching = dataset or _dataset_of(transfer.file) or self._fetching or self._selected
            self._error = None
        self._paint()
        if over:
            self._samples.pop(self._fetching, None)
            self.refresh_status()

    def show_error(self, error: BaseException | None) -> None:
        """Show what went wrong and the remedy, in place; None hides it."""
        self._transfer = None
        self._set_error(error)
        if error is not None:
            self.refresh_status()

    def show_live(self, live: LiveRun, kinds: frozenset[str]) -> None:
        """Follow the training: its dataset, and a download that it began itself."""
        if "run_started" in kinds and live.dataset:
            self.select(str(live.dataset.get("name", "")))
            self.refresh_status()
        phase = live.phase
        if phase is None or "phase" not in kinds:
            return
        if phase.phase == "data" and phase.unit == "bytes" and live.is_live:
            from cifar_tui.datasets.transfer import Transfer

            left = (phase.total - phase.done) / phase.rate if phase.rate > 0 and phase.total else None
            total = phase.total or None
            self.show_transfer(Transfer("download", phase.text, phase.done, total, phase.rate, left, "", 1))
        elif self._transfer is not None and phase.phase in {"build", "compile", "train"}:
            self.show_transfer(None)

    def copy_text(self) -> str:
        """The states as text, a line for each dataset."""
        lines = []
        for dataset, status in self._status.items():
            found = [dataset, status.state, f"{status.train:,} + {status.test:,}", str(status.path or "-")]
            lines.append("\t".join(found))
        return "".join(f"{line}\n" for line in lines)

    def refresh_status(self) -> None:
        """Look at the disk again, in a thread."""
        folder = self._data_dir or data_folder(self.app)
        self.run_worker(
            lambda: self._look(folder),
            thread=True,
            exclusive=True,
            group="dataset-status",
            exit_on_error=False,
        )

    # ---- threads: they post messages and touch nothing ----

    def _look(self, folder: Path) -> None:
        from cifar_tui.datasets import store

        found: dict[str, DatasetStatus] = {}
        error: BaseException | None = None
        for dataset in text.DATASETS:
            try:
                found[dataset] = store.status(dataset, folder)
            except CifarTuiError as caught:
                error = caught
        self.post_message(self._Looked(found, _free_bytes(folder), error))

    def _read_samples(self, dataset: str, folder: Path, seed: int) -> None:
        pictures: list[Picture] = []
        error: BaseException | None = None
        try:
            import numpy as np

            from cifar_tui.datasets import store

            split = store.load(dataset, folder).train
            rows = np.random.default_rng(seed or None).choice(len(split), min(SAMPLES, len(split)), False)
            part = split.subset(rows)
            names = [part.names[label] for label in part.labels.tolist()]
            pictures = [Picture(image, name) for image, name in zip(part.images, names, strict=True)]
        except CifarTuiError as caught:
            error = caught
        self.post_message(self._Sampled(dataset, pictures, error))

    def _accept(self, dataset: str, folder: Path) -> None:
        from cifar_tui.datasets import store

        try:
            store.load(dataset, folder, allow_unverified=True)
        except CifarTuiError as error:
            self.post_message(self._Sampled(dataset, [], error))
        self._look(folder)

    def _load_samples(self) -> None:
        status = self._status.get(self._selected)
        if not self._with_pictures or self._selected in self._samples or status is None:
            return
        if status.state in {"ready", "unverified"}:
            folder, dataset, seed = self._data_dir or data_folder(self.app), self._selected, self._seed
            self._in_thread(lambda: self._read_samples(dataset, folder, seed), "dataset-samples")

    def _in_thread(self, work: Callable[[], None], group: str) -> None:
        self.run_worker(work, thread=True, exclusive=True, group=group, exit_on_error=False)

    # ---- handlers ----

    def on_dataset_pane__looked(self, message: _Looked) -> None:
        """The disk was looked at."""
        message.stop()
        first = not self._status
        self._status, self._free = message.found, message.free
        if message.error is not None and self._error is None:
            self._set_error(message.error)
        if first and not self._chosen and self._state("cifar10") == "missing":
            ready = [name for name in text.DATASETS[:2] if self._state(name) in {"ready", "unverified"}]
            self._selected = ready[0] if ready else self._selected
        self._paint()
        self._load_samples()
        self.post_message(self.StatusChanged(dict(message.found)))

    def on_dataset_pane__sampled(self, message: _Sampled) -> None:
        """Pictures were read."""
        message.stop()
        if message.error is not None:
            if message.dataset == self._selected:
                self._set_error(message.error, sample=True)
            return
        self._samples[message.dataset] = message.pictures
        if self._error_is_sample:
            self._set_error(None)
        self._paint()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Get or cancel."""
        event.stop()
        if event.button.id == "cancel-download":
            self.action_cancel()
        elif event.button.id:
            self.select(event.button.id.removeprefix("get-"))
            self.action_get()

    def on_click(self, event: Click) -> None:
        """A click on a row selects it."""
        for node in event.widget.ancestors_with_self if event.widget is not None else ():
            if isinstance(node, DatasetRow):
                self.select(node.dataset)

    def on_focus(self, _event: Focus) -> None:
        """Look again: another program may have changed the disk."""
        self.refresh_status()

    def on_descendant_focus(self, _event: DescendantFocus) -> None:
        """The same for a focus inside."""
        self.refresh_status()

    def on_resize(self, _event: Resize) -> None:
        """Lines are as wide as the pane."""
        self._paint()

    # ---- actions ----

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what would do something is offered."""
        if action == "get":
            return self._transfer is None and self._state(self._selected) in {"missing", "damaged"}
        if action == "cancel":
            return self._transfer is not None
        if action == "accept":
            return self._acceptable()
        if action == "other_samples":
            return self._with_pictures and bool(self._samples.get(self._selected))
        if action == "hide_error":
            return self._error is not None
        return super().check_action(action, parameters)

    def action_get(self) -> None:
        """Ask for the selected dataset."""
        if self.check_action("get", ()):
            self._set_error(None)
            self._fetching = self._selected
            self.post_message(DownloadRequested(self._selected))

    def action_cancel(self) -> None:
        """Stop the download."""
        if self._transfer is not None:
            self.post_message(CancelDownload())

    def action_accept(self) -> None:
        """Take unverified data from now on."""
        if not self._acceptable():
            return
        self._set_error(None)
        folder, dataset = self._data_dir or data_folder(self.app), self._selected
        self._in_thread(lambda: self._accept(dataset, folder), "dataset-accept")

    def action_other_samples(self) -> None:
        """The next pictures; after the last ones others are read."""
        pictures = self._samples.get(self._selected, [])
        self._offset += self.query_one(PictureRow).fitting
        if self._offset >= len(pictures):
            self._offset = 0
            self._seed += 1
            del self._samples[self._selected]
            self._load_samples()
            return
        self._paint()

    def action_move(self, by: int) -> None:
        """Select the dataset above or below."""
        place = text.DATASETS.index(self._selected) + by
        if 0 <= place < len(text.DATASETS):
            self.select(text.DATASETS[place])

    def action_hide_error(self) -> None:
        """Hide the message."""
        self._set_error(None)

    # ---- painting ----

    def _state(self, dataset: str) -> str:
        status = self._status.get(dataset)
        return "" if status is None else status.state

    def _acceptable(self) -> bool:
        status = self._status.get(self._selected)
        return status is not None and status.state == "unverified" and not status.accepted

    def _set_error(self, error: BaseException | None, sample: bool = False) -> None:
        self._error, self._error_is_sample = error, sample and error is not None
        self._paint()

    def _paint(self) -> None:
        if not self.is_mounted or not self.children:
            return
        width, height = self.content_size
        for row in self.query(DatasetRow):
            transfer = self._transfer if row.dataset == self._fetching else None
            row.paint(self._status.get(row.dataset), transfer, row.dataset == self._selected, width)
        left = height - len(text.DATASETS)
        transfer = self._transfer
        self.query_one("#transfer").display = transfer is not None
        if transfer is not None:
            lines = text.transfer_lines(self._fetching, transfer, width)
            self._update("#transfer-text", stack(lines))
            left -= len(lines) + 1
            self.query_one("#transfer").set_class(left > 0, "-roomy")
        message = self._message(left)
        self.query_one("#dataset-message").display = bool(message)
        if message:
            self._update("#dataset-message", stack(message))
        pictures = self._samples.get(self._selected, [])[self._offset :]
        row_of_pictures = self.query_one(PictureRow)
        show = bool(pictures) and not message and left >= 9
        row_of_pictures.display = show
        row_of_pictures.set_class(left >= 10, "-roomy")
        if show:
            row_of_pictures.show(pictures)
        self._paint_border()
        self.refresh_bindings()

    def _message(self, left: int) -> list[Content]:
        if self._error is not None:
            if self._error_is_sample and self._acceptable():
                return text.unverified_lines(self._selected, self.content_size.width)
            return text.error_lines(self._error, self.content_size.width, left - 1)
        state = self._state(self._selected)
        if self._transfer is not None or left < 2 or state not in {"missing", "damaged"}:
            return []
        folder = str(self._data_dir or data_folder(self.app))
        lines = text.missing_lines(self._selected, state, self._free, folder)
        return lines if left >= len(lines) else [lines[0], lines[-1]]

    def _paint_border(self) -> None:
        if self._transfer is not None:
            hint = "x cancel"
        elif self._samples.get(self._selected) and self._with_pictures:
            hint = "n other samples   2 look closer"
        else:
            hint = ""
        if self.border_subtitle != hint:
            self.border_subtitle = hint

    def _update(self, selector: str, content: Any) -> None:
        widget = self.query_one(selector, Static)
        if str(widget.content) != str(content):
            widget.update(content)


def _dataset_of(file: str) -> str | None:
    if file.startswith("cifar-100") or file in {"train.bin", "test.bin", "train", "test"}:
        return "cifar100"
    return "cifar10" if file.startswith(("cifar-10", "data_batch", "test_batch")) else None


def _free_bytes(folder: Path) -> int | None:
    """Free space where the folder is, or will be."""
    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place).free
        except OSError:
            continue
    return None
