"""Summaries are kept so that lists of runs read little, and are not believed where they may be wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cifar_tui.runs import report, summary_index
from cifar_tui.runs import summary as run_summary
from cifar_tui.runs.checkpoints import CheckpointStore
from cifar_tui.runs.directory import RunDirectory, delete_run, rename_run
from cifar_tui.runs.summary import summaries
from cifar_tui.runs.summary_index import NAME, SummaryIndex
from tests.unit.test_runs_report import CONFIG, ended, evaluation, names_in, record, started


def make(root: Path, name: str, *, step: int = 10) -> RunDirectory:
    run = RunDirectory.create(root, {"title": "T", "config": CONFIG}, name=name, stem="a")
    record(run, started(), evaluation(step, 0.5), ended(step))
    return run


@pytest.fixture(autouse=True)
def every_run_is_worth_a_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary_index, "_WORTH_RUNS", 1)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return make(tmp_path, "a")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the runs whose events were read."""
    found: list[str] = []
    whole = report.read_events

    def watched(path: Any, **options: Any) -> Any:
        found.append(Path(path).parent.name)
        return whole(path, **options)

    monkeypatch.setattr(report, "read_events", watched)
    return found


def lines_of(root: Path) -> list[list[Any]]:
    """Id, key and summary of every line."""
    return [json.loads(line) for line in (root / NAME).read_text().splitlines() if line]


def test_a_run_is_read_once_until_one_of_its_files_changes(run: RunDirectory, read: list[str]) -> None:
    first = summaries(run.root)
    assert read == ["a"]
    assert summaries(run.root) == first
    assert read == ["a"]
    record(run, started(10))
    assert summaries(run.root)[0].state == "interrupted"
    run.update_meta(title="other")
    assert summaries(run.root)[0].title == "other"
    CheckpointStore(run.checkpoints).save(1, {}, {})
    assert summaries(run.root)[0].checkpoints == 1
    assert read == ["a"] * 4


def test_only_what_changed_is_added_and_the_newest_line_counts(tmp_path: Path, read: list[str]) -> None:
    runs = [make(tmp_path, name) for name in "abc"]
    summaries(tmp_path)
    record(runs[1], started(10), ended(20))
    summaries(tmp_path)
    assert [run for run, _, _ in lines_of(tmp_path)].count("b") == 2
    assert len(lines_of(tmp_path)) == 4
    read.clear()
    assert {found.run: found.step for found in summaries(tmp_path)} == {"a": 10, "b": 20, "c": 10}
    assert read == []


def test_a_run_that_was_renamed_moved_or_deleted_is_known_by_its_files(
    tmp_path: Path, run: RunDirectory
) -> None:
    make(tmp_path, "gone")
    summaries(tmp_path)
    rename_run(run, "b")
    delete_run(RunDirectory(tmp_path, "gone"))
    make(tmp_path, "a", step=30)
    found = {row.run: row for row in summaries(tmp_path)}
    assert (found["a"].step, found["b"].step, set(found)) == (30, 10, {"a", "b"})
    assert found["b"].path == str(tmp_path / "b")
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert {row.path for row in summaries(moved)} == {str(moved / "a"), str(moved / "b")}
    moved.rename(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", "running"),
        ("state", ["x"]),
        ("title", 3),
        ("step", "x"),
        ("step", True),
        ("seconds", None),
        ("best_test_accuracy", "high"),
        ("best_test_accuracy", float("nan")),
        ("best_step", None),
        ("last_test_accuracy", "high"),
        ("parent", 3),
    ],
)
def test_a_line_with_odd_values_is_not_believed(run: RunDirectory, name: str, value: Any) -> None:
    good = summaries(run.root)
    ((id, key, summary),) = lines_of(run.root)
    summary[run_summary._STORED.index(name)] = value
    (run.root / NAME).write_text(json.dumps([id, key, summary]) + "\n")
    assert summaries(run.root) == good


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-9],
        lambda data: data.replace(b"]]", b", 1]]"),
        lambda data: data.replace(b'["a"', b'["b"'),
        lambda data: b"[1, 2]\n{\n" + b"\0" * 1000,
        lambda _: b'["a"]\n["a", 3, []]\n',
        lambda _: b'["a", ' + b"[" * 99_999,
        lambda _: b'["' + b"\xff" * 40,
    ],
)
def test_a_damaged_file_costs_time_and_nothing_else(
    run: RunDirectory, damage: Callable[[bytes], bytes], read: list[str]
) -> None:
    good = summaries(run.root)
    file = run.root / NAME
    file.write_bytes(damage(file.read_bytes()))
    read.clear()
    assert summaries(run.root) == good
    assert read == ["a"]
    assert summaries(run.root) == good
    assert read == ["a"], "a cut line must not swallow the one that is written after it"


def test_a_summary_of_an_older_state_does_not_count(run: RunDirectory) -> None:
    index = SummaryIndex.read(run.root)
    summaries(run.root, index)
    record(run, started(10), ended(30))
    index.save()
    assert summaries(run.root)[0].step == 30


def test_nothing_is_written_where_nothing_is_new(run: RunDirectory) -> None:
    index = SummaryIndex.read(run.root)
    index.save()
    assert not (run.root / NAME).exists()
    summaries(run.root)
    before = (run.root / NAME).stat()
    summaries(run.root)
    assert (run.root / NAME).stat() == before


def test_the_file_is_made_anew_where_most_lines_count_no_more(
    tmp_path: Path, run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary_index, "_SPARE", 3)
    make(tmp_path, "b")
    make(tmp_path, "gone")
    summaries(tmp_path)
    delete_run(RunDirectory(tmp_path, "gone"))
    for step in range(20, 80, 10):
        record(run, started(step - 10), ended(step))
        assert {row.run: row.step for row in summaries(tmp_path)} == {"a": step, "b": 10}
    assert len(lines_of(tmp_path)) < 9
    assert "gone" not in {run for run, _, _ in lines_of(tmp_path)}
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600
    assert names_in(tmp_path) == [NAME, "a", "b"]


def test_a_folder_of_few_runs_with_few_events_has_no_such_file(
    tmp_path: Path, run: RunDirectory, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary_index, "_WORTH_RUNS", 3)
    make(tmp_path, "b")
    summaries(tmp_path)
    assert names_in(tmp_path) == ["a", "b"]
    make(tmp_path, "c")
    summaries(tmp_path)
    assert names_in(tmp_path) == [NAME, "a", "b", "c"]
    make(tmp_path, "d")
    summaries(tmp_path)
    assert [run for run, _, _ in lines_of(tmp_path)].count("d") == 0
    read.clear()
    summaries(tmp_path)
    assert read == ["d"]
    monkeypatch.setattr(summary_index, "_WORTH_BYTES", 100)
    summaries(tmp_path)
    read.clear()
    summaries(tmp_path)
    assert read == [], "events that take time to read are not read again"


def test_nothing_is_left_of_runs_that_are_all_deleted(run: RunDirectory) -> None:
    summaries(run.root)
    delete_run(run)
    assert summaries(run.root) == []
    assert names_in(run.root) == []


def test_a_folder_that_cannot_be_written_is_no_trouble(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    good = run_summary.summarise(run)
    monkeypatch.setattr(SummaryIndex, "_append", fail)
    assert summaries(run.root) == [good]
    assert names_in(run.root) == ["a"]


def test_a_pipe_in_its_place_does_not_hang(run: RunDirectory) -> None:
    import os

    os.mkfifo(run.root / NAME)
    assert summaries(run.root)[0].step == 10


def test_two_processes_that_add_at_once_lose_nothing(
    tmp_path: Path, run: RunDirectory, read: list[str]
) -> None:
    other = make(tmp_path, "b")
    first, second = SummaryIndex.read(tmp_path), SummaryIndex.read(tmp_path)
    run_summary.summarise(run, first)
    run_summary.summarise(other, second)
    first.save()
    second.save()
    read.clear()
    assert len(summaries(tmp_path)) == 2
    assert read == []
