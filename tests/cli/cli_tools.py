"""Small trainings for the tests of the commands that train."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from cifar_tui.cli.main import run
from tests.cli.command import environment

SMALL = [
    "--dataset", "synthetic", "--hidden-layers", "1", "--num-nodes", "8", "--threads", "1",
    "--eval-batch-size", "5000", "--evaluate", "end",
]  # fmt: skip
ESCAPE = re.compile(r"\x1b")


def start(*words: object, **settings: Any) -> subprocess.Popen[str]:
    """Run a command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "cifar_tui", *(str(word) for word in words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(PYTHONUNBUFFERED="1"), **settings,
    )  # fmt: skip


def train_base(runs: Path, *more: str, steps: int = 20, name: str = "base") -> None:
    """Make a small run."""
    code = run(["train", *SMALL, "--steps", str(steps), "--name", name, "--runs-dir", str(runs), *more])
    assert code == 0
