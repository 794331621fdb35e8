"""What panes ask of the app. Each message bubbles up from the widget that posts it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from cifar_tui.recipe import Recipe


class StartRequested(Message):
    """Start a training.

    Attributes:
        values: text by field name, as typed; fields that are as in the preset are left out.
        preset: name of the preset below them, or None.
    """

    def __init__(self, values: Mapping[str, str], preset: str | None) -> None:
        super().__init__()
        self.values = dict(values)
        self.preset = preset


class FormChanged(Message):
    """The recipe form changed; `recipe` is None while it is not valid."""

    def __init__(self, recipe: Recipe | None) -> None:
        super().__init__()
        self.recipe = recipe


class DownloadRequested(Message):
    """Fetch a dataset."""

    def __init__(self, dataset: str) -> None:
        super().__init__()
        self.dataset = dataset


class CancelDownload(Message):
    """Stop the download that is under way; what arrived is kept."""


class RunOpened(Message):
    """Show a recorded run in the panes."""

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id


class RunResumed(Message):
    """Go on with a recorded run."""

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id


class CopyRequested(Message):
    """Put a text on the clipboard.

    Attributes:
        text: the text.
        what: what it is, for the notice, such as "command".
    """

    def __init__(self, text: str, what: str) -> None:
        super().__init__()
        self.text = text
        self.what = what
