"""Text for people."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar_tui.text import from_home


def test_a_path_below_the_home_folder_is_written_with_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("USERPROFILE", "/home/me")
    assert from_home("/home/me/runs/a b") == str(Path("~/runs/a b"))
    assert from_home(Path("/home/me")) == "~"
    assert from_home("/home/meanwhile/x") == str(Path("/home/meanwhile/x"))
    assert from_home("runs") == "runs"
