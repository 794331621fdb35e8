"""Reading events at once, thinned, and as they come."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from cifar_tui.events import Evaluation, Event, Note, Progress, to_json
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.reader import Tail, read_events
from cifar_tui.runs.recorder import Recorder

from .event_tools import evaluation, note, progress, started


def test_reading_what_is_missing_or_no_file_is_harmless(tmp_path: Path) -> None:
    assert read_events(tmp_path / "none").events == []
    assert read_events(tmp_path).damaged == 1
    os.mkfifo(tmp_path / "pipe")
    assert read_events(tmp_path / "pipe").damaged == 1


@pytest.mark.parametrize(
    "line",
    [b"[" * 100_000, b"1" * 5000, b'{"event": 3}', b'{"event": "note"}', b"", b"\xff", b"NaN", b'"\\ud800"'],
)
def test_lines_that_are_no_events_are_counted(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "events.jsonl"
    good = json.dumps(to_json(note())).encode()
    path.write_bytes(good + b"\n" + line + b"\n" + good + b"\n")
    result = read_events(path)
    assert result.events == [note(), note()]
    assert result.damaged == 1


def test_a_line_beyond_the_limit_is_skipped_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cifar_tui.runs.reader.MAX_LINE", 1000)
    monkeypatch.setattr("cifar_tui.runs.reader._POLL_BYTES", 500)
    path = tmp_path / "events.jsonl"
    good = json.dumps(to_json(note())).encode() + b"\n"
    path.write_bytes(good + b"x" * 3500 + b"\n" + good)
    assert read_events(path).events == [note(), note()]
    assert read_events(path).damaged == 1
    tail = Tail.follow(path)
    found = [event for _ in range(8) for event in tail.poll()]
    assert found == [note(), note()]
    assert tail.damaged >= 1
    tail.close()


def test_thinned_reading_keeps_all_else_and_the_newest_progress(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    every: list[Event] = [started()]
    for step in range(1, 5001):
        every.append(progress(step))
        if step % 1111 == 0:
            every.append(evaluation(step))
    path.write_text("".join(json.dumps(to_json(event)) + "\n" for event in every))
    thin = read_events(path, progress_limit=100).events
    steps = [event.step for event in thin if isinstance(event, Progress)]
    assert 80 <= len(steps) <= 220
    assert steps[-1] == 5000
    assert steps == sorted(steps)
    others = [event for event in every if not isinstance(event, Progress)]
    assert [event for event in thin if not isinstance(event, Progress)] == others
    for position, event in enumerate(thin):
        if isinstance(event, Evaluation):
            before = thin[position - 1]
            assert isinstance(before, Progress)
            assert before.step == event.step


def test_a_tail_sees_each_event_once_as_it_is_completed(run: RunDirectory) -> None:
    tail = Tail.follow(run.events_path)
    assert tail.poll() == []
    recorder = Recorder(run)
    recorder.append(started())
    assert tail.poll() == [started()]
    assert tail.poll() == []
    line = json.dumps(to_json(note("two"))).encode() + b"\n"
    for cut in range(len(line)):
        with run.events_path.open("ab") as file:
            file.write(line[cut : cut + 1])
        assert tail.poll() == ([note("two")] if cut == len(line) - 1 else [])
    recorder.close()
    assert tail.damaged == tail.resets == 0
    tail.close()


def test_a_tail_survives_a_cut_a_torn_tail_and_a_replacement(run: RunDirectory) -> None:
    with Recorder(run) as recorder:
        recorder.append(note("one"))
    tail = Tail.follow(run.events_path)
    with run.events_path.open("ab") as file:
        file.write(b'{"event": "no')
    assert tail.poll() == [note("one")]
    with Recorder(run) as recorder:  # cuts what was torn
        recorder.append(note("two"))
    assert tail.poll() == [note("two")]
    run.events_path.unlink()
    assert tail.poll() == []
    with Recorder(run) as recorder:
        recorder.append(note("three"))
    assert tail.poll() == [note("three")]
    run.events_path.write_bytes(b"")
    assert tail.poll() == []
    with Recorder(run) as recorder:
        recorder.append(note("four"))
    assert tail.poll() == [note("four")]
    assert tail.resets == 2
    tail.close()


def test_a_tail_counts_garbage_and_reads_a_growing_file_to_its_end(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cifar_tui.runs.reader._POLL_BYTES", 1000)
    lines = [json.dumps(to_json(note(str(n) + "\r\x85"))).encode() + b"\n" for n in range(200)]
    run.events_path.write_bytes(b"".join(lines) + b"garbage\r\n")
    tail = Tail.follow(run.events_path)
    assert len(tail.poll()) == 200
    assert tail.damaged == 1
    tail.close()


@pytest.mark.parametrize("seed", range(40))
def test_thinning_by_the_block_keeps_what_thinning_by_the_line_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    random = np.random.default_rng(seed)
    path = tmp_path / "events.jsonl"
    others = [
        json.dumps(to_json(note("a note\r\x85"))).encode() + b"\n",
        b"garbage\n",
        b"\n",
        b'{"event": "progress", cut\n',
        b'{"event": "progress",}\n',
        b'}\n{"event": "prog\n',
        b'{"event": "progress"\n',
        b"x" * 5000 + b"}\n",
    ]
    lines = []
    for step in range(1, 600):
        lines.append(json.dumps(to_json(progress(step))).encode() + b"\n")
        if random.random() < 0.02 * (seed % 4):
            lines.append(others[random.integers(len(others))])
    path.write_bytes(b"".join(lines) + (b'{"event": "progress", "st' if seed % 3 == 0 else b""))
    monkeypatch.setattr("cifar_tui.runs.reader._BLOCK", 512)
    monkeypatch.setattr("cifar_tui.runs.reader._THINNED_BLOCK", 512 + int(random.integers(8000)))
    limit = int(random.integers(1, 100))
    fast, (fast_after, tail) = read_events(path, progress_limit=limit), Tail.after(path, progress_limit=limit)
    tail.close()
    monkeypatch.setattr("cifar_tui.runs.reader._ends_of_progress", lambda _data: None)
    slow, (slow_after, tail) = read_events(path, progress_limit=limit), Tail.after(path, progress_limit=limit)
    tail.close()
    assert fast == slow
    assert fast_after == slow_after
    assert [event.step for event in fast.events if isinstance(event, Progress)][-1] == 599


@pytest.mark.slow
def test_fault_091_a_million_progress_events_are_opened_in_time(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    line = json.dumps(to_json(progress(123456, 1.2345678901234567))) + "\n"
    with path.open("w") as file:
        file.write(json.dumps(to_json(started())) + "\n")
        for _ in range(100):
            file.write(line * 10_000)
    start = time.perf_counter()
    result = read_events(path, progress_limit=4000)
    assert time.perf_counter() - start < 5.0
    assert 2000 < len(result.events) < 8000


def test_a_pause_of_a_night_is_one_line(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, {}, name="a", stem="a")
    now = 0.0
    with Recorder(run, clock=lambda: now) as recorder:
        recorder.append(progress(1))
        for _ in range(1000):
            now += 0.2
            recorder.append(dataclasses.replace(progress(5), paused=True))
        now += 1
        recorder.append(progress(6))
        now += 1
        recorder.append(dataclasses.replace(progress(6), paused=True))
    found = [event for event in read_events(run.events_path).events if isinstance(event, Progress)]
    assert [(event.step, event.paused) for event in found] == [(1, False), (5, True), (6, False), (6, True)]


def test_a_tail_can_begin_after_what_was_read(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    found, first = Tail.after(file)
    assert found.events == []
    notes = [Note(level="info", id="I", text=str(number)) for number in range(6)]
    lines = [json.dumps(to_json(note)).encode() + b"\n" for note in notes]
    file.write_bytes(b"".join(lines[:3]) + lines[3][:20])
    assert first.poll() == notes[:3]
    first.close()
    found, tail = Tail.after(file, progress_limit=1)
    assert found.events == notes[:3]
    assert found.damaged == 0, "the torn line may be under way"
    assert tail.poll() == []
    with file.open("ab") as out:
        out.write(lines[3][20:] + lines[4])
    assert tail.poll() == notes[3:5]
    file.unlink()
    file.write_bytes(lines[5])
    assert tail.poll() == notes[5:]
    assert tail.resets == 1
    tail.close()
    (tmp_path / "folder").mkdir()
    found, tail = Tail.after(tmp_path / "folder")
    assert (found.events, found.damaged) == ([], 1)
