"""A session from request to end: what is on disk afterwards, and what is refused before anything is."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cifar_tui import events
from cifar_tui.errors import CannotCreateError, DamagedError, NotThereError, SystemResourceError, UsageError
from cifar_tui.runs.reader import read_events
from cifar_tui.runs.report import read_report
from cifar_tui.runs.summary import summarise
from cifar_tui.session.evaluate import evaluate_run

from .conftest import Make, tiny
from .session_tools import finish, run_of


def test_a_run_is_a_directory_with_all_there_is_to_know(make: Make, tmp_path: Path) -> None:
    ended = finish(make(name="first"))
    run = run_of(tmp_path, "first")
    meta = run.meta()
    assert meta["config"]["steps"] == 12
    assert meta["origins"]["steps"] == "flag"
    assert set(meta["versions"]) == {"cifar-tui", "torch", "numpy", "python"}
    assert meta["dataset"]["state"] == "synthetic"
    assert meta["dataset"]["fingerprint"] == "a" * 64
    kinds = [event.kind for event in read_events(run.events_path).events]
    assert kinds.count("run_started") == kinds.count("run_ended") == 1
    assert kinds[-1] == "run_ended"
    report = read_report(run)
    assert report is not None
    assert report["splits"]["test"]["accuracy"] == ended.test["accuracy"]
    summary = summarise(run)
    assert (summary.state, summary.step, summary.target) == ("done", 12, 12)
    assert summary.best_test_accuracy == ended.test["accuracy"]


def test_runs_without_a_name_are_numbered(make: Make) -> None:
    assert [finish(make(steps=1)).run for _ in range(2)] == ["fnn-synthetic-1", "fnn-synthetic-2"]


def test_a_taken_name_is_refused_and_its_run_untouched(make: Make, tmp_path: Path) -> None:
    finish(make(name="mine", steps=2))
    with pytest.raises(CannotCreateError) as error:
        finish(make(name="mine", steps=3))
    assert "--resume mine" in str(error.value.hint)
    assert run_of(tmp_path, "mine").meta()["config"]["steps"] == 2


def test_a_session_without_record_leaves_nothing(make: Make, tmp_path: Path) -> None:
    assert finish(make(record=False)).state == "done"
    assert not (tmp_path / "runs").exists()


def test_the_mailbox_ends_with_the_end(make: Make) -> None:
    session = make(steps=3)
    finish(session)
    seen = session.mailbox.drain()
    assert isinstance(seen[-1], events.RunEnded)
    assert {e.phase for e in seen if isinstance(e, events.Phase)} >= {"import", "data", "build"}


def test_unofficial_data_is_marked_in_the_run(make: Make, tmp_path: Path, dataset: dict[str, Any]) -> None:
    dataset["dataset"] = tiny("unverified")
    finish(make(name="u", steps=1))
    run = run_of(tmp_path, "u")
    assert run.meta()["dataset"]["state"] == "unverified"
    assert any(
        e.id == "W-DATA-UNVERIFIED" for e in read_events(run.events_path).events if isinstance(e, events.Note)
    )


@pytest.mark.parametrize("values", [{"batch_size": 201}, {"validation_examples": 200}])
def test_fault_039_a_batch_larger_than_the_set_is_refused_before_anything_is_made(
    make: Make, tmp_path: Path, values: dict[str, int]
) -> None:
    with pytest.raises(UsageError, match=next(iter(values))):
        finish(make(**values))
    assert not (tmp_path / "runs").exists()


def test_fault_037_a_model_that_does_not_fit_is_refused_before_it_is_built(
    make: Make, tmp_path: Path
) -> None:
    began = time.monotonic()
    with pytest.raises(UsageError, match=r"needs about .* have") as error:
        finish(make(hidden_layers=1000, num_nodes=60_000))
    assert error.value.exit_code == 2
    assert time.monotonic() - began < 10
    assert not (tmp_path / "runs").exists()


def test_a_missing_dataset_is_not_fetched_offline(
    make: Make, tmp_path: Path, dataset: dict[str, Any]
) -> None:
    dataset["state"] = "missing"
    with pytest.raises(NotThereError, match="--offline"):
        finish(make(offline=True))
    assert not (tmp_path / "runs").exists()


def test_out_of_memory_is_an_error_of_ours(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from cifar_tui.engine import fused

    def fail(*_args: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(fused.FusedStep, "run", fail)
    session = make(name="big", engine="fused")
    with pytest.raises(SystemResourceError) as error:
        finish(session)
    assert error.value.exit_code == 71
    assert session.ended is not None
    assert session.ended.state == "failed"
    assert session.ended.exit == 71


def test_an_evaluation_afterwards_gives_the_reports_numbers(make: Make, tmp_path: Path) -> None:
    finish(make(name="r", steps=20))
    run = run_of(tmp_path, "r")
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    found = evaluate_run(run, tmp_path / "data", device="cpu", threads=1)
    recorded = read_report(run)
    assert recorded is not None
    assert found["splits"] == recorded["splits"]
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before


def test_an_evaluation_of_a_split_that_is_not_there_is_refused(make: Make, tmp_path: Path) -> None:
    finish(make(name="r", steps=3))
    with pytest.raises(UsageError, match="validation"):
        evaluate_run(run_of(tmp_path, "r"), tmp_path / "data", splits=("validation",))


def test_a_record_with_a_damaged_config_is_an_error_of_ours(make: Make, tmp_path: Path) -> None:
    finish(make(name="r", steps=3))
    path = tmp_path / "runs" / "r" / "run.json"
    values = json.loads(path.read_text())
    values["config"]["steps"] = "many"
    path.write_text(json.dumps(values))
    with pytest.raises(DamagedError, match="config"):
        finish(make(resume="r"))


def test_a_request_for_nothing_is_refused(make: Make) -> None:
    session = make()
    session.request = replace(session.request, recipe=None)
    with pytest.raises(UsageError, match="nothing to train"):
        finish(session)
