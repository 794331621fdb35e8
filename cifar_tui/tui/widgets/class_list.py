"""The classes of a split with their counts, to choose one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from cifar_tui.tui.widgets.picture_views import padded

if TYPE_CHECKING:
    from cifar_tui.datasets.split import Split

_WIDTH = 12


class ClassList(OptionList):
    """All classes, then each with the number of its pictures."""

    BORDER_TITLE = "Classes"
    HELP_TEXT = "The classes of the split and how many pictures each has. Enter shows only those."

    class Chosen(Message):
        """A class was chosen; label -1 means all."""

        def __init__(self, label: int) -> None:
            super().__init__()
            self.label = label

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)

    def fill(self, split: Split | None, chosen: int) -> None:
        """Show the classes of a split, with one chosen."""
        self.clear_options()
        if split is None:
            return
        import numpy as np

        counts = np.bincount(split.labels, minlength=len(split.names)).tolist()
        rows = [("all", len(split)), *zip(split.names, counts, strict=True)]
        self.add_options(
            Option(Content(f"{padded(name, _WIDTH)} {count:>7,}"), id=f"class-{number - 1}")
            for number, (name, count) in enumerate(rows)
        )
        self.highlighted = chosen + 1

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click."""
        event.stop()
        self.post_message(self.Chosen(event.option_index - 1))
