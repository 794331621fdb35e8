"""``cifar-tui runs``: list, show, rename, delete, export."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from cifar_tui.events import RunEnded
from cifar_tui.runs.lock import RunLock
from tests.cli.command import Outcome, call, environment, make_run

Cli = Callable[..., Outcome]
LIST_KEYS = {"run", "state", "step", "target", "model", "dataset", "best_test_accuracy", "created"}


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    return lambda *words: call(capsys, "runs", *words, "--runs-dir", tmp_path)


def names(found: Outcome) -> list[str]:
    return [row.split()[0] for row in found.out.splitlines()[1:]]


def test_no_runs_is_an_empty_list_and_a_hint(cli: Cli, tmp_path: Path) -> None:
    found = cli("list")
    assert (found.code, found.out) == (0, "")
    assert "cifar-tui demo" in found.err
    assert cli("list", "--json").json == []
    missing = cli("list", "--runs-dir", tmp_path / "no")
    assert missing.code == 0
    assert not (tmp_path / "no").exists()


def test_the_list_is_newest_first_and_can_be_sorted(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path, "b", accuracy=0.9, created="2026-01-01T00:00:00Z")
    make_run(tmp_path, "c", accuracy=0.2, created="2026-01-03T00:00:00Z")
    make_run(tmp_path, "a", accuracy=0.5, created="2026-01-02T00:00:00Z")
    assert names(cli("list")) == ["c", "a", "b"]
    assert names(cli("list", "--sort", "best")) == ["b", "a", "c"]
    assert names(cli("list", "--sort", "name")) == ["a", "b", "c"]
    bad = cli("list", "--sort", "bset")
    assert bad.code == 2
    assert '"best"' in bad.err


def test_the_list_in_json_follows_the_contract(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path, "a", accuracy=0.5)
    (found,) = cli("list", "--json").json
    assert set(found) >= LIST_KEYS
    assert {key: found[key] for key in LIST_KEYS} == {
        "run": "a",
        "state": "done",
        "step": 20,
        "target": 40,
        "model": "cnn",
        "dataset": "synthetic",
        "best_test_accuracy": 0.5,
        "created": "2026-01-02T03:04:05Z",
    }


def test_the_list_shows_progress_and_what_the_data_is(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path, "a", dataset="cifar10", dataset_state="unverified")
    row = cli("list").out.splitlines()[1]
    for text in ("50%", "50.00%", "cifar10 (unverified)", "done", "20", "40"):
        assert text in row


def test_one_damaged_run_does_not_hide_the_others(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path, "a")
    make_run(tmp_path, "b").run_json.write_text("{")
    found = cli("list", "--json")
    assert found.code == 0
    assert {each["run"]: each["state"] for each in found.json} == {"a": "done", "b": "damaged"}
    shown = cli("show", "b", "--json")
    assert shown.code == 65
    assert "run.json" in shown.error["message"]


def test_show_has_config_results_and_checkpoints(cli: Cli, tmp_path: Path) -> None:
    run = make_run(tmp_path, "a", num_nodes="64")
    found = cli("show", "a", "--json").json
    assert set(found) >= LIST_KEYS
    assert found["config"]["num_nodes"] == 64
    assert set(found["changed"]) == {"dataset", "model", "steps", "num_nodes"}
    assert found["evaluations"]["test"]["accuracy"] == 0.5
    assert [each["step"] for each in found["checkpoint_list"]] == [20]
    files = [file for file in run.path.rglob("*") if file.is_file()]
    assert found["bytes"] >= sum(file.stat().st_size for file in files)
    assert found["reason"] == "as asked"

    text = cli("show", "a").out
    row = next(row for row in text.splitlines() if " num_nodes " in row)
    assert row.split() == ["*", "num_nodes", "64", "128"]
    assert not next(row for row in text.splitlines() if " batch_size " in row).startswith("*")
    for part in ("step-000000020", "20 of 40 (50%)", "1.2500", "drawn pictures, not CIFAR"):
        assert part in text


def test_show_of_a_run_that_is_not_there_names_the_nearest(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path, "first-try")
    found = cli("show", "first-tyr")
    assert found.code == 66
    assert "first-try" in found.err
    assert cli("show", "../etc").code == 2


def test_what_a_run_says_cannot_reach_the_terminal(cli: Cli, tmp_path: Path) -> None:
    run = make_run(tmp_path, "a")
    run.update_meta(title="\x1b[31mred\nline", device={"device": "\x1b]0;x\x07", "name": "[bold]x"})
    found = cli("show", "a").out
    assert "\x1b" not in found
    assert "\x07" not in found
    assert "\\x1b[31mred\\nline" in found
    assert "\x1b" not in cli("list").out


def test_rename_keeps_the_run_and_prints_its_new_id(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path, "a")
    make_run(tmp_path, "taken")
    assert cli("rename", "a", "b").out == "b\n"
    assert cli("show", "b", "--json").json["run"] == "b"
    assert cli("show", "a").code == 66
    refused = cli("rename", "b", "taken")
    assert refused.code == 73
    assert cli("rename", "b", "a/b").code == 2
    assert names(cli("list")) == ["taken", "b"]


def test_delete_off_a_terminal_needs_a_yes_and_the_hint_works(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path, "a")
    make_run(tmp_path, "b")
    refused = cli("delete", "a", "b")
    assert refused.code == 2
    assert sorted(names(cli("list"))) == ["a", "b"]
    hint = next(row for row in refused.err.splitlines() if "hint:" in row).split("hint:")[1].split()
    assert hint[:3] == ["cifar-tui", "runs", "delete"]
    found = cli(*hint[2:])
    assert found.code == 0, found.err
    assert cli("list", "--json").json == []
    assert list(tmp_path.iterdir()) == []


def test_delete_is_all_or_nothing_where_a_run_is_not_there(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path, "a")
    assert cli("delete", "a", "nope", "--yes").code == 66
    assert names(cli("list")) == ["a"]


def test_a_locked_run_is_neither_deleted_nor_renamed(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path, "a")
    run = make_run(tmp_path, "b")
    with RunLock(run):
        assert cli("list", "--json").json[0]["state"] == "running"
        found = cli("delete", "a", "b", "--yes", "--json")
        assert found.code == 75
        assert "process" in found.error["message"]
        assert cli("rename", "b", "c").code == 75
    assert sorted(names(cli("list"))) == ["a", "b"]


def test_a_damaged_run_can_be_deleted(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path, "a").run_json.unlink()
    assert cli("delete", "a", "--yes").code == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("answer", "left"), [("y", 0), ("n", 1), ("\x03", 1)])
def test_delete_asks_on_a_terminal(tmp_path: Path, answer: str, left: int) -> None:
    make_run(tmp_path, "a")
    child = pexpect.spawn(
        sys.executable,
        ["-m", "cifar_tui", "runs", "delete", "a", "--runs-dir", str(tmp_path)],
        env=environment(TERM="xterm"),
        encoding="utf-8",
        timeout=20,
    )
    child.expect("delete run .*a.* with checkpoints")
    child.expect(r"\]:")
    child.send(answer if answer == "\x03" else answer + "\r")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == (130 if answer == "\x03" else 0)
    assert len(list(tmp_path.iterdir())) == left


def test_export_in_the_notebooks_format(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path, "a")
    file = tmp_path / "points.json"
    found = cli("export", "a", file, "--format", "plot-points")
    assert found.code == 0
    points = [json.loads(row) for row in file.read_text().splitlines()]
    assert {key for point in points for key in point} == {
        "MetricName",
        "Short",
        "MetricType",
        "Step",
        "Value",
    }
    assert all(isinstance(point["Step"], float) for point in points)
    assert ("#acc", 20.0, 0.5) in [(point["Short"], point["Step"], point["Value"]) for point in points]


def test_export_as_csv_to_standard_output(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path, "a")
    rows = list(csv.DictReader(io.StringIO(cli("export", "a", "-").out)))
    assert [(row["step"], row["split"], row["loss"], row["accuracy"]) for row in rows] == [
        ("10", "train-batch", "2.0", ""),
        ("20", "train-batch", "1.5", ""),
        ("20", "train", "1.25", "0.5"),
        ("20", "test", "1.25", "0.5"),
    ]
    assert (rows[0]["learning_rate"], rows[0]["moving_accuracy"], rows[0]["top5"]) == ("0.0001", "0.2", "")
    assert (rows[3]["top5"], rows[3]["evaluation_seconds"], rows[3]["seconds"]) == ("0.9", "0.1", "")
    assert cli("export", "a").out == cli("export", "a", "-", "--format", "csv").out


def test_export_replaces_nothing_unasked(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path, "a")
    file = tmp_path / "curve.csv"
    file.write_text("mine")
    assert cli("export", "a", file).code == 73
    assert file.read_text() == "mine"
    assert cli("export", "a", file, "--force").code == 0
    assert file.read_text().startswith("step,epoch,split,loss,accuracy,top5,")
    assert cli("export", "a", tmp_path / "no" / "x.csv").code == 66
    assert cli("export", "a", "x", "--format", "cvs").code == 2


def test_a_run_whose_process_vanished_is_interrupted(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path, "a", state=None)
    assert cli("list", "--json").json[0]["state"] == "interrupted"
    assert RunEnded.kind not in (tmp_path / "a" / "events.jsonl").read_text()


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_table_fits_the_terminal_and_never_cuts_an_id(tmp_path: Path, columns: int) -> None:
    make_run(tmp_path, "cnn-cifar10-with-a-name", dataset="cifar10")
    child = pexpect.spawn(
        sys.executable,
        ["-m", "cifar_tui", "runs", "list", "--runs-dir", str(tmp_path)],
        env=environment(TERM="xterm", NO_COLOR="1", COLUMNS=str(columns)),
        encoding="utf-8",
        timeout=20,
        dimensions=(24, columns),
    )
    child.expect(pexpect.EOF)
    rows = child.before.replace("\r", "").splitlines()
    child.close()
    assert max(len(row) for row in rows) <= columns
    assert rows[1].startswith("cnn-cifar10-with-a-name ")
    assert "\x1b" not in child.before
