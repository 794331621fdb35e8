"""The thread count of a session: measured, recorded, taken up again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cifar_tui import events
from cifar_tui.errors import UsageError
from cifar_tui.recipe import resolve
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.reader import read_events
from cifar_tui.session import TrainRequest

from .conftest import Make
from .session_tools import finish, last_start, run_of


def thread_notes(run: RunDirectory) -> list[events.Note]:
    found = read_events(run.events_path).events
    return [e for e in found if isinstance(e, events.Note) and e.id in {"I-THREADS", "W-THREADS"}]


def picks(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Two usable cores, and a measurement that finds `count` threads fastest."""
    from cifar_tui.engine import device, threads, tuning

    monkeypatch.setattr(threads.Probe, "rates", lambda _self: {1: 500.0, 2: 300.0 * count})
    monkeypatch.setattr(threads.ThreadKeeper, "after", lambda *_args: None)
    for module in (device, tuning):
        monkeypatch.setattr(module, "usable_cores", lambda: 2)


@pytest.mark.parametrize("count", [1, 2])
def test_a_measured_thread_count_is_recorded_everywhere(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    picks(monkeypatch, count)
    finish(make(name="r", steps=3, threads="auto"))
    run = run_of(tmp_path, "r")
    assert run.meta()["device"]["threads"] == last_start(run).device["threads"] == count
    (note,) = thread_notes(run)
    assert note.values == {
        "threads": count,
        "before": 2,
        "cause": "probe",
        "rates": {"1": 500.0, "2": 300.0 * count},
    }
    found = read_events(run.events_path).events
    assert [e.kind for e in found].index("run_started") < found.index(note)
    manifest = json.loads((run.checkpoints / "step-000000003" / "manifest.json").read_text())
    assert manifest["threads"] == manifest["device"]["threads"] == count
    assert run.meta()["config"]["threads"] == 0


def test_a_resume_goes_on_with_the_recorded_thread_count(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picks(monkeypatch, 1)
    finish(make(name="r", steps=3, threads="auto"))
    run = run_of(tmp_path, "r")
    picks(monkeypatch, 2)  # were it measured again
    finish(make(resume="r", changes={"steps": "5"}, strict=True))
    assert last_start(run).device["threads"] == 1
    assert last_start(run).differences == []
    assert len(thread_notes(run)) == 1
    finish(make(resume="r", changes={"steps": "7", "threads": "auto"}))  # asked for by name: measured
    assert last_start(run).device["threads"] == 2
    assert last_start(run).differences == ["threads 1 -> 2"]
    finish(make(resume="r", changes={"steps": "9", "threads": "1"}))
    assert last_start(run).device["threads"] == 1
    assert last_start(run).differences == ["threads 2 -> 1"]
    assert len(thread_notes(run)) == 2


@pytest.mark.parametrize(
    ("values", "request_", "recorded", "expected"),
    [
        ({}, {}, False, (True, True)),
        ({}, {}, True, (False, True)),
        ({}, {"strict": True}, True, (False, False)),
        ({"threads": "2"}, {}, False, (False, False)),
    ],
)
def test_what_may_be_done_about_threads(
    values: dict[str, str], request_: dict[str, Any], recorded: bool, expected: tuple[bool, bool]
) -> None:
    from cifar_tui.session.prepare import thread_policy

    asked = TrainRequest(data_dir=Path(), runs_dir=Path(), **request_)
    policy = thread_policy(resolve(flags=values).config, asked, recorded=recorded)
    assert (policy.probe, policy.watch) == expected


def test_beside_a_screen_a_second_thread_must_be_worth_more() -> None:
    from cifar_tui.session.prepare import thread_policy

    config = resolve().config
    plain, screen = (TrainRequest(data_dir=Path(), runs_dir=Path(), screen=on) for on in (False, True))
    assert thread_policy(config, screen).margin > thread_policy(config, plain).margin


def test_auto_threads_are_a_word_in_every_door(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text('[run]\nthreads = "auto"\n')
    for recipe in (
        resolve(flags={"threads": "auto"}),
        resolve(sets=("threads=auto",)),
        resolve(file=file),
    ):
        assert recipe.config.threads == 0
    with pytest.raises(UsageError):
        resolve(flags={"threads": "many"})
    with pytest.raises(UsageError):
        resolve(flags={"steps": "auto"})
