"""Very many runs are listed by a process of its own, which the list never depends on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cifar_tui.runs import summary_index
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.listing import read_apart
from cifar_tui.runs.recorder import Recorder
from cifar_tui.runs.summary import summaries
from cifar_tui.runs.summary_index import NAME
from cifar_tui.tui import places, runs_data
from cifar_tui.tui.places import has_many_runs
from cifar_tui.tui.runs_data import RunsReader
from tests.tui.run_maker import evaluation, make_run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four runs, one of them damaged, which count as very many."""
    monkeypatch.setattr(places, "MANY_RUNS", 3)
    for name in ("a", "b", "c", "broken"):
        make_run(tmp_path, name, report=False)
    (tmp_path / "broken" / "run.json").write_text("{")
    return tmp_path


@pytest.fixture
def read_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the runs that this process summarised itself."""
    found: list[str] = []
    real = runs_data.summarise

    def watched(run: RunDirectory, *rest: Any, **more: Any) -> Any:
        found.append(run.id)
        return real(run, *rest, **more)

    monkeypatch.setattr(runs_data, "summarise", watched)
    return found


def test_it_tells_what_a_look_here_finds(folder: Path) -> None:
    found = list(read_apart(folder))
    assert found.pop() is None
    told = {run: summary for run, _, summary in filter(None, found)}
    assert told == {summary.run: summary for summary in summaries(folder)}
    assert told["broken"].state == "damaged"


def test_the_first_look_takes_what_was_read_ahead_and_the_next_one_sees_changes(
    folder: Path, read_here: list[str]
) -> None:
    good = {summary.run: summary for summary in summaries(folder)}
    reader = RunsReader(folder)
    reader.prepare(lambda: False)
    assert {summary.run: summary for summary in reader.look()} == good
    assert read_here == []
    reader.save()
    with Recorder(RunDirectory(folder, "b")) as recorder:
        recorder.append(evaluation(1000, accuracy=0.99))
    assert max(run.best_test_accuracy or 0 for run in reader.look()) == 0.99
    assert read_here == ["b"], "the stamps that were told are those that are seen here"


@pytest.mark.parametrize("changed", [False, True], ids=["as-told", "one-changed"])
def test_what_the_process_kept_stays_when_the_list_is_taken_from_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, changed: bool
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(summary_index, "_WORTH_RUNS", 1)
        summaries(folder)
    kept = folder / NAME
    before = kept.read_bytes()
    assert len(list(filter(None, before.splitlines()))) == 3
    monkeypatch.setattr(runs_data, "FRESH_SECONDS", 0.0)
    reader = RunsReader(folder)
    reader.prepare(lambda: False)
    if changed:
        with Recorder(RunDirectory(folder, "b")) as recorder:
            recorder.append(evaluation(1000, accuracy=0.99))
    assert len(reader.look()) == 4
    reader.save()
    assert kept.read_bytes() == before


def test_what_was_read_a_while_ago_is_looked_at_again(
    folder: Path, read_here: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_data, "FRESH_SECONDS", 0.0)
    reader = RunsReader(folder)
    reader.prepare(lambda: False)
    make_run(folder, "new", report=False)
    assert {run.run for run in reader.look()} == {"a", "b", "c", "broken", "new"}
    assert read_here == ["new"]


def test_a_look_takes_over_from_the_reading_ahead_where_it_is(
    folder: Path, read_here: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = RunsReader(folder)
    parts: list[int] = []
    monkeypatch.setattr(runs_data, "PART_SECONDS", 0.0)

    def awaited() -> bool:
        reader._awaited.set()  # as `look` says from another thread
        return False

    reader.prepare(awaited)
    assert reader._known.keys() < {"a", "b", "c", "broken"}
    assert {run.run for run in reader.look(lambda runs: parts.append(len(runs)))} == {"a", "b", "c", "broken"}
    assert read_here == []
    assert parts[0] < 4, "what is known is shown while the rest is awaited"


def test_an_app_that_goes_leaves_no_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def watched(*arguments: Any, **options: Any) -> Any:
        started.append(real(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", watched)
    reader = RunsReader(folder)
    reader.prepare(lambda: True)
    assert len(started) == 1
    assert started[0].returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    "command",
    ["import sys; sys.exit(3)", "print('[[', flush=True)", "print('[]')", None],
    ids=["fails", "is-cut-off", "ends-early", "cannot-start"],
)
def test_without_the_process_the_list_is_whole_all_the_same(
    folder: Path, command: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = subprocess.Popen

    def other(_command: list[str], **options: Any) -> Any:
        if command is None:
            raise PermissionError(13, "Permission denied")
        return real([sys.executable, "-c", command], **options)

    monkeypatch.setattr(subprocess, "Popen", other)
    reader = RunsReader(folder)
    reader.prepare(lambda: False)
    assert {run.run for run in reader.look()} == {"a", "b", "c", "broken"}
    reader.save()


def test_the_process_ends_where_nobody_listens(folder: Path) -> None:
    command = [sys.executable, "-m", "cifar_tui.runs.listing", str(folder)]
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE) as process:
        os.close(writing)
        assert process.wait(60) == 1
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


def test_what_it_found_out_is_kept_for_the_next_start(tmp_path: Path) -> None:
    for number in range(100):
        make_run(tmp_path, f"r{number}", report=False)
    apart = read_apart(tmp_path)
    while next(apart) is not None:
        pass
    apart.close()
    assert (tmp_path / NAME).read_bytes().count(b'\n["r') == 100


def test_few_runs_or_none_are_read_without_a_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_many_runs(folder)
    monkeypatch.setattr(places, "MANY_RUNS", 5)
    assert not has_many_runs(folder)
    assert not has_many_runs(folder / "missing")
    assert not has_many_runs(folder / "a" / "run.json")


def test_runs_in_training_are_followed(folder: Path) -> None:
    from cifar_tui.runs.lock import RunLock

    with RunLock(RunDirectory(folder, "a")):
        reader = RunsReader(folder)
        reader.prepare(lambda: False)
        assert {run.run: run.state for run in reader.look()}["a"] in {"running", "stalled"}
        assert [run.run for run in reader.look_at_live()] == ["a"]
    end = time.monotonic() + 5
    while {run.run: run.state for run in reader.look()}["a"] in {"running", "stalled"}:
        assert time.monotonic() < end
    reader.close()
