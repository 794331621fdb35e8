"""``cifar-tui runs compare`` and ``runs plot``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command import Outcome, call, make_run

Cli = Callable[..., Outcome]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    return lambda *words: call(capsys, "runs", *words, "--runs-dir", tmp_path)


def row(text: str, name: str) -> list[str]:
    return next(line for line in text.splitlines() if line.startswith(name))[len(name) :].split()


def test_only_settings_that_differ_are_compared(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path, "a", accuracy=0.5)
    make_run(tmp_path, "b", accuracy=0.75, learning_rate="1e-3", num_nodes="64")
    found = cli("compare", "a", "b")
    assert found.code == 0
    settings, _, results = found.out.partition("\n\n")
    assert [line.split() for line in settings.splitlines()] == [
        ["setting", "a", "b"],
        ["learning_rate", "0.0001", "0.001"],
        ["num_nodes", "128", "64"],
    ]
    assert row(results, "best test accuracy") == ["50.00%", "75.00%"]
    assert row(results, "steps/s") == ["20.0", "20.0"]
    assert row(results, "last train loss") == ["1.2500", "1.2500"]
    assert "validation" not in results
    values = cli("compare", "a", "b", "--json").json
    assert values["differences"] == {"learning_rate": [0.0001, 0.001], "num_nodes": [128, 64]}
    assert [each["best_test_accuracy"] for each in values["results"]] == [0.5, 0.75]
    assert values["results"][0]["steps_per_second"] == 20.0


def test_equal_runs_and_damaged_ones_can_be_compared(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path, "a")
    make_run(tmp_path, "b").run_json.write_text("{")
    assert cli("compare", "a", "b").out.startswith("no setting differs\n")
    one = cli("compare", "a", "a")
    assert one.code == 2
    assert cli("compare", "a", "nope").code == 66


def test_the_curves_of_a_run_are_drawn(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path, "a")
    found = cli("plot", "a")
    assert found.code == 0
    for text in ("Loss of a", "Accuracy of a", "train", "test", "~batch", "1.25", "50"):
        assert text in found.out
    assert "\x1b" not in found.out
    assert max(len(line) for line in found.out.splitlines()) <= 80
    loss = cli("plot", "a", "--metric", "loss", "--linear").out
    assert "Accuracy" not in loss


def test_several_runs_are_drawn_in_one_chart(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path, "first", accuracy=0.5)
    make_run(tmp_path, "second", accuracy=0.7)
    found = cli("plot", "first", "second", "--metric", "accuracy")
    assert "Accuracy on test" in found.out
    for text in ("first", "second", "70"):
        assert text in found.out
    assert cli("plot", *["first"], "nope").code == 66


def test_the_series_come_as_json(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path, "a", accuracy=0.5)
    make_run(tmp_path, "b", accuracy=0.7)
    found = cli("plot", "a", "b", "--metric", "accuracy", "--json").json
    assert found == [
        {"run": run, "series": [{"split": "test", "metric": "accuracy", "step": [20], "value": [value]}]}
        for run, value in (("a", 0.5), ("b", 0.7))
    ]
    batch = cli("plot", "a", "--split", "train-batch", "--metric", "loss", "--json").json[0]["series"][0]
    assert batch == {"split": "train-batch", "metric": "moving_loss", "step": [10, 20], "value": [2.0, 1.5]}


def test_bad_words_and_empty_runs_are_said(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path, "a")
    bad = cli("plot", "a", "--metric", "accurcy")
    assert (bad.code, '"accuracy"' in bad.err) == (2, True)
    assert cli("plot", "a", "--split", "tset").code == 2
    (tmp_path / "a" / "events.jsonl").unlink()
    empty = cli("plot", "a")
    assert (empty.code, empty.out) == (0, "")
    assert "nothing to draw" in empty.err
