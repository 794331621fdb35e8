"""The JSON contract for scripts: datasets, a training, its resume, a report and the list of runs.

What is read here is what other programs may read: names, types, units and exit codes.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Outcome, spawn

STATES = {"done", "stopped", "diverged", "failed", "interrupted"}
EVENTS = {"run_started", "phase", "progress", "evaluation", "checkpoint", "note", "run_ended"}
# A training on synthetic pictures that takes a second or two.
SMALL = ["--dataset", "synthetic", "--model", "fnn", "--hidden-layers", "2", "--num-nodes", "32"]
SMALL += ["--eval-train-examples", "500", "--device", "cpu"]


def strict(text: str) -> Any:
    """JSON without NaN or infinities."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} in JSON")

    return json.loads(text, parse_constant=refuse)


def events_of(found: Outcome) -> list[dict[str, Any]]:
    return [strict(row) for row in found.out.splitlines()]


def check_number(value: Any, low: float, high: float = math.inf) -> None:
    assert isinstance(value, int | float), value
    assert not isinstance(value, bool)
    assert low <= value <= high, value


def check_metrics(values: Any) -> None:
    assert isinstance(values, dict)
    check_number(values["loss"], 0)
    check_number(values["accuracy"], 0, 1)


def check_run_ended(found: Outcome, step: int) -> dict[str, Any]:
    """The last line of ``train --json``."""
    events = events_of(found)
    assert {event["event"] for event in events} <= EVENTS
    assert [event["event"] for event in events].count("run_ended") == 1
    ended = events[-1]
    assert ended["event"] == "run_ended"
    assert isinstance(ended["run"], str)
    assert ended["state"] in STATES
    assert (ended["state"], ended["step"]) == ("done", step)
    check_number(ended["seconds"], 0)
    check_number(ended["steps_per_second"], 1e-6)
    check_number(ended["median_step_us"], 1e-3)
    check_metrics(ended["train"])
    check_metrics(ended["test"])
    return ended


@pytest.mark.slow
def test_a_script_can_follow_the_contract_from_data_to_results(tmp_path: Path) -> None:
    folders = ["--data-dir", tmp_path / "data", "--runs-dir", tmp_path / "runs"]
    data, runs = folders[:2], folders[2:]

    status = spawn("data", "status", "--json", *data)
    assert status.code == 0
    for each in strict(status.out):
        assert isinstance(each["dataset"], str)
        assert each["state"] in {"ready", "missing", "damaged", "unverified"}
        for key in ("train", "test", "classes", "bytes"):
            assert type(each[key]) is int
        assert each["path"] is None or isinstance(each["path"], str)
    assert {each["dataset"]: each["state"] for each in strict(status.out)}["synthetic"] == "ready"

    trained = spawn("train", *SMALL, "--steps", 30, "--json", *folders)
    assert trained.code == 0, trained.err
    ended = check_run_ended(trained, 30)
    run = ended["run"]
    steps = [event["step"] for event in events_of(trained) if event["event"] == "progress"]
    assert steps == sorted(steps)

    resumed = spawn("train", "--resume", run, "--steps", 60, "--json", *folders)
    assert resumed.code == 0, resumed.err
    again = check_run_ended(resumed, 60)
    assert again["run"] == run
    started = next(event for event in events_of(resumed) if event["event"] == "run_started")
    assert (started["step"], started["target"]) == (30, 60)

    report = spawn("evaluate", run, "--json", *folders)
    assert report.code == 0, report.err
    values = strict(report.out)
    assert (values["run"], values["step"]) == (run, 60)
    for split, examples in (("train", 10_000), ("test", 2_000)):
        assert values["splits"][split]["examples"] == examples
        check_metrics(values["splits"][split])
        assert values["splits"][split]["accuracy"] == pytest.approx(again[split]["accuracy"], abs=1e-9)
        assert values["splits"][split]["loss"] == pytest.approx(again[split]["loss"], rel=1e-5)

    listed = spawn("runs", "list", "--json", *runs)
    assert listed.code == 0
    (summary,) = strict(listed.out)
    assert (summary["run"], summary["state"]) == (run, "done")
    assert (summary["step"], summary["target"]) == (60, 60)
    assert (summary["model"], summary["dataset"]) == ("fnn", "synthetic")
    check_number(summary["best_test_accuracy"], again["test"]["accuracy"], 1)
    assert summary["created"].startswith("20")

    shown = spawn("runs", "show", run, "--json", *runs)
    assert strict(shown.out)["config"]["num_nodes"] == 32
    points = spawn("runs", "export", run, "-", "--format", "plot-points", *runs)
    assert {strict(row)["MetricType"] for row in points.out.splitlines()} == {"loss", "accuracy"}


@pytest.mark.slow
def test_a_script_sees_failures_as_exit_codes_and_one_object(tmp_path: Path) -> None:
    folders = ["--data-dir", tmp_path / "data", "--runs-dir", tmp_path / "runs"]
    for words, code in (
        (["train", "--dataset", "cifar10", "--offline", "--steps", 1], 66),
        (["train", *SMALL, "--learning-rate", "fast"], 2),
        (["train", "--resume", "nope"], 66),
        (["evaluate", "nope"], 66),
        (["train", *SMALL, "--device", "cuda:7"], 69),
    ):
        found = spawn(*words, "--json", *folders)
        assert found.code == code, (words, found.err)
        assert found.error["exit"] == code
        assert isinstance(found.error["error"]["id"], str)
        for row in found.out.splitlines():  # what was said before it failed is still JSON
            strict(row)
    assert not (tmp_path / "runs").exists() or list((tmp_path / "runs").iterdir()) == []
