"""The dataset pane: what is on disk, getting what is missing, and a look at real pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Focus, Resize
from textual.widgets import Button

from cifar_tui.tui.frames import Framed
from cifar_tui.tui.messages import CancelDownload, DownloadRequested
from cifar_tui.tui.places import data_folder
from cifar_tui.tui.widgets import dataset_lines as text
from cifar_tui.tui.widgets import dataset_messages as messages
from cifar_tui.tui.widgets.dataset_choice import DatasetChoice
from cifar_tui.tui.widgets.dataset_reader import Samples, accept, look, read_samples
from cifar_tui.tui.widgets.dataset_row import DatasetRow, PaneMessage, TransferBox
from cifar_tui.tui.widgets.picture_views import Picture, PictureRow

if TYPE_CHECKING:
    from cifar_tui.datasets.places import DatasetStatus
    from cifar_tui.datasets.transfer import Transfer
    from cifar_tui.tui.live import LiveRun


_BINDINGS: list[BindingType] = [
    Binding("g", "get", "Get", id="dataset.get", tooltip="Download the selected dataset"),
    Binding("x", "cancel", "Cancel download", id="dataset.cancel", tooltip="Stop; what arrived is kept"),
    Binding("u", "accept", "Use anyway", id="dataset.accept", tooltip="Accept data of unknown origin"),
    Binding("n", "other_samples", "Other samples", id="dataset.samples", tooltip="Show other pictures"),
    Binding("up", "move(-1)", "Previous", id="dataset.previous", show=False),
    Binding("down", "move(1)", "Next", id="dataset.next", show=False),
    Binding("escape", "hide_error", "Hide message", id="dataset.hide", show=False),
]
_HELP = (
    "The datasets, whether they are on this disk, and pictures of the selected one. A download keeps "
    "what arrived when it stops, and goes on from there; training goes on meanwhile."
)


class DatasetPane(Framed, DatasetChoice, can_focus=True):
    """Status of the datasets, download of what is missing, and samples of the selected one."""

    BORDER_TITLE = "Dataset"
    BINDINGS: ClassVar[list[BindingType]] = _BINDINGS
    HELP_TEXT = _HELP
    LIT_PARTS = ".dataset-get"
    Selected = messages.Selected
    StatusChanged = messages.StatusChanged

    def __init__(self, *, data_dir: Path | None = None, pictures: bool = True, id: str | None = None) -> None:
        super().__init__(id=id or "dataset-pane", classes="pane")
        self._data_dir = data_dir
        self._with_pictures = pictures
        self._status: dict[str, DatasetStatus] = {}
        self._free: int | None = None
        self._chosen = False
        self._transfer: Transfer | None = None
        self._fetching = ""
        self._error: BaseException | None = None
        self._error_is_sample = False
        self._refused = ""  # the dataset whose archive was refused for its hash
        self._samples: dict[str, list[Picture]] = {}
        self._offset = 0
        self._seed = 0

    def compose(self) -> ComposeResult:
        """Rows, transfer, message, pictures."""
        for dataset in text.DATASETS:
            yield DatasetRow(dataset)
        yield TransferBox(id="transfer")
        yield PaneMessage(id="dataset-message")
        yield PictureRow(id="dataset-pictures")

    def on_mount(self) -> None:
        """Look at the disk, after the first paint."""
        self.recall()
        self._paint()
        self.set_timer(0.05, self.refresh_status)

    # ---- for the app ----

    @property
    def statuses(self) -> dict[str, DatasetStatus]:
        """What was found on disk, by dataset; empty before the first look."""
        return dict(self._status)

    @property
    def samples_in_sight(self) -> list[Picture]:
        """The pictures from the first one in sight on."""
        return self._samples.get(self._selected, [])[self._offset :]

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
            self._fetching = dataset or text.dataset_of(transfer.file) or self._fetching or self._selected
            self._error, self._refused = None, ""
        self._paint()
        if over:
            self._samples.pop(self._fetching, None)
            self.refresh_status()

    def show_error(self, error: BaseException | None) -> None:
        """Show what went wrong and the remedy, in place; None hides it."""
        self._transfer = None
        self._refused = self._fetching if text.refused(error) else ""
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
        transfer = text.own_transfer(phase) if live.is_live else None
        if transfer is not None:
            self.show_transfer(transfer)
        elif self._transfer is not None and phase.phase in {"build", "compile", "train"}:
            self.show_transfer(None)

    def copy_text(self) -> str:
        """The states as text, a line for each dataset."""
        return text.status_text(self._status.values())

    # ---- threads ----

    def refresh_status(self) -> None:
        """Look at the disk again, in a thread."""
        folder = self._folder
        self._in_thread(lambda: self.post_message(messages.Looked(look(folder))), "dataset-status")

    def _load_samples(self) -> None:
        if (
            self._with_pictures
            and self._selected not in self._samples
            and self._state(self._selected) in {"ready", "unverified"}
        ):
            folder, dataset, seed = self._folder, self._selected, self._seed
            self._in_thread(
                lambda: self.post_message(messages.Sampled(read_samples(dataset, folder, seed))),
                "dataset-samples",
            )

    def _accept(self, dataset: str) -> None:
        folder = self._folder

        def work() -> None:
            if (error := accept(dataset, folder)) is not None:
                self.post_message(messages.Sampled(Samples(dataset, [], error)))
            self.post_message(messages.Looked(look(folder)))

        self._in_thread(work, "dataset-accept")

    def _in_thread(self, work: Callable[[], object], group: str) -> None:
        self.run_worker(work, thread=True, exclusive=True, group=group, exit_on_error=False)

    @property
    def _folder(self) -> Path:
        return self._data_dir or data_folder(self.app)

    # ---- handlers ----

    def on_dataset_pane_looked(self, message: messages.Looked) -> None:
        """The disk was looked at."""
        message.stop()
        first, found = not self._status, message.found
        self._status, self._free = found.status, found.free
        if found.error is not None and self._error is None:
            self._set_error(found.error)
        if first and not self._chosen and self._state(self._selected) == "missing":
            ready = [name for name in text.DATASETS[:2] if self._state(name) in {"ready", "unverified"}]
            self._selected = ready[0] if ready else self._selected
        self._paint()
        self._load_samples()
        self.post_message(self.StatusChanged(dict(found.status)))

    def on_dataset_pane_sampled(self, message: messages.Sampled) -> None:
        """Pictures were read."""
        message.stop()
        samples = message.samples
        if samples.error is not None:
            if samples.dataset == self._selected:
                self._set_error(samples.error, sample=True)
            return
        self._samples[samples.dataset] = samples.pictures
        if self._error_is_sample:
            self._set_error(None)
        self._paint()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Get or cancel."""
        event.stop()
        if event.button.id == "cancel-download":
            self.action_cancel()
        elif event.button.id:
            self.choose(event.button.id.removeprefix("get-"))
            self.action_get()

    def on_focus(self, _event: Focus) -> None:
        """Look again: another program may have changed the disk."""
        self.refresh_status()

    def on_resize(self, _event: Resize) -> None:
        """Lines are as wide as the pane."""
        self._paint()

    # ---- actions ----

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Only what would do something is offered."""
        useful = {
            "get": self._transfer is None and self._state(self._selected) in {"missing", "damaged"},
            "cancel": self._transfer is not None,
            "accept": self._acceptable(),
            "other_samples": self._with_pictures and bool(self._samples.get(self._selected)),
            "hide_error": self._error is not None,
        }
        return useful.get(action, True)

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
        if self._refused == self._selected:
            self._fetching, self._refused = self._selected, ""
            self.post_message(DownloadRequested(self._selected, allow_unverified=True))
        else:
            self._accept(self._selected)

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

    def action_hide_error(self) -> None:
        """Hide the message."""
        self._set_error(None)

    # ---- painting ----

    def _state(self, dataset: str) -> str:
        status = self._status.get(dataset)
        return "" if status is None else status.state

    def _acceptable(self) -> bool:
        status = self._status.get(self._selected)
        unsure = status is not None and status.state == "unverified" and not status.accepted
        return unsure or (self._refused == self._selected and self._transfer is None)

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
        left -= self.query_one(TransferBox).paint(self._fetching, transfer, width, left)
        message = self._message(left)
        self.query_one("#dataset-message").display = bool(message)
        if message:
            self.query_one("#dataset-message", PaneMessage).say(message)
        self.tooltip = text.tip(self._error, self._folder if message else None)
        pictures = self.samples_in_sight
        row_of_pictures = self.query_one(PictureRow)
        show = bool(pictures) and not message and left >= 9
        row_of_pictures.display = show
        row_of_pictures.set_class(left >= 10, "-roomy")
        if show:
            row_of_pictures.show(pictures)
        hint = "n other samples   2 look closer" if show else "x cancel" if transfer is not None else ""
        self.border_subtitle = hint
        self.refresh_bindings()

    def _message(self, left: int) -> list[Content]:
        width = self.content_size.width
        if self._error is not None:
            unsure = self._error_is_sample and self._acceptable()
            return text.refusal(self._selected, self._error, unsure, width, left)
        state = self._state(self._selected) if self._transfer is None else ""
        return text.missing_lines(self._selected, state, self._free, str(self._folder), width, left)
