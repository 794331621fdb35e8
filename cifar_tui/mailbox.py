"""Where a training leaves its events for a reader in another thread. Standard library only."""

from __future__ import annotations

import threading

from cifar_tui import events


class Mailbox:
    """Keeps every event in order, except `progress` and `phase`, of which the newest wins.

    Putting never waits for the reader. Since the last event that must be kept there is at most one progress
    and one event of each phase, so a reader that sleeps for an hour finds a handful of events, not a million.
    """

    def __init__(self) -> None:
        self._arrived = threading.Condition()
        self._kept: list[events.Event] = []
        self._newest: dict[str, events.Event] = {}  # since the last kept one, oldest first

    def put(self, event: events.Event) -> None:
        """Leave an event."""
        with self._arrived:
            if isinstance(event, events.Progress | events.Phase):
                key = event.phase if isinstance(event, events.Phase) else event.kind
                self._newest.pop(key, None)
                self._newest[key] = event
            else:
                self._kept.extend(self._newest.values())
                self._newest.clear()
                self._kept.append(event)
            self._arrived.notify_all()

    def drain(self) -> list[events.Event]:
        """Take all events that are there."""
        with self._arrived:
            taken = self._kept + list(self._newest.values())
            self._kept, self._newest = [], {}
            return taken

    def wait(self, timeout: float) -> bool:
        """Wait until there is an event, at most `timeout` seconds; whether there is one."""
        with self._arrived:
            if not (self._kept or self._newest):
                self._arrived.wait(timeout)
            return bool(self._kept or self._newest)
