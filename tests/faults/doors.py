"""The three doors of a value: a flag, ``--set`` and a TOML file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cifar_tui.config import OPTIONS
from tests.cli.command import Outcome, call

DOORS = ("flag", "set", "toml")


TOML_CODE = 78


class Doors:
    """One recipe through three doors, with folders that must not appear when it is refused."""

    def __init__(self, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self._capsys = capsys
        self.runs, self.data = folder / "runs", folder / "data"
        self.file = folder / "recipe.toml"

    def train(self, door: str, values: dict[str, str], *more: str) -> Outcome:
        """Train with these values, given as text."""
        words: list[str] = []
        if door == "flag":
            for name, text in values.items():
                words += [OPTIONS[name].flag, text]
        elif door == "set":
            for name, text in values.items():
                words += ["--set", f"{name}={text}"]
        else:
            self.file.write_text("".join(f"{name} = {_toml(name, text)}\n" for name, text in values.items()))
            words += ["--config", str(self.file)]
        return call(
            self._capsys,
            "train",
            *words,
            *more,
            "--offline",
            "--runs-dir",
            self.runs,
            "--data-dir",
            self.data,
        )

    def refused(
        self, door: str, values: dict[str, str], *parts: str, code: int = 2, same: bool = False
    ) -> None:
        """Check that it is refused with these words and that nothing was made.

        `same`: the code is the same for a file, since no single value in it is wrong.
        """
        done = self.train(door, values)
        assert done.code == (TOML_CODE if door == "toml" and not same else code), done.err
        for part in parts:
            assert part in done.err
        assert done.out == ""
        assert "Traceback" not in done.err
        assert len(done.err.splitlines()) <= 8  # notes on what was loaded, and a block of six lines
        self.nothing_was_made()

    def nothing_was_made(self) -> None:
        """Check that no folder appeared."""
        assert not self.runs.exists()
        assert not self.data.exists()


def _toml(name: str, text: str) -> str:
    numeric = OPTIONS[name].kind in {"int", "float"}
    if OPTIONS[name].kind == "bool" and text in {"true", "false"}:
        return text
    special = {"nan": "nan", "inf": "inf", "-inf": "-inf"}
    if numeric and text in special:
        return special[text]
    try:
        float(text)
    except ValueError:
        return json.dumps(text)
    return text if numeric and text.isascii() and text == text.strip() else json.dumps(text)
