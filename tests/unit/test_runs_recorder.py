"""The recorder: every event on disk, whatever the disk does."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from cifar_tui.events import Checkpoint, Event, Note, Progress, to_json
from cifar_tui.runs import recorder as recorder_module
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.reader import read_events
from cifar_tui.runs.recorder import Recorder

from .event_tools import Clock, ended, evaluation, note, progress, read, started


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
