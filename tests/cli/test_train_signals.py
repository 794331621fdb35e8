"""Signals during a training: save and end, leave at once, and what is left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time

import pytest

from cifar_tui.cli import signals
from tests.cli.cli_tools import SMALL, start
from tests.cli.command import call, environment

LONG = [*SMALL, "--steps", "1000000", "--name", "long", "--json"]


def test_the_first_signal_is_noted_and_handlers_are_restored():
    before = [signal.getsignal(number) for number in signals.WATCHED]
    with signals.SignalWatch() as watch:
        assert (watch.number, watch.name) == (0, "")
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # a second one of these does not hurry it
        assert (watch.number, watch.name) == (signal.SIGTERM, "SIGTERM")
    assert [signal.getsignal(number) for number in signals.WATCHED] == before


def test_a_second_ctrl_c_leaves_at_once_saying_what_it_costs(monkeypatch):
    left = []
    monkeypatch.setattr(signals, "leave_at_once", lambda number, text: left.append((number, text)))
    with signals.SignalWatch() as watch:
        signal.raise_signal(signal.SIGINT)
        watch.cost = "12 steps are lost"
        assert left == []
        signal.raise_signal(signal.SIGINT)
    assert left == [(signal.SIGINT, "12 steps are lost")]


def test_a_signal_that_was_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.SignalWatch() as watch:
            signal.raise_signal(signal.SIGHUP)
            assert watch.number == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_outside_the_main_thread_signals_are_left_alone():
    found = []

    def work() -> None:
        with signals.SignalWatch():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]


def until_progress(process, steps: int = 50) -> list[dict]:
    """Read events until a training is under way."""
    found = []
    for line in process.stdout:
        found.append(json.loads(line))
        if found[-1]["event"] == "progress" and found[-1]["step"] >= steps:
            return found
    raise AssertionError(process.stderr.read())


@contextlib.contextmanager
def training(runs, *more):
    process = start("train", *LONG, "--runs-dir", runs, *more)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_fault_051_a_signal_saves_the_step_and_ends_within_5_s(tmp_path, capsys, number, code):
    with training(tmp_path) as process:
        until_progress(process)
        process.send_signal(number)
        began = time.monotonic()
        out, err = process.communicate(timeout=20)
        took = time.monotonic() - began
    assert process.returncode == code
    assert took < 5
    ended = json.loads(out.splitlines()[-1])
    assert (ended["event"], ended["state"], ended["exit"]) == ("run_ended", "stopped", code)
    error = json.loads(err)
    assert f'step {ended["step"]:,} is saved in run "long"' in error["state"]
    assert error["hint"] == f"cifar-tui train --resume long --runs-dir {tmp_path}"
    done = call(
        capsys, "train", "--resume", "long", "--steps", ended["step"] + 5, "--json", "--runs-dir", tmp_path
    )
    assert done.code == 0
    resumed = [json.loads(line) for line in done.out.splitlines()]
    assert next(e for e in resumed if e["event"] == "run_started")["step"] == ended["step"]
    assert resumed[-1]["step"] == ended["step"] + 5


def test_a_signal_during_the_last_evaluation_leaves_it_to_the_resume(tmp_path, capsys, monkeypatch):
    from cifar_tui.cli import console

    take = console.JsonView.take

    def interrupt(self, event):
        take(self, event)
        if event.kind == "phase" and event.phase == "evaluate":
            signal.raise_signal(signal.SIGINT)
            monkeypatch.setattr(console.JsonView, "take", take)

    monkeypatch.setattr(console.JsonView, "take", interrupt)
    words = [
        *SMALL,
        "--steps",
        "3",
        "--eval-batch-size",
        "10",
        "--name",
        "cut",
        "--json",
        "--runs-dir",
        tmp_path,
    ]
    done = call(capsys, "train", *words)
    assert done.code == 130
    ended = json.loads(done.out.splitlines()[-1])
    assert (ended["state"], ended["step"], ended["exit"]) == ("stopped", 3, 130)
    assert not (tmp_path / "cut" / "report.json").exists()
    again = call(capsys, "train", "--resume", "cut", "--json", "--runs-dir", tmp_path)
    assert again.code == 0
    ended = json.loads(again.out.splitlines()[-1])
    assert (ended["state"], ended["step"]) == ("done", 3)
    assert (tmp_path / "cut" / "report.json").is_file()


@pytest.mark.slow
def test_fault_052_a_second_ctrl_c_leaves_within_half_a_second_and_the_run_is_consistent(tmp_path, capsys):
    with training(tmp_path, "--checkpoint-seconds", "0.3") as process:
        found = until_progress(process, 300)
        while not any(event["event"] == "checkpoint" for event in found):
            found += until_progress(process, 0)
        # Both arrive before the loop can end, which takes at least one chunk and one checkpoint.
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        with contextlib.suppress(OSError):
            time.sleep(0.02)
            process.send_signal(signal.SIGINT)
        _out, err = process.communicate(timeout=20)
        took = time.monotonic() - began
    assert process.returncode == 130
    assert took < 1.5
    message = json.loads(err)["message"]
    assert "goes on from step" in message or "stopped by SIGINT" in message
    done = call(capsys, "train", "--resume", "long", "--steps", "1", "--json", "--runs-dir", tmp_path)
    assert done.code == 0


@pytest.mark.slow
def test_sigterm_while_torch_is_loading_ends_within_5_s_and_records_nothing(tmp_path):
    with training(tmp_path / "runs") as process:
        line = process.stdout.readline()
        assert json.loads(line)["phase"] == "import"
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        _out, err = process.communicate(timeout=30)
        assert time.monotonic() - began < 5
    assert process.returncode == 143
    assert "before the training began" in json.loads(err)["message"]
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_closed_pipe_saves_the_training_and_ends_it(tmp_path):
    with training(tmp_path) as process:
        until_progress(process)
        process.stdout.close()
        process.stdout = None
        process.wait(timeout=20)
    assert process.returncode == 141
    lines = (tmp_path / "long" / "events.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["state"] == "stopped"
    assert any((tmp_path / "long" / "checkpoints").glob("step-*"))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
@pytest.mark.parametrize("size", [(24, 80), (40, 120)])
def test_on_a_terminal_the_line_is_rewritten_and_ctrl_c_says_how_to_resume(tmp_path, size):
    import pexpect
    import pyte

    child = pexpect.spawn(
        sys.executable,
        ["-m", "cifar_tui", "train", *SMALL, "--steps", "1000000", "--name", "tty",
         "--runs-dir", str(tmp_path)],
        env=environment(TERM="xterm-256color"), dimensions=size, encoding="utf-8", timeout=60,
    )  # fmt: skip
    log = []
    child.logfile_read = type("Log", (), {"write": lambda _s, t: log.append(t), "flush": lambda _s: None})()
    child.expect("~loss")
    child.expect("/1,000,000")
    child.sendintr()
    child.expect("is saved in run")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    screen = pyte.Screen(size[1], size[0])
    pyte.Stream(screen).feed("".join(log))
    text = "\n".join(line.rstrip() for line in screen.display).strip()
    assert "SIGINT: finishing the step and saving" in text
    assert "hint:  cifar-tui train --resume tty" in text
    assert "━" not in text  # the progress line is gone
    assert text.count("run tty: fnn") == 1  # and never wrapped into a new one
