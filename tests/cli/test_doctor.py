"""``cifar-tui doctor``: complete, read-only, and discreet."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from cifar_tui.cli import doctor
from cifar_tui.cli.terminal_card import card
from cifar_tui.runs.lock import RunLock
from tests.cli.command import Outcome, call, environment, make_run

Cli = Callable[..., Outcome]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    folders = ("--data-dir", tmp_path / "data", "--runs-dir", tmp_path / "runs")
    return lambda *words: call(capsys, "doctor", *words, *folders)


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in root.rglob("*")}


def test_an_empty_machine_is_well_and_stays_as_it_is(cli: Cli, tmp_path: Path) -> None:
    found = cli()
    assert found.code == 0, found.err
    for title in ("versions", "devices", "machine", "data", "runs", "terminal", "environment"):
        assert title in found.out.splitlines()
    assert "\x1b" not in found.out
    assert list(tmp_path.iterdir()) == []


def test_json_has_the_same(cli: Cli) -> None:
    found = cli("--json").json
    assert found["torch"]["seconds"] >= 0
    assert found["torch"]["devices"][-1]["device"] == "cpu"
    assert found["packages"]["torch"].startswith("2.")
    assert [each["dataset"] for each in found["data"]["datasets"]] == ["cifar10", "cifar100", "synthetic"]
    assert found["runs"]["count"] == 0
    assert found["cores"] >= 1


def test_a_damaged_run_is_named_and_the_exit_code_is_65(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "good")
    make_run(tmp_path / "runs", "bad").run_json.write_text("{")
    before = snapshot(tmp_path)
    found = cli("--json")
    assert found.code == 65
    assert found.json["runs"]["damaged"] == ["bad"]
    assert found.json["runs"]["count"] == 2
    assert found.error["hint"].startswith("cifar-tui runs show bad")
    assert snapshot(tmp_path) == before


def test_a_damaged_dataset_is_named_and_the_exit_code_is_65(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for name in ("data_batch_1.bin", "test_batch.bin"):
        (folder / name).write_bytes(b"cut")
    found = cli()
    assert found.code == 65
    assert "dataset cifar10" in found.err
    assert "cifar-tui data download cifar10 --data-dir" in found.err


def test_a_run_in_training_is_counted(cli: Cli, tmp_path: Path) -> None:
    with RunLock(make_run(tmp_path / "runs", "busy")):
        assert cli("--json").json["runs"]["running"] == ["busy"]


def test_torch_that_cannot_be_loaded_is_a_finding(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("cifar_tui.engine.device", raising=False)
    monkeypatch.setitem(sys.modules, "cifar_tui.engine.device", None)
    found = cli()
    assert found.code == 69
    assert "torch cannot be loaded" in found.out
    assert "Traceback" not in found.err


def test_only_named_variables_are_shown_and_no_password(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_TOKEN", "secret-one")
    monkeypatch.setenv("CIFAR_TUI_MIRROR", "https://user:secret-two@mirror.example/cifar?key=secret-three")
    monkeypatch.setenv("NO_COLOR", "1")
    for found in (cli().out, cli("--json").out):
        assert "secret" not in found
        assert "mirror.example/cifar" in found
        assert "NO_COLOR" in found


def test_the_card_without_colour_has_no_escape_sequences() -> None:
    from wcwidth import wcswidth

    plain = card(colour=False)
    assert not any("\x1b" in row for row in plain)
    assert max(wcswidth(row) for row in plain) <= 60
    boxes = [row for row in plain if "│" in row and "unicode" in row]
    assert len({wcswidth(row) for row in boxes}) == 1
    assert any("38;2;" in row for row in card(colour=True))


def test_on_a_terminal_it_shows_the_card_in_colour(tmp_path: Path) -> None:
    words = ["-m", "cifar_tui", "doctor", "--runs-dir", str(tmp_path), "--data-dir", str(tmp_path)]
    for extra, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        child = pexpect.spawn(
            sys.executable,
            words,
            env=environment(TERM="xterm-256color", COLORTERM="truecolor", **extra),
            encoding="utf-8",
            timeout=60,
            dimensions=(50, 100),
        )
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0
        assert "half blocks" in child.before
        assert ("\x1b[38;2;" in child.before) == coloured


@pytest.mark.parametrize("built", [True, False])
def test_the_compiler_of_the_native_engine_is_named(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, built: bool
) -> None:
    monkeypatch.setenv("CC", f"{sys.executable} -X dev")
    monkeypatch.setattr("cifar_tui.engine.native_build.is_built", lambda: built)
    monkeypatch.setattr("cifar_tui.engine.cuda_kernels.why_not", lambda: "no bindings")
    assert cli("--json").json["native"] == {
        "compiler": f"{sys.executable} -X dev",
        "built": built,
        "error": None,
        "cuda_error": "no bindings",
    }
    when = "compiled and kept" if built else "compiled by the first training that can use it"
    assert f"engine native is {when}" in cli().out


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        (None, "CUDA kernels of engine native are compiled by the first training of a shape, and kept"),
        ("no bindings", "no bindings: training on CUDA runs engine graph, several times slower"),
    ],
)
def test_whether_a_gpu_has_native_steps_is_said_where_there_is_one(reason: str | None, line: str) -> None:
    native = {"cuda_error": reason}
    on = [{"devices": [{"device": name} for name in names]} for names in (["cpu", "cuda:0"], ["cpu"])]
    assert [doctor._cuda_lines(native, each) for each in on] == [[line], []]


def test_a_compiler_that_is_not_there_is_a_finding(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    found = cli()
    assert found.code == 0
    assert "no C compiler: no-such-compiler was not found: training on the CPU runs engine fused" in found.out
