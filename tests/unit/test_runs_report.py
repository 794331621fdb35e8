"""Summaries, reports, and runs side by side."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from cifar_tui.errors import DamagedError
from cifar_tui.events import Checkpoint, Evaluation, Event, Progress, RunEnded, RunStarted, to_json
from cifar_tui.runs.checkpoints import CheckpointStore
from cifar_tui.runs.compare import compare
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.lock import RunLock
from cifar_tui.runs.reader import read_events
from cifar_tui.runs.recorder import Recorder
from cifar_tui.runs.report import mark_interrupted, read_report, write_report
from cifar_tui.runs.summary import summaries, summarise

CONFIG = {"model": "cnn", "dataset": "cifar10", "steps": 100, "learning_rate": 0.1}


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def started(step: int = 0, **config: Any) -> RunStarted:
    return RunStarted(
        run="a",
        step=step,
        target=100,
        steps_per_epoch=10,
        config={**CONFIG, **config},
        device={},
        dataset={"name": "cifar10", "state": "unverified"},
        parameters=1,
    )


def progress(step: int) -> Progress:
    return Progress(
        step=step,
        target=100,
        epoch=0.1,
        loss=1.0,
        loss_min=1.0,
        loss_max=1.0,
        moving_loss=1.0,
        moving_accuracy=0.5,
        mean_loss=1.0,
        mean_accuracy=0.5,
        learning_rate=0.1,
        steps_per_second=1.0,
        images_per_second=1.0,
        seconds=step / 10,
    )


def evaluation(step: int, accuracy: float, split: str = "test") -> Evaluation:
    return Evaluation(
        step=step,
        epoch=0.1,
        split=split,
        examples=1,
        loss=1.0,
        accuracy=accuracy,
        top5=0.9,
        confusion=[[1]],
        seconds=0.1,
    )


def ended(step: int, state: Any = "done") -> RunEnded:
    return RunEnded(
        run="a",
        state=state,
        step=step,
        seconds=12.5,
        steps_per_second=1.0,
        median_step_us=None,
        train=None,
        test=None,
    )


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path, {"title": "T", "config": CONFIG}, name="a", stem="a")


def record(run: RunDirectory, *events: Event) -> None:
    with Recorder(run, progress_hz=1e9) as recorder:
        for event in events:
            recorder.append(event)
        assert recorder.failure is None


def test_a_new_run_is_summarised_from_its_record(run: RunDirectory) -> None:
    summary = summarise(run)
    assert summary.to_json() == {
        "run": "a",
        "title": "T",
        "state": "new",
        "step": 0,
        "target": 100,
        "model": "cnn",
        "dataset": "cifar10",
        "dataset_state": "",
        "best_test_accuracy": None,
        "best_step": None,
        "last_test_accuracy": None,
        "created": run.meta()["created"],
        "seconds": 0.0,
        "checkpoints": 0,
        "parent": None,
        "path": str(run.path),
    }


def test_a_finished_run_is_summarised_from_its_events(run: RunDirectory) -> None:
    run.update_meta(parent={"run": "b", "step": 7})
    record(run, started(), progress(50), evaluation(50, 0.7), evaluation(50, 0.9, "train"))
    record(run, evaluation(80, 0.7), evaluation(100, 0.6), ended(100))
    CheckpointStore(run.checkpoints).save(100, {"a": b"x"}, {})
    summary = summarise(run)
    assert (summary.state, summary.step, summary.target, summary.seconds) == ("done", 100, 100, 12.5)
    assert (summary.best_test_accuracy, summary.best_step) == (0.7, 50)
    assert (summary.checkpoints, summary.dataset_state) == (1, "unverified")
    assert summary.parent == {"run": "b", "step": 7}
    json.dumps(summary.to_json(), allow_nan=False)


@pytest.mark.parametrize("state", ["done", "stopped", "diverged", "failed", "interrupted"])
def test_the_state_is_that_of_the_last_session(run: RunDirectory, state: str) -> None:
    record(run, started(), progress(9), ended(10, state))
    assert summarise(run).state == state
    record(run, started(10), progress(30))
    assert (summarise(run).state, summarise(run).step) == ("interrupted", 30)
    with RunLock(run):
        assert summarise(run).state == "running"
    assert summarise(run).state == "interrupted"


def test_what_a_rewind_superseded_counts_no_more(run: RunDirectory) -> None:
    record(run, started(), evaluation(10, 0.5), evaluation(50, 0.9), ended(50, "stopped"), started(10))
    summary = summarise(run)
    assert (summary.step, summary.best_test_accuracy, summary.best_step) == (10, 0.5, 10)


@pytest.mark.parametrize("damage", ["missing", "corrupt", "future"])
def test_fault_079_a_damaged_run_is_listed_as_damaged_and_the_others_as_they_are(
    tmp_path: Path, run: RunDirectory, damage: str
) -> None:
    bad = RunDirectory.create(tmp_path, {"config": CONFIG}, name="bad", stem="a")
    record(bad, started(), ended(10))
    if damage == "missing":
        bad.run_json.unlink()
    else:
        bad.run_json.write_text("{" if damage == "corrupt" else '{"schema": 99}')
    found = {summary.run: summary for summary in summaries(tmp_path)}
    assert found["bad"].state == "damaged"
    assert found["bad"].created
    assert found["a"].state == "new"
    assert json.dumps([summary.to_json() for summary in found.values()])


def test_odd_types_in_the_record_are_left_out(tmp_path: Path) -> None:
    meta = {"title": 3, "config": [], "dataset": "x", "parent": "y", "created": 7}
    run = RunDirectory.create(tmp_path, meta, name="a", stem="a")
    summary = summarise(run)
    assert (summary.title, summary.model, summary.dataset, summary.parent, summary.target) == (
        "a",
        "",
        "",
        None,
        0,
    )
    assert summary.created.endswith("Z")


def test_events_that_are_all_garbage_make_a_run_damaged(run: RunDirectory) -> None:
    run.events_path.write_bytes(b"\0" * 1000 + b"\n")
    assert summarise(run).state == "damaged"


def test_summaries_are_newest_first(tmp_path: Path) -> None:
    for name, year in (("old", 2020), ("new", 2030), ("mid", 2025)):
        RunDirectory.create(tmp_path, {"created": f"{year}-01-01T00:00:00Z"}, name=name, stem="a")
    assert [summary.run for summary in summaries(tmp_path)] == ["new", "mid", "old"]
    assert summaries(tmp_path / "none") == []


def test_fault_092_two_thousand_runs_one_damaged_in_ten_are_listed_in_time(tmp_path: Path) -> None:
    lines = "".join(
        json.dumps(to_json(event)) + "\n"
        for event in (started(), progress(50), evaluation(100, 0.5), ended(100))
    )
    for number in range(2000):
        folder = tmp_path / f"r-{number}"
        folder.mkdir()
        (folder / "events.jsonl").write_text(lines)
        text = {"schema": 1, "created": f"2025-01-01T00:00:{number / 100:07.4f}Z", "config": CONFIG}
        (folder / "run.json").write_text("{" if number % 10 == 0 else json.dumps(text))
    summaries(tmp_path)
    start = time.perf_counter()
    found = summaries(tmp_path)
    spent = time.perf_counter() - start
    assert spent < 2.0, "about 0.2 s on an idle machine"
    assert sum(summary.state == "damaged" for summary in found) == 200
    assert sum(summary.state == "done" for summary in found) == 1800


def test_a_report_is_read_back_and_none_is_none(run: RunDirectory) -> None:
    assert read_report(run) is None
    write_report(run, {"test": {"accuracy": 0.5, "loss": float("nan")}})
    assert read_report(run) == {"test": {"accuracy": 0.5, "loss": None}}
    for content in (b"", b"{", b"[]", b"\xff"):
        run.report_path.write_bytes(content)
        with pytest.raises(DamagedError) as caught:
            read_report(run)
        assert caught.value.hint == "cifar-tui evaluate a"


def test_a_session_without_an_end_gets_one_and_only_one(run: RunDirectory) -> None:
    assert not mark_interrupted(run)
    record(
        run, started(), progress(30), evaluation(20, 0.6), evaluation(30, 0.5), evaluation(30, 0.8, "train")
    )
    with run.events_path.open("ab") as file:
        file.write(b'{"event": "prog')
    assert mark_interrupted(run)
    assert not mark_interrupted(run)
    result = read_events(run.events_path)
    assert result.damaged == 0
    last = result.events[-1]
    assert isinstance(last, RunEnded)
    assert (last.state, last.step, last.seconds) == ("interrupted", 30, 3.0)
    assert last.test == {"loss": 1.0, "accuracy": 0.5, "top5": 0.9}
    assert last.train == {"loss": 1.0, "accuracy": 0.8, "top5": 0.9}
    assert last.best == {"step": 20, "split": "test", "accuracy": 0.6}
    record(run, started(30), ended(40))
    assert not mark_interrupted(run)


def test_a_step_known_only_from_a_checkpoint_counts(run: RunDirectory) -> None:
    record(run, started(), Checkpoint(step=42, name="step-000000042", reason="end", bytes=1, seconds=0.1))
    assert summarise(run).step == 42


def test_runs_are_compared_by_what_differs_and_by_best_and_last(tmp_path: Path) -> None:
    runs = [
        RunDirectory.create(tmp_path, {"config": CONFIG}, name=name, stem="a") for name in ("a", "b", "c")
    ]
    record(runs[0], started(norm="layer"), evaluation(50, 0.9), evaluation(100, 0.6), ended(100))
    record(runs[1], started(learning_rate=0.2, nested={"x": 1}), evaluation(80, 0.7, "train"))
    found = compare(runs)
    assert found.runs == ["a", "b", "c"]
    assert found.differences == {
        "learning_rate": [0.1, 0.2, 0.1],
        "nested.x": [None, 1, None],
        "norm": ["layer", None, None],
    }
    assert [result.best for result in found.results] == [(0.9, 50), None, None]
    assert found.results[0].last["test"] == {"step": 100, "loss": 1.0, "accuracy": 0.6, "top5": 0.9}
    assert found.results[1].last["train"]["accuracy"] == 0.7
    runs[2].run_json.write_text("{")
    assert compare(runs).differences["learning_rate"] == [0.1, 0.2, None]
    assert compare([]).to_json() == {"runs": [], "differences": {}, "results": []}
    assert json.dumps(found.to_json())
