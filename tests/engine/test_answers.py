"""What a checkpoint says of each picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cifar_tui import events
from cifar_tui.session.evaluate import Answered, evaluate_run

from .conftest import Make, make_split
from .session_tools import finish, run_of


def test_the_answers_of_a_checkpoint_agree_with_its_report(make: Make, tmp_path: Path) -> None:
    finish(make(name="r", steps=20, validation_examples=40))
    parts: list[Answered] = []
    splits = ("test", "validation", "train")
    found = evaluate_run(
        run_of(tmp_path, "r"), tmp_path / "data", splits=splits, threads=1, deliver=parts.append
    )
    assert tuple(part.split for part in parts) == splits
    for part in parts:
        assert part.report == found["splits"][part.split]
        answers = part.answers
        counts = np.zeros((10, 10), dtype=int)
        np.add.at(counts, (answers.labels, answers.classes[:, 0]), 1)
        assert counts.tolist() == part.report["confusion"]
        assert answers.classes.shape == answers.shares.shape == (len(part.rows), 5)
        assert (np.diff(answers.shares, axis=1) <= 0).all()
        within = (answers.classes == answers.labels[:, None]).any(1).mean()
        assert within == part.report["top5"]


def test_each_answer_points_at_its_picture_in_the_files(make: Make, tmp_path: Path) -> None:
    finish(make(name="r", steps=5, validation_examples=40))
    parts: list[Answered] = []
    evaluate_run(
        run_of(tmp_path, "r"),
        tmp_path / "data",
        splits=("train", "validation"),
        threads=1,
        deliver=parts.append,
    )
    labels = make_split("train", 200, 1).labels
    for part in parts:
        assert part.source == "train"
        assert (labels[part.rows] == part.answers.labels).all()
    rows = np.concatenate([part.rows for part in parts])
    assert sorted(rows.tolist()) == list(range(200))


def test_a_cancelled_evaluation_keeps_the_splits_that_were_done(make: Make, tmp_path: Path) -> None:
    finish(make(name="r", steps=5))
    parts: list[Answered] = []
    told: list[events.Event] = []
    found = evaluate_run(
        run_of(tmp_path, "r"),
        tmp_path / "data",
        splits=("test", "train"),
        threads=1,
        emit=told.append,
        cancelled=lambda: bool(parts),
        deliver=parts.append,
    )
    assert list(found["splits"]) == ["test"] and len(parts) == 1
    assert [event.total for event in told if isinstance(event, events.Phase) and event.total][-1] == 50
