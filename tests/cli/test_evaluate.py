"""``cifar-tui evaluate``: the report of a checkpoint."""

from __future__ import annotations

import json

import pytest

from cifar_tui.cli import evaluate
from tests.cli.cli_tools import ESCAPE, train_base
from tests.cli.command import call


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    train_base(folder)
    return folder


def test_the_report_has_summary_classes_and_confusions_of_both_splits(capsys, runs):
    done = call(capsys, "evaluate", "base", "--runs-dir", runs)
    assert done.code == 0
    assert done.err == ""
    assert not ESCAPE.search(done.out)
    lines = done.out.splitlines()
    assert lines[0] == "run base, checkpoint of step 20, on synthetic"
    assert [line.split()[0] for line in lines[2:5]] == ["split", "train", "test"]
    for part in ("ECE", "train: classes", "test: classes", "train: most confused", "test: most confused"):
        assert part in done.out
    header = "class            support  precision  recall      f1  most often taken for"
    assert done.out.count(header) == 2


def test_json_agrees_with_what_the_run_recorded(capsys, runs):
    done = call(capsys, "evaluate", "base", "--json", "--runs-dir", runs)
    found = json.loads(done.out)
    assert done.err == ""
    assert (found["run"], found["step"]) == ("base", 20)
    recorded = json.loads((runs / "base" / "report.json").read_text())
    for split in ("train", "test"):
        assert found["splits"][split]["accuracy"] == recorded["splits"][split]["accuracy"]
        assert found["splits"][split]["confusion"] == recorded["splits"][split]["confusion"]


def test_one_split_and_one_checkpoint(capsys, runs):
    done = call(
        capsys, "evaluate", "base", "--split", "test", "--checkpoint", "20", "--json", "--runs-dir", runs
    )
    assert list(json.loads(done.out)["splits"]) == ["test"]
    best = call(
        capsys, "evaluate", "base", "--split", "test", "--checkpoint", "best", "--json", "--runs-dir", runs
    )
    assert json.loads(best.out)["checkpoint"].startswith("best-")


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["base", "--checkpoint", "newest"], 2, "best, last or a step"),
        (["base", "--checkpoint", "-1"], 2, "best, last or a step"),
        (["base", "--checkpoint", "7"], 66, "7"),
        (["base", "--split", "dev"], 2, "train, test, validation"),
        (["base", "--split", "validation"], 2, "has no validation split"),
        (["base", "--device", "cuda:99"], 69, "cuda:99"),
        (["other"], 66, 'there is no run "other"'),
        (["../base"], 2, "../base"),
    ],
)
def test_what_cannot_be_evaluated_is_named(capsys, runs, words, code, part):
    done = call(capsys, "evaluate", *words, "--runs-dir", runs)
    assert done.code == code
    assert part in done.err
    assert done.out == ""


def test_nothing_of_the_run_is_changed(capsys, runs):
    def files() -> dict[str, tuple[int, int]]:
        return {
            str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in (runs / "base").rglob("*")
        }

    before = files()
    assert call(capsys, "evaluate", "base", "--runs-dir", runs).code == 0
    assert files() == before


def many(count: int) -> dict:
    classes = [
        {
            "name": f"c{i:03d}",
            "support": 10,
            "precision": 0.5,
            "recall": i / count,
            "f1": 0.5,
            "taken_for": "c000",
        }
        for i in range(count)
    ]
    report = {
        "loss": 1.0, "loss_with_penalty": 1.5, "accuracy": 0.5, "top5": 0.9, "classes": classes,
        "calibration": {"ece": 0.1}, "most_confused": [],
    }  # fmt: skip
    dataset = {"name": "cifar100", "state": "unverified"}
    return {"run": "r", "step": 1000, "dataset": dataset, "splits": {"test": report}}


def test_of_100_classes_only_the_worst_ten_are_shown_unless_all_are_wanted():
    short = evaluate.report(many(100), all_classes=False)
    assert "(unverified)" in short
    assert "the worst ten of 100 classes" in short
    assert [f"c{i:03d}" for i in range(10)] == [
        line.split()[0] for line in short.splitlines() if line.startswith("c0") and "%" in line
    ]
    assert "c099" in evaluate.report(many(100), all_classes=True)


def test_with_an_l2_penalty_both_losses_are_shown():
    assert "loss+L2" in evaluate.report(many(10), all_classes=False)


def test_names_from_outside_are_made_safe():
    result = many(3)
    result["splits"]["test"]["classes"][0]["name"] = "a\x1b[31m"
    text = evaluate.report(result, all_classes=True)
    assert "\x1b" not in text
    assert "a\\x1b[31m" in text
