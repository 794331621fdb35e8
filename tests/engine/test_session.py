"""A session from request to end: what is on disk afterwards, and what is refused before anything is."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cifar_tui import events
from cifar_tui.datasets import store
from cifar_tui.datasets.places import DatasetStatus
from cifar_tui.datasets.split import Dataset
from cifar_tui.errors import (
    CannotCreateError,
    DamagedError,
    LockedError,
    NotThereError,
    SystemResourceError,
    UsageError,
)
from cifar_tui.recipe import resolve
from cifar_tui.runs.checkpoints import CheckpointStore
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.lock import RunLock
from cifar_tui.runs.reader import read_events
from cifar_tui.runs.report import read_report, summarise
from cifar_tui.session import Session, TrainRequest
from cifar_tui.session.evaluate import evaluate_run
from cifar_tui.session.fork import fork

from .conftest import NAMES, make_split


def tiny(state: str = "synthetic", fingerprint: str = "a" * 64) -> Dataset:
    train, test = make_split("train", 200, 1), make_split("test", 50, 2)
    return Dataset(
        name="synthetic",
        title="Synthetic",
        labels_kind="fine",
        train=train,
        test=test,
        names=NAMES,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        state=state,
        fingerprint=fingerprint,
        path=None,
    )


@pytest.fixture
def dataset(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `store.load` gives; tests may change it."""
    given: dict[str, Any] = {"dataset": tiny(), "state": "ready"}

    def status(name: str, _data_dir: Path) -> DatasetStatus:
        return DatasetStatus(name, given["state"], 200, 50, 10, 0, None, "")

    monkeypatch.setattr(store, "status", status)
    monkeypatch.setattr(store, "load", lambda *_args, **_options: given["dataset"])
    return given


Make = Callable[..., Session]


@pytest.fixture
def make(tmp_path: Path, dataset: dict[str, Any]) -> Make:
    def build(*, resume: str | None = None, changes: dict[str, str] | None = None, **options: Any) -> Session:
        request = {k: options.pop(k) for k in ("name", "at", "strict", "offline", "record") if k in options}
        places = {"data_dir": tmp_path / "data", "runs_dir": tmp_path / "runs"}
        if resume is not None:
            return Session(TrainRequest(**places, resume=resume, changes=changes or {}, **request))
        flags = {
            "dataset": "synthetic",
            "steps": "12",
            "batch_size": "20",
            "num_nodes": "16",
            "evaluate": "end",
            "threads": "1",
        }
        flags |= {name: str(value) for name, value in options.items()}
        return Session(TrainRequest(**places, recipe=resolve(flags=flags), **request))

    return build


def finish(session: Session) -> events.RunEnded:
    ended = session.run()
    if session.error is not None:
        raise session.error
    assert ended is not None
    return ended


def run_of(tmp_path: Path, name: str) -> RunDirectory:
    return RunDirectory.open(tmp_path / "runs", name)


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
    session = make(name="big")
    with pytest.raises(SystemResourceError) as error:
        finish(session)
    assert error.value.exit_code == 71
    assert session.ended is not None
    assert session.ended.state == "failed"
    assert session.ended.exit == 71


def weights(run: RunDirectory, step: int) -> dict[str, bytes]:
    folder = run.checkpoints / f"step-{step:09d}"
    return {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}


def stop_at_once(session: Session, after_steps: int) -> events.RunEnded:
    """Run in a thread; kill without saving once it has a few steps."""
    thread = threading.Thread(target=session.run)
    thread.start()
    limit = time.monotonic() + 30
    while session.trainer is None or session.trainer.step < after_steps:
        assert time.monotonic() < limit
        assert thread.is_alive() or session.error is None, session.error
        time.sleep(0.002)
    session.control.kill()
    thread.join(30)
    assert session.ended is not None
    return session.ended


def test_a_stopped_run_resumes_to_the_same_bits(make: Make, tmp_path: Path) -> None:
    finish(make(name="whole", steps=300, dropout=0.2, checkpoint_seconds=0.05))
    stop_at_once(make(name="cut", steps=300, dropout=0.2, checkpoint_seconds=0.05), 60)
    ended = finish(make(resume="cut"))
    assert (ended.state, ended.step) == ("done", 300)
    assert weights(run_of(tmp_path, "cut"), 300) == weights(run_of(tmp_path, "whole"), 300)


def test_a_finished_run_is_extended_by_a_new_target(make: Make, tmp_path: Path) -> None:
    finish(make(name="long", steps=40))
    finish(make(name="short", steps=25))
    ended = finish(make(resume="short", changes={"steps": "40"}))
    assert ended.step == 40
    assert weights(run_of(tmp_path, "short"), 40) == weights(run_of(tmp_path, "long"), 40)
    assert run_of(tmp_path, "short").meta()["config"]["steps"] == 40


def test_going_on_from_an_older_checkpoint_discards_the_later_course(make: Make, tmp_path: Path) -> None:
    session = make(name="r", steps=400, checkpoint_seconds=0.02)
    finish(session)
    run = run_of(tmp_path, "r")
    steps = [info.step for info in CheckpointStore(run.checkpoints).list() if not info.best]
    assert len(steps) > 2
    at = steps[1]
    ended = finish(make(resume="r", at=at, changes={"steps": str(at + 5)}))
    assert ended.step == at + 5
    assert max(info.step for info in CheckpointStore(run.checkpoints).list() if not info.best) == at + 5


def test_fault_060_a_changed_rule_needs_a_fork(make: Make, tmp_path: Path) -> None:
    finish(make(name="r", steps=3))
    before = (tmp_path / "runs" / "r" / "run.json").read_bytes()
    with pytest.raises(UsageError, match=r"learning_rate 0.0001 -> 0.001") as error:
        finish(make(resume="r", changes={"learning_rate": "1e-3"}))
    assert "cifar-tui fork r" in str(error.value.hint)
    assert (tmp_path / "runs" / "r" / "run.json").read_bytes() == before


@pytest.mark.parametrize("changes", [{"model": "cnn"}, {"dataset": "cifar10"}, {"num_nodes": "32"}])
def test_fault_061_another_model_or_dataset_is_refused(make: Make, changes: dict[str, str]) -> None:
    finish(make(name="r", steps=3))
    with pytest.raises(UsageError, match="->"):
        finish(make(resume="r", changes=changes))


def test_fault_062_another_thread_count_is_said_and_strict_refuses_it(make: Make, tmp_path: Path) -> None:
    finish(make(name="r", steps=3))
    with pytest.raises(UsageError, match="threads 1 -> 2"):
        finish(make(resume="r", changes={"steps": "5", "threads": "2"}, strict=True))
    finish(make(resume="r", changes={"steps": "5", "threads": "2"}))
    started = [
        e for e in read_events(run_of(tmp_path, "r").events_path).events if isinstance(e, events.RunStarted)
    ]
    assert started[-1].differences == ["threads 1 -> 2"]


def test_fault_065_other_pictures_are_refused_and_the_run_is_untouched(
    make: Make, tmp_path: Path, dataset: dict[str, Any]
) -> None:
    finish(make(name="r", steps=3))
    dataset["dataset"] = tiny(fingerprint="b" * 64)
    before = run_of(tmp_path, "r").events_path.read_bytes()
    with pytest.raises(DamagedError, match="other pictures"):
        finish(make(resume="r", changes={"steps": "5"}))
    assert run_of(tmp_path, "r").events_path.read_bytes() == before


def test_fault_059_a_run_in_training_is_refused_to_another(make: Make, tmp_path: Path) -> None:
    finish(make(name="r", steps=3))
    with RunLock(run_of(tmp_path, "r")), pytest.raises(LockedError):
        finish(make(resume="r", changes={"steps": "5"}))


def test_fault_072_a_damaged_newest_checkpoint_falls_back_and_says_so(make: Make, tmp_path: Path) -> None:
    finish(make(name="whole", steps=60))
    finish(make(name="r", steps=30))
    finish(make(resume="r", changes={"steps": "45"}))
    run = run_of(tmp_path, "r")
    shutil.rmtree(next(run.checkpoints.glob("best-*")))
    broken = run.checkpoints / "step-000000045" / "model.safetensors"
    data = bytearray(broken.read_bytes())
    data[len(data) // 2] ^= 1
    broken.write_bytes(data)
    ended = finish(make(resume="r", changes={"steps": "60"}))
    assert ended.step == 60
    notes = [e for e in read_events(run.events_path).events if isinstance(e, events.Note)]
    assert any(e.id == "W-CKPT-DAMAGED" and "SHA-256" in e.text for e in notes)
    assert weights(run, 60) == weights(run_of(tmp_path, "whole"), 60)
    assert list(run.checkpoints.glob("*.corrupt"))


def test_fault_058_a_folder_deleted_under_way_is_made_anew(make: Make, tmp_path: Path) -> None:
    session = make(name="r", steps=10**6)
    thread = threading.Thread(target=session.run)
    thread.start()
    limit = time.monotonic() + 30
    while session.trainer is None or session.trainer.step < 20:
        assert time.monotonic() < limit
        time.sleep(0.005)
    (tmp_path / "runs" / "r").rename(tmp_path / "gone")  # at once, as a checkpoint may be on its way
    shutil.rmtree(tmp_path / "gone")
    while not list((tmp_path / "runs" / "r" / "checkpoints").glob("step-*")):
        assert time.monotonic() < limit
        time.sleep(0.01)
    session.control.stop()
    thread.join(30)
    assert session.error is None
    assert session.ended is not None
    finish(make(resume="r", changes={"steps": str(session.ended.step + 3)}))


def test_a_fork_begins_where_its_parent_was(make: Make, tmp_path: Path) -> None:
    finish(make(name="r", steps=30))
    source = run_of(tmp_path, "r")
    before = {path: path.read_bytes() for path in source.path.rglob("*") if path.is_file()}
    new, info, changed = fork(
        source, tmp_path / "runs", at=None, name="child", flags={"learning_rate": "1e-3", "steps": "40"}
    )
    assert (new.id, info.step) == ("child", 30)
    assert changed["learning_rate"] == (1e-4, 1e-3)
    assert new.meta()["parent"] == {"run": "r", "step": 30}
    assert {path: path.read_bytes() for path in before} == before
    assert weights(new, 30) == weights(source, 30)
    assert finish(make(resume="child")).step == 40


def test_a_fork_with_another_optimizer_begins_its_moments_anew(make: Make, tmp_path: Path) -> None:
    finish(make(name="r", steps=10))
    fork(
        run_of(tmp_path, "r"), tmp_path / "runs", at=None, name="s", flags={"optimizer": "sgd", "steps": "15"}
    )
    assert finish(make(resume="s")).step == 15


def test_a_fork_keeps_its_model(make: Make, tmp_path: Path) -> None:
    finish(make(name="r", steps=3))
    with pytest.raises(UsageError, match="num_nodes 16 -> 32"):
        fork(run_of(tmp_path, "r"), tmp_path / "runs", at=None, name="s", flags={"num_nodes": "32"})
    assert not (tmp_path / "runs" / "s").exists()


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


def test_a_learning_rate_changed_under_way_is_remembered_by_a_resume(make: Make, tmp_path: Path) -> None:
    session = make(name="r", steps=10**6)
    thread = threading.Thread(target=session.run)
    thread.start()
    limit = time.monotonic() + 30
    while session.trainer is None or session.trainer.step < 5:
        assert time.monotonic() < limit
        time.sleep(0.002)
    session.control.set_learning_rate(5e-4)
    while session.trainer.rate_factor == 1.0:
        assert time.monotonic() < limit
        time.sleep(0.002)
    session.control.stop()
    thread.join(30)
    assert session.ended is not None
    finish(make(resume="r", changes={"steps": str(session.ended.step + 2)}))
    last = [
        e for e in read_events(run_of(tmp_path, "r").events_path).events if isinstance(e, events.Progress)
    ][-1]
    assert last.learning_rate == pytest.approx(5e-4)


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


def thread_notes(run: RunDirectory) -> list[events.Note]:
    found = read_events(run.events_path).events
    return [e for e in found if isinstance(e, events.Note) and e.id in {"I-THREADS", "W-THREADS"}]


def last_start(run: RunDirectory) -> events.RunStarted:
    return [e for e in read_events(run.events_path).events if isinstance(e, events.RunStarted)][-1]


def picks(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Two usable cores, and a measurement that finds `count` threads fastest."""
    from cifar_tui.engine import device, threads, tuning

    monkeypatch.setattr(threads.Probe, "rates", lambda _self: {1: 500.0, 2: 300.0 * count})
    monkeypatch.setattr(threads.ThreadKeeper, "after", lambda *_args: None)
    for module in (device, tuning):
        monkeypatch.setattr(module, "usable_cores", lambda: 2)


@pytest.mark.parametrize("count", [1, 2])
def test_a_measured_thread_count_is_recorded_everywhere(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    picks(monkeypatch, count)
    finish(make(name="r", steps=3, threads="auto"))
    run = run_of(tmp_path, "r")
    assert run.meta()["device"]["threads"] == last_start(run).device["threads"] == count
    (note,) = thread_notes(run)
    assert note.values == {
        "threads": count,
        "before": 2,
        "cause": "probe",
        "rates": {"1": 500.0, "2": 300.0 * count},
    }
    found = read_events(run.events_path).events
    assert [e.kind for e in found].index("run_started") < found.index(note)
    manifest = json.loads((run.checkpoints / "step-000000003" / "manifest.json").read_text())
    assert manifest["threads"] == manifest["device"]["threads"] == count
    assert run.meta()["config"]["threads"] == 0


def test_a_resume_goes_on_with_the_recorded_thread_count(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picks(monkeypatch, 1)
    finish(make(name="r", steps=3, threads="auto"))
    run = run_of(tmp_path, "r")
    picks(monkeypatch, 2)  # were it measured again
    finish(make(resume="r", changes={"steps": "5"}, strict=True))
    assert last_start(run).device["threads"] == 1
    assert last_start(run).differences == []
    assert len(thread_notes(run)) == 1
    finish(make(resume="r", changes={"steps": "7", "threads": "auto"}))  # asked for by name: measured
    assert last_start(run).device["threads"] == 2
    assert last_start(run).differences == ["threads 1 -> 2"]
    finish(make(resume="r", changes={"steps": "9", "threads": "1"}))
    assert last_start(run).device["threads"] == 1
    assert last_start(run).differences == ["threads 2 -> 1"]
    assert len(thread_notes(run)) == 2


@pytest.mark.parametrize(
    ("values", "request_", "recorded", "expected"),
    [
        ({}, {}, False, (True, True)),
        ({}, {}, True, (False, True)),
        ({}, {"strict": True}, True, (False, False)),
        ({"threads": "2"}, {}, False, (False, False)),
    ],
)
def test_what_may_be_done_about_threads(
    values: dict[str, str], request_: dict[str, Any], recorded: bool, expected: tuple[bool, bool]
) -> None:
    from cifar_tui.session.prepare import thread_policy

    asked = TrainRequest(data_dir=Path(), runs_dir=Path(), **request_)
    policy = thread_policy(resolve(flags=values).config, asked, recorded=recorded)
    assert (policy.probe, policy.watch) == expected


def test_beside_a_screen_a_second_thread_must_be_worth_more() -> None:
    from cifar_tui.session.prepare import thread_policy

    config = resolve().config
    plain, screen = (TrainRequest(data_dir=Path(), runs_dir=Path(), screen=on) for on in (False, True))
    assert thread_policy(config, screen).margin > thread_policy(config, plain).margin


def test_auto_threads_are_a_word_in_every_door(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text('[run]\nthreads = "auto"\n')
    for recipe in (
        resolve(flags={"threads": "auto"}),
        resolve(sets=("threads=auto",)),
        resolve(file=file),
    ):
        assert recipe.config.threads == 0
    with pytest.raises(UsageError):
        resolve(flags={"threads": "many"})
    with pytest.raises(UsageError):
        resolve(flags={"steps": "auto"})
