"""``cifar-tui parity``: ours beside the notebook's. The presets are made small here."""

from __future__ import annotations

import json

import pytest

from cifar_tui.cli import parity
from cifar_tui.presets import seed_cnn, seed_fnn
from tests.cli.command import call


@pytest.fixture
def small(monkeypatch):
    for preset in (seed_fnn, seed_cnn):
        for name, value in {"dataset": "synthetic", "num_nodes": 8, "hidden_layers": 1}.items():
            monkeypatch.setitem(preset.VALUES, name, value)
    monkeypatch.setitem(seed_cnn.VALUES, "model", "fnn")  # its L2 penalty is what matters here


def test_ours_stand_beside_the_notebooks_with_the_difference(capsys, tmp_path, small):
    done = call(capsys, "parity", "--steps", "3", "--device", "cpu", "--runs-dir", tmp_path)
    assert done.code == 0
    assert "seed-fnn, 3 steps on cpu" in done.out
    assert "seed-cnn, 3 steps on cpu" in done.out
    assert "the notebook trained 10,000 steps, so this is no parity" in done.out
    assert "CUDA device" in done.err
    rows = [line.split() for line in done.out.splitlines()]
    row = next(r for r in rows if r[:3] == ["test", "accuracy", "(%)"])
    ours, theirs, difference = (float(cell) for cell in row[3:])
    assert theirs == 48.46
    assert difference == pytest.approx(ours - theirs, abs=0.011)


def test_json_has_losses_with_the_penalty_as_the_notebook_has(capsys, tmp_path, small):
    done = call(
        capsys,
        "parity",
        "--model",
        "cnn",
        "--steps",
        "2",
        "--device",
        "cpu",
        "--json",
        "--runs-dir",
        tmp_path,
    )
    assert done.code == 0
    assert done.err == ""
    (found,) = json.loads(done.out)
    assert found["preset"] == "seed-cnn"
    assert found["device"] == "cpu"
    assert found["notebook"] == seed_cnn.REFERENCE
    report = json.loads((tmp_path / found["run"] / "report.json").read_text())
    test = report["splits"]["test"]
    assert test["loss_with_penalty"] > test["loss"]
    assert found["ours"]["test"]["loss"] == test["loss_with_penalty"]
    assert found["difference"]["test"]["accuracy"] == pytest.approx(test["accuracy"] - 0.6707)


@pytest.mark.parametrize(
    ("words", "part"),
    [(["--model", "resnet"], "fnn, cnn or all"), (["--steps", "x"], "steps"), (["--seed", "-1"], "seed")],
)
def test_bad_values_are_refused_before_anything_is_made(capsys, tmp_path, words, part):
    done = call(capsys, "parity", *words, "--runs-dir", tmp_path / "runs")
    assert done.code == 2
    assert part in done.err
    assert not (tmp_path / "runs").exists()


def test_a_missing_figure_has_no_difference():
    assert parity.differences({"a": 1.0, "b": {}}, {"a": 0.5, "b": {"c": 1.0}, "d": 2.0}) == {
        "a": 0.5, "b": {"c": None}, "d": None,
    }  # fmt: skip
