"""``cifar-tui runs pause``, ``unpause``, ``stop`` and ``change``, against a process that holds the run."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cifar_tui.cli import run_control
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.lock import RunLock
from cifar_tui.runs.requests import Inbox, Request
from tests.cli.command import Outcome, call, make_run

Cli = Callable[..., Outcome]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    return lambda *words: call(capsys, "runs", *words, "--runs-dir", tmp_path)


@contextlib.contextmanager
def holder(run: RunDirectory, *, deaf: bool = False) -> Iterator[list[Request]]:
    """Holds a run as a training does: takes requests, is paused by one, and lets go when it shall stop."""
    taken: list[Request] = []
    over, ready = threading.Event(), threading.Event()

    def work() -> None:
        inbox, doing = Inbox(run), "training"
        with RunLock(run) as lock:
            lock.beat(doing)
            ready.set()
            while not over.wait(0.01):
                for request in [] if deaf else inbox.take():
                    taken.append(request)
                    doing = {"pause": "paused", "resume": "training"}.get(request.name, doing)
                    lock.beat(doing)
                    if request.name == "stop":
                        return

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait()
    try:
        yield taken
    finally:
        over.set()
        thread.join()


def test_a_run_is_paused_goes_on_and_is_stopped(cli: Cli, tmp_path: Path) -> None:
    with holder(make_run(tmp_path, "a")) as taken:
        paused = cli("pause", "a")
        assert (paused.code, paused.out) == (0, "")
        assert paused.err == "a: asked to pause; it is paused\n"
        assert cli("list", "--json").json[0]["state"] == "paused"
        assert cli("unpause", "a", "--json").json["state"] == "running"
        stopped = cli("stop", "a", "--evaluate", "--json")
    assert stopped.code == 0
    assert (stopped.json["run"], stopped.json["request"], stopped.json["state"]) == ("a", "stop", "done")
    assert [(request.name, request.values) for request in taken] == [
        ("pause", {}),
        ("resume", {}),
        ("stop", {"evaluate": True}),
    ]


def test_a_run_is_changed_under_way(cli: Cli, tmp_path: Path) -> None:
    with holder(make_run(tmp_path, "a")) as taken:
        found = cli(
            "change", "a", "--steps", "500", "--learning-rate", "1e-3", "--checkpoint", "--evaluate", "--json"
        )
        assert [each["request"] for each in found.json] == [
            "target",
            "learning_rate",
            "evaluate",
            "checkpoint",
        ]
        assert cli("change", "a").code == 2
        for words in (("--learning-rate", "0"), ("--learning-rate", "nan"), ("--steps", "-1")):
            bad = cli("change", "a", "--checkpoint", *words)
            assert bad.code == 2, words
            assert "expected" in bad.err
    assert len(taken) == 4, "where one value is bad nothing is sent"


@pytest.mark.parametrize("words", [("pause",), ("unpause",), ("stop",), ("change", "--checkpoint")])
def test_a_run_that_nobody_trains_cannot_be_steered(cli: Cli, tmp_path: Path, words: tuple[str, ...]) -> None:
    make_run(tmp_path, "a")
    found = cli(words[0], "a", *words[1:], "--json")
    assert found.code == 2
    assert found.error["error"]["id"] == "E-RUN-IDLE"
    assert "it is done" in found.error["message"]
    assert cli(words[0], "nope", *words[1:]).code == 66


def test_a_process_that_does_not_listen_is_said(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_control, "TAKEN_SECONDS", 0.1)
    with holder(make_run(tmp_path, "a"), deaf=True):
        found = cli("stop", "a")
    assert found.code == 74
    assert "did not take the request" in found.err
    assert f"cifar-tui watch a --plain --runs-dir {tmp_path}" in found.err
