"""The classes of a split with their counts, to choose one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from cifar_tui.tui.widgets.picture_views import padded

if TYPE_CHECKING:
    from cifar_tui.datasets.split import Split

_NAME, _BAR = 11, 5
_LONG_NAME, _SHORT_BAR = 13, 3  # for more classes than are seen at once; a scrollbar takes a cell
_MANY = 12


def _line(name: str, count: int, share: float, many: bool) -> Content:
    width, size = (_LONG_NAME, _SHORT_BAR) if many else (_NAME, _BAR)
    filled = round(share * size)
    return Content.assemble(
        f"{padded(name, width)} ",
        ("━" * filled, "$accent" if name == "all" else "$muted"),
        ("━" * (size - filled), "$grid"),
        f"{count:>{6 if many else 7},}",
    )


class ClassList(OptionList):
    """All classes, then each with the number of its pictures."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "Show", id="classes.show", tooltip="Show only the pictures of this class"),
    ]
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
        self.border_subtitle = ""
        if split is None:
            return
        import numpy as np

        counts = np.bincount(split.labels, minlength=len(split.names)).tolist()
        rows = [("all", len(split)), *zip(split.names, counts, strict=True)]
        most = max(counts, default=0) or 1
        many = len(counts) > _MANY
        self.add_options(
            Option(_line(name, count, 1.0 if number == 0 else count / most, many), id=f"class-{number - 1}")
            for number, (name, count) in enumerate(rows)
        )
        self.highlighted = chosen + 1
        even = "balanced, " if len(set(counts)) == 1 else ""
        self.border_subtitle = f"{even}{len(counts)} classes"

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click."""
        event.stop()
        self.post_message(self.Chosen(event.option_index - 1))
