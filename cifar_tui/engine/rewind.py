"""Back to the last finite weights, when a training diverges: a snapshot in memory, and a replay from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from cifar_tui.engine.step import StepEngine

SNAPSHOT_SECONDS = 1.0  # how far back a diverged run may have to be replayed


class Rewind:
    """Keeps a snapshot of weights and optimizer that is at most a second old.

    Args:
        module: whose weights are watched.
        engine: runs steps again; they are functions of (seed, step), so a replay gives the same bits.
        dump: files of the present state.
        load: puts such files back.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        module: nn.Module,
        engine: StepEngine,
        dump: Callable[[], dict[str, bytes]],
        load: Callable[[Mapping[str, bytes], str], None],
        clock: Callable[[], float],
    ) -> None:
        self._module = module
        self._engine = engine
        self._dump = dump
        self._load = load
        self._clock = clock
        self._next = 0.0
        self._step = 0
        self._files: dict[str, bytes] = {}

    def remember(self, step: int) -> None:
        """Take a snapshot, where the last one is too old."""
        if self._clock() >= self._next:
            self._step, self._files = step, self._dump()
            self._next = self._clock() + SNAPSHOT_SECONDS

    def forget(self) -> None:
        """Take a new snapshot next time: a replay from the old one would not give the same bits."""
        self._next = 0.0

    def is_finite(self) -> bool:
        """Whether every weight is finite."""
        norms = torch._foreach_norm(list(self._module.parameters()))
        return bool(torch.isfinite(torch.stack(norms)).all())

    def back_to(self, step: int) -> int:
        """Go back to the weights after `step` steps, or the last finite ones before; returns their step."""
        self._load(self._files, "snapshot")
        while self._step < step:
            before = self._dump()
            self._engine.run(self._step, 1)
            if not self.is_finite():
                self._load(before, "replay")
                break
            self._step += 1
        return self._step
