"""Faults 36 to 45: bad values and configs. Flags, ``--set`` and a TOML file give the same verdict."""

from __future__ import annotations

import json

import psutil
import pytest

from cifar_tui import catalog
from cifar_tui.config import OPTIONS
from cifar_tui.recipe import RULES
from tests.cli.cli_tools import SMALL, train_base
from tests.cli.command import call
from tests.faults.doors import DOORS, TOML_CODE, Doors


@pytest.fixture
def doors(capsys, tmp_path):
    return Doors(capsys, tmp_path)


# ---- 36 ----


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e400", "-1e-3", "0"])
def test_fault_036_a_learning_rate_that_is_no_number_above_zero(doors, door, text):
    doors.refused(door, {"learning_rate": text}, "learning_rate is", "above 0, at most 100")


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("name", "text"),
    [("batch_size", "0"), ("batch_size", "-5"), ("steps", "-1"), ("dropout", "1.5"), ("num_nodes", "0"),
     ("epochs", "0"), ("seed", "-1"), ("eval_batch_size", "0"), ("momentum", "1"), ("beta1", "1.0")],
)  # fmt: skip
def test_fault_036_out_of_range_values_are_named_with_their_range(doors, door, name, text):
    doors.refused(door, {name: text}, f"{name} is", OPTIONS[name].range)


@pytest.mark.parametrize("name", [o.name for o in OPTIONS.values() if o.kind in {"int", "float"}])
def test_fault_036_every_number_refuses_nan_and_infinity(doors, name):
    for text in ("nan", "inf", "1e999"):
        doors.refused("flag", {name: text}, f"{name} is")


# ---- 37 ----


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("name", "text"),
    [("num_nodes", "1000000000"), ("hidden_layers", "1000000"), ("batch_size", "1000000000"),
     ("steps", "100000000000000000000000")],
)  # fmt: skip
def test_fault_037_huge_values_are_out_of_range(doors, door, name, text):
    doors.refused(door, {name: text}, f"{name} is", OPTIONS[name].range)


@pytest.mark.parametrize("door", DOORS)
def test_fault_037_a_model_that_does_not_fit_is_refused_before_it_is_made(doors, door, monkeypatch):
    class Memory:
        available = total = 8_000_000_000

    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    values = {"dataset": "synthetic", "hidden_layers": "100", "num_nodes": "65536"}
    doors.refused(door, values, "needs about", "TB of memory, have 8.0 GB", same=True)


# ---- 38 ----


@pytest.mark.parametrize("door", DOORS)
def test_fault_038_no_steps_evaluate_and_save_only_and_say_so(doors, door):
    done = doors.train(door, {"steps": "0"}, *SMALL, "--name", "zero")
    assert done.code == 0
    assert "steps is 0: the initial weights were evaluated and saved, nothing was trained" in done.err
    assert "test " in done.out
    folders = {path.name.split("-")[0] for path in (doors.runs / "zero" / "checkpoints").iterdir()}
    assert {"step", "best"} <= folders
    (ended,) = [
        event
        for line in (doors.runs / "zero" / "events.jsonl").read_text().splitlines()
        if (event := json.loads(line))["event"] == "run_ended"
    ]
    assert (ended["state"], ended["step"], ended["exit"]) == ("done", 0, 0)


# ---- 39 ----


@pytest.mark.parametrize("door", DOORS)
def test_fault_039_a_batch_larger_than_any_set(doors, door):
    doors.refused(door, {"batch_size": "50001"}, "batch_size is", "1 to 50_000")


@pytest.mark.parametrize("door", DOORS)
def test_fault_039_a_batch_larger_than_this_set(doors, door):
    values = {"dataset": "synthetic", "batch_size": "10001"}
    doors.refused(door, values, "batch_size is 10001", "10000 pictures to train on", same=True)


def test_fault_039_what_becomes_of_the_remainder_is_in_the_help(capsys):
    text = " ".join(call(capsys, "train", "--help").out.split())
    assert "What remains of an epoch after the last full batch is left out" in text


# ---- 40 ----


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "text", ["ten", "", "٣", "5 5", "0x10", "1__0", "1_", "1e3", "5.0", "１", "\x1b[31m", "a\0b"]
)
def test_fault_040_text_that_is_no_integer(doors, door, text):
    doors.refused(door, {"batch_size": text}, "batch_size is", "expected an integer")


@pytest.mark.parametrize("door", ["flag", "toml"])
def test_fault_040_spaces_are_no_part_of_a_number(doors, door):
    doors.refused(door, {"steps": " 5 "}, 'steps is " 5 "', "expected an integer")


@pytest.mark.parametrize("door", DOORS)
def test_fault_040_a_megabyte_is_echoed_in_80_safe_characters(doors, door):
    done = doors.train(door, {"steps": "\x1b" + "9x" * 500_000})
    assert done.code in {2, TOML_CODE}
    if door != "toml":  # the file is over its own limit
        assert 'steps is "\\x1b9x9x' in done.err
    assert len(done.err) < 1000
    assert "\x1b" not in done.err
    doors.nothing_was_made()


@pytest.mark.parametrize("door", ["flag", "set"])
def test_fault_040_underscores_between_digits_are_part_of_the_grammar(doors, door):
    done = doors.train(door, {"steps": "20_000"}, "--print-config", "--json")
    assert json.loads(done.out)["config"]["steps"] == 20_000


# ---- 41 ----


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("name", "text", "near"),
    [("optimizer", "adamx", "adam"), ("model", "cn", "cnn"), ("norm", "bacth", "batch"),
     ("dataset", "cifar11", "cifar10"), ("device", "cudo", "cuda"), ("schedule", "cosin", "cosine"),
     ("evaluate", "step", "steps")],
)  # fmt: skip
def test_fault_041_an_unknown_name_gets_the_nearest_and_all(doors, door, name, text, near):
    kind = OPTIONS[name].catalog
    listed = catalog.names(kind) if kind else OPTIONS[name].choices
    doors.refused(door, {name: text}, f'{name} is "{text}"', f'did you mean "{near}', *listed)


def test_fault_041_an_unknown_flag_key_and_preset(doors, capsys):
    for words, part in (
        (["--learning-rat", "1"], "--learning-rate"),
        (["--set", "learning_rat=1"], 'did you mean "learning_rate"'),
        (["--set", "learning_rate"], "key=value"),
        (["--preset", "seed-fn"], 'did you mean "seed-fnn"'),
    ):
        done = call(capsys, "train", *words, "--runs-dir", doors.runs)
        assert done.code == 2
        assert part in done.err
    doors.nothing_was_made()


# ---- 42 ----

BROKEN_RULES = {
    "R-DROPOUT-ONE": {"dropout": "1.0"},
    "R-BATCH-NORM-ONE": {"norm": "batch", "batch_size": "1"},
    "R-COARSE": {"labels": "coarse"},
    "R-EVERY": {"evaluate": "steps"},
    "R-EVERY-UNUSED": {"evaluate_every": "5"},
    "R-EVERY-WHOLE": {"evaluate": "steps", "evaluate_every": "2.5"},
    "R-NESTEROV": {"optimizer": "sgd", "nesterov": "true", "momentum": "0.0"},
    "R-WARMUP": {"warmup_steps": "100", "steps": "100"},
    "R-MIN-RATE": {"schedule": "cosine", "min_learning_rate": "1.0"},
}


def test_fault_042_every_rule_that_refuses_has_a_case_here():
    assert set(BROKEN_RULES) == {rule.id for rule in RULES if rule.level == "error"}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("rule", BROKEN_RULES)
def test_fault_042_combinations_that_cannot_be(doors, door, rule):
    fields = next(found.fields for found in RULES if found.id == rule)
    doors.refused(door, BROKEN_RULES[rule], rule, *fields, same=True)


@pytest.mark.parametrize("door", DOORS)
def test_fault_042_what_is_legal_but_hardly_meant_is_a_warning(doors, door):
    values = {"norm": "batch", "l2_reg": "0.01"}
    done = doors.train(door, values, "--print-config", "--json")
    assert done.code == 0
    (warning,) = json.loads(done.out)["warnings"]
    assert "l2_reg 0.01, norm batch" in warning
    trained = doors.train(door, values, *SMALL, "--steps", "1")
    assert trained.code == 0
    assert "warning: l2_reg" in trained.err


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"model": "fnn", "conv_norm": "batch"}, "conv_norm is an option of model cnn"),
        ({"optimizer": "adamw", "momentum": "0.9"}, "momentum is an option of optimizer sgd"),
        ({"min_learning_rate": "1e-6"}, "min_learning_rate is an option of schedule cosine"),
    ],
)
def test_fault_042_an_option_of_another_choice(doors, door, values, part):
    doors.refused(door, values, part, same=True)


def test_fault_042_a_resumed_run_stays_what_it_is(capsys, tmp_path):
    train_base(tmp_path, steps=4)
    before = (tmp_path / "base" / "events.jsonl").read_bytes()
    changed = tmp_path / "changed.toml"
    changed.write_text("seed = 5\n")
    for words, part in (
        (["--seed", "5"], "seed 0 -> 5"),
        (["--set", "seed=5"], "seed 0 -> 5"),
        (["--config", changed], "seed 0 -> 5"),
        (["--learning-rate", "1"], "cifar-tui fork base --set learning_rate=1.0"),
        (["--model", "cnn"], "model fnn -> cnn"),
        (["--preset", "seed-fnn"], "--preset is for a new run"),
        (["--name", "other"], "--name is for a new run"),
    ):
        done = call(capsys, "train", "--resume", "base", *words, "--steps", "9", "--runs-dir", tmp_path)
        assert done.code == 2, done.err
        assert part in done.err
        assert "nothing changed" in done.err
    assert (tmp_path / "base" / "events.jsonl").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "changed.toml"]


# ---- 43 ----


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"steps = \n", ["recipe.toml:1"]),
        (b"steps = 5\nsteps = 6\n", ["recipe.toml:2"]),
        (b"steps = 5\n[schedule]\nsteps = 6\n", ["steps is given twice"]),
        (b"\n\nstepz = 5\n", ["recipe.toml:3", 'unknown option "stepz"', 'did you mean "steps"']),
        (b"[model]\nsteps = 5\n", ["recipe.toml:2", "belongs in [schedule]"]),
        (b"[nothing]\nsteps = 5\n", ["recipe.toml", "nothing"]),
        (b"steps = [5]\n", ["recipe.toml:1", "takes one value"]),
        (b"steps = true\n", ["recipe.toml:1", "steps is", "integer"]),
        (b"preset = 5\n", ["recipe.toml:1", "preset"]),
        (b"seed = 1\nsteps = \xff\n", ["recipe.toml:2", "UTF-8"]),
        (b"steps = " + b"9" * 5000 + b"\n", ["recipe.toml"]),
        (b"a = " + b"[" * 100_000, ["recipe.toml"]),
        (b"#" * 1_000_001, ["more than 1000000 bytes"]),
        (b"{\"steps\": 5}\n", ["recipe.toml:1"]),
        (b"steps = 5\0\n", ["recipe.toml"]),
    ],
)  # fmt: skip
def test_fault_043_a_broken_file_is_refused_with_its_line(doors, capsys, content, parts):
    doors.file.write_bytes(content)
    done = call(capsys, "train", "--config", doors.file, "--runs-dir", doors.runs, "--data-dir", doors.data)
    assert done.code == 78
    for part in parts:
        assert part in done.err
    assert "Traceback" not in done.err
    assert len(done.err) < 1500
    doors.nothing_was_made()


def test_fault_043_a_file_that_is_not_there_or_no_file(doors, capsys, tmp_path):
    for name in (tmp_path / "none.toml", tmp_path, "a\0b", ""):
        done = call(capsys, "train", "--config", name, "--runs-dir", doors.runs)
        assert done.code == 78
        assert "--config" in done.err
    doors.nothing_was_made()


# ---- 44 ----


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("device", ["cuda", "cuda:99"])
def test_fault_044_a_device_that_is_not_there_is_never_replaced(doors, door, device, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    values = {"dataset": "synthetic", "device": device}
    doors.refused(door, values, f"device {device} is not available", "there is", "cpu", code=69, same=True)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:-1", "cuda:", "CPU", ""])
def test_fault_044_what_is_no_device(doors, door, device):
    doors.refused(door, {"device": device}, f'device is "{device}"', "valid: auto, cpu, cuda")


# ---- 45 ----


def test_fault_045_layers_win_in_the_order_that_the_help_states(doors, capsys):
    doors.file.write_text('preset = "seed-fnn"\nsteps = 3\nbatch_size = 20\nseed = 1\n')
    done = call(
        capsys, "train", "--config", doors.file, "--preset", "seed-cnn", "--set", "batch_size=30", "--set",
        "batch_size=31", "--seed", "8", "--set", "seed=5", "--seed", "9", "--print-config", "--json",
    )  # fmt: skip
    found = json.loads(done.out)
    values = {
        name: (found["config"][name], found["origins"][name])
        for name in ("model", "steps", "batch_size", "seed")
    }
    assert values == {
        "model": ("cnn", "preset seed-cnn"), "steps": (3, "file recipe.toml"), "batch_size": (31, "--set"),
        "seed": (9, "flag"),
    }  # fmt: skip
    text = " ".join(call(capsys, "train", "--help").out.split())
    assert "later ones winning" in text
    assert "A flag given twice counts as given last" in text


def test_fault_045_a_folder_given_as_flag_wins_over_the_environment(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("CIFAR_TUI_RUNS_DIR", str(tmp_path / "environment"))
    train_base(tmp_path / "flag", steps=1)
    assert (tmp_path / "flag" / "base").is_dir()
    assert not (tmp_path / "environment").exists()
    assert call(capsys, "train", *SMALL, "--steps", "1", "--name", "e").code == 0
    assert (tmp_path / "environment" / "e").is_dir()
