"""The channel by which other processes steer a run: requests are checked, and taken once and in order."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cifar_tui.errors import CannotCreateError, CifarTuiError, UsageError
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.lock import RunLock
from cifar_tui.runs.requests import LIMIT, MOST, Inbox, ask, check, wait_taken, waiting

NAME = "00000000000000000001-1-1.json"


@pytest.fixture
def idle(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path, {}, name="a", stem="a")


@pytest.fixture
def run(idle: RunDirectory) -> Iterator[RunDirectory]:
    """A run that this process holds."""
    with RunLock(idle):
        yield idle


def folder_of(run: RunDirectory) -> Path:
    folder = run.path / "requests"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def test_requests_come_out_in_the_order_they_were_asked_and_once(run: RunDirectory) -> None:
    inbox = Inbox(run)
    assert inbox.take() == []
    ids = [
        ask(run, "pause"),
        ask(run, "resume"),
        ask(run, "target", step=500),
        ask(run, "learning_rate", rate=1e-3),
        ask(run, "evaluate"),
        ask(run, "checkpoint"),
        ask(run, "stop", evaluate=True),
    ]
    assert all(waiting(run, id) for id in ids)
    taken = inbox.take()
    assert [request.id for request in taken] == ids
    assert [(request.name, request.values) for request in taken] == [
        ("pause", {}),
        ("resume", {}),
        ("target", {"step": 500}),
        ("learning_rate", {"rate": 1e-3}),
        ("evaluate", {}),
        ("checkpoint", {}),
        ("stop", {"evaluate": True}),
    ]
    assert {request.pid for request in taken} == {os.getpid()}
    assert {request.refused for request in taken} == {""}
    assert taken[0].asker == f"process {os.getpid()}"
    assert inbox.take() == []
    assert not any(waiting(run, id) for id in ids)
    assert list(folder_of(run).iterdir()) == []


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("explode", {}),
        ("", {}),
        ("pause", {"evaluate": True}),
        ("stop", {"evaluate": 1}),
        ("target", {}),
        ("target", {"step": -1}),
        ("target", {"step": True}),
        ("target", {"step": 1.5}),
        ("target", {"step": 10**9}),
        ("learning_rate", {"rate": 0}),
        ("learning_rate", {"rate": float("nan")}),
        ("learning_rate", {"rate": float("inf")}),
        ("learning_rate", {"rate": 101}),
        ("learning_rate", {"rate": "fast"}),
    ],
)
def test_a_bad_request_is_refused_before_it_is_sent(run: RunDirectory, name: str, values: dict) -> None:
    with pytest.raises(UsageError):
        check(name, values)
    with pytest.raises(UsageError):
        ask(run, name, **values)
    assert not (run.path / "requests").exists()


def test_a_run_that_nobody_trains_cannot_be_asked(idle: RunDirectory, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not being trained: it is new") as caught:
        ask(idle, "stop")
    assert caught.value.id == "E-RUN-IDLE"
    with pytest.raises(CifarTuiError):
        ask(RunDirectory(tmp_path, "none"), "stop")
    assert not (idle.path / "requests").exists()


def test_requests_from_before_the_start_are_swept(run: RunDirectory) -> None:
    ask(run, "stop")
    (folder_of(run) / ".tmp-1-0").write_text("x")
    (folder_of(run) / "folder").mkdir()
    inbox = Inbox(run)
    assert inbox.sweep() == 2
    assert inbox.take() == []
    assert list(folder_of(run).iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        "",
        "x",
        "[]",
        "{}",
        '{"schema": 2, "request": "stop", "values": {}}',
        '{"schema": 1, "request": "explode", "values": {}}',
        '{"schema": 1, "request": "stop", "values": []}',
        '{"schema": 1, "request": ["stop"], "values": {}}',
        '{"schema": 1, "request": "target", "values": {"step": "x"}}',
        '{"schema": 1, "request": "learning_rate", "values": {"rate": NaN}}',
        '{"schema": 1, "request": "learning_rate", "values": {"rate": 1e999}}',
        '{"schema": 1, "request": "pause", "values": {"x": 1}}',
        "[" * 3000,
        "\udcff",
        json.dumps({"schema": 1, "request": "stop", "values": {}, "x": "y" * LIMIT}),
    ],
)
def test_what_is_no_request_is_refused_said_and_removed(run: RunDirectory, content: str) -> None:
    file = folder_of(run) / NAME
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    (found,) = Inbox(run).take()
    assert found.refused
    assert found.name == ""
    assert found.refused.isprintable()
    assert not file.exists()


def test_foreign_names_are_refused_and_removed(run: RunDirectory) -> None:
    for name in ("stop", "x.json", "\x1b[31m.json"):
        (folder_of(run) / name).write_text('{"schema": 1, "request": "stop", "values": {}}')
    found = Inbox(run).take()
    assert len(found) == 3
    assert all("is no name of a request" in request.refused for request in found)
    assert all(request.refused.isprintable() for request in found)
    assert list(folder_of(run).iterdir()) == []


def test_what_cannot_be_removed_is_served_once(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(run, "pause")

    def fail(*_args: object, **_keywords: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "unlink", fail)
    inbox = Inbox(run)
    assert [request.name for request in inbox.take()] == ["pause"]
    assert inbox.take() == []


def test_fault_102_links_fifos_and_folders_in_place_of_a_request_do_no_harm(
    run: RunDirectory, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text('{"schema": 1, "request": "stop", "values": {}}')
    (folder_of(run) / NAME).symlink_to(secret)
    os.mkfifo(folder_of(run) / NAME.replace("-1.", "-2."))
    full = folder_of(run) / NAME.replace("-1.", "-3.")
    full.mkdir()
    (full / "inner").write_text("x")
    inbox = Inbox(run)
    assert [request.refused for request in inbox.take()] == ["it is no regular file"] * 3
    assert secret.exists()
    assert inbox.take() == [], "what cannot be removed is said once"


def test_fault_080_requests_are_not_written_through_links(run: RunDirectory, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (run.path / "requests").symlink_to(outside)
    with pytest.raises(CannotCreateError) as caught:
        ask(run, "stop")
    assert caught.value.id == "E-RUN-LINK"
    assert list(outside.iterdir()) == []
    (outside / NAME).write_text('{"schema": 1, "request": "stop", "values": {}}')
    inbox = Inbox(run)
    assert (inbox.take(), inbox.sweep()) == ([], 0)
    assert (outside / NAME).exists()


def test_fault_102_a_planted_temporary_name_is_not_used(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    monkeypatch.setattr("cifar_tui.runs.requests._counter", iter([7]))
    (folder_of(run) / f".tmp-{os.getpid()}-7").symlink_to(precious)
    with pytest.raises(CifarTuiError):
        ask(run, "stop")
    assert precious.read_text() == "mine"


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_fault_101_requests_are_for_their_owner_alone(run: RunDirectory, umask: int) -> None:
    before = os.umask(umask)
    try:
        id = ask(run, "pause")
    finally:
        os.umask(before)
    folder = run.path / "requests"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / id).stat().st_mode) == 0o600


def test_fault_101_a_request_of_another_user_is_refused(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(run, "stop")
    real = os.stat

    def foreign(path: str, **keywords: object) -> object:
        found = real(path, **keywords)  # type: ignore[arg-type]
        if not str(path).endswith(".json"):
            return found
        values = list(found)
        values[stat.ST_UID] = 4711
        return os.stat_result(values)

    monkeypatch.setattr(os, "stat", foreign)
    (found,) = Inbox(run).take()
    assert found.refused == "it belongs to user 4711"


def test_fault_077_the_half_written_request_of_a_dead_process_is_swept_and_of_a_living_one_stays(
    run: RunDirectory,
) -> None:
    child = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    dead = folder_of(run) / f".tmp-{int(child.stdout)}-0"
    living = folder_of(run) / f".tmp-{os.getppid()}-0"
    for path in (dead, living):
        path.write_text("{")
    assert Inbox(run).take() == []
    assert (dead.exists(), living.exists()) == (False, True)


def test_a_folder_that_fills_up_is_said_to_the_asker(run: RunDirectory) -> None:
    for _ in range(MOST):
        ask(run, "pause")
    with pytest.raises(CifarTuiError, match="requests to run") as caught:
        ask(run, "pause")
    assert caught.value.id == "E-RUN-BUSY"
    inbox = Inbox(run)
    taken = 0
    while found := inbox.take():
        taken += len(found)
    assert taken == MOST


def test_the_asker_can_wait_until_a_request_is_taken(run: RunDirectory) -> None:
    id = ask(run, "pause")
    assert not wait_taken(run, id, 0.1)
    thread = threading.Thread(target=lambda: Inbox(run).take())
    thread.start()
    assert wait_taken(run, id, 5)
    thread.join()


def test_a_run_that_vanished_is_no_trouble_for_its_holder(run: RunDirectory, tmp_path: Path) -> None:
    inbox = Inbox(run)
    run.path.rename(tmp_path / "elsewhere")
    assert (inbox.take(), inbox.sweep()) == ([], 0)
