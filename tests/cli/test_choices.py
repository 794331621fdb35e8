"""``models``, ``optimizers`` and ``presets``: what can be chosen, without loading torch."""

from __future__ import annotations

import shlex
from collections.abc import Callable

import pytest

from cifar_tui import catalog
from cifar_tui.config import OPTIONS
from cifar_tui.recipe import resolve
from tests.cli.command import Outcome, call

Cli = Callable[..., Outcome]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return lambda *words: call(capsys, *words)


def test_models_are_listed_with_their_size(cli: Cli) -> None:
    found = cli("models", "--json").json
    assert [each["name"] for each in found] == list(catalog.names("models"))
    assert found[0]["parameters"] == 510_234  # the notebook's default feed-forward net
    text = cli("models").out
    for each in found:
        assert f"{each['parameters']:,}" in text
        assert each["summary"] in text


@pytest.mark.parametrize("name", catalog.names("models"))
def test_the_layer_table_adds_up(cli: Cli, name: str) -> None:
    found = cli("models", "show", name, "--json").json
    assert sum(layer["parameters"] for layer in found["layers"]) == found["parameters"] > 0
    assert sum(layer["flops"] for layer in found["layers"]) == found["flops"] > 0
    assert found["layers"][-1]["shape"] == [10]
    text = cli("models", "show", name).out
    assert all(layer["name"] in text for layer in found["layers"])
    assert f"{found['parameters']:,}" in text


@pytest.mark.parametrize("preset", catalog.names("presets"))
def test_the_forward_check_agrees_with_the_table(cli: Cli, preset: str) -> None:
    model = resolve(preset=preset).config.model
    found = cli("models", "show", model, "--preset", preset, "--check")
    assert found.code == 0, found.err
    assert "logits (50, 10)" in found.out


def test_flags_of_the_schema_change_the_table(cli: Cli) -> None:
    small = cli("models", "show", "fnn", "--hidden-layers", "1", "--num-nodes", "16", "--json").json
    assert small["parameters"] == 3072 * 16 + 16 + 2 + 16 * 10 + 10
    assert cli("models", "show", "fnn", "--classes", "100", "--json").json["layers"][-1]["shape"] == [100]
    wide = cli("models", "show", "fnn", "--num-nodes", "4096", "--json").json
    assert wide["memory_bytes"] > small["memory_bytes"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("models", "show", "cn"), '"cnn"'),
        (("models", "show", "fnn", "--num-nodes", "0"), "1 to 65_536"),
        (("models", "show", "fnn", "--conv-norm", "batch"), "cnn"),
        (("models", "show", "fnn", "--classes", "1"), "2 to 100000"),
        (("models", "show"), "cifar-tui models show --help"),
        (("models", "bogus"), "bogus"),
        (("presets", "show", "seed-cn"), '"seed-cnn"'),
        (("presets", "show", "cnn"), "seed-cnn"),
        (("optimizers", "adam"), "adam"),
    ],
)
def test_a_bad_choice_is_a_usage_error_that_says_what_is_valid(
    cli: Cli, words: tuple[str, ...], text: str
) -> None:
    found = cli(*words)
    assert found.code == 2
    assert found.out == ""
    assert text in found.err


def test_optimizers_show_the_defaults_that_a_training_uses(cli: Cli) -> None:
    found = {each["name"]: each for each in cli("optimizers", "--json").json}
    assert list(found) == list(catalog.names("optimizers"))
    for name, each in found.items():
        config = resolve(flags={"optimizer": name}).config
        assert each["options"] == {option: getattr(config, option) for option in each["options"]}
        assert set(each["options"]) - {"learning_rate"} == set(catalog.get("optimizers", name).OPTIONS)
    assert "--nesterov" in cli("optimizers").out


def test_presets_are_listed_and_shown(cli: Cli) -> None:
    assert [each["name"] for each in cli("presets", "--json").json] == list(catalog.names("presets"))
    shown = cli("presets", "show", "seed-cnn")
    assert shown.code == 0
    assert "20000" in shown.out
    assert "preset seed-cnn" in shown.out


@pytest.mark.parametrize("name", catalog.names("presets"))
def test_the_command_line_of_a_preset_stands_for_the_same_config(cli: Cli, name: str) -> None:
    found = cli("presets", "show", name, "--json").json
    words = shlex.split(found["command"])
    assert words[:2] == ["cifar-tui", "train"]
    by_flag = {option.flag: option.name for option in OPTIONS.values()}
    flags = {by_flag[flag]: value for flag, value in zip(words[2::2], words[3::2], strict=True)}
    assert resolve(flags=flags).config.model_dump() == found["config"]
