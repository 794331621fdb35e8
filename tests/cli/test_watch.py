"""``cifar-tui watch``: the events of a run that another process trains, and its exit code."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
import pytest

from cifar_tui import events
from cifar_tui.cli import plain_view, watch
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.lock import RunLock
from cifar_tui.runs.recorder import Recorder
from tests.cli.command import Outcome, _progress, call, environment, make_run

Cli = Callable[..., Outcome]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.02)
    return lambda *words: call(capsys, "watch", *words, "--runs-dir", tmp_path)


def ended(**values: Any) -> events.RunEnded:
    usual: dict[str, Any] = {
        "run": "a", "state": "done", "step": 40, "seconds": 2.0, "steps_per_second": 20.0,
        "median_step_us": 50.0, "train": None, "test": None, "reason": "reached step 40",
    }  # fmt: skip
    return events.RunEnded(**usual | values)


def test_a_run_that_has_ended_is_told_again_with_its_exit_code(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path, "a")
    found = cli("a", "--plain")
    assert found.code == 0
    assert "train: loss 1.2500 acc  50.00%" in found.out
    assert "run a: cnn" in found.err
    assert "done: as asked" in found.err
    assert "\x1b" not in found.out + found.err
    lines = [json.loads(row) for row in cli("a", "--json").out.splitlines()]
    assert [line["event"] for line in lines] == [
        "run_started", "progress", "progress", "evaluation", "evaluation", "run_ended",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "code"), [("diverged", 3), ("failed", 74), ("stopped", 143), ("stopped", 0)]
)
def test_it_ends_with_the_exit_code_of_the_training(cli: Cli, tmp_path: Path, state: str, code: int) -> None:
    run = make_run(tmp_path, "a", state=None)
    with Recorder(run) as recorder:
        recorder.append(ended(state=state, exit=code, reason="for a reason"))
    found = cli("a", "--json")
    assert found.code == code
    assert json.loads(found.out.splitlines()[-1])["event"] == "run_ended"
    if code:
        assert found.error["exit"] == code
        assert "for a reason" in found.error["message"]


def test_a_run_is_followed_until_it_ends(cli: Cli, tmp_path: Path) -> None:
    run = make_run(tmp_path, "a", state=None)
    locked = threading.Event()

    def train() -> None:
        with RunLock(run) as lock, Recorder(run, progress_hz=1000) as recorder:
            lock.beat("training")
            locked.set()
            time.sleep(0.1)
            lock.beat("paused")
            time.sleep(0.1)
            lock.beat("training")
            recorder.append(_progress(30, 1.0))
            time.sleep(0.1)
            recorder.append(ended())

    thread = threading.Thread(target=train)
    thread.start()
    locked.wait()
    found = cli("a", "--json")
    thread.join()
    assert found.code == 0
    lines = [json.loads(row) for row in found.out.splitlines()]
    assert [(line["event"], line["step"]) for line in lines[-2:]] == [("progress", 30), ("run_ended", 40)]


def test_only_the_newest_training_of_a_run_is_shown(cli: Cli, tmp_path: Path) -> None:
    run = make_run(tmp_path, "a")
    with Recorder(run) as recorder:
        started = next(e for e in events_of(run) if isinstance(e, events.RunStarted))
        recorder.append(events.RunStarted(**{**values_of(started), "step": 20}))
        recorder.append(ended(step=60))
    lines = [json.loads(row) for row in cli("a", "--json").out.splitlines()]
    assert [(line["event"], line["step"]) for line in lines] == [("run_started", 20), ("run_ended", 60)]


def events_of(run: RunDirectory) -> list[events.Event]:
    from cifar_tui.runs.reader import read_events

    return read_events(run.events_path).events


def values_of(event: events.Event) -> dict[str, Any]:
    return {name: value for name, value in events.to_json(event).items() if name != "event"}


def test_a_process_that_died_is_an_error_with_a_way_on(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path, "a", state=None)
    found = cli("a", "--plain")
    assert found.code == 71
    assert "without a last word" in found.err
    assert f"cifar-tui train --resume a --runs-dir {tmp_path}" in found.err


def test_what_cannot_be_watched_is_refused(cli: Cli, tmp_path: Path) -> None:
    RunDirectory.create(tmp_path, {}, name="new", stem="a")
    found = cli("new")
    assert (found.code, "was not trained yet" in found.err) == (2, True)
    make_run(tmp_path, "b").run_json.write_text("{")
    assert cli("b", "--json").code in {0, 65}
    assert cli("nope").code == 66


def test_pauses_and_stalls_are_said_once(tmp_path: Path) -> None:
    from cifar_tui.runs.liveness import Liveness

    said: list[str] = []
    view = plain_view.PlainView()
    view.say = lambda text, style="": said.append(text)  # type: ignore[method-assign]
    run = RunDirectory(tmp_path, "a")
    told = ""
    for state, silent in (
        ("running", 0), ("paused", 0), ("paused", 1), ("running", 0), ("stalled", 12), ("stalled", 13),
        ("running", 0), ("done", 0),
    ):  # fmt: skip
        told = watch._tell(view, run, Liveness(state, "training", 7, silent=silent), told)
    assert said == [
        "paused; it goes on with: cifar-tui runs unpause a",
        "it goes on",
        "stalled: process 7 has said nothing for 12 s",
        "it goes on",
    ]


def test_where_it_is_is_said_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    view = plain_view.PlainView(clock=lambda: now)
    for second in range(30):
        now = float(second)
        view.take(_progress(second, 1.5))
    rows = capsys.readouterr().err.splitlines()
    assert [row.split()[1] for row in rows] == ["1", "11", "21"]
    assert rows[0] == "at 1 of 40 (2%)  loss 1.5000  acc 20.0%  20.0 steps/s  ETA -:--"


def test_fault_099_what_a_run_says_cannot_reach_the_terminal(cli: Cli, tmp_path: Path) -> None:
    run = make_run(tmp_path, "a", state=None)
    evil = "\x1b]0;x\x07\x1b[31mred\u202e\r"
    with Recorder(run) as recorder:
        recorder.append(events.Note(level="warning", id="W", text=evil))
        recorder.append(ended(state="failed", exit=74, reason=evil))
    for words in (("a", "--plain"), ("a", "--json")):
        found = cli(*words)
        for sign in ("\x1b", "\x07", "\u202e", "\r"):
            assert sign not in found.out + found.err, words
        assert "red" in found.err


def test_ctrl_c_leaves_and_the_run_goes_on(tmp_path: Path) -> None:
    run = make_run(tmp_path, "a", state=None)
    with RunLock(run) as lock:
        lock.beat("training")
        child = pexpect.spawn(
            sys.executable,
            ["-m", "cifar_tui", "watch", "a", "--plain", "--runs-dir", str(tmp_path)],
            env=environment(TERM="xterm"),
            encoding="utf-8",
            timeout=20,
        )
        child.expect("acc  50.00%")
        time.sleep(0.3)
        child.kill(signal.SIGINT)
        child.expect("goes on")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 130
    assert not list((run.path / "requests").glob("*"))


def test_on_a_terminal_the_app_opens_on_the_run(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path, "a")
    opened: list[tuple[Any, ...]] = []

    def run_app(data_dir: str | None, runs_dir: str | None, *, watch: str) -> int:
        opened.append((data_dir, runs_dir, watch))
        return 5

    monkeypatch.setattr("cifar_tui.cli.common.on_terminal", lambda: True)
    monkeypatch.setattr("cifar_tui.cli.start.run_app", run_app)
    assert cli("a").code == 5
    assert opened == [(None, str(tmp_path), "a")]
    assert cli("nope").code == 66
    assert len(opened) == 1
