"""Parts of the dataset pane: one dataset, and a download that is under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Static

from cifar_tui.tui.widgets import dataset_lines as text
from cifar_tui.tui.widgets.lines import stack

if TYPE_CHECKING:
    from cifar_tui.datasets.places import DatasetStatus
    from cifar_tui.datasets.transfer import Transfer


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
        self.query_one(".dataset-line", Static).update(line, layout=False)


class PaneMessage(Static):
    """What the pane says below its rows; keys in it can be clicked."""

    _said: list[Content] | None = None

    def say(self, lines: list[Content]) -> None:
        """Show these lines; a layout is made only where they are others."""
        if lines != self._said:
            self._said = lines
            self.update(stack(lines))

    async def action_pane(self, action: str) -> None:
        """Run an action of the pane."""
        if isinstance(self.parent, Widget):
            await self.parent.run_action(action)


class TransferBox(Vertical):
    """How far a download is, and the button that stops it."""

    def compose(self) -> ComposeResult:
        """Text and button."""
        yield Static(id="transfer-text")
        with Horizontal(id="transfer-buttons"):
            cancel = Button("x Cancel", compact=True, id="cancel-download")
            cancel.tooltip = "Stop the download; what arrived is kept"
            cancel.can_focus = False
            yield cancel
            yield Static("what arrived is kept", classes="muted")

    def paint(self, dataset: str, transfer: Transfer | None, width: int, room: int) -> int:
        """Show a transfer, or nothing; returns the rows it takes of `room`."""
        self.display = transfer is not None
        if transfer is None:
            return 0
        lines = text.transfer_lines(dataset, transfer, width)
        self.query_one("#transfer-text", Static).update(stack(lines))
        self.set_class(room > len(lines) + 1, "-roomy")
        return len(lines) + 1
