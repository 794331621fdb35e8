"""A run that is stopped anywhere, politely or not, ends with the bits of one that never stopped."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# More points and steps for a thorough run: CIFAR_TUI_KILL_POINTS=20 CIFAR_TUI_KILL_STEPS=10000
POINTS = int(os.environ.get("CIFAR_TUI_KILL_POINTS", "4"))
STEPS = int(os.environ.get("CIFAR_TUI_KILL_STEPS", "400"))
THREADS = os.environ.get("CIFAR_TUI_KILL_THREADS", "1")  # the bits are those of one count
DATASET = os.environ.get("CIFAR_TUI_KILL_DATASET", "synthetic")


def command(runs: Path, *arguments: str) -> list[str]:
    data = ["--data-dir", os.environ.get("CIFAR_TUI_DATA_DIR", str(runs / "data"))]
    return [sys.executable, "-m", "cifar_tui", "train", "--json", "--runs-dir", str(runs), *data, *arguments]


def run_until(arguments: list[str], stop_at: int | None, number: signal.Signals | None) -> tuple[int, int]:
    """Run a training; at step `stop_at` send the signal. Returns exit code and the newest step seen."""
    step = 0
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        sent = False
        for line in child.stdout:
            try:
                event: dict[str, Any] = json.loads(line)
            except json.JSONDecodeError:
                assert number == signal.SIGKILL, line  # only a kill may tear a line
                continue
            step = max(step, int(event.get("step") or 0))
            if event["event"] == "progress" and not sent and stop_at is not None and step >= stop_at:
                assert number is not None
                child.send_signal(number)
                sent = True
        errors = child.stderr.read()
        code = child.wait()
    assert "Traceback" not in errors, errors
    assert sent == (stop_at is not None), errors
    return code, step


def weights(run: Path, step: int) -> str:
    folder = run / "checkpoints" / f"step-{step:09d}"
    files = ("model.safetensors", "optimizer.safetensors")
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in files)).hexdigest()


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.xdist_group("alone")
@pytest.mark.parametrize(("preset", "share"), [("seed-fnn", 1.0), ("seed-cnn", 0.25)])
def test_fault_050_stopped_at_random_points_a_run_ends_with_the_same_bits(
    tmp_path: Path, preset: str, share: float
) -> None:
    steps = int(STEPS * share)
    common = [
        "--preset",
        preset,
        "--dataset",
        DATASET,
        "--steps",
        str(steps),
        "--device",
        "cpu",
        "--evaluate",
        "end",
        "--threads",
        THREADS,
    ]
    common += ["--checkpoint-seconds", "0.5", "--eval-train-examples", "1000", "--allow-unverified"]
    code, _step = run_until(command(tmp_path, *common, "--name", "whole"), None, None)
    assert code == 0
    expected = weights(tmp_path / "whole", steps)
    generator = random.Random(preset)
    points = sorted(generator.sample(range(1, max(2, int(steps * 0.95))), max(1, int(POINTS * (share**0.5)))))
    first = command(tmp_path, *common, "--name", "stopped")
    resume = command(tmp_path, "--resume", "stopped", "--allow-unverified")
    for index, point in enumerate(points):
        number = (signal.SIGTERM, signal.SIGKILL)[index % 2]
        code, seen = run_until(first if index == 0 else resume, point, number)
        assert code == (143 if number == signal.SIGTERM else -9), (code, seen)
    code, _step = run_until(resume, None, None)
    assert code == 0
    assert weights(tmp_path / "stopped", steps) == expected


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("alone")
def test_a_run_of_measured_threads_goes_on_with_the_same_count(tmp_path: Path) -> None:
    arguments = [
        "--dataset",
        "synthetic",
        "--steps",
        "100000",
        "--device",
        "cpu",
        "--checkpoint-seconds",
        "0.3",
    ]
    code, _step = run_until(command(tmp_path, *arguments, "--name", "r"), 1500, signal.SIGTERM)
    assert code == 143
    for _ in range(2):
        newest = max((tmp_path / "r" / "checkpoints").glob("step-*"))
        recorded = json.loads((newest / "manifest.json").read_text())["threads"]
        at = int(newest.name.partition("-")[2])
        code, _step = run_until(
            command(tmp_path, "--resume", "r", "--strict"), at + 200, signal.SIGTERM
        )  # strict: refused were the count another one
        assert code == 143
        lines = (tmp_path / "r" / "events.jsonl").read_text().splitlines()
        started = [event for event in map(json.loads, lines) if event["event"] == "run_started"]
        assert started[-1]["device"]["threads"] == recorded
        assert started[-1]["differences"] == []
