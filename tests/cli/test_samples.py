"""``cifar-tui samples``: which pictures, how they are drawn, and the PNG sheet."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifar_tui.datasets import load
from tests.cli.command import Outcome, call

Cli = Callable[..., Outcome]


@pytest.fixture(scope="module")
def kept() -> object:
    return load("synthetic", Path())  # held, so that it is drawn once for the module


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, kept: object) -> Cli:
    return lambda *words: call(capsys, "samples", *words, "--data-dir", tmp_path)


def test_off_a_terminal_there_is_a_line_for_each_picture(cli: Cli) -> None:
    found = cli("synthetic")
    assert found.code == 0
    rows = [row.split("\t") for row in found.out.splitlines()]
    assert len(rows) == 8
    train = load("synthetic", Path()).train
    for index, label, name in rows:
        assert train.labels[int(index)] == int(label)
        assert train.names[int(label)] == name


def test_json_names_index_label_and_name(cli: Cli) -> None:
    found = cli("synthetic", "-n", 3, "--json").json
    assert [list(each) for each in found] == [["index", "label", "name"]] * 3


def test_the_same_seed_draws_the_same_pictures(cli: Cli) -> None:
    first, again, other = (cli("synthetic", "--seed", seed).out for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_index_shows_that_very_picture(cli: Cli) -> None:
    found = cli("synthetic", "--split", "test", "--index", 1999, "--index", 0, "--json").json
    assert [each["index"] for each in found] == [1999, 0]


def test_each_class_asked_for_gets_its_share(cli: Cli) -> None:
    found = cli("synthetic", "--class", "ring", "--class", "disc", "-n", 6, "--json").json
    assert sorted(each["name"] for each in found) == ["disc"] * 3 + ["ring"] * 3


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("synthetic", "--class", "rnig"), "ring"),
        (("synthetix",), "synthetic"),
        (("synthetic", "--split", "validation"), "train, test"),
        (("synthetic", "-n", "0"), "1 to 1000"),
        (("synthetic", "--seed", "-1"), "0 or more"),
        (("synthetic", "--index", "10000"), "10000"),
        (("synthetic", "--index", "-1"), "-1"),
        (("synthetic", "--index", "9" * 30), "0 to 9999"),
        (("synthetic", "--seed", "9" * 5000), "--seed"),
        (("synthetic", "--colour", "sometimes"), "auto, always, never"),
        (("synthetic", "--class", "ring", "--index", "1"), "leave one"),
        (("synthetic", "-n", "many"), "-n"),
    ],
)
def test_a_bad_value_is_a_usage_error_that_says_what_is_valid(
    cli: Cli, words: tuple[str, ...], hint: str
) -> None:
    found = cli(*words)
    assert found.code == 2
    assert found.out == ""
    assert hint in found.err


def test_a_missing_dataset_names_the_command_that_fetches_it(cli: Cli) -> None:
    found = cli("cifar10", "--json")
    assert found.code == 66
    assert "cifar-tui data download cifar10" in found.error["hint"]


def test_forced_colour_draws_the_pixels_of_the_picture(cli: Cli) -> None:
    found = cli("synthetic", "--index", 5, "--colour", "always")
    rows = [row for row in found.out.splitlines() if "▀" in row]
    assert len(rows) == 16
    image = load("synthetic", Path()).train.images[5]
    red, green, blue = image[0, 0]
    assert f"38;2;{red};{green};{blue}" in rows[0].split("m")[0]
    assert "5 " in found.out.splitlines()[-1]


def test_without_a_terminal_there_is_no_control_code(cli: Cli) -> None:
    assert "\x1b" not in cli("synthetic").out
    assert "\x1b" not in cli("synthetic", "--colour", "never").out


def test_the_grid_fits_the_width_of_the_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for columns, across in ((80, 2), (70, 2), (40, 1), (150, 4)):
        monkeypatch.setenv("COLUMNS", str(columns))
        found = cli("synthetic", "-n", 4, "--colour", "always").out
        plain = re.sub(r"\x1b\[[0-9;]*m", "", found).splitlines()
        assert max(len(row) for row in plain[1:]) <= columns
        assert sum("▀" in row for row in plain) == 16 * (4 // across)


def test_png_holds_the_pictures_and_replaces_nothing_unasked(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "sheet.png"
    found = cli("synthetic", "--index", 3, "--png", file)
    assert found.code == 0
    assert str(file) in found.err
    sheet = np.asarray(Image.open(io.BytesIO(file.read_bytes())).convert("RGB"))
    image = load("synthetic", Path()).train.images[3]
    assert (sheet[4 : 4 + 128, 4 : 4 + 128] == image.repeat(4, 0).repeat(4, 1)).all()

    before = file.read_bytes()
    refused = cli("synthetic", "--index", 4, "--png", file, "--json")
    assert refused.code == 73
    assert "--force" in refused.error["hint"]
    assert file.read_bytes() == before
    assert cli("synthetic", "--index", 4, "--png", file, "--force").code == 0
    assert file.read_bytes() != before


def test_png_into_a_folder_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    found = cli("synthetic", "--png", tmp_path / "no" / "sheet.png")
    assert found.code == 66
    assert "sheet.png" in found.err
    assert cli("synthetic", "--png", tmp_path).code == 73
