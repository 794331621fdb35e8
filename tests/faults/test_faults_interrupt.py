"""Fault 52: a second Ctrl+C while the first one's save goes on. The disk is made to take half a minute."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.cli_tools import SMALL
from tests.tui.terminal import Terminal
from tests.tui.test_terminal import begin_training

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs signals and a pseudo-terminal"),
]

SLOW_DISK = """
import os, sys, time
usual = os.fsync
def fsync(descriptor):
    if os.path.exists({mark!r}):
        open({mark!r} + ".reached", "w").close()
        time.sleep(30)
    usual(descriptor)
os.fsync = fsync
"""
TRAIN = """
from cifar_tui.cli.main import run
sys.exit(run(sys.argv[1:]))
"""
APP = """
from cifar_tui.cli.start import main
sys.exit(main())
"""
WORDS = [
    *("train", *SMALL, "--steps", "1000000", "--name", "long"),
    *("--json", "--checkpoint-seconds", "0.3", "--runs-dir"),
]


def wait(true: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{what}: not after {seconds} s"
        time.sleep(0.01)


def checkpoints(run: Path) -> list[int]:
    """Steps of those that are published."""
    return sorted(int(path.name[5:]) for path in (run / "checkpoints").glob("step-?????????"))


def told(run: Path) -> bool:
    """Whether a checkpoint after the first step is in the record."""
    with contextlib.suppress(OSError):
        lines = (run / "events.jsonl").read_text().splitlines()
        events = [json.loads(line) for line in lines if line.endswith("}")]
        return any(event["event"] == "checkpoint" and event["step"] > 0 for event in events)
    return False


def goes_on(runs: Path, run: str) -> int:
    """Resume a run for one step more than its newest checkpoint; returns the step it began at."""
    kept = checkpoints(runs / run)[-1]
    words = ["train", "--resume", run, "--steps", str(kept + 1), "--json", "--runs-dir", str(runs)]
    done = subprocess.run(
        [sys.executable, "-m", "cifar_tui", *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert (events[-1]["state"], events[-1]["step"]) == ("done", kept + 1)
    began = next(event["step"] for event in events if event["event"] == "run_started")
    assert isinstance(began, int)
    return began


def test_fault_052_headless_a_second_ctrl_c_does_not_wait_for_the_save(tmp_path: Path) -> None:
    mark, runs = tmp_path / "slow", tmp_path / "runs"
    code = SLOW_DISK.format(mark=str(mark)) + TRAIN
    log = tmp_path / "stderr"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *WORDS, str(runs)], stdout=subprocess.DEVNULL, stderr=errors
        )
    try:
        wait(lambda: process.poll() is not None or told(runs / "long"), "a checkpoint")
        mark.touch()
        process.send_signal(signal.SIGINT)
        wait((tmp_path / "slow.reached").exists, "the save to begin")
        time.sleep(0.7)  # longer than a second signal may take
        assert process.poll() is None, "the save goes on"
        kept = checkpoints(runs / "long")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert time.monotonic() - began <= 0.5
    finally:
        process.kill()
        process.wait()
    said = json.loads(log.read_text().splitlines()[-1])["message"]
    match = re.search(r'run "long" goes on from step ([\d,]+): [\d,]+ steps are lost', said)
    assert match is not None and int(match[1].replace(",", "")) in kept, said
    assert checkpoints(runs / "long") == kept, "nothing half-written was published"
    assert goes_on(runs, "long") == kept[-1]


@pytest.mark.parametrize("by", ["signal", "key"])
def test_fault_052_in_the_app_a_second_ctrl_c_does_not_wait_for_the_save(tmp_path: Path, by: str) -> None:
    mark, runs = tmp_path / "slow", tmp_path / "runs"
    with Terminal(tmp_path, code=SLOW_DISK.format(mark=str(mark)) + APP) as terminal:
        begin_training(terminal)
        terminal.press("c")
        terminal.wait_until(lambda: any(runs.glob("*/checkpoints/step-?????????")), "a checkpoint", 60)
        (run,) = runs.iterdir()
        mark.touch()
        if by == "signal":
            os.kill(terminal.child.pid, signal.SIGINT)
        else:
            terminal.press("\x03")
            terminal.wait_for("Stop and save")
            terminal.press("\x03")
        terminal.wait_until((tmp_path / "slow.reached").exists, "the save to begin", 20)
        terminal.pump(0.7)
        assert terminal.child.isalive(), "the save goes on"
        kept = checkpoints(run)
        began = time.monotonic()
        if by == "signal":
            os.kill(terminal.child.pid, signal.SIGINT)
        else:
            terminal.press("\x03")
        while terminal.child.isalive() and time.monotonic() < began + 10:
            terminal.pump(0.01)
        took = time.monotonic() - began
        assert terminal.wait_end() == 130
        terminal.assert_restored()
    assert took <= 0.5
    assert checkpoints(run) == kept, "nothing half-written was published"
    assert goes_on(runs, run.name) == kept[-1]
