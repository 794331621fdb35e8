"""How every command ends: errors, exit codes, pipes, streams, --json."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

import cifar_tui
from cifar_tui.cli import common, main
from tests.cli.command import ROOT, Outcome, call, environment, make_run, spawn

Cli = Callable[..., Outcome]
COMMAND = [sys.executable, "-m", "cifar_tui"]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return lambda *words: call(capsys, *words)


def hint_of(found: Outcome) -> list[str]:
    row = next(row for row in found.err.splitlines() if row.strip().startswith("hint:"))
    return shlex.split(row.partition("hint:")[2])


def test_the_version(cli: Cli) -> None:
    found = cli("--version")
    assert (found.code, found.out) == (0, f"cifar-tui {cifar_tui.__version__}\n")


@pytest.mark.parametrize(
    "words",
    [
        ("dcotor",),
        ("daat",),
        ("qqqqqq",),
        ("data", "staus"),
        ("data",),
        ("runs",),
        ("--versoin",),
        ("runs", "list", "--jso"),
        ("runs", "list", "extra"),
        ("runs", "show"),
        ("samples",),
        ("presets", "shwo"),
        ("data", "download"),
        ("runs", "list", "--runs-dir"),
        ("samples", "synthetic", "-n"),
    ],
)
def test_a_word_that_is_not_known_gets_2_and_a_hint_that_works(cli: Cli, words: tuple[str, ...]) -> None:
    found = cli(*words)
    assert found.code == 2
    assert found.out == ""
    assert found.err.startswith("error: ")
    assert len(found.err.splitlines()) <= 6
    hint = hint_of(found)
    assert hint[0] == "cifar-tui"
    assert cli(*hint[1:]).code == 0


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("dcotor", "doctor"), ("preset", "presets"), ("optimizer", "optimizers"), ("RUN", "runs")],
)
def test_an_unknown_command_offers_the_nearest(cli: Cli, wrong: str, right: str) -> None:
    found = cli(wrong)
    assert f'unknown command "{wrong}"' in found.err
    assert hint_of(found)[1] == right


def test_an_unknown_option_or_subcommand_offers_the_nearest(cli: Cli) -> None:
    assert "--json" in cli("runs", "list", "--jsno").err
    assert "list" in cli("runs", "lits").err


@pytest.mark.parametrize(
    ("words", "code", "id"),
    [
        (("dcotor", "--json"), 2, "E-USAGE"),
        (("data", "status", "cifar", "--json"), 2, "E-USAGE"),
        (("runs", "show", "nope", "--json", "--runs-dir", "/nonexistent/runs"), 66, "E-RUN-MISSING"),
        (("runs", "show", "a b", "--json"), 2, "E-RUN-NAME"),
        (("presets", "show", "x", "--json"), 2, "E-CONFIG-VALUE"),
    ],
)
def test_with_json_an_error_is_one_object_on_stderr(
    cli: Cli, words: tuple[str, ...], code: int, id: str
) -> None:
    found = cli(*words)
    assert found.code == code
    assert found.out == ""
    assert len(found.err.splitlines()) == 1
    assert set(found.error) == {"error", "exit", "message", "where", "state", "hint"}
    assert found.error["error"]["id"] == id
    assert found.error["exit"] == code


def test_outside_text_in_an_error_is_made_visible(cli: Cli) -> None:
    for words in (("\x1b[31mred",), ("data", "status", "\x1b]0;x\x07"), ("data", "\x1b[2J"), ("--\x1b[2J",)):
        found = cli(*words)
        assert found.code == 2
        assert "\x1b" not in found.err
        assert "\\x1b" in found.err


def test_a_megabyte_of_argument_is_a_short_error(cli: Cli) -> None:
    for words in (("x" * 1_000_000,), ("data", "status", "x" * 1_000_000), ("data", "x" * 1_000_000)):
        found = cli(*words)
        assert found.code == 2
        assert len(found.err) < 2000


def test_a_bug_leaves_a_log_and_no_traceback(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_words: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(common, "print_json", broken)
    monkeypatch.setattr("platformdirs.user_log_dir", lambda *_words, **_more: str(tmp_path / "log"))
    found = cli("optimizers", "--json")
    assert found.code == 1
    assert "Traceback" not in found.err
    assert found.error["error"]["id"] == "E-INTERNAL"
    log = Path(found.error["where"])
    assert log.is_relative_to(tmp_path)
    assert "ZeroDivisionError: a fault" in log.read_text()
    with pytest.raises(ZeroDivisionError):
        main.run(["optimizers", "--json", "--debug"])


def test_fault_106_a_reader_that_went_away_ends_it_quietly_with_141(tmp_path: Path) -> None:
    for number in range(40):
        make_run(tmp_path, f"a-rather-long-name-of-a-run-{number}")
    for words in (["runs", "list", "--runs-dir", str(tmp_path)], ["--help"], ["runs", "list", "--help"]):
        read, write = os.pipe()
        os.close(read)  # nobody reads, from the first byte on
        try:
            found = subprocess.run(
                [*COMMAND, *words],
                stdout=write,
                stderr=subprocess.PIPE,
                text=True,
                env=environment(),
                timeout=60,
                check=False,
            )
        finally:
            os.close(write)
        assert (found.returncode, found.stderr) == (141, ""), words


def test_fault_106_a_pipe_that_closes_after_the_first_line(tmp_path: Path) -> None:
    words = shlex.join([*COMMAND, "samples", "synthetic", "-n", "2", "--colour", "always"])
    found = subprocess.run(
        ["/bin/sh", "-c", f"{words} | head -n 1"],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert found.returncode == 0
    assert found.stderr == ""
    assert "Synthetic" in found.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("words", [["optimizers"], ["optimizers", "--json"], ["--help"]])
def test_fault_106_a_full_disk_under_stdout_is_74(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        found = subprocess.run(
            [*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, text=True, env=environment(), check=False
        )
    assert found.returncode == 74
    assert "no space left" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_closed_stdout_is_no_crash() -> None:
    words = shlex.join([*COMMAND, "presets"])
    for streams in (">&-", "2>&-", ">&- 2>&-", "<&- >&-"):
        found = subprocess.run(
            ["/bin/sh", "-c", f"{words} {streams}"],
            capture_output=True,
            text=True,
            env=environment(),
            check=False,
        )
        assert found.returncode == 0, streams
        assert found.stderr == ""


def test_an_encoding_without_our_signs_is_no_crash() -> None:
    found = spawn("samples", "synthetic", "-n", "1", "--colour", "always", PYTHONIOENCODING="ascii")
    assert found.code == 0, found.err
    assert "\\u2580" in found.out
    assert spawn("data", "status", "höhle", PYTHONIOENCODING="ascii").code == 2


def test_ctrl_c_is_130_and_no_traceback() -> None:
    # A command of the table that waits, so that the signal surely comes while it runs.
    program = (
        "import sys, time\n"
        "from cifar_tui.cli import common, main\n"
        "def wait(_value):\n"
        "    print('waiting', flush=True)\n"
        "    time.sleep(30)\n"
        "common.print_json = wait\n"
        "sys.exit(main.run(['presets', '--json']))\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "waiting\n"
    began = time.monotonic()
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=10)
    assert time.monotonic() - began < 2
    assert child.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert '"exit": 130' in err


def test_without_a_terminal_the_app_is_refused_with_a_hint() -> None:
    found = spawn()
    assert found.code == 2
    assert "cifar-tui train" in found.err


@pytest.mark.parametrize(
    ("extra", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colour_is_for_terminals_that_want_it(extra: dict[str, str], coloured: bool) -> None:
    child = pexpect.spawn(
        sys.executable,
        ["-m", "cifar_tui", "data", "status"],
        env=environment(**{"TERM": "xterm-256color", **extra}),
        encoding="utf-8",
        timeout=20,
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert ("\x1b[" in child.before) == coloured


def test_a_table_keeps_its_columns_with_wide_signs() -> None:
    from wcwidth import wcswidth

    drawn = common.table(("name", "n"), [["画像", 1], ["a\x1bb", 22], ["é", 333]], right=(1,))
    rows = drawn.splitlines()
    assert len({wcswidth(row) for row in rows}) == 1
    assert "\x1b" not in drawn


def test_every_command_that_a_hint_names_exists() -> None:
    """Hints are written as ``cifar-tui COMMAND ...`` all over the package."""
    known = {*main.COMMANDS, "command", "watch"}  # watch comes with the app
    for file in sorted((ROOT / "cifar_tui").rglob("*.py")):
        if "tui" in file.relative_to(ROOT / "cifar_tui").parts[:1]:
            continue
        for word in re.findall(r"cifar-tui ([a-z]+)\b", file.read_text()):
            assert word in known, f"{file.name}: cifar-tui {word}"
