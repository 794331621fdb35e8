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
    """Fetch a dataset; `allow_unverified` takes a well-formed archive of unknown hash too."""

    def __init__(self, dataset: str, allow_unverified: bool = False) -> None:
        super().__init__()
        self.dataset = dataset
        self.allow_unverified = allow_unverified


class CancelDownload(Message):
    """Stop the download that is under way; what arrived is kept."""


class RunOpened(Message):
    """Show a run in the panes, then go to a room."""

    def __init__(self, run_id: str, room: int = 1) -> None:
        super().__init__()
        self.run_id, self.room = run_id, room


class RunResumed(Message):
    """Go on with a recorded run; `changes` are texts by field name, as typed."""

    def __init__(self, run_id: str, changes: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.run_id = run_id
        self.changes = dict(changes or {})


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
