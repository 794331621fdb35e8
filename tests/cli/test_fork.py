"""``cifar-tui fork``: a new run from a checkpoint of another."""

from __future__ import annotations

import json
import re

import pytest

from tests.cli.cli_tools import train_base
from tests.cli.command import call


@pytest.fixture
def runs(tmp_path):
    train_base(tmp_path, steps=6)
    return tmp_path


def test_it_prints_the_new_id_and_the_command_to_go_on(capsys, runs):
    done = call(capsys, "fork", "base", "--learning-rate", "1e-3", "--runs-dir", runs)
    assert done.code == 0
    assert done.out == "fnn-synthetic-1\n"
    assert "learning_rate: 0.0001 -> 0.001" in done.err
    command = re.search(r"next  cifar-tui (train .*)", done.err)
    assert command is not None
    words = command.group(1).split()
    assert words[:3] == ["train", "--resume", "fnn-synthetic-1"]
    assert "--steps" in words  # the fork is at its target already
    words[words.index("--steps") + 1] = "9"
    went_on = call(capsys, *words, "--json")
    assert went_on.code == 0
    found = [json.loads(line) for line in went_on.out.splitlines()]
    assert next(event for event in found if event["event"] == "run_started")["step"] == 6
    assert found[-1]["step"] == 9


def test_json_says_what_was_made_of_what(capsys, runs):
    done = call(
        capsys, "fork", "base", "--best", "--name", "b", "--set", "dropout=0.2", "--json", "--runs-dir", runs
    )
    found = json.loads(done.out)
    assert (found["run"], found["step"]) == ("b", 6)
    assert found["parent"] == {"run": "base", "step": 6}
    assert found["changed"] == {"dropout": {"old": 0.0, "new": 0.2}}
    assert json.loads((runs / "b" / "run.json").read_text())["parent"]["run"] == "base"


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["base", "--num-nodes", "16"], 2, "num_nodes 8 -> 16"),
        (["base", "--dataset", "cifar10"], 2, "dataset"),
        (["base", "--at", "3"], 66, "3"),
        (["base", "--at", "6", "--best"], 2, "--at and --best"),
        (["base", "--name", "base"], 73, "base"),
        (["base", "--name", "a/b"], 2, "a/b"),
        (["none"], 66, "none"),
    ],
)
def test_a_fork_that_cannot_be_leaves_nothing_behind(capsys, runs, words, code, part):
    done = call(capsys, "fork", *words, "--runs-dir", runs)
    assert done.code == code
    assert part in done.err
    assert done.out == ""
    assert [path.name for path in runs.iterdir()] == ["base"]
