"""Recorder and readers."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cifar_tui.events import Checkpoint, Evaluation, Event, Note, Progress, RunEnded, RunStarted, to_json
from cifar_tui.runs import recorder as recorder_module
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.reader import Tail, read_events
from cifar_tui.runs.recorder import Recorder


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def started(step: int = 0) -> RunStarted:
    return RunStarted(
        run="a",
        step=step,
        target=100,
        steps_per_epoch=10,
        config={"model": "cnn"},
        device={},
        dataset={"name": "cifar10", "state": "ready"},
        parameters=1,
    )


def progress(step: int, loss: float | None = 1.0) -> Progress:
    return Progress(
        step=step,
        target=100,
        epoch=step / 10,
        loss=loss,
        loss_min=loss,
        loss_max=loss,
        moving_loss=loss,
        moving_accuracy=0.5,
        mean_loss=loss,
        mean_accuracy=0.5,
        learning_rate=1e-3,
        steps_per_second=10.0,
        images_per_second=100.0,
        seconds=step / 10,
    )


def evaluation(step: int, accuracy: float = 0.5) -> Evaluation:
    return Evaluation(
        step=step,
        epoch=step / 10,
        split="test",
        examples=10,
        loss=1.0,
        accuracy=accuracy,
        top5=0.9,
        confusion=[[1, 2], [3, 4]],
        seconds=0.1,
    )


def note(text: str = "x") -> Note:
    return Note(level="info", id="I-X", text=text)


def ended(step: int = 100) -> RunEnded:
    return RunEnded(
        run="a",
        state="done",
        step=step,
        seconds=1.0,
        steps_per_second=1.0,
        median_step_us=None,
        train=None,
        test=None,
    )


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path, {}, name="a", stem="a")


def read(run: RunDirectory) -> list[Event]:
    result = read_events(run.events_path)
    assert result.damaged == 0
    return result.events


def test_what_is_recorded_is_read_back(run: RunDirectory) -> None:
    written: list[Event] = [started(), progress(1), evaluation(1), note("\x1b[31m é \udcff"), ended()]
    with Recorder(run) as recorder:
        for event in written:
            recorder.append(event)
            assert recorder.failure is None
    assert read(run) == written


def test_progress_is_thinned_but_curves_end_where_evaluations_are(run: RunDirectory) -> None:
    clock = Clock()
    recorder = Recorder(run, progress_hz=4, clock=clock)
    for step in range(1, 101):
        clock.now = step / 20
        recorder.append(progress(step))
        if step == 50:
            recorder.append(evaluation(step))
    recorder.close()
    steps = [event.step for event in read(run) if isinstance(event, Progress)]
    assert 18 <= len(steps) <= 24
    assert 50 in steps
    assert steps[-1] == 100
    kinds = [(event.kind, getattr(event, "step", None)) for event in read(run)]
    assert kinds[kinds.index(("evaluation", 50)) - 1] == ("progress", 50)


def test_every_event_is_in_the_file_when_append_returns(run: RunDirectory) -> None:
    recorder = Recorder(run)
    recorder.append(note("one"))
    assert read(run) == [note("one")]
    recorder.append(note("two"))
    assert read(run) == [note("one"), note("two")]
    recorder.close()


def test_evaluations_checkpoints_and_the_end_are_fsynced(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Recorder(run) as recorder:
        recorder.append(note())
        synced: list[int] = []
        monkeypatch.setattr(os, "fsync", synced.append)
        recorder.append(note())
        recorder.append(progress(1))
        assert synced == []
        checkpoint = Checkpoint(step=1, name="step-000000001", reason="end", bytes=1, seconds=0.1)
        for number, event in enumerate([evaluation(1), checkpoint, ended()], 1):
            recorder.append(event)
            assert len(synced) == number


def test_threads_record_whole_lines(run: RunDirectory) -> None:
    recorder = Recorder(run)

    def work(name: str) -> None:
        for number in range(100):
            recorder.append(note(f"{name} {number}" + "x" * 200))

    threads = [threading.Thread(target=work, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.close()
    assert len(read(run)) == 400


@pytest.mark.parametrize("cut", range(1, len(json.dumps(to_json(note("two")))) + 2))
def test_fault_078_a_torn_last_line_is_cut_before_the_next_append(run: RunDirectory, cut: int) -> None:
    with Recorder(run) as recorder:
        recorder.append(note("one"))
        recorder.append(note("two"))
    whole = run.events_path.read_bytes()
    run.events_path.write_bytes(whole[:-cut])
    with Recorder(run) as recorder:
        recorder.append(note("three"))
    assert read(run) == [note("one"), note("three")]


@pytest.mark.parametrize("tail", [b"\0" * 5000, b"garbage\n", b'{"event": "note"\n', b"[]\n", b"x" * 200_000])
def test_fault_078_garbage_at_the_end_is_cut_and_garbage_within_is_counted(
    run: RunDirectory, tail: bytes
) -> None:
    with Recorder(run) as recorder:
        recorder.append(note("one"))
    with run.events_path.open("ab") as file:
        file.write(b"middle\xff\n" + json.dumps(to_json(note("two"))).encode() + b"\n" + tail)
    assert read_events(run.events_path).damaged == 2
    with Recorder(run) as recorder:
        recorder.append(note("three"))
    result = read_events(run.events_path)
    assert result.events == [note("one"), note("two"), note("three")]
    assert result.damaged == 1


def test_fault_056_a_full_disk_stops_no_training_and_loses_no_event(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    recorder = Recorder(run, clock=clock)
    recorder.append(started())
    real = os.write
    full = True
    attempts = 0

    def write(descriptor: int, data: bytes) -> int:
        nonlocal attempts
        if not full:
            return real(descriptor, data)
        attempts += 1
        if attempts % 2:
            return real(descriptor, bytes(data)[:7])  # a short write before the error
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(recorder_module.os, "write", write)
    before = run.events_path.read_bytes()
    recorder.append(evaluation(1))
    assert recorder.failure == "No space left on device"
    assert run.events_path.read_bytes() == before
    for step in range(2, 50):
        clock.now += 0.01
        recorder.append(evaluation(step))
    assert attempts <= 6, "it tries again only after a pause"
    full = False
    clock.now += 60
    recorder.append(evaluation(50))
    assert recorder.failure is None
    assert recorder.dropped == 0
    recorder.close()
    assert read(run) == [started(), *(evaluation(step) for step in range(1, 51))]


def test_the_last_word_is_tried_even_in_a_pause(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    recorder = Recorder(run, clock=clock)

    def fail(*_: Any) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(recorder_module.os, "write", fail)
        recorder.append(started())
        assert recorder.failure == "Input/output error"
    recorder.append(note())
    assert not read_events(run.events_path).events
    recorder.append(ended())
    assert recorder.failure is None
    assert read(run) == [started(), note(), ended()]
    recorder.close()


def test_fault_057_a_failed_fsync_is_told_and_the_next_one_clears_it(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(run, clock=Clock())
    recorder.append(started())

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(recorder_module.os, "fsync", fail)
        recorder.append(evaluation(1))
        assert recorder.failure == "Input/output error"
    recorder.append(ended())
    assert recorder.failure is None
    recorder.close()
    assert read(run) == [started(), evaluation(1), ended()]


def test_fault_058_a_deleted_run_directory_is_made_anew(run: RunDirectory) -> None:
    meta = run.meta()
    recorder = Recorder(run)
    recorder.append(started())
    recorder.append(note("lost"))
    shutil.rmtree(run.path)
    recorder.append(evaluation(7))
    assert recorder.failure is None
    assert recorder.recreations == 1
    recorder.append(evaluation(8))
    recorder.close()
    assert read(run) == [started(), evaluation(7), evaluation(8)]
    assert run.meta() == meta


def test_an_events_file_deleted_under_way_is_made_anew(run: RunDirectory) -> None:
    with Recorder(run) as recorder:
        recorder.append(started())
        run.events_path.unlink()
        recorder.append(evaluation(7))
        assert recorder.recreations == 1
    assert read(run) == [started(), evaluation(7)]


def test_fault_080_events_are_not_written_through_a_link(run: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("precious")
    run.events_path.symlink_to(tmp_path / "outside")
    with Recorder(run) as recorder:
        recorder.append(note())
        assert recorder.failure
    assert (tmp_path / "outside").read_text() == "precious"


def test_a_value_that_is_no_json_is_dropped_and_told(run: RunDirectory) -> None:
    with Recorder(run) as recorder:
        recorder.append(Note(level="info", id="x", text=b"bytes"))  # type: ignore[arg-type]
        assert recorder.dropped == 1
        assert "not JSON" in str(recorder.failure)
        recorder.append(note())
    assert read(run) == [note()]


def test_the_backlog_is_bounded(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "_BACKLOG_LINES", 5)
    shutil.rmtree(run.path)
    run.path.write_text("a file in the way")
    recorder = Recorder(run)
    for number in range(9):
        recorder.append(note(str(number)))
    assert recorder.failure
    assert recorder.dropped == 4
    run.path.unlink()
    run.path.mkdir()
    recorder.close()
    assert read(run) == [note(str(number)) for number in range(4, 9)]


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
