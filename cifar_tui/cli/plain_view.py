"""A run that is watched in a log: a line for each evaluation, and one now and then for where it is."""

from __future__ import annotations

import time
from collections.abc import Callable

from cifar_tui import events
from cifar_tui.cli.console import LogView
from cifar_tui.cli.progress_line import loss_text, percent_text, rate_text
from cifar_tui.text import human_seconds

EVERY_SECONDS = 10.0


class PlainView(LogView):
    """Evaluations on stdout; on stderr everything else, and where it is every ten seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._next = clock() + 1.0  # what is history comes in a burst

    def take(self, event: events.Event) -> None:
        """Print the event where it is worth a line."""
        super().take(event)
        if isinstance(event, events.Progress) and not event.paused and self._clock() >= self._next:
            self._next = self._clock() + EVERY_SECONDS
            self.say(progress_text(event))


def progress_text(event: events.Progress) -> str:
    """Where a training is, in one line of text."""
    share = min(1.0, event.step / event.target) if event.target else 1.0
    return (
        f"at {event.step:,} of {event.target:,} ({share:.0%})  loss {loss_text(event.moving_loss).strip()}  "
        f"acc {percent_text(event.moving_accuracy).strip()}  "
        f"{rate_text(event.steps_per_second).strip()} steps/s  ETA {human_seconds(event.seconds_left)}"
    )
