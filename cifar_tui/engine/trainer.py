"""The one training loop.

It takes a config, pictures, an `emit` function and a control, and knows neither who watches nor where things
are kept. All randomness is a function of (seed, step), so a run that stops anywhere and goes on from its
checkpoint ends with the same bits as one that never stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from cifar_tui import catalog, events
from cifar_tui.config import RunConfig
from cifar_tui.datasets.split import Split
from cifar_tui.engine import checkpoint, evaluation
from cifar_tui.engine.batches import DeviceSplit, TrainingOrder
from cifar_tui.engine.control import Control
from cifar_tui.engine.device import Device
from cifar_tui.engine.metrics import RunningMetrics, StepTimes
from cifar_tui.engine.schedule import EvaluationPlan, target_step
from cifar_tui.engine.step import ChunkResult, EagerStep, StepEngine, kernels, l2_penalty
from cifar_tui.errors import DivergedError, StorageError

CHUNK_SECONDS = 0.04  # the control is polled between chunks
PROGRESS_SECONDS = 0.1
SNAPSHOT_SECONDS = 1.0  # how far back a diverged run may have to be replayed
SAVE_RETRY_SECONDS = 10.0
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


@dataclass
class _Window:
    """Losses since the last progress event."""

    losses: list[float] = field(default_factory=list)

    def take(self) -> tuple[float | None, float | None, float | None]:
        if not self.losses:
            return None, None, None
        values = np.asarray(self.losses)
        self.losses.clear()
        return float(values.mean()), float(values.min()), float(values.max())


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
        sink: checkpoint.CheckpointSink | None = None,
        run: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self.control = control
        self.device = device
        self.run_id = run
        self.data = data
        self._emit = emit
        self._sink = sink
        self._clock = clock
        place = device.torch_device
        self._splits = {"train": DeviceSplit(data.train, place), "test": DeviceSplit(data.test, place)}
        if data.validation is not None:
            self._splits["validation"] = DeviceSplit(data.validation, place)
        self.module = build_module(config, len(data.names), place)
        self.optimizer = catalog.get("optimizers", config.optimizer).build(self.module.parameters(), config)
        order = TrainingOrder(len(data.train), config.batch_size, config.seed, place)
        self.steps_per_epoch = order.steps_per_epoch
        self.step = 0
        self.target = target_step(config, self.steps_per_epoch)
        schedule = catalog.get("schedules", config.schedule)
        self._rate: Callable[[int], float] = lambda step: schedule.learning_rate(step, self.target, config)
        self._engine: StepEngine = EagerStep(
            self.module,
            self.optimizer,
            self._splits["train"],
            order,
            batch_size=config.batch_size,
            learning_rate=self._rate,
            l2_reg=config.l2_reg,
            seed=config.seed,
        )
        self.metrics = RunningMetrics()
        self.times = StepTimes()
        self.seconds = 0.0  # in training steps, resumed parts included
        self.best: dict[str, Any] | None = None
        self.last: dict[str, dict[str, Any]] = {}
        self.reports: dict[str, dict[str, Any]] = {}
        self._plan = EvaluationPlan(config, self.steps_per_epoch, clock)
        self._window = _Window()
        self._evaluated_at = -1
        self._saved_at = -1
        self._evaluation_seconds = 0.0
        self._save_failed: StorageError | None = None
        self._next_save = 0.0
        self._next_progress = 0.0
        self._next_snapshot = 0.0
        self._snapshot: tuple[int, bytes, bytes] | None = None

    # ---- the loop -------------------------------------------------------------------------------------------

    def run(self) -> events.RunEnded:
        """Train; returns how it ended, having emitted everything but that last event.

        Raises:
            StorageError: the last checkpoint could not be written.
        """
        self._next_save = self._clock() + self.config.checkpoint_seconds
        self._emit(events.Phase(time=time.time(), phase="train", step=self.step))
        if self.step == 0 and self.target == 0:
            self._save("initial")
        while (ending := self._ending()) is None:
            self._serve()
            if self.control.paused:
                self._pause()
                continue
            chunk_start = self._clock()
            self._snapshot_if_due(chunk_start)
            first, count = self.step, self._chunk_size()
            result = self._engine.run(first, count)
            wall = self._clock() - chunk_start
            bad = np.flatnonzero(~np.isfinite(result.losses))
            if bad.size:
                return self._diverged(first + int(bad[0]), "loss")
            if not self._weights_finite():
                return self._diverged(first + count - 1, "weights")
            self._account(result, wall)
            self._report_progress()
            self._evaluate_if_due()
        return self._finish(*ending)

    def _ending(self) -> tuple[events.RunState, str] | None:
        target = self.control.take_target()
        if target is not None:
            self.target = target
        stop = self.control.stop_request
        config = self.config
        if stop is not None:
            return "stopped", stop.reason
        if self.step >= self.target:
            return "done", f"reached step {self.target}"
        if config.max_seconds is not None and self.seconds >= config.max_seconds:
            return "done", f"trained for {config.max_seconds:g} s"
        if config.target_accuracy is not None and self._judged() >= config.target_accuracy:
            return "done", f"reached accuracy {config.target_accuracy:g}"
        return None

    def _judged(self) -> float:
        values = self.last.get(self._judge)
        return float(values["accuracy"]) if values else -1.0

    @property
    def _judge(self) -> str:
        return "validation" if "validation" in self._splits else "test"

    def _chunk_size(self) -> int:
        rate = self.times.rate
        count = max(1, int(CHUNK_SECONDS * rate)) if rate else 1
        limits = [self.step + count, self.target]
        planned = self._plan.next_step(self.step)
        if planned is not None:
            limits.append(planned)
        return max(1, min(limits) - self.step)

    def _account(self, result: ChunkResult, wall: float) -> None:
        self.step += len(result.losses)
        self.seconds += wall
        self.times.add(result.durations, wall)
        self.metrics.add(result.losses, result.accuracies)
        self._window.losses.extend(result.losses.tolist())

    def _serve(self) -> None:
        if self.control.take_evaluate():
            self._evaluate_all(final=False)
        if self.control.take_checkpoint():
            self._save("demand")
        elif self._clock() >= self._next_save and self._saved_at != self.step:
            self._save("interval")

    def _pause(self) -> None:
        self._report_progress(force=True, paused=True)
        self.control.wait_while_paused(PAUSE_POLL_SECONDS)

    # ---- progress -------------------------------------------------------------------------------------------

    def _report_progress(self, *, force: bool = False, paused: bool = False) -> None:
        now = self._clock()
        if not force and now < self._next_progress:
            return
        self._next_progress = now + PROGRESS_SECONDS
        loss, least, most = self._window.take()
        metrics, rate = self.metrics, self.times.rate
        seen = metrics.count > 0
        self._emit(
            events.Progress(
                time=time.time(),
                step=self.step,
                target=self.target,
                epoch=self.step / self.steps_per_epoch,
                loss=loss,
                loss_min=least,
                loss_max=most,
                moving_loss=metrics.moving_loss if seen else None,
                moving_accuracy=metrics.moving_accuracy if seen else None,
                mean_loss=metrics.mean_loss,
                mean_accuracy=metrics.mean_accuracy,
                learning_rate=float(self.optimizer.param_groups[0]["lr"]),
                steps_per_second=rate,
                images_per_second=rate * self.config.batch_size,
                seconds=self.seconds,
                seconds_left=self._seconds_left(),
                paused=paused,
            )
        )

    def _seconds_left(self) -> float | None:
        rate = self.times.rate
        if not rate:
            return None
        left = (self.target - self.step) / rate
        if self.config.max_seconds is not None:
            left = min(left, self.config.max_seconds - self.seconds)
        evaluations = self._plan.count_between(self.step, self.target) + 1
        return max(0.0, left) + evaluations * self._evaluation_seconds

    # ---- evaluation -----------------------------------------------------------------------------------------

    def _evaluate_if_due(self) -> None:
        planned = self._plan.next_step(self.step - 1) == self.step
        if (planned or self._plan.due_by_time()) and self.step < self.target:
            self._evaluate_all(final=False)

    def _evaluate_all(self, *, final: bool) -> None:
        if self._evaluated_at == self.step and not final:
            return
        self._report_progress(force=True)  # so that the curve of the batches ends where the evaluation stands
        began = self._clock()
        for split in ("train", "validation", "test"):
            if split in self._splits and not self._evaluate(split, final=final):
                return
        self._evaluated_at = self.step
        self._evaluation_seconds = self._clock() - began
        self._plan.evaluated()
        self._keep_best()
        self._emit(events.Phase(time=time.time(), phase="train", step=self.step))

    def _evaluate(self, name: str, *, final: bool) -> bool:
        split = self._splits[name]
        limit = self.config.eval_train_examples if name == "train" and not final else None
        began = self._clock()

        def tell(done: int, total: int) -> None:
            self._emit(
                events.Phase(
                    time=time.time(),
                    phase="evaluate",
                    step=self.step,
                    text=name,
                    done=done,
                    total=total,
                    unit="images",
                )
            )

        predictions = evaluation.predict(
            self.module,
            split,
            self.config.eval_batch_size,
            limit=limit,
            cancelled=self._hurried,
            progress=tell,
        )
        if predictions is None:
            return False
        penalty = self._penalty()
        values = {
            "loss": _finite(predictions.loss),
            "accuracy": predictions.accuracy,
            "top5": predictions.top5,
        }
        self.last[name] = values | {"penalty": penalty, "step": self.step}
        self._emit(
            events.Evaluation(
                time=time.time(),
                step=self.step,
                epoch=self.step / self.steps_per_epoch,
                split=name,
                examples=len(predictions.labels),
                confusion=predictions.confusion().tolist(),
                penalty=penalty,
                seconds=self._clock() - began,
                final=final,
                **values,
            )
        )
        if final:
            self.reports[name] = evaluation.report(predictions, self.data.names, penalty)
        return True

    def _hurried(self) -> bool:
        stop = self.control.stop_request
        return stop is not None and not (stop.kind == "stop" and stop.evaluate)

    def _penalty(self) -> float:
        if not self.config.l2_reg:
            return 0.0
        with torch.no_grad():
            return float(l2_penalty(kernels(self.module), self.config.l2_reg))

    def _keep_best(self) -> None:
        accuracy = self._judged()
        if self.best is not None and accuracy <= self.best["accuracy"]:
            return
        self.best = {"step": self.step, "split": self._judge, "accuracy": accuracy}
        self._save("best")

    # ---- checkpoints ----------------------------------------------------------------------------------------

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
            "threads": self.device.threads,
            "engine": self._engine.name,
            "metrics": self.metrics.to_json(),
            "seconds": self.seconds,
            "best": self.best,
            "last": self.last,
        }

    def restore(
        self, step: int, state: Mapping[str, Any], model: bytes, optimizer: bytes, where: str
    ) -> None:
        """Go on from a checkpoint.

        Args:
            step: steps done.
            state: what `state` gave.
            model, optimizer: the bytes of its two files.
            where: name of the checkpoint, for errors.

        Raises:
            DamagedError: it does not fit this model.
        """
        checkpoint.load_model(self.module, model, f"{where}/{checkpoint.MODEL_FILE}")
        checkpoint.load_optimizer(
            self.optimizer, self.module, optimizer, f"{where}/{checkpoint.OPTIMIZER_FILE}"
        )
        self.step = step
        self.metrics = RunningMetrics.from_json(state["metrics"])
        self.seconds = float(state["seconds"])
        self.best = state["best"]
        self.last = {name: dict(values) for name, values in state["last"].items()}
        self._saved_at = step

    def _files(self) -> dict[str, bytes]:
        return {
            checkpoint.MODEL_FILE: checkpoint.model_bytes(self.module),
            checkpoint.OPTIMIZER_FILE: checkpoint.optimizer_bytes(self.optimizer, self.module),
        }

    def _save(self, reason: events.CheckpointReason, files: dict[str, bytes] | None = None) -> bool:
        """Write a checkpoint; a failure is noted and tried again later, so that training goes on."""
        self._next_save = self._clock() + self.config.checkpoint_seconds
        if self._sink is None:
            return True
        began = self._clock()
        files = files or self._files()
        try:
            info = self._sink.save(self.step, files, self.state(), best=reason == "best")
        except StorageError as error:
            self._save_failed = error
            self._next_save = self._clock() + min(SAVE_RETRY_SECONDS, self.config.checkpoint_seconds)
            self._emit(
                events.Note(
                    time=time.time(),
                    level="warning",
                    id=error.id,
                    step=self.step,
                    text=f"checkpoint not written: {error.message}; training goes on",
                )
            )
            return False
        if reason != "best":
            self._saved_at, self._save_failed = self.step, None
        if info is not None:
            self._emit(
                events.Checkpoint(
                    time=time.time(),
                    step=self.step,
                    name=info.name,
                    reason=reason,
                    bytes=sum(len(data) for data in files.values()),
                    seconds=self._clock() - began,
                    median_step_us=self.times.percentile_us(50),
                )
            )
        return True

    # ---- divergence and the end -----------------------------------------------------------------------------

    def _snapshot_if_due(self, now: float) -> None:
        if now >= self._next_snapshot:
            files = self._files()
            self._snapshot = self.step, files[checkpoint.MODEL_FILE], files[checkpoint.OPTIMIZER_FILE]
            self._next_snapshot = now + SNAPSHOT_SECONDS

    def _weights_finite(self) -> bool:
        norms = torch._foreach_norm(list(self.module.parameters()))
        return bool(torch.isfinite(torch.stack(norms)).all())

    def _diverged(self, step: int, what: str) -> events.RunEnded:
        """Go back to the last finite weights: replay from the newest snapshot up to the step before `step`."""
        text = f"the {what} stopped being finite at step {step + 1}"
        if self._snapshot is not None:
            at, model, optimizer = self._snapshot
            checkpoint.load_model(self.module, model, "snapshot")
            checkpoint.load_optimizer(self.optimizer, self.module, optimizer, "snapshot")
            while at < step and self._replay(at):
                at += 1
            self.step = at
            self._save("diverged")
            text += f"; the weights of step {at} are the last finite ones"
        self._emit(
            events.Note(time=time.time(), level="error", id=DivergedError.id, step=step + 1, text=text)
        )
        return self._ended("diverged", text, DivergedError.exit_code)

    def _replay(self, step: int) -> bool:
        """Run one step again; takes it back and returns False where the weights after it are not finite."""
        files = self._files()
        self._engine.run(step, 1)
        if self._weights_finite():
            return True
        checkpoint.load_model(self.module, files[checkpoint.MODEL_FILE], "replay")
        checkpoint.load_optimizer(self.optimizer, self.module, files[checkpoint.OPTIMIZER_FILE], "replay")
        return False

    def _finish(self, state: events.RunState, reason: str) -> events.RunEnded:
        stop = self.control.stop_request
        self._report_progress(force=True)
        if stop is None or stop.kind != "kill":
            if self._saved_at != self.step and not self._save("signal" if stop and stop.signal else "end"):
                assert self._save_failed is not None
                raise self._save_failed
            if stop is None or stop.evaluate:
                self._evaluate_all(final=True)
        return self._ended(state, reason, 128 + stop.signal if stop and stop.signal else 0)

    def _ended(self, state: events.RunState, reason: str, code: int) -> events.RunEnded:
        return events.RunEnded(
            time=time.time(),
            run=self.run_id,
            state=state,
            step=self.step,
            seconds=self.seconds,
            steps_per_second=self.times.average_rate,
            median_step_us=self.times.percentile_us(50),
            p95_step_us=self.times.percentile_us(95),
            train=self.last.get("train"),
            test=self.last.get("test"),
            validation=self.last.get("validation"),
            best=self.best,
            reason=reason,
            exit=code,
        )


def build_module(config: RunConfig, num_classes: int, place: torch.device) -> torch.nn.Module:
    """The model of a config with its initial weights, the same on every device, in channels-last memory."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        module: torch.nn.Module = catalog.get("models", config.model).build(config, num_classes)
    return module.to(place, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
