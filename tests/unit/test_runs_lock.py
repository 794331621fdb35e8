from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

from cifar_tui.errors import CannotCreateError, LockedError, NotThereError
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.lock import RunLock, holder

CHILD = """
import sys
from pathlib import Path
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.lock import RunLock
with RunLock(RunDirectory(Path(sys.argv[1]), "a")):
    print("locked", flush=True)
    sys.stdin.read()
"""


def fork() -> int:
    """`os.fork`; Python 3.12 and later warn of the test runner's threads, which the child does not use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def test_the_holder_is_known_while_the_lock_is_held_and_not_after(run: RunDirectory) -> None:
    assert holder(run) is None
    with RunLock(run):
        found = holder(run)
        assert found is not None
        assert found["pid"] == os.getpid()
        assert found["host"] == socket.gethostname()
        assert found["since"].endswith("Z")
    assert holder(run) is None


def test_two_threads_of_one_process_exclude_each_other(run: RunDirectory) -> None:
    errors: list[LockedError] = []

    def work() -> None:
        try:
            RunLock(run, patience=0).acquire()
        except LockedError as error:
            errors.append(error)

    with RunLock(run):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(errors) == 1


def test_fault_059_a_second_process_is_refused_and_told_who_holds_the_run(run: RunDirectory) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(run.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "locked\n"
        with pytest.raises(LockedError) as caught:
            RunLock(run, patience=0.05).acquire()
        assert caught.value.exit_code == 75
        assert f"process {child.pid}" in caught.value.message
        assert socket.gethostname() in caught.value.message
        assert "since 2" in caught.value.message
        assert caught.value.hint == "cifar-tui watch a"
        child.kill()
        child.wait()
    with RunLock(run):  # a killed holder leaves no lock behind
        assert holder(run) is not None


def test_asking_who_holds_the_lock_turns_no_trainer_away(run: RunDirectory) -> None:
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            holder(run)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(50):
            with RunLock(run):
                pass
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_child_process_does_not_keep_the_lock(run: RunDirectory) -> None:
    lock = RunLock(run)
    lock.acquire()
    command = [
        sys.executable,
        "-c",
        "import os, sys; print(os.listdir('/dev/fd'), flush=True); sys.stdin.read()",
    ]
    descriptor = lock._descriptor
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, close_fds=False
    ) as child:
        assert child.stdout is not None
        assert f"'{descriptor}'" not in child.stdout.readline()
        lock.release()
        assert holder(run) is None
        child.kill()


def test_a_forked_child_does_not_keep_a_released_lock(run: RunDirectory) -> None:
    lock = RunLock(run)
    lock.acquire()
    reader, writer = os.pipe()
    pid = fork()
    if pid == 0:
        os.read(reader, 1)
        os._exit(0)
    try:
        lock.release()
        assert holder(run) is None
    finally:
        os.write(writer, b"x")
        os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)


def test_a_deleted_lock_file_can_be_renewed_and_excludes_again(run: RunDirectory) -> None:
    lock = RunLock(run)
    lock.acquire()
    run.lock_path.unlink()
    assert holder(run) is None
    lock.renew()
    with pytest.raises(LockedError):
        RunLock(run, patience=0).acquire()
    lock.renew()  # nothing to do
    lock.release()
    lock.release()


def test_locking_a_missing_run_or_through_a_link_is_refused(run: RunDirectory, tmp_path: Path) -> None:
    with pytest.raises(NotThereError):
        RunLock(RunDirectory(tmp_path, "none")).acquire()
    (tmp_path / "link").symlink_to(run.path)
    with pytest.raises(CannotCreateError):
        RunLock(RunDirectory(tmp_path, "link")).acquire()
    (tmp_path / "outside").write_text("precious")
    run.lock_path.symlink_to(tmp_path / "outside")
    with pytest.raises(CannotCreateError):
        RunLock(run).acquire()
    assert (tmp_path / "outside").read_text() == "precious"
    assert holder(run) is None


@pytest.mark.parametrize("content", [b"", b"\xff", b'{"pid": "x", "host": 3}', b"[]", b"x" * 100_000])
def test_garbage_in_the_lock_file_still_says_that_it_is_held(run: RunDirectory, content: bytes) -> None:
    with RunLock(run):
        run.lock_path.write_bytes(content)
        assert holder(run) == {"pid": None, "host": None, "since": None}
        with pytest.raises(LockedError, match="process unknown"):
            RunLock(run, patience=0).acquire()
