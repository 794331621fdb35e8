"""Runs under kill and loss of power: what was acknowledged stays, and nothing torn is ever taken."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cifar_tui.errors import CifarTuiError
from cifar_tui.events import Evaluation, Note, to_json
from cifar_tui.runs import report, summary
from cifar_tui.runs.checkpoints import CheckpointStore
from cifar_tui.runs.directory import RunDirectory, list_runs, rename_run
from cifar_tui.runs.lock import RunLock
from cifar_tui.runs.reader import read_events
from cifar_tui.runs.recorder import Recorder
from cifar_tui.runs.summary_index import NAME

CALLS = ("open", "write", "fsync", "rename", "replace", "mkdir", "unlink", "rmdir", "ftruncate", "fchmod")
MAX_CALLS = 200


def fork() -> int:
    """`os.fork`; Python 3.12 and later warn of the test runner's threads, which the child does not use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content(step: int) -> dict[str, Any]:
    return {
        "model.safetensors": b"m%d" % step * 999,
        "optimizer.safetensors": lambda path: _write(path, step),
    }


def _write(path: Path, step: int) -> None:
    path.write_bytes(b"o%d" % step * 50)


def killed_at(number: int, work: Callable[[], object], *, tear: bool) -> bool:
    """Run `work` in a child that dies just before its `number`-th file system call.

    With `tear`, a death at an fsync also cuts that file in half: what was not synced is lost with the power.

    Returns:
        Whether the child came to the end of `work`.
    """
    pid = fork()
    if pid == 0:
        try:
            _count_calls(number, tear)
            work()
            os._exit(0)
        except BaseException:
            os._exit(77)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in {0, 9}, f"child ended with {code}"
    return code == 0


def _count_calls(number: int, tear: bool) -> None:
    seen = 0

    def wrap(name: str) -> None:
        real = getattr(os, name)

        def wrapped(*args: Any, **keywords: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen == number:
                if tear and name == "fsync":
                    _tear(args[0])
                os._exit(9)
            return real(*args, **keywords)

        setattr(os, name, wrapped)

    ftruncate = os.ftruncate

    def _tear(descriptor: int) -> None:
        with contextlib.suppress(OSError):  # a folder
            ftruncate(descriptor, os.fstat(descriptor).st_size // 2)

    for name in CALLS:
        wrap(name)


@pytest.mark.parametrize("tear", [False, True], ids=["kill", "power"])
@pytest.mark.parametrize("keep", [1, 3])
def test_fault_050_a_kill_at_any_call_of_a_save_loses_no_acknowledged_checkpoint(
    tmp_path: Path, keep: int, tear: bool
) -> None:
    folder = tmp_path / "a" / "checkpoints"
    store = CheckpointStore(folder, keep=keep)
    for step in (1, 2, 3):
        store.save(step, content(step), {"epoch": step})
    shutil.copytree(folder, tmp_path / "before")
    for number in range(1, MAX_CALLS):
        done = killed_at(number, lambda: store.save(4, content(4), {"epoch": 4}), tear=tear)
        for info in store.list():
            store.verify(info)
        newest, manifest, notes = store.newest_good(read_only=True)
        assert newest.step in ({4} if done else {3, 4})
        assert manifest["epoch"] == newest.step
        assert notes == []
        store.sweep()
        assert all(name.startswith("step-") for name in names_in(folder))
        assert store.save(5, content(5), {}) is not None, "and training goes on"
        if done:
            break
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "before", folder)
    assert done
    assert number > 15


@pytest.mark.parametrize("tear", [False, True], ids=["kill", "power"])
def test_fault_050_a_kill_while_a_checkpoint_is_replaced_leaves_a_good_one_of_that_step(
    tmp_path: Path, tear: bool
) -> None:
    folder = tmp_path / "a" / "checkpoints"
    store = CheckpointStore(folder, keep=1)
    store.save(3, content(3), {"version": "old"})
    shutil.copytree(folder, tmp_path / "before")
    for number in range(1, MAX_CALLS):
        done = killed_at(number, lambda: store.save(3, content(30), {"version": "new"}), tear=tear)
        newest, manifest, _ = store.newest_good(read_only=True)
        assert newest.step == 3
        assert manifest["version"] in ({"new"} if done else {"old", "new"})
        store.sweep()
        assert store.newest_good(read_only=True)[1]["version"] == manifest["version"]
        assert names_in(folder) == ["step-000000003"]
        if done:
            break
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "before", folder)
    assert done
    assert number > 20


def test_fault_050_a_kill_while_the_best_is_replaced_leaves_a_best_one(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "checkpoints"
    store = CheckpointStore(folder, keep=0)
    store.save(1, content(1), {}, best=True)
    shutil.copytree(folder, tmp_path / "before")
    for number in range(1, MAX_CALLS):
        done = killed_at(number, lambda: store.save(2, content(2), {}, best=True), tear=True)
        assert store.newest_good(best=True, read_only=True)[0].step in ({2} if done else {1, 2})
        if done:
            break
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "before", folder)
    assert done


def test_fault_050_a_kill_while_a_run_is_made_leaves_a_whole_run_or_none(tmp_path: Path) -> None:
    for number in range(1, MAX_CALLS):
        root = tmp_path / str(number)
        done = killed_at(
            number, lambda root=root: RunDirectory.create(root, {"x": 1}, name="a", stem="a"), tear=True
        )
        for run in list_runs(root):
            assert run.meta()["x"] == 1
        if done:
            break
        if not (root / "a").exists():
            assert RunDirectory.create(root, {"x": 1}, name="a", stem="a").meta()["x"] == 1
    assert done
    assert number > 4


def test_fault_050_a_kill_while_the_record_is_changed_leaves_the_old_or_the_new_one(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, {"title": "old"}, name="a", stem="a")
    for number in range(1, MAX_CALLS):
        done = killed_at(number, lambda: run.update_meta(title="new"), tear=True)
        assert run.meta()["title"] in ({"new"} if done else {"old", "new"})
        run.update_meta(title="old")
        if done:
            break
    assert done


def test_fault_050_a_kill_while_a_run_is_renamed_leaves_one_whole_run(tmp_path: Path) -> None:
    for number in range(1, MAX_CALLS):
        root = tmp_path / str(number)
        run = RunDirectory.create(root, {"x": 1}, name="a", stem="a")
        done = killed_at(number, lambda run=run: rename_run(run, "b"), tear=True)
        (found,) = list_runs(root)
        assert found.id in ({"b"} if done else {"a", "b"})
        assert found.meta() == {**found.meta(), "id": found.id, "x": 1}
        if done:
            break
    assert done


def test_fault_078_a_kill_at_any_call_of_the_recorder_leaves_a_good_prefix(tmp_path: Path) -> None:
    events = [Note(level="info", id="I", text=str(number) * 300) for number in range(6)]
    run = RunDirectory.create(tmp_path, {}, name="a", stem="a")

    def work() -> None:
        with Recorder(run) as recorder:
            for event in events[1:]:
                recorder.append(event)

    for number in range(1, MAX_CALLS):
        run.events_path.write_text(json.dumps(to_json(events[0])) + "\n" + '{"event": "note", "torn')
        done = killed_at(number, work, tear=True)
        found = read_events(run.events_path).events
        assert found == events[: len(found)]
        assert found
        with Recorder(run) as recorder:
            recorder.append(events[0])
        result = read_events(run.events_path)
        assert result.damaged == 0
        assert result.events[-1] == events[0]
        if done:
            assert found == events
            break
    assert done


def test_fault_059_a_killed_trainer_frees_its_run_and_it_counts_as_interrupted(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, {"config": {"steps": 10}}, name="a", stem="a")
    reader, writer = os.pipe()
    pid = fork()
    if pid == 0:
        RunLock(run).acquire()
        os.write(writer, b"x")
        signal.pause()
        os._exit(1)
    os.read(reader, 1)
    assert summary.summarise(run).state == "running"
    with pytest.raises(CifarTuiError) as caught:
        RunLock(run, patience=0).acquire()
    assert caught.value.exit_code == 75
    assert f"process {pid}" in caught.value.message
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(reader)
    os.close(writer)
    with RunLock(run):
        pass
    assert summary.summarise(run).state == "new"


def test_fault_080_summaries_are_not_stored_through_a_link(tmp_path: Path) -> None:
    outside = RunDirectory.create(tmp_path / "outside", {"title": "t"}, name="real", stem="a")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "link").symlink_to(outside.path)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "runs" / NAME).symlink_to(victim)
    assert [row.title for row in summary.summaries(tmp_path / "runs")] == ["t"]
    assert names_in(outside.path) == ["run.json"]
    assert victim.read_text() == "precious"


def test_fault_102_a_report_is_not_written_through_a_link(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "runs", {}, name="a", stem="a")
    (tmp_path / "outside").write_text("precious")
    run.report_path.symlink_to(tmp_path / "outside")
    report.write_report(run, {"test": {"loss": float("inf")}})
    assert (tmp_path / "outside").read_text() == "precious"
    assert report.read_report(run) == {"test": {"loss": None}}


def test_fault_076_a_run_copied_while_it_is_written_reads_well(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "runs", {}, name="a", stem="a")
    evaluation = Evaluation(
        step=1,
        epoch=0.1,
        split="test",
        examples=1,
        loss=1.0,
        accuracy=0.5,
        top5=1.0,
        confusion=[],
        seconds=0.1,
    )
    store = CheckpointStore(run.checkpoints)
    with RunLock(run), Recorder(run) as recorder:
        recorder.append(evaluation)
        store.save(1, content(1), {})
        with run.events_path.open("ab") as file:
            file.write(b'{"event": "no')
        shutil.copytree(run.path, tmp_path / "runs" / "copy")
    copy = RunDirectory.open(tmp_path / "runs", "copy")
    with RunLock(copy), Recorder(copy) as recorder:
        recorder.append(evaluation)
    assert read_events(copy.events_path).events == [evaluation, evaluation]
    assert copy.meta()["id"] == "copy"
    assert CheckpointStore(copy.checkpoints).newest_good()[0].step == 1
