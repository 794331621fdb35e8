"""Where a training leaves its events for a reader in another thread. Standard library only."""

from __future__ import annotations

import threading
from collections import deque

from cifar_tui import events


class Mailbox:
    """Keeps every event in order, except `progress` and `phase`, of which the newest of a row wins.

    Putting never waits for the reader. A row of events of one kind that can be replaced takes one place, so
    a reader that sleeps for an hour finds a handful of events, not a million.
    """

    def __init__(self) -> None:
        self._arrived = threading.Condition()
        self._events: deque[events.Event] = deque()

    def put(self, event: events.Event) -> None:
        """Leave an event."""
        with self._arrived:
            if self._events and _replaces(event, self._events[-1]):
                self._events[-1] = event
            elif (
                isinstance(event, events.Progress)
                and len(self._events) > 1
                and isinstance(self._events[-1], events.Phase)
                and isinstance(self._events[-2], events.Progress)
            ):
                self._events[-2] = self._events[-1]
                self._events[-1] = event
            else:
                self._events.append(event)
            self._arrived.notify_all()

    def drain(self) -> list[events.Event]:
        """Take all events that are there."""
        with self._arrived:
            taken = list(self._events)
            self._events.clear()
            return taken

    def wait(self, timeout: float) -> bool:
        """Wait until there is an event, at most `timeout` seconds; whether there is one."""
        with self._arrived:
            return bool(self._events) or (self._arrived.wait(timeout) and bool(self._events))


def _replaces(event: events.Event, newest: events.Event) -> bool:
    if isinstance(event, events.Progress):
        return isinstance(newest, events.Progress)
    if isinstance(event, events.Phase):
        return isinstance(newest, events.Phase) and newest.phase == event.phase
    return False
