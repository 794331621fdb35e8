"""Ways to every screen of the app in a pseudo-terminal, whatever it shows at first."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from cifar_tui.tui.widgets.header import ROOMS
from tests.tui.places import ASK, ASKED, Noted, PlaceNotes
from tests.tui.terminal import Terminal

TAB, DOWN, ENTER, CLEAR, F6 = "\t", "\x1b[B", "\r", "\x15", "\x1b[17~"
HANGS_SECONDS = 60.0  # an app that says nothing for so long has stopped; a busy machine makes it wait seconds


def click(x: int, y: int) -> str:
    """A click on a cell, counted from 1."""
    return f"\x1b[<0;{x};{y}M\x1b[<0;{x};{y}m"


class Way(NamedTuple):
    """How to come to a place.

    Attributes:
        start: the place before it; a part of it will do, as "runs compared" for "runs".
        keys: pressed there, each once the one before has been handled.
        again: pressed before another try: what has the focus decides what a key does.
        seconds: how long it may take.
        idle: it is there only while nothing trains.
    """

    start: str
    keys: tuple[str, ...]
    again: str = ""
    seconds: float = 0.25
    idle: bool = False


# The width of the brand and of the gap between two rooms in a header of 120 columns; a click goes there.
_BRAND, _GAP = 14, 3
ROOM_COLUMNS = {
    name.lower(): _BRAND + 2 + sum(len(f"1 {before}") + _GAP for before in ROOMS[:place])
    for place, name in enumerate(ROOMS)
}
WAYS = {
    "FirstStart": Way("dashboard", ("\x1b[20~",)),
    "HelpScreen": Way("dashboard", ("\x1bOP",)),
    "KeysScreen": Way("dashboard", ("\x1bOS",)),
    "PressKey": Way("KeysScreen", (ENTER,), DOWN),
    "CommandPalette": Way("runs", ("\x10",)),
    "QuitDialog": Way("log", ("\x11",)),
    "AskValue Target": Way("dashboard", ("T",), F6),
    "AskValue Learning": Way("dashboard", ("R",), F6),
    "Dialog Run": Way("AskValue Learning", (CLEAR, "100\r"), seconds=10.0),  # at this rate it diverges
    "PathDialog Load": Way("dashboard", ("\x0f",), F6, seconds=0.5, idle=True),
    "PathDialog Save": Way("dashboard", ("\x14",), F6, seconds=0.5),
    # Synthetic pictures, one of the first.
    "ZoomScreen": Way("data", (click(6, 6), 2 * click(40, 10)), seconds=2.0),
    "AugmentedScreen": Way("data", (click(6, 6), click(40, 10), "a"), seconds=2.0),
    "ChooseCheckpoint": Way("report", ("k",), TAB, seconds=2.0),
    "report pictures": Way("report", ("v",), TAB),
    "runs compared": Way("runs", (" ", DOWN, " "), TAB),
    "Dialog Fork": Way("runs", ("f",), DOWN),
    "Dialog Delete": Way("runs", ("d",), DOWN),
    "AskValue Fork": Way("Dialog Fork", ("n",)),
    "AskValue Rename": Way("runs", ("n",), DOWN),
    "AskValue Extend": Way("runs", ("x",), DOWN),
    # The checkpoint of the run "hollow" cannot be read.
    "Dialog That": Way("runs", ("/", f"{CLEAR}hollow\r", "f", "n", ENTER), TAB, seconds=4.0),
}
PLACES = (*ROOM_COLUMNS, "too small", *WAYS)


class Visitor:
    """Goes from place to place, and counts what each was given by others than itself.

    Attributes:
        given: how many events each place was given.
        kinds: how many of each kind.
        trained: how many were given while the app trained.
        missed: how often the way to a place did not lead there.
        slowest: longest time in seconds until the app said where it was.
    """

    def __init__(self, terminal: Terminal, notes: PlaceNotes) -> None:
        self._terminal, self._notes = terminal, notes
        self.here = ""
        self.trains = False
        self.given: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self.trained = 0
        self.slowest = 0.0
        self._counts = True

    # ---- where it is ----

    def look(self) -> bool:
        """Ask where the app is once it has handled what was sent; False where it has ended.

        Raises:
            AssertionError: the app runs and does not answer.
        """
        began = time.monotonic()
        while time.monotonic() < began + HANGS_SECONDS:
            self._terminal.press(f"\x1b[201~{ASK}")  # the end of a paste that began and never ended
            end = time.monotonic() + 2.0
            while time.monotonic() < end:
                if not self._terminal.pump(0.01, show=False):
                    return False
                if self._take():
                    self.slowest = max(self.slowest, time.monotonic() - began)
                    return True
        raise AssertionError(f"the app has not answered for {HANGS_SECONDS} s; it was at {self.here}")

    def _take(self) -> bool:
        answered = False
        for noted in self._notes.take():
            self.here, self.trains = noted.place, noted.trains == "training"
            answered |= noted.kind == ASKED
            self._count(noted)
        return answered

    def _count(self, noted: Noted) -> None:
        if noted.kind != ASKED and self._counts:
            self.given[noted.place] += 1
            self.kinds[noted.kind] += 1
            self.trained += noted.trains == "training"

    def finish_counting(self) -> None:
        """Count what was given until the end of the app."""
        self._take()

    # ---- going ----

    def visit(self, place: str) -> bool:
        """Go to a place from wherever the app is, uncounted; False where it did not come there."""
        if not self.look():
            return False
        self._counts = False
        stops = place in WAYS and WAYS[place].idle and self.trains
        arrived = self._home() and (not stops or self._stop()) and self._come_to(place)
        self._counts = True
        self.missed[place] += not arrived
        return arrived

    def train(self, recipe: Path) -> bool:
        """Have a training under way, uncounted; what was typed into the form gives way to a file's recipe."""
        if not self.look():
            return False
        self._counts = False
        done = self.trains or (self._home() and self._fill(recipe) and self._start())
        self._counts = True
        return done

    def _home(self) -> bool:
        """Out of every dialog, in a window of 120 x 40."""
        self._terminal.resize(120, 40)
        for _ in range(8):
            if not self.look():
                return False
            if self._in_room():
                return True
            self._terminal.press("\x1b")
            self._terminal.pump(0.15, show=False)  # an escape is one only where nothing follows it at once
        return False

    def _in_room(self) -> bool:
        return self.here.partition(" ")[0] in ROOM_COLUMNS

    def _is_at(self, place: str) -> bool:
        return self.here == place or (self._in_room() and self.here.startswith(f"{place} "))

    def _come_to(self, place: str) -> bool:
        if place == "too small":
            self._terminal.resize(30, 8)
            return self._arrives(place, 1.0)
        if place in ROOM_COLUMNS:
            self._terminal.press(click(ROOM_COLUMNS[place], 1))
            return self._arrives(place, 2.0)
        way = WAYS[place]
        for _ in range(8):
            if not self._is_at(way.start) and not (self._home() and self._come_to(way.start)):
                return False
            if not all(self._press(key) for key in way.keys):
                return False
            if self._arrives(place, way.seconds):
                return True
            if not self._press(way.again):
                return False
        return False

    def _press(self, key: str) -> bool:
        self._terminal.press(key)
        return self._terminal.pump(0.02, show=False) and self.look()

    def _arrives(self, place: str, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while self.look():
            if self._is_at(place):
                return True
            if time.monotonic() > end:
                return False
            self._terminal.pump(0.05, show=False)
        return False

    # ---- training ----

    def _start(self) -> bool:
        self._terminal.press("\x13")  # ctrl+s
        return self._comes_to(2.0, trains=True)

    def _stop(self) -> bool:
        return self._come_to("log") and self._press("s") and self._comes_to(20.0, trains=False)

    def _comes_to(self, seconds: float, *, trains: bool) -> bool:
        end = time.monotonic() + seconds
        while self.look() and time.monotonic() < end:
            if self.trains == trains:
                return True
        return False

    def _fill(self, recipe: Path) -> bool:
        if not (self._come_to("dashboard") and self._come_to("PathDialog Load")):
            return False
        return self._press(CLEAR) and self._press(f"{recipe}\r") and self._home()


def some_order(choose: random.Random) -> list[str]:
    """All places, each once."""
    return choose.sample(PLACES, len(PLACES))
