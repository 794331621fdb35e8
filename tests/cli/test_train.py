"""``cifar-tui train`` off a terminal: what it prints, records and refuses."""

from __future__ import annotations

import json

import pytest

from cifar_tui.config import OPTIONS
from cifar_tui.fsio import dump_json
from tests.cli.cli_tools import ESCAPE, SMALL, train_base
from tests.cli.command import call


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    train_base(runs)
    return runs


def test_a_training_prints_one_line_an_evaluation_and_a_report(capsys, tmp_path):
    done = call(
        capsys, "train", *SMALL[:-2], "--steps", "20", "--evaluate", "steps", "--evaluate-every", "10",
        "--runs-dir", tmp_path,
    )  # fmt: skip
    assert done.code == 0
    lines = done.out.splitlines()
    evaluations = [line for line in lines if line.startswith("step ")]
    assert [line.split()[1] for line in evaluations] == ["10", "20"]
    assert all("train: loss" in line and "test: loss" in line for line in evaluations)
    assert any(line.startswith("split ") and "ECE" in line for line in lines)
    assert any(line.startswith("test ") for line in lines)
    assert "us median" in done.out
    assert str(tmp_path / "fnn-synthetic-1") in done.out


def test_narration_goes_to_stderr_and_names_what_runs_and_what_comes_next(capsys, tmp_path):
    done = call(capsys, "train", *SMALL, "--steps", "3", "--name", "a", "--runs-dir", tmp_path)
    assert "loading torch" in done.err
    assert "run a: fnn" in done.err
    assert "synthetic pictures" in done.err
    assert f"cifar-tui evaluate a --runs-dir {tmp_path}" in done.err
    assert f"cifar-tui train --resume a --steps 1000 --runs-dir {tmp_path}" in done.err


def test_off_a_terminal_there_is_no_control_code_and_no_chart(capsys, tmp_path):
    done = call(capsys, "train", *SMALL, "--steps", "3", "--runs-dir", tmp_path)
    assert not ESCAPE.search(done.out + done.err)
    assert "\r" not in done.out + done.err
    assert "Accuracy" not in done.out


def test_json_prints_events_and_the_last_one_is_run_ended(capsys, tmp_path):
    done = call(capsys, "train", *SMALL, "--steps", "20", "--json", "--runs-dir", tmp_path)
    assert done.code == 0
    assert done.err == ""
    found = [json.loads(line) for line in done.out.splitlines()]
    kinds = [event["event"] for event in found]
    assert kinds.count("run_ended") == 1
    last = found[-1]
    assert last["event"] == "run_ended"
    assert last["run"] == "fnn-synthetic-1"
    assert last["state"] == "done"
    assert last["step"] == 20
    assert last["seconds"] > 0
    assert last["steps_per_second"] > 0
    assert last["median_step_us"] > 0
    for split in ("train", "test"):
        assert last[split]["loss"] > 0
        assert 0 <= last[split]["accuracy"] <= 1
    assert {"run_started", "evaluation", "checkpoint", "phase"} <= set(kinds)


def test_a_finished_run_says_so_and_is_not_trained_again(capsys, trained):
    before = (trained / "base" / "events.jsonl").read_bytes()
    done = call(capsys, "train", "--resume", "base", "--runs-dir", trained)
    assert done.code == 0
    assert "run base has reached its target of 20 steps" in done.out
    assert "--steps 1000" in done.out
    assert (trained / "base" / "events.jsonl").read_bytes() == before


def test_a_finished_run_in_json_gives_its_run_ended_again(capsys, trained):
    done = call(capsys, "train", "--resume", "base", "--json", "--runs-dir", trained)
    assert done.code == 0
    (line,) = done.out.splitlines()
    assert json.loads(line)["event"] == "run_ended"
    assert json.loads(line)["step"] == 20


def test_a_target_behind_the_run_is_not_trained(capsys, trained):
    done = call(capsys, "train", "--resume", "base", "--steps", "7", "--runs-dir", trained)
    assert done.code == 0
    assert "has reached its target of 7 steps" in done.out


def test_a_finished_run_goes_on_with_a_new_target(capsys, tmp_path):
    train_base(tmp_path, steps=10)
    done = call(capsys, "train", "--resume", "base", "--steps", "25", "--json", "--runs-dir", tmp_path)
    found = [json.loads(line) for line in done.out.splitlines()]
    started = next(event for event in found if event["event"] == "run_started")
    assert (started["step"], started["target"]) == (10, 25)
    assert found[-1]["step"] == 25
    listed = json.loads((tmp_path / "base" / "run.json").read_text())
    assert listed["config"]["steps"] == 25


def test_going_on_ends_with_the_same_figures_as_never_stopping(capsys, tmp_path):
    train_base(tmp_path, steps=24, name="whole")
    train_base(tmp_path, steps=10, name="parts")
    first = call(capsys, "train", "--resume", "parts", "--steps", "24", "--json", "--runs-dir", tmp_path)
    second = call(capsys, "train", "--resume", "whole", "--json", "--runs-dir", tmp_path)
    ended = [json.loads(done.out.splitlines()[-1]) for done in (first, second)]
    assert ended[0]["test"]["loss"] == ended[1]["test"]["loss"]
    assert ended[0]["train"]["accuracy"] == ended[1]["train"]["accuracy"]


def test_at_goes_back_to_an_older_checkpoint(capsys, tmp_path):
    train_base(tmp_path, steps=10)
    call(capsys, "train", "--resume", "base", "--steps", "20", "--runs-dir", tmp_path)
    done = call(capsys, "train", "--resume", "base", "--at", "10", "--json", "--runs-dir", tmp_path)
    found = [json.loads(line) for line in done.out.splitlines()]
    assert next(event for event in found if event["event"] == "run_started")["step"] == 10
    assert found[-1]["step"] == 20


def test_print_config_names_the_origin_of_every_value_and_trains_nothing(capsys, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("dropout = 0.3\nnum_nodes = 64\nbatch_size = 32\n")
    done = call(
        capsys, "train", "--preset", "seed-cnn", "--config", recipe, "--set", "num_nodes=96", "--set",
        "seed=4", "--seed", "7", "--print-config", "--json", "--runs-dir", tmp_path / "runs",
    )  # fmt: skip
    assert done.code == 0
    found = json.loads(done.out)
    assert set(found) == {"config", "origins", "warnings"}
    assert set(found["config"]) == set(OPTIONS) == set(found["origins"])
    expected = {
        "beta1": (0.9, "default"), "weight_decay": (0.004, "adamw default"),
        "model": ("cnn", "preset seed-cnn"),
        "dropout": (0.3, "file recipe.toml"), "num_nodes": (96, "--set"), "seed": (7, "flag"),
    }  # fmt: skip
    for name, (value, origin) in expected.items():
        assert (found["config"][name], found["origins"][name]) == (value, origin), name
    assert any("l2_reg" in warning for warning in found["warnings"])
    assert not (tmp_path / "runs").exists()


def test_print_config_as_a_table(capsys):
    done = call(capsys, "train", "--learning-rate", "1e-3", "--print-config")
    assert done.code == 0
    rows = [line.split(maxsplit=2) for line in done.out.splitlines()]
    assert rows[0] == ["option", "value", "from"]
    assert ["learning_rate", "0.001", "flag"] in rows
    assert ["steps", "2000", "default"] in rows


def test_print_config_of_a_resume_starts_from_the_run(capsys, trained):
    done = call(
        capsys,
        "train",
        "--resume",
        "base",
        "--steps",
        "50",
        "--print-config",
        "--json",
        "--runs-dir",
        trained,
    )
    found = json.loads(done.out)
    assert found["config"]["num_nodes"] == 8
    assert found["origins"]["num_nodes"] == "run base"
    assert found["origins"]["steps"] == "flag"


def test_the_help_has_every_option_with_range_and_default_under_its_heading(capsys):
    done = call(capsys, "train", "--help")
    assert done.code == 0
    for option in OPTIONS.values():
        assert option.flag in done.out
    headings = [line for line in done.out.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == [
        "Options:", "Recipe:", "Data:", "Model:", "Optimisation:", "Schedule:", "Evaluation:", "Run:",
    ]  # fmt: skip
    text = " ".join(done.out.split())
    assert "[1 to 1000 layers; default: 8]" in text
    assert "[fnn, cnn; default: fnn]" in text
    assert "--batch-size, --batch" in text
    assert "Example: cifar-tui train" in text


def test_the_alias_means_the_same_option(capsys):
    for flag in ("--batch", "--batch-size"):
        done = call(capsys, "train", flag, "64", "--print-config", "--json")
        assert json.loads(done.out)["config"]["batch_size"] == 64


@pytest.mark.parametrize("flag", [["--at", "5"], ["--strict"]])
def test_options_of_a_resume_need_a_run(capsys, flag):
    done = call(capsys, "train", *flag)
    assert done.code == 2
    assert "--resume" in done.err


def test_a_run_that_is_not_there_is_named(capsys, trained):
    done = call(capsys, "train", "--resume", "bas", "--runs-dir", trained)
    assert done.code == 66
    assert 'did you mean "base"' in done.err


def test_a_taken_name_is_refused_and_the_old_run_stays(capsys, trained):
    before = sorted(path.name for path in trained.iterdir())
    done = call(capsys, "train", *SMALL, "--steps", "2", "--name", "base", "--runs-dir", trained)
    assert done.code == 73
    assert "cifar-tui train --resume base" in done.err
    assert sorted(path.name for path in trained.iterdir()) == before


def test_a_missing_dataset_offline_says_how_to_get_it(capsys, tmp_path):
    done = call(
        capsys, "train", "--offline", "--data-dir", tmp_path / "data", "--runs-dir", tmp_path / "runs"
    )
    assert done.code == 66
    assert "cifar-tui data download cifar10" in done.err
    assert not (tmp_path / "runs").exists()


def test_an_error_in_json_is_one_object_on_stderr(capsys, tmp_path):
    done = call(capsys, "train", "--dataset", "synthetic", "--steps", "x", "--json", "--runs-dir", tmp_path)
    assert done.code == 2
    assert done.out == ""
    found = json.loads(done.err)
    assert found["exit"] == 2
    assert "steps" in found["message"]
    assert dump_json(found)


def test_a_training_that_diverges_ends_with_3_and_says_what_is_kept(capsys, tmp_path):
    done = call(
        capsys, "train", *SMALL, "--steps", "200", "--optimizer", "sgd", "--learning-rate", "100",
        "--norm", "none", "--l2-reg", "100", "--runs-dir", tmp_path, "--name", "wild",
    )  # fmt: skip
    assert done.code == 3
    assert "training diverged" in done.err
    assert 'is kept in run "wild"' in done.err
    assert "cifar-tui fork wild --learning-rate 10" in done.err
    assert done.err.count("stopped being finite") == 1
