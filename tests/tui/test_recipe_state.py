"""What the recipe form holds: the same verdict as the command line, and the command that trains the same."""

from __future__ import annotations

import contextlib
import io
import json
import shlex

import pytest

from cifar_tui.cli.main import run
from cifar_tui.config import OPTIONS
from cifar_tui.errors import CifarTuiError, UsageError
from cifar_tui.recipe import resolve
from cifar_tui.text import safe_text
from cifar_tui.tui.widgets.form_state import (
    FormState,
    choices,
    explain,
    label,
    number_text,
    value_text,
)

TABLE = [
    (None, {}),
    ("seed-fnn", {}),
    ("seed-cnn", {}),
    ("seed-cnn", {"dropout": "0.2"}),
    ("seed-cnn", {"dropout": "1"}),
    ("seed-cnn", {"dropout": "1.5"}),
    ("seed-cnn", {"dropout": "nan"}),
    ("seed-cnn", {"dropout": ""}),
    ("seed-cnn", {"dropout": " 0.2"}),
    ("seed-cnn", {"dropout": "٠.٢"}),
    ("seed-cnn", {"steps": "abc"}),
    ("seed-cnn", {"steps": "20_000"}),
    ("seed-cnn", {"steps": "2__0"}),
    ("seed-cnn", {"steps": "1e3"}),
    ("seed-cnn", {"steps": "0x10"}),
    ("seed-cnn", {"steps": "-5"}),
    ("seed-cnn", {"steps": "9" * 90}),
    ("seed-cnn", {"steps": "0"}),
    ("seed-cnn", {"batch_size": "1"}),
    ("seed-fnn", {"batch_size": "1", "norm": "batch"}),
    ("seed-cnn", {"warmup_steps": "500"}),
    ("seed-cnn", {"warmup_steps": "500", "steps": "100"}),
    ("seed-cnn", {"min_learning_rate": "1", "schedule": "cosine"}),
    ("seed-cnn", {"optimizer": "sgd", "momentum": "0.9", "nesterov": "true"}),
    ("seed-cnn", {"optimizer": "sgd", "nesterov": "true"}),
    ("seed-cnn", {"evaluate": "steps"}),
    ("seed-cnn", {"evaluate": "steps", "evaluate_every": "0.5"}),
    ("seed-cnn", {"evaluate": "steps", "evaluate_every": "500"}),
    ("seed-cnn", {"evaluate_every": "500"}),
    ("seed-cnn", {"labels": "coarse"}),
    ("seed-cnn", {"labels": "coarse", "dataset": "cifar100"}),
    ("seed-cnn", {"model": "resnet-9000"}),
    ("seed-cnn", {"norm": "Batch"}),
    ("seed-cnn", {"dataset": "mnist"}),
    ("seed-cnn", {"epochs": "3"}),
    ("seed-cnn", {"epochs": "3", "steps": "100"}),
    ("seed-cnn", {"epochs": "none"}),
    ("seed-cnn", {"target_accuracy": "0.7", "max_seconds": "60.5"}),
    (None, {"learning_rate": "1e-400"}),
    (None, {"learning_rate": "1e309"}),
    (None, {"seed": "2147483648"}),
]


def _verdict(preset, values):
    try:
        return resolve(preset=preset, flags=values).config
    except CifarTuiError as error:
        return error.id, error.message


def _verdict_of(state: FormState):
    wrong = state.first_error()
    if wrong is None:
        assert state.recipe is not None
        return state.recipe.config
    assert state.recipe is None
    assert wrong[1].error is not None
    return wrong[1].error.id, wrong[1].error.message


@pytest.mark.parametrize(("preset", "values"), TABLE)
def test_the_verdict_is_that_of_the_command_line(preset, values):
    state = FormState()
    state.load(preset, values)
    assert _verdict_of(state) == _verdict(preset, values)


@pytest.mark.parametrize(("preset", "values"), TABLE)
def test_bad_text_is_kept_as_typed(preset, values):
    state = FormState()
    state.load(preset, values)
    assert {name: state.text(name) for name in values} == values


@pytest.mark.parametrize(("preset", "values"), TABLE)
def test_the_copied_command_gives_the_same_config_on_the_command_line(preset, values, tmp_path):
    state = FormState()
    state.load(preset, values)
    words = shlex.split(state.command())
    assert words[:2] == ["cifar-tui", "train"]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([*words[1:], "--print-config", "--json", "--runs-dir", str(tmp_path)])
    if state.recipe is None:
        assert code == 2
        said = json.loads(err.getvalue().splitlines()[-1])
        assert said["message"] in {safe_text(problem.error.message) for problem in state.problems.values()}
    else:
        assert code == 0
        assert json.loads(out.getvalue())["config"] == state.recipe.config.model_dump()


def test_several_wrong_fields_are_all_named():
    state = FormState()
    state.load("seed-cnn", {"steps": "abc", "dropout": "7"})
    assert set(state.problems) == {"steps", "dropout"}
    assert state.problems["steps"].reason == "expected an integer, 0 to 1_000_000_000 steps"
    assert "0 to 1" in state.problems["dropout"].reason


def test_another_spelling_of_the_same_value_is_no_change():
    state = FormState()
    state.load("seed-cnn", {"steps": "20000", "learning_rate": "0.0001", "dropout": "1e-1"})
    assert state.values == {}


def test_an_option_that_the_optimizer_lacks_is_hidden_and_comes_back_with_it():
    state = FormState()
    state.load("seed-cnn", {"optimizer": "sgd", "momentum": "0.9"})
    assert state.is_shown("momentum") and not state.is_shown("beta1")
    state.set_text("optimizer", "adamw")
    assert not state.is_shown("momentum") and state.is_shown("beta1")
    assert state.values == {} and state.recipe is not None
    state.set_text("optimizer", "sgd")
    assert state.values == {"optimizer": "sgd", "momentum": "0.9"}


def test_the_old_value_follows_the_own_default_of_the_optimizer():
    state = FormState()
    assert state.base_text("weight_decay") == "0.004"
    state.set_text("optimizer", "sgd")
    assert state.base_text("weight_decay") == "0"


def test_a_preset_goes_below_the_changes_and_brings_its_model():
    state = FormState()
    state.load("seed-fnn", {"seed": "7", "model": "cnn"})
    state.choose_preset("seed-cnn")
    assert state.values == {"seed": "7"}
    state.load("seed-fnn", {"seed": "7"})
    state.choose_preset("seed-cnn")
    assert (state.text("model"), state.text("steps"), state.text("seed")) == ("cnn", "20_000", "7")


def test_a_warning_of_the_preset_itself_is_not_repeated_until_its_fields_change():
    state = FormState()
    state.load("seed-cnn", {})
    assert state.problems == {}
    state.set_text("l2_reg", "0.02")
    assert not state.problems["l2_reg"].is_error
    assert state.recipe is not None


def test_more_pictures_than_the_dataset_has_are_warned_of():
    state = FormState()
    state.load(None, {"dataset": "synthetic", "batch_size": "20000"})
    assert "10,000" in state.problems["batch_size"].reason and state.recipe is not None
    state.load(None, {"dataset": "synthetic", "validation_examples": "10000"})
    assert "10,000" in state.problems["validation_examples"].reason


def test_unknown_names_change_nothing():
    state = FormState()
    state.load("seed-cnn", {"seed": "7"})
    for preset, values in (("nope", {}), (None, {"colour": "red"})):
        with pytest.raises(UsageError):
            state.load(preset, values)
    assert (state.preset, state.values) == ("seed-cnn", {"seed": "7"})


@pytest.mark.parametrize(
    "value", [1e-4, 1e-7, 0.004, 0.12345678901, 1 / 3, 1.1, 60.0, 1e8, 2.5e-5, 5e-324, 0.0]
)
def test_a_number_reads_back_exactly(value):
    assert float(number_text(value)) == value


def test_short_numbers_stay_short():
    assert [number_text(value) for value in (1e-4, 0.004, 60.0, 1e-7)] == ["1e-4", "0.004", "60", "1e-7"]
    assert value_text(20_000, grouped=True) == "20_000"


def test_every_field_has_a_name_that_fits_and_a_text_that_explains_it():
    for name in OPTIONS:
        assert 0 < len(label(name)) <= 18
        assert OPTIONS[name].flag in explain(name)
        assert OPTIONS[name].kind in {"int", "float", "text"} or choices(name)
