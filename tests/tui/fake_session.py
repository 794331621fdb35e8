"""A session that trains nothing: events come by the clock, and it obeys its control."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from cifar_tui import events
from cifar_tui.config import RunConfig
from cifar_tui.engine.control import Control
from cifar_tui.mailbox import Mailbox
from cifar_tui.session import TrainRequest
from cifar_tui.tui.app import CifarTuiApp
from cifar_tui.tui.settings import Settings
from tests.tui.waiting import PATIENCE, until

NAMES = ["plane", "auto", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def started(*, run: str = "fnn-1", step: int = 0, target: int = 1000, **config: Any) -> events.RunStarted:
    """The first event of a run."""
    return events.RunStarted(
        run=run,
        step=step,
        target=target,
        steps_per_epoch=1000,
        config=RunConfig(**config).model_dump(),
        device={"device": "cpu", "name": "a processor", "threads": 2},
        dataset={"name": "cifar10", "title": "CIFAR-10", "state": "ready", "classes": 10, "names": NAMES},
        parameters=206_154,
    )


def progress(step: int, *, target: int = 1000, **changes: Any) -> events.Progress:
    """One moment of a training."""
    values: dict[str, Any] = {
        "step": step,
        "target": target,
        "epoch": step / 1000,
        "loss": 2.0,
        "loss_min": 1.9,
        "loss_max": 2.1,
        "moving_loss": 2.05,
        "moving_accuracy": 0.31,
        "mean_loss": 2.2,
        "mean_accuracy": 0.3,
        "learning_rate": 1e-4,
        "steps_per_second": 123.4,
        "images_per_second": 6170.0,
        "seconds": step / 123.4,
        "seconds_left": (target - step) / 123.4,
    }
    return events.Progress(**(values | changes))


def evaluation(step: int, split: str = "test", accuracy: float = 0.5, **changes: Any) -> events.Evaluation:
    """An evaluation with a plausible confusion matrix."""
    right = round(100 * accuracy)
    confusion = [[right if i == j else 0 for j in range(10)] for i in range(10)]
    for i in range(10):
        confusion[i][(i + 1) % 10] = 100 - right
    values: dict[str, Any] = {
        "step": step,
        "epoch": step / 1000,
        "split": split,
        "examples": 1000,
        "loss": 1.5,
        "accuracy": accuracy,
        "top5": 0.9,
        "confusion": confusion,
        "seconds": 0.1,
    }
    return events.Evaluation(**(values | changes))


def ended(step: int, state: Any = "done", **changes: Any) -> events.RunEnded:
    """The last event."""
    values: dict[str, Any] = {
        "run": "fnn-1",
        "state": state,
        "step": step,
        "seconds": step / 123.4,
        "steps_per_second": 123.4,
        "median_step_us": 8000.0,
        "train": {"loss": 1.4, "accuracy": 0.55, "top5": 0.9},
        "test": {"loss": 1.5, "accuracy": 0.5, "top5": 0.9},
        "reason": f"reached step {step}",
    }
    return events.RunEnded(**(values | changes))


class FakeSession:
    """Counts steps in place of training.

    Class attributes are what a test may set: `rate` in steps a second, `fails` to raise, `diverges_at`.
    """

    rate = 2000.0
    fails: BaseException | None = None
    diverges_at: int | None = None
    made: list[FakeSession]

    def __init__(self, request: TrainRequest) -> None:
        self.request = request
        self.control = Control()
        self.mailbox = Mailbox()
        self.run_id: str | None = None
        self.ended: events.RunEnded | None = None
        self.error: BaseException | None = None
        self.saved: list[int] = []
        self.rates: list[float] = []

    def run(self) -> events.RunEnded | None:
        """Steps by the clock."""
        put = self.mailbox.put
        put(events.Phase(phase="import", text="torch"))
        if self.fails is not None:
            self.error = self.fails
            return None
        config = self.request.recipe.config if self.request.recipe is not None else RunConfig()
        self.run_id = self.request.resume or "fnn-1"
        step, target = 0, config.steps
        put(started(run=self.run_id, target=target, **config.model_dump()))
        put(events.Phase(phase="train"))
        state, reason = "done", f"reached step {target}"
        while step < target:
            time.sleep(0.01)
            new = self.control.take_target()
            target = target if new is None else new
            rate = self.control.take_learning_rate()
            if rate is not None:
                self.rates.append(rate)
                text, values = f"learning rate {rate:g}", {"learning_rate": rate}
                put(events.Note(level="info", id="I-LEARNING-RATE", text=text, step=step, values=values))
            if self.control.take_checkpoint():
                self._save(step, "demand")
            if self.control.take_evaluate():
                put(events.Phase(phase="evaluate", text="test"))
                put(evaluation(step, "train", 0.55))
                put(evaluation(step, "test", 0.5))
                put(events.Phase(phase="train", step=step))
            stop = self.control.stop_request
            if stop is not None:
                state, reason = "stopped", stop.reason
                break
            if self.control.paused:
                put(progress(step, target=target, paused=True, loss=None))
                self.control.wait_while_paused(0.05)
                continue
            step = min(target, step + max(1, int(self.rate * 0.01)))
            if self.diverges_at is not None and step >= self.diverges_at:
                state, reason = "diverged", f"loss is NaN at step {step}"
                break
            put(progress(step, target=target))
        self._save(step, "end")
        self.ended = ended(step, state, run=self.run_id, reason=reason)
        put(self.ended)
        return self.ended

    def _save(self, step: int, why: Any) -> None:
        self.saved.append(step)
        self.mailbox.put(
            events.Checkpoint(step=step, name=f"step-{step:09d}", reason=why, bytes=1000, seconds=0.01)
        )


def make_app(folder: Path, session: type[FakeSession] = FakeSession, **options: Any) -> CifarTuiApp:
    """The app on empty folders, with sessions that train nothing; they are kept in ``app.sessions``."""
    sessions: list[FakeSession] = []

    def make(request: TrainRequest) -> FakeSession:
        sessions.append(session(request))
        return sessions[-1]

    settings = Settings.load(folder / "config" / "settings.toml")
    options.setdefault("first_start", False)
    app = CifarTuiApp(folder / "data", folder / "runs", settings=settings, session_factory=make, **options)
    app.sessions = sessions  # type: ignore[attr-defined]
    return app


async def ready(pilot: Pilot[Any], seconds: float = PATIENCE) -> None:
    """Wait until the panes are there."""
    app: Any = pilot.app
    await until(pilot, lambda: app.dashboard.ready, seconds)
    await pilot.pause()


def screen_text(app: Any) -> str:
    """What the user sees, a line a row."""
    _width, height = app.size
    lines = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in lines[:height])
