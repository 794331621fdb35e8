"""Falling from one step engine to the next when it fails, without losing or doubling a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from cifar_tui.engine.snapshot import Snapshot
from cifar_tui.engine.step import ChunkResult, StepEngine
from cifar_tui.errors import CifarTuiError
from cifar_tui.text import safe_text

Tell = Callable[[str, str], None]  # a sentence, and the name of the engine that runs from now on
_REASON_LIMIT = 160


@dataclass(frozen=True)
class Rung:
    """One engine of a ladder.

    Attributes:
        name: for people.
        build: makes it; whatever it raises is a reason to take the next one.
    """

    name: str
    build: Callable[[], StepEngine]


def first_that_builds(rungs: list[Rung], state: Snapshot, tell: Tell) -> tuple[StepEngine, list[Rung]]:
    """The first engine that can be made, and the rungs below it.

    Args:
        rungs: best first; the last one must not fail, and raises if it does.
        state: restored after each failure.
        tell: told of each failure.
    """
    for index, rung in enumerate(rungs):
        below = rungs[index + 1 :]
        try:
            return rung.build(), below
        except CifarTuiError:
            raise
        except Exception as error:
            if not below:
                raise
            state.restore()
            tell(failure_text(rung.name, "prepared", error, below[0].name), below[0].name)
    raise AssertionError("a ladder without rungs")


def failure_text(name: str, doing: str, error: Exception, instead: str) -> str:
    """The sentence of one fall: what failed, why, and what runs instead."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = safe_text(lines[0] if lines else type(error).__name__, _REASON_LIMIT)
    return f"engine {name} could not be {doing} ({reason}): engine {instead} runs instead"


class Ladder:
    """Runs steps on an engine that may fail, and goes on with the next one where it does.

    The state before each chunk is kept. A chunk that fails is run again from there, whole: a step is a
    function of (seed, step), so nothing is lost and nothing is done twice.

    Args:
        rungs: best first; the last one is taken to never fail.
        module: the model.
        optimizer: over its parameters.
        tell: told of each fall, in the thread that trains.

    Attributes:
        name: of the engine that runs.
    """

    def __init__(
        self,
        rungs: list[Rung],
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        tell: Tell,
    ) -> None:
        self._state = Snapshot(module, optimizer)
        self._tell = tell
        self._engine, self._below = first_that_builds(rungs, self._state, tell)
        self.name = self._engine.name

    @property
    def steps_per_launch(self) -> int:
        """Of the engine that runs; 1 where it has no such thing."""
        return int(getattr(self._engine, "steps_per_launch", 1))

    @property
    def scores(self) -> Any:
        """How the engine evaluates a batch; None for the plain way."""
        return getattr(self._engine, "scores", None)

    def run(self, first: int, count: int) -> ChunkResult:
        """Run `count` steps, on whichever engine can."""
        if self._below:
            self._state.take()
        while True:
            try:
                return self._engine.run(first, count)
            except CifarTuiError:
                raise
            except Exception as error:
                if not self._below:
                    raise
                self._state.restore()
                name = self._below[0].name
                self._tell(failure_text(self._engine.name, "kept going", error, name), name)
                self._engine, self._below = first_that_builds(self._below, self._state, self._tell)
                self.name = self._engine.name
                self._state.restore()

    def adopt(self) -> None:
        """Weights and optimizer were changed from outside."""
        self._engine.adopt()
