"""How soon the frame is on the screen, beside an app that shows one word."""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

import pytest

from tests.tui.terminal import Terminal

ONE_STATIC = """
from textual.app import App
from textual.widgets import Static

class OneStatic(App):
    def compose(self):
        yield Static("Dashboard")

OneStatic().run()
"""
# Promised is 1.6, on a machine that does nothing else (`pytest -n 0`); beside other tests both are slower,
# and not by the same factor.
LIMIT = 1.6 if "PYTEST_XDIST_WORKER" not in os.environ else 2.0


def seconds_to_paint(folder: Path, code: str) -> float:
    """From the start of the process to the first word."""
    began = time.perf_counter()
    with Terminal(folder, code=code) as terminal:
        while b"Dashboard" not in terminal.raw:
            assert time.perf_counter() - began < 30
            terminal.pump(0.005)
        return time.perf_counter() - began


@pytest.mark.slow
@pytest.mark.benchmark
@pytest.mark.skipif(sys.platform != "linux", reason="needs a Linux pseudo-terminal")
def test_the_first_paint_comes_nearly_as_soon_as_that_of_an_empty_app(tmp_path: Path) -> None:
    empty, ours = [], []
    for number in range(10):
        empty.append(seconds_to_paint(tmp_path / f"empty-{number}", ONE_STATIC))
        ours.append(seconds_to_paint(tmp_path / f"ours-{number}", ""))
    ratio = statistics.median(ours) / statistics.median(empty)
    print(f"empty {statistics.median(empty):.3f} s, ours {statistics.median(ours):.3f} s, ratio {ratio:.2f}")
    assert ratio <= LIMIT
