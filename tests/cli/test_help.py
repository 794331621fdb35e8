"""Every command has a help text and an example, and the examples work."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cifar_tui.cli.main import COMMANDS, app
from tests.cli.command import call, make_run

# Commands whose examples take seconds or the network; their own tests run them.
DEAR = {"bench", "demo", "train", "evaluate", "fork", "parity", "data download"}
DEAR |= {f"runs {name}" for name in ("pause", "unpause", "stop", "change")}  # they need a training


def walk(command: Any, context: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name in command.list_commands(context) if hasattr(command, "list_commands") else ():
        inner = command.get_command(context, name)
        yield from walk(inner, type(context)(inner, info_name=name, parent=context), (*path, name))


def tree() -> list[tuple[str, Any]]:
    root = typer.main.get_command(app)
    context = root.make_context("cifar-tui", [], resilient_parsing=True)
    return [(" ".join(path), command) for path, command in walk(root, context, ()) if path]


TREE = tree()
PATHS = [path for path, _command in TREE]


def example(command: Any) -> str:
    """The command line after ``Example:`` in the help."""
    text = command.epilog or ""
    return " ".join(text.partition("Example:")[2].split())


def test_the_tree_holds_every_command() -> None:
    assert set(COMMANDS) <= set(PATHS)
    for path in ("data status", "data verify", "runs delete", "runs export", "models show", "presets show"):
        assert path in PATHS


@pytest.mark.parametrize(("path", "command"), TREE, ids=PATHS)
def test_every_command_says_what_it_does(path: str, command: Any) -> None:
    assert command.help, path
    first = command.help.strip().splitlines()[0]
    assert first.endswith("."), first
    assert len(first) <= 110
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{path}: {parameter.name} has no help"


@pytest.mark.parametrize(("path", "command"), TREE, ids=PATHS)
def test_every_command_has_an_example_of_itself(path: str, command: Any) -> None:
    if path in {"data", "runs", "config"}:  # groups, which do nothing of their own
        return
    assert example(command).startswith(f"cifar-tui {path}"), path


@pytest.mark.parametrize("path", PATHS)
def test_help_works_and_is_at_most_80_columns_wide(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = call(capsys, *path.split(), "--help")
    assert found.code == 0
    assert found.err == ""
    assert found.out.startswith(f"Usage: cifar-tui {path}")
    assert max(len(row) for row in found.out.splitlines()) <= 80
    assert "..." not in found.out.partition("Commands:")[2], "a summary is cut"


@pytest.mark.parametrize(
    ("path", "command"),
    [entry for entry in TREE if entry[0] not in DEAR],
    ids=[p for p in PATHS if p not in DEAR],
)
def test_examples_work_as_written(
    path: str,
    command: Any,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = shlex.split(example(command))
    if not words:
        return
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CIFAR_TUI_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CIFAR_TUI_RUNS_DIR", str(tmp_path / "runs"))
    for name in ("fnn-cifar10-1", "first-try"):
        if name in words and (path != "runs rename" or name != "first-try"):
            make_run(tmp_path / "runs", name)
    found = call(capsys, *words[1:])
    assert found.code == 0, found.err


@pytest.mark.parametrize("path", [path for path in PATHS if path not in {"data", "runs", "config"}])
def test_no_option_is_spelt_in_two_ways(path: str) -> None:
    """What several commands share is the same flag everywhere."""
    command = dict(TREE)[path]
    flags = [flag for parameter in command.params for flag in getattr(parameter, "opts", [])]
    assert not {"--datadir", "--data_dir", "--rundir", "--runs_dir", "--output-json", "--device-name"} & set(
        flags
    )
    assert len(flags) == len(set(flags))
