"""Runs side by side: where their configs differ, and their best and last results."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cifar_tui.errors import CifarTuiError
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.report import Fold, fold_run


@dataclass(frozen=True)
class Result:
    """The results of one run.

    Attributes:
        run: the id.
        step: steps done.
        seconds: time spent in training steps.
        steps_per_second: of these; None before the first step.
        best: accuracy on the test split at its highest, and the step; None without an evaluation.
        last: for each evaluated split, `step`, `loss`, `accuracy` and `top5` of its newest evaluation.
    """

    run: str
    step: int
    seconds: float
    steps_per_second: float | None
    best: tuple[float, int] | None
    last: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Comparison:
    """Several runs.

    Attributes:
        runs: their ids.
        differences: for each option in which they differ, the values in the order of `runs`; None where a run
            does not have the option.
        results: in the order of `runs`.
    """

    runs: list[str]
    differences: dict[str, list[Any]]
    results: list[Result]

    def to_json(self) -> dict[str, Any]:
        """The comparison as JSON values."""
        results = [
            {
                "run": found.run,
                "step": found.step,
                "seconds": found.seconds,
                "steps_per_second": found.steps_per_second,
                "best_test_accuracy": None if found.best is None else found.best[0],
                "best_step": None if found.best is None else found.best[1],
                "last": found.last,
            }
            for found in self.results
        ]
        return {"runs": self.runs, "differences": self.differences, "results": results}


def compare(runs: Sequence[RunDirectory]) -> Comparison:
    """Compare runs; a run whose ``run.json`` is damaged counts with the config in its events.

    Raises:
        CifarTuiError: events cannot be read.
    """
    folds = [fold_run(run) for run in runs]
    configs = [_flatten(_config(run, found)) for run, found in zip(runs, folds, strict=True)]
    keys = sorted({key for config in configs for key in config})
    rows = {key: [config.get(key) for config in configs] for key in keys}
    differences = {key: row for key, row in rows.items() if any(value != row[0] for value in row[1:])}
    results = [_result(run, found) for run, found in zip(runs, folds, strict=True)]
    return Comparison([run.id for run in runs], differences, results)


def _config(run: RunDirectory, found: Fold) -> dict[str, Any]:
    if found.started is not None:  # what the newest session really used
        return found.started.config
    with contextlib.suppress(CifarTuiError):
        config = run.meta().get("config")
        if isinstance(config, dict):
            return config
    return {}


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _result(run: RunDirectory, found: Fold) -> Result:
    best = found.best()
    last = {}
    for split in ("train", "test", "validation"):
        newest = found.last(split)
        if newest is not None:
            last[split] = {
                "step": newest.step,
                "loss": newest.loss,
                "accuracy": newest.accuracy,
                "top5": newest.top5,
            }
    return Result(
        run=run.id,
        step=found.step,
        seconds=found.seconds,
        steps_per_second=found.step / found.seconds if found.step and found.seconds > 0 else None,
        best=None if best is None else (best.accuracy, best.step),
        last=last,
    )
