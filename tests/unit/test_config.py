"""One schema: every door gives the same verdict, and every value says where it came from."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar_tui import catalog
from cifar_tui.config import OPTIONS, SECTIONS, RunConfig, check_value, find_option, parse_value
from cifar_tui.errors import CifarTuiError, ConfigFileError, UsageError
from cifar_tui.recipe import RULES, describe, read_file, resolve, uses


def test_every_option_has_a_section_a_help_line_and_a_range() -> None:
    for option in OPTIONS.values():
        assert option.section in SECTIONS
        assert option.help.endswith(".")
        assert len(option.help) <= 110
        assert option.range or option.kind == "text" or option.catalog, option.name


def test_defaults_pass_their_own_checks() -> None:
    for option in OPTIONS.values():
        assert check_value(option, option.default) == option.default


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("steps", "20_000", 20_000),
        ("steps", "+7", 7),
        ("learning_rate", "1e-4", 1e-4),
        ("learning_rate", ".5", 0.5),
        ("learning_rate", "1", 1.0),
        ("nesterov", "yes", True),
        ("nesterov", "FALSE", False),
        ("epochs", "none", None),
        ("norm", "batch", "batch"),
    ],
)
def test_the_number_grammar_takes(name: str, text: str, value: object) -> None:
    found = parse_value(OPTIONS[name], text)
    assert found == value
    assert type(found) is type(value)


@given(st.text(max_size=40))
def test_no_text_escapes_the_grammar_with_anything_but_a_usage_error(text: str) -> None:
    for name in ("steps", "learning_rate", "nesterov", "norm", "epochs", "device"):
        try:
            value = parse_value(OPTIONS[name], text)
        except UsageError as error:
            assert name in error.message
        else:
            assert check_value(OPTIONS[name], value) == value


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_float_is_taken_by_text_exactly_when_it_is_by_value(number: float) -> None:
    option = OPTIONS["learning_rate"]

    def verdict(call: object) -> bool:
        try:
            call()  # type: ignore[operator]
        except UsageError:
            return False
        return True

    assert verdict(lambda: parse_value(option, repr(number))) == verdict(lambda: check_value(option, number))


def test_the_layers_win_in_order_and_say_so(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(
        'preset = "seed-cnn"\ndropout = 0.2\n[optimisation]\nlearning_rate = 1e-3\nbatch_size = 64\n'
    )
    recipe = resolve(file=file, sets=["batch_size=32", "num_nodes=64"], flags={"num_nodes": "96"})
    origins = {
        name: recipe.origins[name]
        for name in ("steps", "dropout", "learning_rate", "batch_size", "num_nodes", "weight_decay", "beta1")
    }
    assert origins == {
        "steps": "preset seed-cnn",
        "dropout": "file recipe.toml",
        "learning_rate": "file recipe.toml",
        "batch_size": "--set",
        "num_nodes": "flag",
        "weight_decay": "adamw default",
        "beta1": "default",
    }
    config = recipe.config
    assert (config.batch_size, config.num_nodes, config.weight_decay, config.dropout) == (32, 96, 0.004, 0.2)


def test_an_optimizers_defaults_give_way_to_anything_asked_for() -> None:
    assert resolve(flags={"weight_decay": "0"}).config.weight_decay == 0.0
    assert resolve(flags={"optimizer": "sgd"}).config.weight_decay == 0.0
    assert resolve(flags={"optimizer": "rmsprop"}).config.beta2 == 0.9


def test_the_effective_config_lists_what_is_in_use_only() -> None:
    names = [row[0] for row in describe(resolve(flags={"optimizer": "sgd"}))]
    assert "momentum" in names
    assert "beta1" not in names
    assert "conv_norm" not in names


def test_every_preset_is_valid_and_differs_from_the_defaults_by_name() -> None:
    for name in catalog.names("presets"):
        recipe = resolve(preset=name)
        assert recipe.preset == name
        assert set(catalog.get("presets", name).VALUES) <= set(OPTIONS)


def test_steps_asked_for_by_hand_replace_the_epochs_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_text("epochs = 3.0\n")
    assert resolve(file=file).config.epochs == 3.0
    assert resolve(file=file, flags={"steps": "10"}).config.epochs is None


def test_an_option_is_found_by_its_alias_and_with_dashes() -> None:
    assert find_option("batch").name == "batch_size"
    assert find_option("learning-rate").name == "learning_rate"


def test_rules_name_fields_of_the_schema() -> None:
    for rule in RULES:
        assert set(rule.fields) <= set(OPTIONS), rule.id


BROKEN_RULES = [
    ({"dropout": "1"}, "R-DROPOUT-ONE"),
    ({"norm": "batch", "batch_size": "1"}, "R-BATCH-NORM-ONE"),
    ({"labels": "coarse"}, "R-COARSE"),
    ({"evaluate": "steps"}, "R-EVERY"),
    ({"evaluate_every": "5"}, "R-EVERY-UNUSED"),
    ({"evaluate": "steps", "evaluate_every": "1.5"}, "R-EVERY-WHOLE"),
    ({"optimizer": "sgd", "nesterov": "true"}, "R-NESTEROV"),
    ({"warmup_steps": "2000"}, "R-WARMUP"),
    ({"schedule": "cosine", "min_learning_rate": "1"}, "R-MIN-RATE"),
]


@pytest.mark.parametrize(("flags", "rule"), BROKEN_RULES)
def test_fault_042_a_combination_that_cannot_work_is_refused(flags: dict[str, str], rule: str) -> None:
    with pytest.raises(UsageError) as error:
        resolve(flags=flags)
    assert error.value.id == rule
    rule_fields = next(r.fields for r in RULES if r.id == rule)
    assert all(name in error.value.message for name in rule_fields)


def test_every_rule_of_level_error_is_tested() -> None:
    assert {rule for _flags, rule in BROKEN_RULES} == {rule.id for rule in RULES if rule.level == "error"}


def test_fault_042_l2_with_batch_norm_is_legal_and_warned_about() -> None:
    (warning,) = resolve(flags={"l2_reg": "0.01", "norm": "batch"}).warnings
    assert "l2_reg 0.01" in warning


@pytest.mark.parametrize(
    ("flags", "owner"),
    [
        ({"conv_norm": "batch"}, "cnn"),
        ({"momentum": "0.9"}, "sgd"),
        ({"min_learning_rate": "1e-6"}, "cosine"),
    ],
)
def test_fault_042_an_option_of_another_choice_is_refused(flags: dict[str, str], owner: str) -> None:
    with pytest.raises(UsageError, match=owner) as error:
        resolve(flags=flags)
    assert error.value.exit_code == 2


def test_a_preset_may_hold_options_that_a_flag_makes_useless() -> None:
    config = resolve(preset="seed-cnn", flags={"model": "fnn"}).config
    assert config.model == "fnn"
    assert not uses(config, "conv_norm")


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        ("steps = 5\nsteps = 6\n", 2, "overwrite"),
        ("steps = \n", 1, "nvalid"),
        ("\n\nstep = 5\n", 3, "unknown option"),
        ("[model]\nlearning_rate = 0.1\n", 2, "belongs in"),
        ("norm = 'bach'\n", 1, "norm"),
        ("steps = [1]\n", 1, "one value"),
        ("dropout = 'x'\n", 1, "dropout"),
        ("learning_rate = nan\n", 1, "learning_rate"),
        ("batch = 5\nbatch_size = 6\n", 2, "twice"),
    ],
)
def test_fault_043_a_broken_file_names_its_line(tmp_path: Path, content: str, line: int, says: str) -> None:
    file = tmp_path / "broken.toml"
    file.write_text(content)
    with pytest.raises(ConfigFileError, match=says) as error:
        resolve(file=file)
    assert f"broken.toml:{line}:" in error.value.message
    assert error.value.exit_code == 78


@pytest.mark.parametrize(
    "content",
    [
        b"a = " + b"[" * 100_000,
        b"steps = " + b"9" * 5000,
        b"\xff\xfe",
        b"# " + b"x" * 1_000_001,
        b"steps = " + b"9" * 400,
        b"\x00",
    ],
)
def test_fault_043_a_hostile_file_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "hostile.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigFileError) as error:
        resolve(file=file)
    assert len(error.value.block()) < 1500


def test_fault_043_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError, match="cannot read"):
        read_file(tmp_path / "none.toml")


def test_the_config_round_trips_through_its_record() -> None:
    config = resolve(preset="seed-cnn").config
    assert RunConfig(**config.model_dump()) == config


@given(st.dictionaries(st.sampled_from(sorted(OPTIONS)), st.text(max_size=8), max_size=4))
def test_any_flags_give_a_config_or_an_error_of_ours(flags: dict[str, str]) -> None:
    try:
        recipe = resolve(flags=flags)
    except CifarTuiError as error:
        assert error.exit_code == 2
    else:
        assert isinstance(recipe.config, RunConfig)
