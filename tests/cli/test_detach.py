"""``train --detach``: a training that outlives its terminal; errors of its start are said at once."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path

import pexpect
import pytest

from cifar_tui.cli import detach
from cifar_tui.cli.report_text import Places
from cifar_tui.recipe import resolve
from cifar_tui.runs.directory import RunDirectory, list_runs
from cifar_tui.runs.liveness import look
from cifar_tui.session import TrainRequest
from tests.cli.cli_tools import SMALL
from tests.cli.command import call, environment, spawn

LONG = [*SMALL, "--steps", "100000000", "--detach"]
WAIT = 90.0


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    """A folder of runs; what still trains there at the end is killed."""
    yield tmp_path / "runs"
    for run in list_runs(tmp_path / "runs"):
        pid = look(run).pid
        if pid is not None and pid != os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def in_terminal(*words: object) -> pexpect.spawn:
    return pexpect.spawn(
        sys.executable,
        ["-m", "cifar_tui", *(str(word) for word in words)],
        env=environment(TERM="xterm", NO_COLOR="1"),
        encoding="utf-8",
        timeout=WAIT,
        dimensions=(24, 100),
    )


def test_a_request_reaches_the_other_process_unchanged(tmp_path: Path) -> None:
    recipe = resolve(preset="seed-fnn", flags={"dataset": "synthetic", "steps": "5"})
    request = TrainRequest(
        data_dir=tmp_path / "d\udcffta",
        runs_dir=tmp_path,
        recipe=recipe,
        name="a",
        title="\x1b[31m título",
        sets=("steps=6",),
        mirrors=("http://x", "http://y"),
        allow_unverified=True,
    )
    for each in (
        request,
        replace(request, recipe=None, resume="a", at=7, changes={"steps": "9"}, file=Path("x")),
    ):
        packed = json.loads(json.dumps(detach.pack(each, Places(None, "r"))))
        found, places = detach.unpack(packed)
        assert places == Places(None, "r")
        expected = replace(each, file=None if each.file is None else each.file.absolute())
        for field in fields(TrainRequest):
            assert getattr(found, field.name) == getattr(expected, field.name), field.name


def test_an_error_of_another_process_keeps_its_id_and_code() -> None:
    error = detach.ForeignError(
        {"message": "no", "hint": "do", "error": {"id": "E-X"}, "exit": 66, "where": None, "state": 7}
    )
    assert (error.exit_code, error.id, error.hint, error.state) == (66, "E-X", "do", None)
    strange = detach.ForeignError({"exit": "x", "error": [], "message": None})
    assert strange.exit_code == 1


@pytest.mark.slow
def test_a_detached_run_outlives_its_terminal_and_is_watched_paused_and_stopped(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ("--runs-dir", runs)
    terminal = in_terminal("train", *LONG, "--name", "far", *folder)
    terminal.expect("stop +cifar-tui runs stop far")
    terminal.expect("far\r\n")
    terminal.close(force=True)
    run = RunDirectory(runs, "far")
    found = look(run)
    assert found.state == "running"
    assert found.pid is not None
    assert os.getsid(found.pid) == found.pid, "no signal of the terminal reaches it"
    log = run.path / detach.LOG
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert "run far: fnn" in log.read_text()

    taken = call(capsys, "train", "--resume", "far", "--detach", "--json", *folder)
    assert taken.code == 75
    assert taken.error["error"]["id"] == "E-RUN-LOCKED"
    assert call(capsys, "runs", "pause", "far", *folder).code == 0
    assert look(run).state == "paused"
    assert call(capsys, "runs", "unpause", "far", *folder).code == 0
    stopped = call(capsys, "runs", "stop", "far", *folder)
    assert stopped.err == "far: asked to stop; it is stopped\n"
    watched = call(capsys, "watch", "far", "--json", *folder)
    assert watched.code == 0
    ended = json.loads(watched.out.splitlines()[-1])
    assert (ended["event"], ended["state"]) == ("run_ended", "stopped")

    again = call(capsys, "train", "--resume", "far", "--detach", "--json", *folder)
    assert again.code == 0, again.err
    assert again.json["step"] == ended["step"]
    assert again.json["run"] == "far"
    os.kill(again.json["pid"], signal.SIGTERM)
    until(lambda: not look(run).live)
    assert look(run).state == "stopped"
    assert call(capsys, "watch", "far", "--json", *folder).code == 143


@pytest.mark.slow
def test_closing_the_terminal_while_it_starts_does_not_keep_it_from_training(runs: Path) -> None:
    terminal = in_terminal("train", *LONG, "--name", "far", "--runs-dir", runs)
    terminal.expect("loading")
    terminal.close(force=True)
    until(lambda: look(RunDirectory(runs, "far")).doing == "training")


@pytest.mark.slow
def test_ctrl_c_while_it_starts_leaves_nothing_behind(runs: Path) -> None:
    terminal = in_terminal("train", *LONG, "--name", "far", "--runs-dir", runs)
    terminal.expect("loading torch")
    terminal.send("\x03")
    terminal.expect("stopped by SIGINT before the training began")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    assert not (runs / "far").exists()


@pytest.mark.slow
def test_errors_of_the_start_are_reported_before_it_detaches(runs: Path, tmp_path: Path) -> None:
    folders = ["--runs-dir", runs, "--data-dir", tmp_path / "data"]
    missing = spawn("train", "--dataset", "cifar10", "--offline", "--detach", "--json", *folders)
    assert missing.code == 66
    assert missing.out == ""
    assert missing.error["error"]["id"] == "E-DATA-MISSING"
    value = spawn("train", *SMALL, "--batch-size", "20000", "--detach", *folders)
    assert value.code == 2
    assert "batch_size is 20000" in value.err
    assert not runs.exists()


@pytest.mark.slow
def test_a_process_that_dies_before_its_first_step_is_said(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detach, "_CHILD", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    found = call(capsys, "train", *LONG, "--runs-dir", runs, "--json")
    assert found.code == 71
    assert "ended by SIGKILL before its first step" in found.error["message"]
