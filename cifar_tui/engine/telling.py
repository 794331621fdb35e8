"""What a training says of where it stands."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from cifar_tui import events

if TYPE_CHECKING:
    from cifar_tui.engine.trainer import Trainer


def progress_event(trainer: Trainer, losses: list[float], *, paused: bool) -> events.Progress:
    """Where `trainer` stands; `losses` are those of the batches since the event before."""
    values, metrics, rate = np.asarray(losses), trainer.metrics, trainer.times.rate
    return events.Progress(
        time=time.time(),
        step=trainer.step,
        target=trainer.target,
        epoch=trainer.step / trainer.steps_per_epoch,
        loss=float(values.mean()) if values.size else None,
        loss_min=float(values.min()) if values.size else None,
        loss_max=float(values.max()) if values.size else None,
        moving_loss=metrics.moving_loss if metrics.count else None,
        moving_accuracy=metrics.moving_accuracy if metrics.count else None,
        mean_loss=metrics.mean_loss,
        mean_accuracy=metrics.mean_accuracy,
        learning_rate=float(trainer.optimizer.param_groups[0]["lr"]),
        steps_per_second=rate,
        images_per_second=rate * trainer.config.batch_size,
        seconds=trainer.seconds,
        seconds_left=_seconds_left(trainer, rate),
        paused=paused,
    )


def _seconds_left(trainer: Trainer, rate: float) -> float | None:
    if not rate:
        return None
    left = (trainer.target - trainer.step) / rate
    if trainer.config.max_seconds is not None:
        left = min(left, trainer.config.max_seconds - trainer.seconds)
    evaluations = trainer.plan.count_between(trainer.step, trainer.target) + 1
    return max(0.0, left) + evaluations * trainer.rounds.seconds


def ended_event(trainer: Trainer, state: events.RunState, reason: str, code: int) -> events.RunEnded:
    """The last word of a training that stands where `trainer` stands."""
    last = trainer.rounds.last
    return events.RunEnded(
        time=time.time(),
        run=trainer.run_id,
        state=state,
        step=trainer.step,
        seconds=trainer.seconds,
        steps_per_second=trainer.times.average_rate,
        median_step_us=trainer.times.percentile_us(50),
        p95_step_us=trainer.times.percentile_us(95),
        train=last.get("train"),
        test=last.get("test"),
        validation=last.get("validation"),
        best=trainer.rounds.best,
        reason=reason,
        exit=code,
    )
