"""Which checkpoint to evaluate."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from cifar_tui.runs.checkpoints import CheckpointInfo
from cifar_tui.text import safe_text
from cifar_tui.tui.screens.modal import Modal
from cifar_tui.tui.widgets.lines import ends

_WIDTH = 44


class ChooseCheckpoint(Modal[CheckpointInfo | str | None]):
    """A list of checkpoints; closes with the one that was chosen, "newest" for the report as it is recorded.

    Args:
        run: id of the run, outside text.
        found: its checkpoints, newest first.
        step: of the recorded report; None where there is none.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "close", "Close", id="checkpoints.close"),
        Binding("ctrl+q", "app.quit", "Quit", show=False),
    ]

    def __init__(self, run: str, found: list[CheckpointInfo], step: int | None) -> None:
        super().__init__()
        self._run, self._found, self._step = run, found, step

    def compose(self) -> ComposeResult:
        """The list."""
        options = OptionList(id="checkpoints", markup=False)
        options.border_title = Content(f"Evaluate a checkpoint of {safe_text(self._run, 22)}")
        options.border_subtitle = "enter evaluates   esc closes"
        if self._step is not None:
            line = ends([("recorded report", "")], [(f"step {self._step:,}", "")], _WIDTH)
            options.add_option(Option(line, id="newest"))
        for number, info in enumerate(self._found):
            name = "best" if info.best else "checkpoint"
            line = ends([(name, "")], [(f"step {info.step:,}", "")], _WIDTH)
            options.add_option(Option(line, id=f"checkpoint-{number}"))
        yield options

    def on_mount(self) -> None:
        """Ready to choose."""
        options = self.query_one(OptionList)
        options.highlighted = 0
        options.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click."""
        event.stop()
        name = event.option.id or ""
        self.dismiss("newest" if name == "newest" else self._found[int(name.removeprefix("checkpoint-"))])

    def action_close(self) -> None:
        """Escape."""
        self.dismiss(None)
