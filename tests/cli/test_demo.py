"""``cifar-tui demo``: the whole loop with no network."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time

import pytest

from cifar_tui.cli import demo
from cifar_tui.recipe import resolve
from tests.cli.cli_tools import ESCAPE
from tests.cli.command import call, environment


def test_the_recipe_is_legal_and_ends_by_itself():
    recipe = resolve(flags=demo.RECIPE)
    assert recipe.config.dataset == "synthetic"
    assert recipe.config.max_seconds is not None
    assert recipe.config.max_seconds <= 25
    assert recipe.warnings == ()


def test_a_short_demo_has_every_part(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(
        demo, "RECIPE", {**demo.RECIPE, "steps": "12", "evaluate_first": "4", "eval_train_examples": "500"}
    )
    done = call(capsys, "demo", "--runs-dir", tmp_path, "--data-dir", tmp_path / "data")
    assert done.code == 0
    assert not ESCAPE.search(done.out + done.err)
    assert "The pictures are synthetic" in done.err
    for part in ("Loss", "Accuracy", "step  4", "split ", "worst class", "us median"):
        assert part in done.out, part
    assert "cifar-tui evaluate cnn-synthetic-1" in done.err
    assert "cifar-tui train --preset seed-cnn" in done.err
    assert (tmp_path / "cnn-synthetic-1" / "run.json").is_file()
    assert not (tmp_path / "data").exists()


def test_on_a_terminal_pictures_come_first(capsys, monkeypatch):
    from pathlib import Path

    from cifar_tui.cli.console import Screen

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for columns, rows in ((80, 2), (200, 1)):
        monkeypatch.setattr(shutil, "get_terminal_size", lambda fallback=None, columns=columns: (columns, 40))
        demo._show_samples(Screen(terminal=True, colour=True, unicode=True), Path("none"))
        out = capsys.readouterr().out
        assert "\x1b[38;2;" in out
        captions = [line for line in out.splitlines() if line and "\x1b" not in line]
        assert len(captions) == rows
        assert sum(len(line.split()) for line in captions) == demo.SAMPLES
        assert all(len(line) < columns for line in captions)


@pytest.mark.slow
def test_the_demo_learns_and_stays_under_a_minute(tmp_path):
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "cifar_tui", "demo", "--runs-dir", str(tmp_path)],
        capture_output=True, text=True, env=environment(), timeout=120, check=False,
    )  # fmt: skip
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    assert took < 60
    test = next(line for line in done.stdout.splitlines() if line.startswith("test "))
    assert float(test.split()[2].rstrip("%")) > 40
