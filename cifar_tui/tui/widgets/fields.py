"""One row of the recipe form: a field's name, what it was, its editor, and the reason when it is wrong.

A row paints its own texts and has the editor as its only child, so that a form of many rows is quick to make.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from cifar_tui.text import safe_text

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult

    from cifar_tui.tui.widgets.form_state import FormState

TEXT_LIMIT = 4096
EDITOR_WIDTH = 13
MENU_WIDTH = 72


class Edited(Message):
    """A field has a new text."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__()
        self.name = name
        self.text = text


class ResetField(Message):
    """A field is to be put back to the preset."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class TextEditor(Input):
    """An input of one row. Control characters are made visible; nothing else is refused."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(safe_text(text, TEXT_LIMIT), id=field, compact=True, max_length=TEXT_LIMIT)
        self.field = field
        self._told = self.value

    def validate_value(self, value: str) -> str:
        """The text with control characters made visible."""
        return value if value.isascii() and value.isprintable() else safe_text(value, TEXT_LIMIT)

    def show(self, text: str) -> None:
        """Set the text without telling anyone."""
        self._told = self.validate_value(text)
        if self._told != self.value:
            self.value = self._told

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.value != self._told:  # the message may be older than what was shown since
            self._told = self.value
            self.post_message(Edited(self.field, self.value))

    @on(Input.Submitted)
    async def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        await self.run_action("app.focus_next")


class ChoiceMenu(OptionList):
    """The list that a choice opens, laid over the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Close", show=False)]

    def action_close(self) -> None:
        """Close without a choice."""
        if isinstance(self.parent, ChoiceEditor):
            self.parent.close(focus=True)


class ChoiceEditor(Widget, can_focus=True):
    """A choice in one row. Enter or a click opens the list, left and right step through it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Choose", id="recipe.choose"),
        Binding("left", "step(-1)", "Previous", show=False, id="recipe.previous"),
        Binding("right", "step(1)", "Next", show=False, id="recipe.next"),
    ]
    ALLOW_SELECT = False

    def __init__(self, field: str, text: str, words: tuple[str, ...]) -> None:
        super().__init__(id=field)
        self.field = field
        self.words = words
        self.text = text

    def render(self) -> Content:
        """The word and an arrow, or a lamp where there are only false and true."""
        width = max(1, self.size.width)
        shown = safe_text(self.text, 60)
        if self._is_switch:
            lamp, word = ("●", "on") if self.text == "true" else ("○", "off")
            return Content.assemble((f" {lamp}", "$accent"), f" {word}".ljust(width - 2))
        return Content.assemble(f" {shown}"[: width - 2].ljust(width - 2), ("▾ ", "$accent"))

    @property
    def _is_switch(self) -> bool:
        return self.words == ("false", "true")

    def show(self, text: str) -> None:
        """Set the word without telling anyone."""
        if text != self.text:
            self.text = text
            self.refresh()

    def choose(self, word: str) -> None:
        """Take a word as if the user had chosen it."""
        if word != self.text and not self.is_disabled:
            self.show(word)
            self.post_message(Edited(self.field, word))

    def action_step(self, by: int) -> None:
        """Take the next or the previous word."""
        if self.text in self.words:
            self.choose(self.words[(self.words.index(self.text) + by) % len(self.words)])
        else:
            self.choose(self.words[0])

    async def action_open(self) -> None:
        """Open the list; a switch turns over instead."""
        if self._is_switch:
            self.action_step(1)
        elif not self.is_disabled and not self.query(ChoiceMenu):
            await self._mount_menu()

    async def _mount_menu(self) -> None:
        from cifar_tui.tui.widgets.form_state import choice_summary

        longest = max(len(word) for word in self.words)
        summaries = {word: choice_summary(self.field, word) for word in self.words}
        room = max(0, min(MENU_WIDTH, self.screen.size.width - 2) - longest - 8)
        menu = ChoiceMenu(
            *(
                Option(Text.assemble(word.ljust(longest), ("  " + safe_text(text, room), "dim")), id=word)
                if text and room > 20
                else Option(Text(word), id=word)
                for word, text in summaries.items()
            ),
            compact=True,
        )
        widest = max((min(len(text), room) for text in summaries.values()), default=0) if room > 20 else 0
        menu.styles.width = longest + 6 + (widest + 2 if widest else 0)
        await self.mount(menu)
        menu.highlighted = self.words.index(self.text) if self.text in self.words else 0
        menu.focus(scroll_visible=False)

    def close(self, *, focus: bool) -> None:
        """Take the list away."""
        self.query(ChoiceMenu).remove()
        if focus:
            self.focus()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.close(focus=True)
        if event.option.id is not None:
            self.choose(event.option.id)

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        """The list closes when the focus leaves it."""
        if isinstance(event.widget, ChoiceMenu):
            self.close(focus=False)

    async def on_click(self, event: events.Click) -> None:
        """A click on the word opens the list, one more closes it."""
        if event.widget is not self:
            return
        event.stop()
        self.focus()
        await self.action_open()


Editor = TextEditor | ChoiceEditor


class FieldRow(Widget):
    """A field: marker and name, "was" and the old text when it changed, the editor, the reason below."""

    ALLOW_SELECT = False

    def __init__(self, name: str, editor: Editor, title: str) -> None:
        super().__init__(id=f"row-{name}", classes="field-row")
        self.field = name
        self.editor = editor
        self.title = title
        self.was: str | None = None
        self.reason = ""
        self.is_error = False
        self.note = ""
        self.folded = False

    def compose(self) -> ComposeResult:
        """The editor; everything else is painted by `render`."""
        yield self.editor

    def update_from(self, state: FormState) -> None:
        """Show what the form holds of this field."""
        name = self.field
        shown = not self.folded and state.is_shown(name)
        if self.display != shown:
            self.display = shown
        problem = state.problems.get(name)
        old = (self.was, self.reason, self.is_error, self.note)
        self.was = state.base_text(name) if state.is_changed(name) else None
        self.reason = safe_text(problem.reason, 300) if problem else ""
        self.is_error = problem is not None and problem.is_error
        epochs = state.text("epochs")
        self.note = f"{epochs} epochs count" if name == "steps" and epochs != "none" else ""
        self.editor.show(state.text(name))
        if (self.was, self.reason, self.is_error, self.note) != old:
            self.set_class(self.is_error, "-error")
            self.refresh(layout=old[1] != self.reason)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        """One row, and as many as the reason takes."""
        return 1 + len(self._reason_lines(width))

    def _reason_lines(self, width: int) -> list[str]:
        return textwrap.wrap(self.reason, max(8, width - 4)) if self.reason else []

    def _side(self) -> str:
        if self.was is not None:
            return f"was {safe_text(self.was, 20)}"
        return self.note

    def render(self) -> Content:
        """All but the editor."""
        width = self.size.width
        room = max(4, width - EDITOR_WIDTH - 2)
        changed = self.was is not None
        marker = ("✕ ", "$bad") if self.is_error else ("● " if changed else "  ", "$warning")
        side, title = self._side(), self.title
        if side and len(title) + 1 + len(side) + 1 > room:
            side = side.removeprefix("was ")
        title = safe_text(title, room if not side else max(4, room - len(side) - 2))
        gap = " " * max(1, room - len(title) - len(side) - 1)
        parts: list[tuple[str, str] | str] = [
            marker,
            (title, "bold" if changed else "$muted"),
            (gap + side, "$warning" if changed else "$muted"),
        ]
        colour = "$bad" if self.is_error else "$warning"
        parts += [("\n  " + line, colour) for line in self._reason_lines(width)]
        return Content.assemble(*parts)

    def on_click(self, event: events.Click) -> None:
        """A click on "was" or the marker resets the field, one on its name goes there."""
        event.stop()
        room = self.size.width - EDITOR_WIDTH
        on_side = event.x < 2 or room - len(self._side()) - 2 <= event.x < room
        if event.y == 0 and self.was is not None and on_side and not self.editor.is_disabled:
            self.post_message(ResetField(self.field))
        else:
            self.editor.focus()
