"""Evaluations under way and at the end: every split in turn, what came last, and what was best."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from cifar_tui import events
from cifar_tui.config import RunConfig
from cifar_tui.engine import evaluation
from cifar_tui.engine.batches import DeviceSplit
from cifar_tui.engine.step import l2_penalty, penalised

_USUAL = {2: torch.contiguous_format, 4: torch.channels_last}  # of dense weights and of filters
ORDER = ("train", "validation", "test")


@contextlib.contextmanager
def usual_memory(module: nn.Module) -> Iterator[None]:
    """Lend a module weights that lie as a loaded checkpoint's do, so that its scores have the same bits."""
    kept = [(weight, weight.data) for weight in module.parameters() if weight.dim() in _USUAL]
    try:
        for weight, data in kept:
            weight.data = data.contiguous(memory_format=_USUAL[weight.dim()])
        yield
    finally:
        for weight, data in kept:
            weight.data = data


@dataclass
class Rounds:
    """Evaluates a module on its splits.

    Attributes:
        splits: "train", "test" and maybe "validation", on the device.
        names: class names.
        last: newest values of each split: loss, accuracy, top5, penalty, step.
        best: step, split and accuracy of the best evaluation so far; the judge is the validation split where
            there is one, else test.
        reports: full reports of the final evaluation, by split.
        seconds: time that the newest round took.
    """

    config: RunConfig
    module: nn.Module
    splits: dict[str, DeviceSplit]
    names: tuple[str, ...]
    emit: Callable[[events.Event], None]
    cancelled: Callable[[], bool]
    clock: Callable[[], float]
    last: dict[str, dict[str, Any]] = field(default_factory=dict)
    best: dict[str, Any] | None = None
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0
    evaluated_at: int = -1
    judge_batch: Callable[[], evaluation.Judge | None] = lambda: None  # the engine's way, where it has one

    @property
    def judge(self) -> str:
        """The split that decides which checkpoint is best."""
        return "validation" if "validation" in self.splits else "test"

    @property
    def judged_accuracy(self) -> float:
        """Newest accuracy of the judge; -1 before the first evaluation."""
        values = self.last.get(self.judge)
        return float(values["accuracy"]) if values else -1.0

    def run(self, step: int, epoch: float, *, final: bool) -> bool:
        """One round over all splits; False where it was cancelled."""
        began = self.clock()
        with usual_memory(self.module):
            for name in ORDER:
                if name in self.splits and not self._evaluate(name, step, epoch, final=final):
                    return False
        self.evaluated_at = step
        self.seconds = self.clock() - began
        return True

    def improves(self, step: int) -> bool:
        """Whether the newest round is the best so far; remembers it if so."""
        accuracy = self.judged_accuracy
        if self.best is not None and accuracy <= self.best["accuracy"]:
            return False
        self.best = {"step": step, "split": self.judge, "accuracy": accuracy}
        return True

    def _evaluate(self, name: str, step: int, epoch: float, *, final: bool) -> bool:
        limit = self.config.eval_train_examples if name == "train" and not final else None
        began = self.clock()

        def tell(done: int, total: int) -> None:
            self.emit(
                events.Phase(
                    time=time.time(),
                    phase="evaluate",
                    step=step,
                    text=name,
                    done=done,
                    total=total,
                    unit="images",
                )
            )

        predictions = evaluation.predict(
            self.module,
            self.splits[name],
            self.config.eval_batch_size,
            limit=limit,
            cancelled=self.cancelled,
            progress=tell,
            judge=self.judge_batch(),
        )
        if predictions is None:
            return False
        penalty = self._penalty()
        loss = predictions.loss if math.isfinite(predictions.loss) else None
        accuracy, top5 = predictions.accuracy, predictions.top5
        self.last[name] = {
            "loss": loss,
            "accuracy": accuracy,
            "top5": top5,
            "penalty": penalty,
            "step": step,
        }
        self.emit(
            events.Evaluation(
                time=time.time(),
                step=step,
                epoch=epoch,
                split=name,
                examples=len(predictions.labels),
                loss=loss,
                accuracy=accuracy,
                top5=top5,
                confusion=predictions.confusion().tolist(),
                penalty=penalty,
                seconds=self.clock() - began,
                final=final,
            )
        )
        if final:
            self.reports[name] = evaluation.report(predictions, self.names, penalty)
        return True

    def _penalty(self) -> float:
        if not self.config.l2_reg:
            return 0.0
        with torch.no_grad():
            return float(l2_penalty(penalised(self.module), self.config.l2_reg))
