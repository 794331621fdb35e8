"""``cifar-tui --help`` is about as quick as the help of a Typer app that does nothing."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command import environment

ROUNDS = 15
LIMIT = 1.3
RIVAL = '''
import typer

app = typer.Typer()


@app.command()
def one(count: int = 1) -> None:
    """Do one thing."""


@app.command()
def two(name: str = "x") -> None:
    """Do another thing."""


@app.command()
def three(flag: bool = False) -> None:
    """Do a third thing."""


if __name__ == "__main__":
    app()
'''


def seconds(words: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, env=environment(), check=True)
    return time.perf_counter() - began


@pytest.mark.benchmark
@pytest.mark.xdist_group("alone")
def test_help_takes_at_most_1_3_times_that_of_an_empty_typer_app(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    rival = tmp_path / "rival.py"
    rival.write_text(RIVAL)
    words = {"ours": ["-m", "cifar_tui", "--help"], "rival": [str(rival), "--help"]}
    times: dict[str, list[float]] = {name: [] for name in words}
    for _ in range(ROUNDS):
        for name, command in words.items():
            times[name].append(seconds(command))
    ours, theirs = (
        statistics.median(times[name][1:]) for name in ("ours", "rival")
    )  # the first warms the disk
    record_property("ours_ms", round(ours * 1000, 1))
    record_property("rival_ms", round(theirs * 1000, 1))
    assert ours <= LIMIT * theirs
