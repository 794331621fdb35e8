"""The one training loop.

It takes a config, pictures, an `emit` function and a control, and knows neither who watches nor where things
are kept. All randomness is a function of (seed, step), so a run that stops anywhere and goes on from its
checkpoint ends with the same bits as one that never stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from cifar_tui import catalog, events
from cifar_tui.config import RunConfig
from cifar_tui.datasets.split import Split
from cifar_tui.engine import checkpoint
from cifar_tui.engine.batches import DeviceSplit, TrainingOrder
from cifar_tui.engine.build import build_module
from cifar_tui.engine.control import Control
from cifar_tui.engine.device import Device
from cifar_tui.engine.engines import choose
from cifar_tui.engine.metrics import RunningMetrics, StepTimes
from cifar_tui.engine.rewind import Rewind
from cifar_tui.engine.rounds import Rounds
from cifar_tui.engine.saving import CheckpointSink, Saver
from cifar_tui.engine.schedule import EvaluationPlan, target_step
from cifar_tui.engine.step import ChunkResult
from cifar_tui.engine.telling import ended_event, progress_event
from cifar_tui.engine.threads import ThreadPolicy
from cifar_tui.engine.tuning import FIXED, Tuner
from cifar_tui.errors import DivergedError

CHUNK_SECONDS = 0.04  # the control is polled between chunks
PROGRESS_SECONDS = 0.1
PAUSE_POLL_SECONDS = 0.2

Emit = Callable[[events.Event], None]


@dataclass(frozen=True)
class TrainingData:
    """The splits of a training.

    Attributes:
        train, test: uint8 pictures with labels.
        validation: pictures held out of the training split, or None.
        names: class names.
        fingerprint: of the whole dataset.
    """

    train: Split
    test: Split
    validation: Split | None
    names: tuple[str, ...]
    fingerprint: str


class Trainer:
    """Trains one model to its target, or until it is told to stop.

    Args:
        config: what to train.
        data: what to train on.
        device: where.
        emit: called with every event, in the thread that runs the loop; it must return at once.
        control: requests from other threads.
        sink: where checkpoints go; None keeps none.
        run: id of the run, for the events.
        threads: what may be done about the thread count of `device`; on a CPU only.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        config: RunConfig,
        data: TrainingData,
        device: Device,
        *,
        emit: Emit,
        control: Control,
        sink: CheckpointSink | None = None,
        run: str = "",
        threads: ThreadPolicy = FIXED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config, self.data, self.control, self.run_id = config, data, control, run
        self._emit, self._clock = emit, clock
        place = device.torch_device
        named = {"train": data.train, "validation": data.validation, "test": data.test}
        splits = {name: DeviceSplit(split, place) for name, split in named.items() if split is not None}
        self.module = build_module(config, len(data.names), place)
        self.optimizer = catalog.get("optimizers", config.optimizer).build(self.module.parameters(), config)
        order = TrainingOrder(len(data.train), config.batch_size, config.seed, place)
        self.steps_per_epoch = order.steps_per_epoch
        self.step = 0
        self.target = target_step(config, self.steps_per_epoch)
        self._schedule = catalog.get("schedules", config.schedule)
        self.rate_factor = 1.0  # by changes of the learning rate under way
        self._engine, self._engine_note = choose(
            config,
            self.module,
            self.optimizer,
            splits["train"],
            order,
            self._rate_at,
            steps=self.target,
            tell=lambda text, name: self._note("W-ENGINE", text, {"engine": name}),
            announce=lambda name: emit(events.Phase(time=time.time(), phase="compile", text=name)),
        )
        self.metrics = RunningMetrics()
        self.times = StepTimes()
        self.seconds = 0.0  # in training steps, resumed parts included
        self.rounds = Rounds(config, self.module, splits, data.names, emit, self._hurried, clock)
        self.rounds.judge_batch = lambda: getattr(self._engine, "scores", None)
        self._saver = Saver(sink, config.checkpoint_seconds, emit, clock)
        self.plan = EvaluationPlan(config, self.steps_per_epoch, clock)
        self._losses: list[float] = []  # of the batches since the last progress event
        self._next_progress = 0.0
        self._rewind = Rewind(self.module, self._engine, self._copies, self._load, clock)
        self.tuner = Tuner(device, threads, self._note, self._rewind.forget)

    @property
    def device(self) -> Device:
        """Where it trains, with the threads it has now."""
        return self.tuner.device

    def banner(self) -> dict[str, Any]:
        """The device's banner and the engine that runs."""
        return self.device.to_json() | {"engine": self._engine.name}

    @property
    def reports(self) -> dict[str, dict[str, Any]]:
        """Full reports of the final evaluation, by split."""
        return self.rounds.reports

    # ---- the loop ----

    def run(self) -> events.RunEnded:
        """Train; returns how it ended, having emitted everything but that last event.

        Raises:
            StorageError: the last checkpoint could not be written.
        """
        with self._saver:
            return self._run()

    def _run(self) -> events.RunEnded:
        if self._engine_note is not None:
            self._note("I-ENGINE", self._engine_note)
        self.tuner.begin()
        self._emit(events.Phase(time=time.time(), phase="train", step=self.step))
        if self.step == 0:
            self._save("initial")  # so that a run killed in its first minute can go on too
        while (ending := self._ending()) is None:
            self._serve()
            if self.control.paused:
                self._report_progress(force=True, paused=True)
                self.control.wait_while_paused(PAUSE_POLL_SECONDS)
                continue
            began = self._clock()
            self._rewind.remember(self.step)
            first, count = self.step, self._chunk_size()
            result = self._engine.run(first, count)
            wall = self._clock() - began
            bad = np.flatnonzero(~np.isfinite(result.losses))
            if bad.size:
                return self._diverged(first + int(bad[0]), "loss")
            if not (self._rewind.is_finite() if result.finite is None else result.finite):
                return self._diverged(first + count - 1, "weights")
            self._account(result, wall)
            self.tuner.after(count, wall)
            self._report_progress()
            if self._evaluation_due():
                self._evaluate(final=False)
        return self._finish(*ending)

    def _ending(self) -> tuple[events.RunState, str] | None:
        target = self.control.take_target()
        if target is not None:
            self.target = target
        config, stop = self.config, self.control.stop_request
        if stop is not None:
            return "stopped", stop.reason
        if self.step >= self.target:
            return "done", f"reached step {self.target}"
        if config.max_seconds is not None and self.seconds >= config.max_seconds:
            return "done", f"trained for {config.max_seconds:g} s"
        if config.target_accuracy is not None and self.rounds.judged_accuracy >= config.target_accuracy:
            return "done", f"reached accuracy {config.target_accuracy:g}"
        return None

    def _chunk_size(self) -> int:
        steps = max(1, int(CHUNK_SECONDS * min(self.times.rate, self.times.newest_rate)))
        launch = int(getattr(self._engine, "steps_per_launch", 1))
        counts = [max(1, steps // launch) * launch, self.target - self.step, self.tuner.keeper.limit]
        planned = self.plan.next_step(self.step)
        if planned is not None:
            counts.append(planned - self.step)
        return max(1, min(count for count in counts if count is not None))

    def _account(self, result: ChunkResult, wall: float) -> None:
        self.step += len(result.losses)
        self.seconds += wall
        self.times.add(result.durations, wall)
        self.metrics.add(result.losses, result.accuracies)
        self._losses.extend(result.losses.tolist())

    def _rate_at(self, step: int) -> float:
        rate: float = self._schedule.learning_rate(step, self.target, self.config)
        return rate * self.rate_factor

    def _change_rate(self, rate: float) -> None:
        """Scale the rest of the schedule; checkpoints remember it, so that a resume has the same rates."""
        old, new = self._rate_at(self.step), {"learning_rate": rate}
        if old > 0 and np.isfinite(rate) and rate > 0:
            self.rate_factor *= rate / old
            self._note("I-LEARNING-RATE", f"learning rate {old:g} -> {rate:g} from step {self.step}", new)

    def _note(self, id: str, text: str, values: dict[str, Any] | None = None) -> None:
        level: events.Level = "warning" if id.startswith("W-") else "info"
        now, values = time.time(), values or {}
        self._emit(events.Note(time=now, level=level, id=id, text=text, step=self.step, values=values))

    def choose_threads(self) -> None:
        """Measure how many threads are fastest, where that is asked for; called in the thread of `run`."""
        first, optimizer = self.step, self.optimizer
        run = partial(self._engine.run, first)
        self.tuner.probe(run, self.target - first, optimizer, self._files, self._load)

    def _serve(self) -> None:
        self._saver.poll()
        rate = self.control.take_learning_rate()
        if rate is not None:
            self._change_rate(rate)
        if self.control.take_evaluate():
            self._evaluate(final=False)
        if (self.control.paused or not self._saver.busy) and self.control.take_checkpoint():
            self._save("demand")
        elif self._saver.due(self.step):
            self._save("interval")

    # ---- progress ----

    def _report_progress(self, *, force: bool = False, paused: bool = False) -> None:
        now = self._clock()
        if not force and now < self._next_progress:
            return
        self._next_progress = now + PROGRESS_SECONDS
        losses, self._losses = self._losses, []
        self._emit(progress_event(self, losses, paused=paused))

    # ---- evaluation ----

    def _evaluation_due(self) -> bool:
        planned = self.plan.next_step(self.step - 1) == self.step
        return (planned or self.plan.due_by_time()) and self.step < self.target

    def _evaluate(self, *, final: bool) -> None:
        if self.rounds.evaluated_at == self.step and not final:
            return
        self._report_progress(force=True)  # so that the curve of the batches ends where the evaluation stands
        if not self.rounds.run(self.step, self.step / self.steps_per_epoch, final=final):
            return
        self.plan.evaluated()
        if self.rounds.improves(self.step):
            self._save("best")
        self._emit(events.Phase(time=time.time(), phase="train", step=self.step))

    def _hurried(self) -> bool:
        stop = self.control.stop_request
        return stop is not None and not (stop.kind == "stop" and stop.evaluate)

    # ---- checkpoints ----

    def state(self) -> dict[str, Any]:
        """All that is not a tensor and that a resume needs, as JSON values."""
        return {
            "epoch": self.step / self.steps_per_epoch,
            "rng": {"scheme": "function of (seed, step)", "seed": self.config.seed, "step": self.step},
            "config_hash": checkpoint.config_hash(self.config),
            "config": self.config.model_dump(),
            "dataset_fingerprint": self.data.fingerprint,
            "torch": torch.__version__,
            "device": self.device.to_json(),
            "engine": self._engine.name,
            "metrics": self.metrics.to_json(),
            "seconds": self.seconds,
            "rate_factor": self.rate_factor,
            "best": self.rounds.best,
            "last": self.rounds.last,
        } | self.tuner.to_json()

    def restore(self, step: int, state: Mapping[str, Any], files: Mapping[str, bytes], where: str) -> None:
        """Go on from a checkpoint.

        Args:
            step: steps done.
            state: what `state` gave.
            files: the bytes of its files, by name.
            where: name of the checkpoint, for errors.

        Raises:
            DamagedError: it does not fit this model.
        """
        self._load(files, where)
        self.step = self._saver.saved_at = step
        self.metrics = RunningMetrics.from_json(state["metrics"])
        self.seconds = float(state["seconds"])
        self.rate_factor = float(state.get("rate_factor", 1.0))
        self.tuner.restore(state)
        self.rounds.best = state["best"]
        self.rounds.last = {name: dict(values) for name, values in state["last"].items()}

    def _copies(self) -> Callable[[], dict[str, bytes]]:
        return checkpoint.copies(self.module, self.optimizer)

    def _files(self) -> dict[str, bytes]:
        return self._copies()()

    def _load(self, files: Mapping[str, bytes], where: str) -> None:
        name, other = checkpoint.MODEL_FILE, checkpoint.OPTIMIZER_FILE
        checkpoint.load_model(self.module, files[name], f"{where}/{name}")
        checkpoint.load_optimizer(self.optimizer, self.module, files[other], f"{where}/{other}")
        self._engine.adopt()

    def _save(self, reason: events.CheckpointReason, *, wait: bool = False) -> bool:
        median = self.times.percentile_us(50)
        return self._saver.save(self.step, self._copies(), self.state(), reason, median, wait=wait)

    # ---- divergence and the end ----

    def _diverged(self, step: int, what: str) -> events.RunEnded:
        """Keep the last finite weights; `step` is the first step (from 0) that gave something else."""
        self.step = self._rewind.back_to(step)
        text = f"the {what} stopped being finite at step {step + 1}; "
        text += f"the weights of step {self.step} are the last finite ones"
        self._save("diverged", wait=True)
        note = events.Note(time=time.time(), level="error", id=DivergedError.id, step=step + 1, text=text)
        self._emit(note)
        return ended_event(self, "diverged", text, DivergedError.exit_code)

    def _finish(self, state: events.RunState, reason: str) -> events.RunEnded:
        stop = self.control.stop_request
        self._report_progress(force=True)
        self._saver.settle()
        if stop is None or stop.kind != "kill":
            why: events.CheckpointReason = "signal" if stop and stop.signal else "end"
            if self._saver.saved_at != self.step and not self._save(why, wait=True):
                assert self._saver.failure is not None
                raise self._saver.failure
            if stop is None or stop.evaluate:
                self._evaluate(final=True)
        late = self.control.stop_request
        if stop is None and late is not None and len(self.reports) < len(self.rounds.splits):
            self.reports.clear()  # half a report; a resume makes a whole one
            stop, state, reason = late, "stopped", late.reason
        return ended_event(self, state, reason, 128 + stop.signal if stop and stop.signal else 0)
