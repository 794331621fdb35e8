"""Which screen of the app is given what: noted by the app's own process, read by a test in another one.

`note_places` runs in the process of the app and appends a line to a file for each key, click, paste and
resize. A test that sends the terminal's "I have the focus" (which changes nothing) gets a line that begins
with `ASKED`: so it learns where the app is once everything that was sent before has been handled.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from cifar_tui.tui.arrange import mode
from cifar_tui.tui.widgets.header import ROOMS

ASK = "\x1b[I"
ASKED = "asked"


class Noted(NamedTuple):
    """An event that the app was given.

    Attributes:
        kind: "key", "click", "wheel", "paste", "resize", or `ASKED`.
        place: see `place_of`.
        trains: "training" while this process trains or is about to, else "idle".
    """

    kind: str
    place: str
    trains: str


def place_of(app: Any) -> str:
    """The screen on top: a room in small letters, else the class of a dialog and the first word of its title.

    Parts of a room that take its whole place are named too: "report pictures", "runs compared".
    """
    screen = app.screen
    if screen is not app.dashboard:
        name = type(screen).__name__
        return f"{name} {screen._title.split()[0]}" if name in {"Dialog", "AskValue", "PathDialog"} else name
    if mode(*app.size) == "tiny":
        return "too small"
    room = app.dashboard._rooms.get(app.dashboard.room)
    if app.dashboard.room == 3 and room is not None and room._wanted is not None:
        return "report pictures"
    if app.dashboard.room == 4 and room is not None and room.query("#runs-compare").first().display:
        return "runs compared" if len(room.query("#runs-table").first().marks) > 1 else "runs"
    return ROOMS[app.dashboard.room - 1].lower()


def when_settled(app: Any, do: Callable[[], None]) -> None:
    """Do something once the screen and what has the focus have handled what the app handed on to them."""

    def focused() -> None:
        (app.focused or app.screen).call_later(refreshed)

    def refreshed() -> None:
        app.screen.call_after_refresh(do)

    app.screen.call_later(focused)


def note_places(path: str) -> None:
    """Have the app of this process note what it is given."""
    from textual import events
    from textual.app import ScreenStackError
    from textual.css.query import NoMatches

    from cifar_tui.tui.app import CifarTuiApp

    kinds = {
        events.Key: "key",
        events.MouseDown: "click",
        events.MouseScrollUp: "wheel",
        events.MouseScrollDown: "wheel",
        events.Paste: "paste",
        events.Resize: "resize",
        events.AppFocus: ASKED,
    }
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    usual = CifarTuiApp.on_event

    def note(app: CifarTuiApp, kind: str) -> None:
        try:
            place = place_of(app)
        except (NoMatches, ScreenStackError):
            place = "nowhere yet"  # before the first screen, after the last, or while a room is made
        trains = "training" if app.desk.busy else "idle"
        os.write(file, f"{kind}\t{place}\t{trains}\n".encode())

    async def on_event(self: CifarTuiApp, event: events.Event) -> None:
        kind = kinds.get(type(event), "")
        if kind == ASKED and self.screen_stack:
            when_settled(self, lambda: note(self, ASKED))
        elif kind not in {"", ASKED} and not event.is_forwarded:
            note(self, kind)
        await usual(self, event)

    CifarTuiApp.on_event = on_event  # type: ignore[method-assign]


class PlaceNotes:
    """The notes of an app, as they come.

    Args:
        path: the file; it may not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0

    def take(self) -> list[Noted]:
        """Those since the last call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        data = data[: data.rfind(b"\n") + 1]  # a line is written at once, but be sure
        self._read += len(data)
        return [Noted(*line.split("\t")) for line in data.decode().splitlines()]
