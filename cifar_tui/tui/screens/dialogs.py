"""Dialogs: what happened, what was kept, what to do. Each closes with the id of the choice, or None."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Button, Input, Static

from cifar_tui.errors import CifarTuiError, UsageError
from cifar_tui.text import safe_text
from cifar_tui.tui.screens.modal import Modal


@dataclass(frozen=True)
class Choice:
    """A button of a dialog.

    Attributes:
        id: what the dialog closes with.
        key: the key that chooses it.
        text: what it does.
        remark: more of it, muted.
    """

    id: str
    key: str
    text: str
    remark: str = ""

    def label(self, width: int = 66) -> Text:
        """Key, text and remark in one row."""
        left = Text(f" {self.key:<3}", style="bold", no_wrap=True, overflow="ellipsis")
        left.append(self.text)
        gap = width - left.cell_len - len(self.remark)
        if gap >= 2:
            left.append(" " * gap)
            left.append(self.remark)
        return left


@dataclass(frozen=True)
class Part:
    """A heading and lines below it; all plain text."""

    heading: str
    lines: tuple[str, ...]


class Dialog(Modal[str | None]):
    """A box with text and choices; the first choice has the focus. Escape closes it with None.

    Args:
        title: what it is about.
        parts: what it says.
        choices: what can be done.
        bad: it tells of something that went wrong.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", show=True),
        Binding("ctrl+c", "app.interrupt", "Quit", show=False),
        Binding("ctrl+q", "app.quit", "Quit", show=False),
        Binding("up,left", "app.focus_previous", show=False),
        Binding("down,right", "app.focus_next", show=False),
        Binding("pageup", "scroll_text(-1)", "Text up", show=False),
        Binding("pagedown", "scroll_text(1)", "Text down", show=False),
    ]

    def __init__(
        self, title: str, parts: Sequence[Part], choices: Sequence[Choice], *, bad: bool = False
    ) -> None:
        super().__init__(classes="dialog")
        self._title, self._parts, self._choices, self._bad = title, parts, choices, bad

    def compose(self) -> ComposeResult:
        """Headings, lines, buttons."""
        box = Vertical(id="dialog", classes="bad" if self._bad else "")
        box.border_title = Text(self._title)
        box.border_subtitle = "tab next   enter choose   esc close"
        with box:
            with VerticalScroll(id="dialog-text", can_focus=False):
                for number, part in enumerate(self._parts):
                    if part.heading:
                        yield Static(Text(part.heading), classes="heading" if number else "heading first")
                    if part.lines:
                        yield Static(Text("\n".join(part.lines)), classes="lines")
            for choice in self._choices:
                button = Button(
                    choice.label(min(66, self.app.size.width - 8)),
                    id=f"choice-{choice.id}",
                    classes="choice",
                    compact=True,
                )
                button.tooltip = f"{choice.text} ({choice.key})"
                yield button

    def on_mount(self) -> None:
        """The first choice is ready for Enter."""
        self.query(".choice").first().focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """A click, or Enter."""
        event.stop()
        self.dismiss((event.button.id or "").removeprefix("choice-"))

    def on_key(self, event: object) -> None:
        """The key of a choice."""
        key = getattr(event, "key", "")
        for choice in self._choices:
            if choice.key == key:
                getattr(event, "stop")()  # noqa: B009
                self.dismiss(choice.id)
                return

    def action_close(self) -> None:
        """Escape."""
        self.dismiss(None)

    def action_scroll_text(self, pages: int) -> None:
        """Show the text that a small screen has no room for."""
        text = self.query_one("#dialog-text", VerticalScroll)
        text.scroll_relative(y=pages * max(1, text.size.height - 1), animate=False)

    def on_resize(self) -> None:
        """Say how to scroll where the text does not fit."""
        self.call_after_refresh(self._say_keys)

    def _say_keys(self) -> None:
        text = self.query_one("#dialog-text", VerticalScroll)
        scroll = "pgdn more   " if text.virtual_size.height > text.size.height else ""
        self.query_one("#dialog").border_subtitle = f"{scroll}tab next   enter choose   esc close"


class QuitDialog(Dialog):
    """Asks before the app ends a training."""


def error_dialog(error: BaseException, choices: Sequence[Choice] = ()) -> Dialog:
    """What failed, what state things are in, and the remedy."""
    if not isinstance(error, CifarTuiError):
        error = CifarTuiError(f"{type(error).__name__}: {error}", hint="see the log, room 5")
    lines = error.block().splitlines()
    first, rest = lines[0].removeprefix("error: "), lines[1:]
    return Dialog(
        "That did not work",
        [
            Part("What happened", (first[:1].upper() + first[1:],)),
            *([Part("What is known", tuple(line.strip() for line in rest))] if rest else []),
        ],
        [*choices, Choice("close", "o", "Go on", "close")],
        bad=True,
    )


def quit_dialog(run_id: str, step: int, target: int) -> Dialog:
    """Asked before the app ends a training."""
    where = f"Step {step:,} of {target:,}" if step else "It is just starting"
    return QuitDialog(
        f"Run {safe_text(run_id, 40)} is training" if run_id else "A training is under way",
        [
            Part(
                "",
                (
                    f"{where}. It stops with the app.",
                    "What it has learned is saved first, and any later start can go on from there.",
                ),
            )
        ],
        [
            Choice("stop", "s", "Stop and save", "then quit"),
            Choice("cancel", "c", "Cancel", "keep training"),
        ],
    )


def diverged_dialog(run_id: str, step: int, reason: str, rate: float, kept: bool) -> Dialog:
    """The loss or the weights are not finite: what was kept, and the way on."""
    slower = rate / 10
    state = (
        (f"The last weights that were finite, as the checkpoint of step {step:,}.", "All curves and events.")
        if kept
        else ("All curves and events; no checkpoint was written.",)
    )
    choices = [Choice("close", "k", "Keep it as it is", "close, nothing changes")]
    if kept:
        choices.insert(
            0,
            Choice("slower", "r", f"Resume from {step:,} at rate {slower:.3g}", "in a new run"),
        )
    choices.insert(
        len(choices) - 1,
        Choice("form", "f", f"Put rate {slower:.3g} into the form", "then start when you like"),
    )
    return Dialog(
        f"Run {safe_text(run_id, 40)} diverged",
        [
            Part(
                "What happened",
                (
                    safe_text(f"{reason[:1].upper()}{reason[1:]}".rstrip("."), 200) + ".",
                    f"The learning rate was {rate:.3g}; a lower one is the usual remedy.",
                ),
            ),
            Part("What was kept", state),
            Part("What to do", ()),
        ],
        choices,
        bad=True,
    )


class AskValue(Modal[str | None]):
    """One line to fill in; closes with its text once it is valid, or None.

    Args:
        title: what is asked for.
        text: said above the field.
        value: in the field at first.
        check: raises `UsageError` for a text that is not valid.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close"),
        Binding("ctrl+q", "app.quit", "Quit", show=False),
    ]

    def __init__(self, title: str, text: str, value: str, check: Callable[[str], object]) -> None:
        super().__init__(classes="dialog")
        self._title, self._text, self._value, self._check = title, text, value, check

    def compose(self) -> ComposeResult:
        """Text, field, reason."""
        box = Vertical(id="dialog")
        box.border_title = Text(self._title)
        box.border_subtitle = "enter take it   esc close"
        with box:
            yield Static(Text(self._text), classes="lines")
            yield Input(self._value, compact=True, max_length=200, id="value")
            yield Static("", id="reason", markup=False)

    def on_mount(self) -> None:
        """Ready to type."""
        self.query_one(Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say what is wrong while it is typed."""
        self._judge(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take it, where it is valid."""
        if self._judge(event.value):
            self.dismiss(event.value)

    def _judge(self, value: str) -> bool:
        reason = self.query_one("#reason", Static)
        try:
            self._check(value)
        except UsageError as error:
            reason.update(Text(f"{safe_text(error.message, 200)}\n{safe_text(error.hint or '', 200)}"))
            return False
        reason.update("")
        return True

    def action_close(self) -> None:
        """Escape."""
        self.dismiss(None)
