"""The state of a run as any process can tell: by lock, process and heartbeat, else by the record."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cifar_tui.events import RunEnded, RunStarted
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.liveness import STALE_SECONDS, look
from cifar_tui.runs.lock import RunLock, process_started, read_lock
from cifar_tui.runs.recorder import Recorder
from cifar_tui.runs.summary import summarise

HOLDER = """
import sys
from pathlib import Path
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.lock import RunLock
lock = RunLock(RunDirectory(Path(sys.argv[1]), "a"))
lock.acquire()
lock.beat("training")
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path, {"config": {"steps": 10}}, name="a", stem="a")


@pytest.fixture
def trainer(run: RunDirectory) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the run."""
    command = [sys.executable, "-c", HOLDER, str(run.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "locked\n"
        yield child
        child.kill()


def record(run: RunDirectory, ended: str | None) -> None:
    with Recorder(run) as recorder:
        recorder.append(
            RunStarted(
                run="a", step=0, target=10, steps_per_epoch=1, config={}, device={}, dataset={}, parameters=1
            )
        )
        if ended is not None:
            recorder.append(
                RunEnded(
                    run="a", state=ended, step=3, seconds=1.0, steps_per_second=1.0,
                    median_step_us=None, train=None, test=None,
                )
            )  # fmt: skip


def write_lock(run: RunDirectory, age: float = 0.0, **values: object) -> None:
    """The lock file as a holder that cannot be seen from here left it."""
    found = {"pid": os.getpid(), "host": "elsewhere", "since": "2026-01-01T00:00:00Z", "doing": "training"}
    run.lock_path.write_text(json.dumps({**found, **values}))
    moment = time.time() - age
    os.utime(run.lock_path, (moment, moment))


def test_a_run_goes_through_its_states(run: RunDirectory) -> None:
    assert look(run).state == "new"
    with RunLock(run) as lock:
        assert look(run).state == "running"
        assert look(run).doing == "starting"
        for doing in ("training", "evaluating", "saving"):
            lock.beat(doing)
            assert (look(run).state, look(run).doing) == ("running", doing)
        lock.beat("paused")
        found = look(run)
        assert (found.state, found.pid, found.host) == ("paused", os.getpid(), socket.gethostname())
        assert found.live
        assert found.silent < 5
        assert summarise(run).state == "paused"
    assert look(run).state == "new"


@pytest.mark.parametrize("state", ["done", "stopped", "diverged", "failed"])
def test_the_record_says_how_a_run_ended(run: RunDirectory, state: str) -> None:
    record(run, state)
    found = look(run)
    assert (found.state, found.pid, found.live) == (state, None, False)


@pytest.mark.parametrize("ended", [None, "interrupted"])
def test_a_process_that_ended_without_a_last_word_crashed(run: RunDirectory, ended: str | None) -> None:
    record(run, ended)
    assert look(run).state == "crashed"


def test_fault_079_a_run_whose_record_is_damaged_has_that_state(run: RunDirectory) -> None:
    run.run_json.write_text("{")
    assert look(run).state == "damaged"
    run.run_json.unlink()
    assert look(run).state == "damaged"


def test_a_killed_trainer_crashed(run: RunDirectory, trainer: subprocess.Popen[str]) -> None:
    record(run, None)
    found = look(run)
    assert (found.state, found.doing, found.pid) == ("running", "training", trainer.pid)
    trainer.kill()
    trainer.wait()
    assert look(run).state == "crashed"


def test_a_stopped_trainer_stalls_at_once_and_goes_on(
    run: RunDirectory, trainer: subprocess.Popen[str]
) -> None:
    trainer.send_signal(signal.SIGSTOP)
    deadline = time.monotonic() + 5
    while look(run).state != "stalled":
        assert time.monotonic() < deadline
    assert summarise(run).state == "stalled"
    trainer.send_signal(signal.SIGCONT)
    while look(run).state != "running":
        assert time.monotonic() < deadline


def test_a_trainer_without_a_heartbeat_stalls(run: RunDirectory, trainer: subprocess.Popen[str]) -> None:
    assert trainer.poll() is None
    past = time.time() - STALE_SECONDS - 5
    os.utime(run.lock_path, (past, past))
    found = look(run)
    assert found.state == "stalled"
    assert found.silent > STALE_SECONDS


def test_a_lock_kept_by_a_child_of_a_dead_trainer_is_no_training(run: RunDirectory) -> None:
    record(run, None)
    with RunLock(run):
        values = json.loads(run.lock_path.read_text())
        run.lock_path.write_text(json.dumps({**values, "pid": 2**30}))
        assert look(run).state == "crashed"
        run.lock_path.write_text(json.dumps({**values, "started": "another process of this id"}))
        assert look(run).state == "crashed"
        assert summarise(run).state == "interrupted"


def test_the_trainer_of_another_machine_is_known_by_its_heartbeat_alone(run: RunDirectory) -> None:
    record(run, None)
    write_lock(run)
    found = look(run)
    assert (found.state, found.host) == ("running", "elsewhere")
    write_lock(run, doing="paused")
    assert look(run).state == "paused"
    write_lock(run, age=STALE_SECONDS + 5)
    assert look(run).state == "crashed"


def test_fault_076_a_copy_of_a_run_that_is_trained_is_not_trained(
    run: RunDirectory, trainer: subprocess.Popen[str]
) -> None:
    record(run, None)
    shutil.copytree(run.path, run.root / "copy")
    assert look(run).state == "running"
    assert trainer.poll() is None
    copy = RunDirectory(run.root, "copy")
    assert look(copy).state == "crashed"
    with RunLock(copy):
        assert look(copy).state == "running"


@pytest.mark.parametrize(
    "content", ["", "x", "[]", '{"pid": true}', '{"pid": -5, "host": 3}', '{"pid": 1e400}', "\x00" * 512]
)
def test_a_lock_file_of_any_content_is_no_trouble(run: RunDirectory, content: str) -> None:
    run.lock_path.write_text(content)
    assert look(run).state == "new"
    with RunLock(run):
        run.lock_path.write_text(content)
        assert look(run).state == "running"


def test_a_heartbeat_without_a_lock_does_nothing(run: RunDirectory) -> None:
    lock = RunLock(run)
    lock.beat("training")
    assert not run.lock_path.exists()
    with lock:
        pass
    lock.beat("training")
    assert run.lock_path.read_bytes() == b""
    assert read_lock(run).held is False


def test_processes_are_told_apart_by_when_they_began() -> None:
    assert process_started(os.getpid()) == process_started(os.getpid())
    assert process_started(os.getpid()) != process_started(os.getppid())
    assert process_started(2**30) is None
