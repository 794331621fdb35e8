"""Going on with a run: from its own checkpoints, and as a fork of another."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cifar_tui import events
from cifar_tui.errors import DamagedError, LockedError, UsageError
from cifar_tui.runs.checkpoints import CheckpointStore
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.lock import RunLock
from cifar_tui.runs.reader import read_events
from cifar_tui.session import Session
from cifar_tui.session.fork import fork

from .conftest import Make, tiny
from .session_tools import finish, run_of


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
    drawn = {"dropout": 0.2, "flip": "true", "crop": 4, "cutout": 8}
    finish(make(name="whole", steps=300, checkpoint_seconds=0.05, **drawn))
    stop_at_once(make(name="cut", steps=300, checkpoint_seconds=0.05, **drawn), 60)
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
    at = 20
    finish(make(name="r", steps=at))
    finish(make(resume="r", changes={"steps": "30"}))
    run = run_of(tmp_path, "r")
    assert [info.step for info in CheckpointStore(run.checkpoints).list() if not info.best] == [0, at, 30]
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
