"""The app's own options: where its data and runs are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cifar_tui.cli import start
from cifar_tui.cli.main import run
from cifar_tui.errors import UsageError
from tests.cli.command import call, environment


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], (None, None)),
        (["--data-dir", "d"], ("d", None)),
        (["--runs-dir=r"], (None, "r")),
        (["--runs-dir", "a", "--data-dir=b c", "--runs-dir", "r"], ("b c", "r")),
        (["--data-dir="], ("", None)),
        (["--data-dir"], None),
        (["--data-dir", "--runs-dir"], None),
        (["--help"], None),
        (["train"], None),
        (["--data-dir", "d", "train"], None),
        (["--data-dirs", "d"], None),
    ],
)
def test_the_folders_are_read_without_the_command_library(
    words: list[str], expected: tuple[str | None, str | None] | None
) -> None:
    assert start.folders_of(words) == expected


@pytest.mark.parametrize("spelled", ["quick", "slow"])
def test_the_app_opens_on_the_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelled: str) -> None:
    opened: list[Any] = []
    monkeypatch.setattr(start, "check_terminal", lambda: None)
    monkeypatch.setattr("cifar_tui.tui.supervisor.supervise", lambda: None)
    monkeypatch.setattr("cifar_tui.tui.app.run_app", lambda *words, **_: opened.append(words) or 0)
    monkeypatch.setattr(start.gc, "disable", lambda: None)
    monkeypatch.chdir(tmp_path)
    words = ["--data-dir", "d", "--runs-dir", str(tmp_path / "r")]
    assert (start.main(words) if spelled == "quick" else run(words)) == 0
    assert opened[0][:2] == (tmp_path / "d", tmp_path / "r")


@pytest.mark.parametrize("flag", ["--data-dir", "--runs-dir"])
def test_a_folder_that_is_none_is_refused_before_the_app_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    monkeypatch.setattr(start, "check_terminal", lambda: None)
    (tmp_path / "file").write_text("")
    for text, said in ((str(tmp_path / "file"), "is no folder"), (" ", "is empty"), ("a\0b", "is empty")):
        words = {"data_dir" if flag == "--data-dir" else "runs_dir": text}
        with pytest.raises(UsageError, match=said) as caught:
            start.run_app(**words)
        assert flag in caught.value.message


def test_before_a_command_they_are_refused_with_the_way_to_write_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    found = call(capsys, "--runs-dir", tmp_path, "runs", "list")
    assert found.code == 2
    assert "--runs-dir stands before a command" in found.err
    assert "hint:  cifar-tui runs --help" in found.err


def test_the_help_names_them_and_loads_no_heavy_library() -> None:
    code = (
        "import sys\nfrom cifar_tui.cli.main import run\ncode = run(['--help'])\n"
        "heavy = {'torch', 'textual', 'numpy', 'rich', 'pydantic'} & sys.modules.keys()\n"
        "assert not heavy, heavy\nsys.exit(code)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False
    )
    assert found.returncode == 0, found.stderr
    assert "--data-dir DIR" in found.stdout and "--runs-dir DIR" in found.stdout
