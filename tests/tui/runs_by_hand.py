"""Runs made of events by hand, and an app with the real style sheets around some panes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from textual.app import App, ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget

import cifar_tui.tui
from cifar_tui import events
from cifar_tui.tui import theme
from cifar_tui.tui.live import ALL_KINDS, LiveRun

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
CONFIG = {"model": "cnn", "dataset": "cifar10", "labels": "fine", "l2_reg": 0.0}


def confusion(classes: int = 10, right: int = 70) -> list[list[int]]:
    """100 pictures a class; class n has `right` - n right answers, the others go to the next class."""
    rows = [[0] * classes for _ in range(classes)]
    for true in range(classes):
        hits = max(0, right - true)
        rows[true][true] = hits
        rows[true][(true + 1) % classes] = 100 - hits
    return rows


def started(target: int = 1000, step: int = 0, **config: Any) -> events.RunStarted:
    return events.RunStarted(
        run="cnn-a", step=step, target=target, steps_per_epoch=100, config={**CONFIG, **config},
        parameters=10, device={"name": "cpu"}, dataset={"name": "cifar10", "names": NAMES, "train": 5000},
    )  # fmt: skip


def progress(step: int, *, loss: float | None = None, target: int = 1000, **more: Any) -> events.Progress:
    value = 2.3 / math.sqrt(step) + 1 if loss is None else loss
    known = None if not math.isfinite(value) else value
    fields: dict[str, Any] = {
        "loss": known, "loss_min": known, "loss_max": known, "moving_loss": known,
        "moving_accuracy": 0.3 + step / (4 * target), "mean_loss": known, "mean_accuracy": 0.4,
        "learning_rate": 1e-4, "steps_per_second": 50.0, "images_per_second": 2500.0, "seconds": step / 50,
        "seconds_left": (target - step) / 50,
    } | more  # fmt: skip
    return events.Progress(step=step, target=target, epoch=step / 100, **fields)


def evaluation(step: int, split: str = "test", *, loss: float | None = 1.5, **more: Any) -> events.Evaluation:
    fields: dict[str, Any] = {"accuracy": 0.6551, "top5": 0.97, "confusion": confusion(), "seconds": 0.1}
    return events.Evaluation(
        step=step, epoch=step / 100, split=split, examples=1000, loss=loss, **(fields | more)
    )


def ended(step: int = 1000, state: Any = "done") -> events.RunEnded:
    return events.RunEnded(
        run="cnn-a", state=state, step=step, seconds=20.0, steps_per_second=50.0, median_step_us=14_210.0,
        p95_step_us=62_090.0, train=None, test=None,
    )  # fmt: skip


def live_run(steps: int = 500, *, evaluations: bool = True, **config: Any) -> LiveRun:
    """A run in training: progress every 5 steps, evaluations every 100."""
    live = LiveRun()
    live.add(started(**config))
    live.add(events.Phase(phase="train"))
    for step in range(5, steps + 1, 5):
        live.add(progress(step))
        if evaluations and step % 100 == 0:
            live.add(evaluation(step, "train", loss=1.3, accuracy=0.70))
            live.add(evaluation(step, accuracy=0.6 + step / 10_000))
    return live


class Panes(App[None]):
    """Shows panes below each other and keeps what they ask for."""

    CSS_PATH = sorted((Path(cifar_tui.tui.__file__).parent / "styles").glob("*.tcss"))

    def __init__(self, panes: Sequence[Widget], runs_dir: Path, name: str = theme.DARK) -> None:
        super().__init__()
        for known in theme.NAMES:
            self.register_theme(theme.build(known))
        self.theme = name
        self.panes = panes
        self.runs_dir = runs_dir
        self.asked: list[Message] = []

    def compose(self) -> ComposeResult:
        with Vertical():
            yield from self.panes

    def on_copy_requested(self, message: Message) -> None:
        self.asked.append(message)

    def tell(self, live: LiveRun, kinds: frozenset[str] = ALL_KINDS) -> None:
        """What the dashboard does ten times a second."""
        for pane in self.panes:
            pane.show_live(live, kinds)  # type: ignore[attr-defined]

    @property
    def text(self) -> str:
        """The characters of every cell, lines joined by newlines."""
        strips = self.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)

    async def until(self, fits: Callable[[], bool], seconds: float = 5.0) -> None:
        """Wait until something is so."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not fits():
            assert loop.time() < end, f"it never came; on the screen:\n{self.text}"
            await asyncio.sleep(0.02)
