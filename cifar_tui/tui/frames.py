"""The frame of the pane with the focus. Only frames are styled anew when the focus moves.

With `:focus-within` Textual matches every style of every widget in both panes again, and paints all of them
twice: 30 ms for a change of two borders on a slow processor.
"""

from __future__ import annotations

from typing import Any, ClassVar

from textual import events
from textual.color import Color
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widget import Widget

LIT = "-lit"  # the class of a frame that the focus is in


class Framed(Widget):
    """A pane that can have the focus itself, or what is in it.

    Class attributes:
        LIT_PARTS: a selector of what else within looks different then; "" for nothing.
    """

    LIT_PARTS: ClassVar[str] = ""

    def watch_has_focus(self, _has_focus: bool) -> None:
        """Nothing: the screen lights the frame."""

    def _get_title_style_information(self, background: Color) -> tuple[Color, Color, Any]:
        # a rule would have all that is within painted anew, as every colour of a style has
        color, behind, style = super()._get_title_style_information(background)
        if self.has_class(LIT):
            color = Color.parse(self.app.theme_variables["accent"])
        return color, behind, style

    def _on_focus(self, event: events.Focus) -> None:
        event.prevent_default()  # which would paint all of it
        self.has_focus = True
        if self.parent is not None:
            self.parent.post_message(events.DescendantFocus(self))

    def _on_blur(self, event: events.Blur) -> None:
        event.prevent_default()
        self.has_focus = False
        if self.parent is not None:
            self.parent.post_message(events.DescendantBlur(self))


class FrameScreen(Screen[Any]):
    """A screen that lights what is around the focus: each `Framed` and whatever has the class ``pane``."""

    def __init__(self) -> None:
        super().__init__()
        self._lit: set[DOMNode] = set()

    def watch_focused(self, focused: Widget | None) -> None:
        """Light the frames around it, and no others."""
        around = focused.ancestors_with_self if focused is not None else []
        lit = {node for node in around if isinstance(node, Framed) or node.has_class("pane")}
        changed = [*(self._lit ^ lit)]
        self._lit = lit
        for frame in changed:
            frame.set_class(frame in lit, LIT, update=False)
        parts = [
            part
            for frame in changed
            if isinstance(frame, Framed) and frame.LIT_PARTS
            for part in frame.query(frame.LIT_PARTS)
        ]
        self.app.stylesheet.update_nodes([*changed, *parts])
