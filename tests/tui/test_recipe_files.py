"""Recipes as TOML files."""

from __future__ import annotations

import pytest

from cifar_tui.errors import CifarTuiError, ConfigFileError, UsageError
from cifar_tui.recipe import resolve
from cifar_tui.tui.widgets.form_state import FormState
from cifar_tui.tui.widgets.recipe_files import path_of, read_recipe, write_recipe

VALUES = {
    "dropout": "0.2",
    "steps": "30_000",
    "learning_rate": "3.3333e-4",
    "optimizer": "sgd",
    "momentum": "0.9",
    "nesterov": "true",
    "schedule": "cosine",
    "seed": "7",
    "device": "cpu",
}


@pytest.mark.parametrize("preset", [None, "seed-cnn"])
def test_a_recipe_comes_back_from_its_file_as_it_was(preset, tmp_path):
    state = FormState()
    state.load(preset, VALUES)
    path = tmp_path / "recipe.toml"
    write_recipe(path, state.preset, state.values)
    again = FormState()
    again.load(*read_recipe(path))
    assert again.recipe is not None and state.recipe is not None
    assert again.preset == preset
    assert again.recipe.config == state.recipe.config
    assert set(again.values) == set(state.values)


def test_the_command_line_reads_the_same_file(tmp_path):
    state = FormState()
    state.load("seed-cnn", VALUES)
    path = tmp_path / "recipe.toml"
    write_recipe(path, state.preset, state.values)
    assert state.recipe is not None
    assert resolve(file=path).config == state.recipe.config


def test_comments_of_an_old_file_stay_and_its_old_values_go(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(
        '# mine\npreset = "seed-fnn"\nseed = 3\n\n[schedule]\n# long\nsteps = 5\n', encoding="utf-8"
    )
    write_recipe(path, "seed-cnn", {"dropout": "0.3"})
    text = path.read_text(encoding="utf-8")
    assert "# mine" in text and "# long" in text
    assert "seed = 3" not in text and "steps = 5" not in text
    assert read_recipe(path) == ("seed-cnn", {"dropout": "0.3"})


def test_a_file_that_is_no_toml_is_replaced(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_bytes(b"\xff\x00[[[")
    write_recipe(path, None, {"seed": "1"})
    assert read_recipe(path) == (None, {"seed": "1"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps = = 5\n", ":1"),
        ("\nstepz = 5", 'unknown option "stepz"'),
        ("steps = 'many'", "expected an integer"),
        ("[run]\nsteps = 5", "belongs in [schedule]"),
        ('preset = "nope"', "nope"),
        ('optimizer = "sgd"\nbeta1 = 0.5', "beta1"),
    ],
)
def test_an_error_in_a_file_is_named(text, said, tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CifarTuiError) as caught:
        read_recipe(path)
    assert said in caught.value.message


def test_a_missing_file_and_a_missing_folder_are_named(tmp_path):
    with pytest.raises(ConfigFileError, match=r"none\.toml"):
        read_recipe(tmp_path / "none.toml")
    with pytest.raises(CifarTuiError, match="cannot write"):
        write_recipe(tmp_path / "no" / "recipe.toml", None, {})


def test_a_name_that_no_file_can_have_is_refused():
    for text in ("", "  ", "a\0b"):
        with pytest.raises(UsageError):
            path_of(text)
