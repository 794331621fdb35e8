"""The session: one training, run in the calling thread, steered and watched from any other."""

from __future__ import annotations

import contextlib
import gc
import platform
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import cifar_tui
from cifar_tui import events
from cifar_tui.config import RunConfig
from cifar_tui.engine.control import Control
from cifar_tui.errors import CifarTuiError, InterruptedBySignal, SystemResourceError, UsageError
from cifar_tui.mailbox import Mailbox
from cifar_tui.recipe import Recipe
from cifar_tui.runs import report as run_report
from cifar_tui.runs.checkpoints import CheckpointStore
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.lock import RunLock
from cifar_tui.runs.recorder import Recorder
from cifar_tui.session import prepare, resume
from cifar_tui.session.attend import Attendant
from cifar_tui.session.request import TrainRequest

if TYPE_CHECKING:
    from cifar_tui.datasets.split import Dataset
    from cifar_tui.engine.device import Device
    from cifar_tui.engine.threads import ThreadPolicy
    from cifar_tui.engine.trainer import Trainer, TrainingData


class Session:
    """Runs one request to its end.

    `run` does the work in whatever thread calls it: the main thread of a command may watch meanwhile, or the
    app may call it in a worker thread. It never raises: afterwards either `ended` or `error` is set, or both.

    Attributes:
        control: steers it; may be used before `run` is called.
        mailbox: what it says.
        run_id: id of the run once there is one.
        ended: the last event.
        error: why there is none, or what made it fail.
    """

    def __init__(self, request: TrainRequest) -> None:
        self.request = request
        self.control = Control()
        self.mailbox = Mailbox()
        self.run_id: str | None = None
        self.ended: events.RunEnded | None = None
        self.error: BaseException | None = None
        self.trainer: Trainer | None = None
        self._recorder: Recorder | None = None
        self._lock: RunLock | None = None
        self._attendant: Attendant | None = None
        self._early: list[events.Note] = []  # said before there was a record
        self._recreations = 0

    def emit(self, event: events.Event) -> None:
        """Record an event and leave it in the mailbox."""
        if self._recorder is None:
            self._early.extend([event] if isinstance(event, events.Note) else [])
        elif not isinstance(event, events.Phase):
            self._recorder.append(event)
            if self._recorder.recreations > self._recreations:
                self._recover()
        self.mailbox.put(event)
        if self._attendant is not None:
            self._attendant.saw(event)

    def run(self) -> events.RunEnded | None:
        """Train to the end; returns the last event, or None where it did not begin."""
        try:
            with contextlib.ExitStack() as stack:
                try:
                    self._run(stack)
                except Exception as error:  # noqa: BLE001 - a worker thread hands over whatever it met
                    self.error = _translate(error)
                    self._record_failure()
        except Exception as error:  # noqa: BLE001
            self.error = self.error or error
        return self.ended

    def _run(self, stack: contextlib.ExitStack) -> None:
        request = self.request
        if request.resume is not None:
            self._resume(stack, RunDirectory.open(request.runs_dir, request.resume))
        elif request.recipe is not None:
            self._start(stack, request.recipe)
        else:
            raise UsageError("nothing to train: neither a recipe nor a run to resume")

    # ---- a new run ----

    def _start(self, stack: contextlib.ExitStack, recipe: Recipe) -> None:
        config, request = recipe.config, self.request
        for text in recipe.warnings:
            self.emit(events.Note(time=time.time(), level="warning", id="W-CONFIG", text=text))
        dataset, data, device = self._prepare(config)
        run, sink = None, None
        described = prepare.describe(dataset, data)
        meta = {
            "title": request.title,
            "config": config.model_dump(),
            "origins": recipe.origins,
            "preset": recipe.preset,
            "versions": versions(),
            "device": device.to_json(),
            "dataset": described,
            "parent": None,
        }
        if request.record:
            run = RunDirectory.create(
                request.runs_dir, meta, name=request.name, stem=f"{config.model}-{config.dataset}"
            )
            self._hold(stack, run)
            sink = CheckpointStore(run.checkpoints, config.checkpoint_keep)
        trainer = self._build(config, data, device, sink, prepare.thread_policy(config, request))
        if run is not None:
            run.update_meta(device=trainer.banner())
        self._train(trainer, run, described, [])

    # ---- an old one ----

    def _resume(self, stack: contextlib.ExitStack, run: RunDirectory) -> None:
        meta = run.meta()
        recipe = resume.changed_recipe(run, meta, self.request)
        self._attend(stack, run)
        store = CheckpointStore(run.checkpoints, recipe.config.checkpoint_keep)
        store.sweep()
        info, manifest, notes = store.newest_good(self.request.at)
        threads = resume.recorded_threads(recipe, manifest)
        dataset, data, device = self._prepare(recipe.config, threads)
        resume.check_data(run.id, manifest, data.fingerprint)
        policy = prepare.thread_policy(recipe.config, self.request, recorded=threads > 0)
        trainer = self._build(recipe.config, data, device, store, policy)
        trainer.run_id = run.id
        differences = resume.inexact(manifest, trainer.banner())
        if differences and self.request.strict:
            raise UsageError(
                f'resuming "{run.id}" would not be bit-exact: {", ".join(differences)}',
                state="nothing changed",
                hint="leave --strict out to go on all the same",
                id="E-RESUME-INEXACT",
            )
        from cifar_tui.engine import checkpoint

        files = checkpoint.read_files(info.path, manifest)
        trainer.restore(info.step, manifest, files, f"{run.id}/{info.name}")
        run_report.mark_interrupted(run)
        self._hold(stack, run)
        for text in notes:
            self.emit(
                events.Note(time=time.time(), level="warning", id="W-CKPT-DAMAGED", text=text, step=info.step)
            )
        if self.request.at is not None:
            store.supersede(info.step)
        run.update_meta(config=recipe.config.model_dump(), device=trainer.banner(), versions=versions())
        self._train(trainer, run, prepare.describe(dataset, data), differences)

    # ---- what both do ----

    def _recover(self) -> None:
        """The run's folder was deleted under way and made anew: lock it again and fill it."""
        assert self._recorder is not None
        self._recreations = self._recorder.recreations
        if self._lock is not None:
            self._lock.renew()
        self.control.checkpoint_now()
        text = "the run's folder was deleted; it was made anew, and a full checkpoint follows"
        self.mailbox.put(events.Note(time=time.time(), level="warning", id="W-RUN-RECREATED", text=text))

    def _attend(self, stack: contextlib.ExitStack, run: RunDirectory) -> None:
        """Take the lock of a run, and serve those who ask for something."""
        if self._lock is None:
            self._lock = stack.enter_context(RunLock(run))
            self._attendant = stack.enter_context(Attendant(run, self._lock, self.control, self.emit))

    def _hold(self, stack: contextlib.ExitStack, run: RunDirectory) -> None:
        """Take the lock of a run and open its record."""
        self._attend(stack, run)
        self.run_id = run.id
        self._recorder = Recorder(run)
        stack.callback(self._recorder.close)

    def _prepare(self, config: RunConfig, threads: int = 0) -> tuple[Dataset, TrainingData, Device]:
        request = self.request
        self._phase("import", "torch")
        from cifar_tui.engine import device as devices

        self._end_early()
        gc.freeze()  # a full collection over torch's objects would stop every thread for 0.2 s
        device = devices.select(config.device, threads or config.threads)
        self._phase("data", config.dataset)
        dataset = prepare.obtain(
            config,
            request.data_dir,
            allow_unverified=request.allow_unverified,
            offline=request.offline,
            mirrors=request.mirrors,
            emit=self.emit,
            cancelled=lambda: self.control.stop_request is not None,
        )
        self._end_early()
        data = prepare.split(dataset, config)
        if dataset.state != "ready":
            self.emit(_data_note(dataset))
        prepare.check_memory(config, dataset.num_classes)
        return dataset, data, device

    def _build(
        self,
        config: RunConfig,
        data: TrainingData,
        device: Device,
        sink: CheckpointStore | None,
        policy: ThreadPolicy,
    ) -> Trainer:
        self._phase("build", config.model)
        from cifar_tui.engine.trainer import Trainer

        self.trainer = Trainer(
            config,
            data,
            device,
            emit=self.emit,
            control=self.control,
            sink=sink,
            run=self.run_id or "",
            threads=policy,
        )
        self.trainer.choose_threads()
        return self.trainer

    def _train(
        self, trainer: Trainer, run: RunDirectory | None, dataset: Mapping[str, Any], differences: list[str]
    ) -> None:
        self.emit(
            events.RunStarted(
                time=time.time(),
                run=trainer.run_id,
                step=trainer.step,
                target=trainer.target,
                steps_per_epoch=trainer.steps_per_epoch,
                config=trainer.config.model_dump(),
                device=trainer.banner(),
                dataset=dict(dataset),
                differences=differences,
                parameters=sum(p.numel() for p in trainer.module.parameters()),
            )
        )
        for note in self._early:
            if self._recorder is not None:
                self._recorder.append(note)
        banner = trainer.banner()
        ended = trainer.run()
        if run is not None and trainer.banner() != banner:  # another engine or thread count by now
            with contextlib.suppress(CifarTuiError):  # the notes have it too
                run.update_meta(device=trainer.banner())
        if run is not None and trainer.reports:
            self._phase("save", "report")
            run_report.write_report(
                run,
                {
                    "run": run.id,
                    "step": ended.step,
                    "dataset": dict(dataset),
                    "splits": trainer.reports,
                },
            )
        self._last_word(ended)

    def _last_word(self, ended: events.RunEnded) -> None:
        """Nothing may follow it, and so nothing more is asked for."""
        if self._attendant is not None:
            self._attendant.stop()
        self.ended = ended
        self.emit(ended)

    def _end_early(self) -> None:
        """End where a stop was asked for before there is anything to save."""
        stop = self.control.stop_request
        if stop is not None:
            raise InterruptedBySignal(
                stop.signal or 2, f"{stop.reason} before the training began", state="nothing changed"
            )

    def _phase(self, phase: events.PhaseName, text: str) -> None:
        self.emit(
            events.Phase(
                time=time.time(), phase=phase, text=text, step=self.trainer.step if self.trainer else 0
            )
        )

    def _record_failure(self) -> None:
        """One last event for a run that began and could not go on."""
        trainer, error = self.trainer, self.error
        if trainer is None or self._recorder is None or self.ended is not None:
            return
        code = error.exit_code if isinstance(error, CifarTuiError) else 1
        from cifar_tui.engine.telling import ended_event

        self._last_word(ended_event(trainer, "failed", str(error), code))


def versions() -> dict[str, str]:
    """Versions that a run records."""
    import numpy as np
    import torch

    return {
        "cifar-tui": cifar_tui.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _data_note(dataset: Dataset) -> events.Note:
    if dataset.state == "synthetic":
        text = "synthetic pictures, drawn from a seed: accuracies say nothing about CIFAR"
        return events.Note(time=time.time(), level="info", id="I-DATA-SYNTHETIC", text=text)
    text = f"{dataset.title} is unofficial data: well formed, but its hash is not the official one"
    return events.Note(time=time.time(), level="warning", id="W-DATA-UNVERIFIED", text=text)


def _translate(error: Exception) -> BaseException:
    """Out of memory, from whichever library, as our error; everything else as it is."""
    text = str(error).lower()
    is_memory = isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
    )
    if not is_memory:
        return error
    return SystemResourceError(
        f"out of memory: {str(error).splitlines()[0] if str(error) else 'the machine has no more'}",
        state="the last checkpoint is intact",
        hint="use a smaller --batch-size or --eval-batch-size",
        id="E-OOM",
    )
