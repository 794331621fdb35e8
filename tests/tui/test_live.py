"""The fold behind the panes: what the user is told about a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cifar_tui import events
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.recorder import Recorder
from cifar_tui.tui.live import ALL_KINDS, NOTE_LIMIT, LiveRun
from tests.tui.fake_session import ended, evaluation, progress, started


def folded(*found: events.Event) -> LiveRun:
    live = LiveRun()
    for event in found:
        live.add(event)
    return live


def test_a_new_fold_is_idle_and_empty() -> None:
    live = LiveRun()
    assert (live.status, live.is_live, live.is_empty) == ("idle", False, True)


def test_the_status_follows_the_phases() -> None:
    live = LiveRun()
    live.begin(1000)
    assert live.status == "starting" and live.is_live
    seen = []
    for event in (
        events.Phase(phase="import"),
        started(),
        events.Phase(phase="train"),
        progress(10),
        events.Phase(phase="evaluate"),
        events.Phase(phase="save"),
        events.Phase(phase="train"),
        progress(20, paused=True),
        progress(20, paused=True),
        progress(30),
        ended(30, "stopped"),
    ):
        live.add(event)
        seen.append(live.status)
    assert seen == [
        "starting",
        "starting",
        "training",
        "training",
        "evaluating",
        "saving",
        "training",
        "paused",
        "paused",
        "training",
        "stopped",
    ]
    assert not live.is_live


def test_the_last_phase_does_not_wake_an_ended_run() -> None:
    live = folded(started(), progress(5), ended(5))
    live.add(events.Phase(phase="save"))
    assert live.status == "done"


def test_best_is_the_earliest_greatest_test_accuracy() -> None:
    live = folded(
        started(), evaluation(100, accuracy=0.4), evaluation(200, accuracy=0.6), evaluation(300, accuracy=0.6)
    )
    assert live.best is not None and live.best.step == 200
    assert live.last["test"].step == 300


def test_best_is_judged_by_the_validation_split_where_there_is_one() -> None:
    live = folded(
        started(),
        evaluation(100, accuracy=0.9),
        evaluation(100, "validation", 0.3),
        evaluation(200, "validation", 0.5),
    )
    assert live.best is not None and (live.best.split, live.best.step) == ("validation", 200)


def test_a_resume_drops_what_it_supersedes() -> None:
    live = folded(
        started(),
        progress(100),
        evaluation(100, accuracy=0.4),
        progress(200),
        evaluation(200, accuracy=0.9),
        events.Checkpoint(step=200, name="b", reason="interval", bytes=1, seconds=0.0),
        ended(200, "stopped"),
        started(step=100),
    )
    assert live.step == 100
    assert live.best is not None and live.best.step == 100
    assert [mark.kind for mark in live.marks] == ["resume"]
    assert live.series.curve("test", "accuracy").step.tolist() == [100]
    assert live.ended is None and live.is_live


def test_checkpoints_and_changes_of_the_learning_rate_are_marked() -> None:
    live = folded(
        started(),
        events.Checkpoint(step=10, name="a", reason="interval", bytes=1, seconds=0.0),
        events.Checkpoint(step=20, name="b", reason="best", bytes=1, seconds=0.0),
        events.Note(level="info", id="I-LEARNING-RATE", text="learning rate 1 -> 2", step=30),
    )
    assert [(mark.step, mark.kind) for mark in live.marks] == [
        (10, "checkpoint"),
        (20, "best"),
        (30, "learning_rate"),
    ]


def test_the_learning_rate_in_force_is_known_before_the_next_progress() -> None:
    values = {"learning_rate": 100.0}
    change = events.Note(level="info", id="I-LEARNING-RATE", text="1 -> 100", step=12, values=values)
    assert folded(started()).learning_rate is None
    assert folded(started(), progress(10)).learning_rate == progress(10).learning_rate
    assert folded(started(), progress(10), change).learning_rate == 100.0


def test_a_pause_without_new_steps_leaves_no_gap_in_the_curve() -> None:
    live = folded(started(), progress(10), progress(12, loss=None, paused=True), progress(20))
    assert np.isfinite(live.series.curve("train-batch", "loss").value).all()


def test_notes_are_kept_to_a_limit_newest_last() -> None:
    live = LiveRun()
    for number in range(NOTE_LIMIT + 5):
        live.add(events.Note(level="warning", id="W", text=str(number)))
    assert len(live.notes) == NOTE_LIMIT
    assert live.notes[-1].text == str(NOTE_LIMIT + 4)
    assert live.warnings == NOTE_LIMIT + 5


def test_an_error_before_the_start_counts_as_failed() -> None:
    live = LiveRun()
    live.begin()
    live.fail(ValueError("no"))
    assert live.status == "failed" and str(live.error) == "no"


def test_reset_forgets_everything() -> None:
    live = folded(started(), progress(10), evaluation(10))
    live.reset()
    assert live.is_empty and len(live.series.curve("train-batch", "loss")) == 0 and not live.last


def test_every_kind_of_event_is_announced() -> None:
    assert set(events.EVENTS) < ALL_KINDS


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    meta = {"config": {"model": "fnn"}, "dataset": {"name": "cifar10"}, "device": {"device": "cpu"}}
    return RunDirectory.create(tmp_path / "runs", meta, name=None, stem="fnn-cifar10")


def test_a_recorded_run_is_folded_from_its_events(run: RunDirectory) -> None:
    recorder = Recorder(run)
    for event in (started(run=run.id), progress(50), evaluation(50, accuracy=0.42), ended(50, "stopped")):
        recorder.append(event)
    recorder.close()
    live = LiveRun.from_run(run)
    assert (live.run_id, live.step, live.status, live.recorded) == (run.id, 50, "stopped", True)
    assert not live.is_live and live.best is not None and live.best.accuracy == 0.42


def test_a_run_whose_process_was_killed_is_not_shown_as_training(run: RunDirectory) -> None:
    recorder = Recorder(run)
    for event in (started(run=run.id), progress(50)):
        recorder.append(event)
    recorder.close()
    live = LiveRun.from_run(run)
    assert live.status == "stopped" and not live.is_live


def test_a_run_without_events_can_be_opened(run: RunDirectory) -> None:
    live = LiveRun.from_run(run)
    assert live.status == "idle" and live.config == {"model": "fnn"}
