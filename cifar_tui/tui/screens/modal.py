"""What all dialogs have in common."""

from __future__ import annotations

from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen

from cifar_tui.tui.screens.tooltips import BelowTooltips

Result = TypeVar("Result")


class Modal(BelowTooltips, ModalScreen[Result]):
    """A screen over the others that answers once.

    Keys and clicks may come faster than a screen closes. What is asked of one that is closed already, or has
    another one above it, is left alone: Textual would answer a second time and close the screen on top.
    """

    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        """Close with a result, where this is the screen on top."""
        return super().dismiss(result) if self.is_active else AwaitComplete()
