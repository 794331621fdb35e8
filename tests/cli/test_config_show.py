"""``cifar-tui config show``: every setting, and where it comes from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cifar_tui.tui.settings import Settings
from tests.cli.command import Outcome, call

Cli = Callable[..., Outcome]
VARIABLES = ("CIFAR_TUI_DATA_DIR", "CIFAR_TUI_RUNS_DIR", "CIFAR_TUI_MIRROR", "NO_COLOR")


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CIFAR_TUI_CONFIG_DIR", str(tmp_path))
    return lambda *words: call(capsys, "config", "show", *words)


def origins(found: Outcome) -> dict[str, Any]:
    return {each["name"]: (each["value"], each["origin"]) for each in found.json["settings"]}


def test_every_setting_has_a_value_and_an_origin(cli: Cli, tmp_path: Path) -> None:
    found = origins(cli("--json"))
    assert {field.name for field in dataclasses.fields(Settings)} <= set(found)
    assert found["theme"] == ("cifar-dark", "default")
    assert found["config_dir"] == (str(tmp_path), "environment CIFAR_TUI_CONFIG_DIR")
    assert found["data_dir"][1] == found["runs_dir"][1] == found["mirror"][1] == "default"
    assert not (tmp_path / "settings.toml").exists()
    text = cli().out
    assert text.splitlines()[0].split() == ["setting", "value", "from"]
    assert "theme" in text


def test_file_environment_and_flag_are_told_apart(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings.toml").write_text(
        'theme = "cifar-light"\nlog_x = true\nsmoothing = "x"\nfuture = 1\n'
    )
    monkeypatch.setenv("CIFAR_TUI_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("CIFAR_TUI_MIRROR", "http://localhost/x")
    found = origins(cli("--json", "--data-dir", tmp_path / "data"))
    assert found["theme"] == ("cifar-light", "settings file")
    assert found["log_x"] == (True, "settings file")
    assert found["smoothing"] == (0.6, "default: that in the file is no valid value")
    assert found["future"] == (None, "settings file: unknown, ignored")
    assert found["runs_dir"] == (str(tmp_path / "runs"), "environment CIFAR_TUI_RUNS_DIR")
    assert found["data_dir"] == (str(tmp_path / "data"), "flag --data-dir")
    assert found["mirror"] == ("http://localhost/x", "environment CIFAR_TUI_MIRROR")


@pytest.mark.parametrize("content", [b"theme = ", b"\xff\xfe", b"a = [" * 500])
def test_a_file_that_cannot_be_used_is_said_and_left(cli: Cli, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "settings.toml"
    file.write_bytes(content)
    found = cli("--json")
    assert found.code == 78
    assert origins(found)["theme"] == ("cifar-dark", "default")
    assert found.json["problem"]
    assert found.error["where"] == str(file)
    assert file.read_bytes() == content


def test_fault_099_values_of_the_file_cannot_reach_the_terminal(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('theme = "\\u001b[31mred"\n"\\u001b[2J" = 1\n')
    found = cli()
    assert found.code == 0
    assert "\x1b" not in found.out
    assert "red" in found.out
