"""Safe text, error blocks, events, the mailbox, and files that are whole or not there."""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar_tui import errors, events, fsio
from cifar_tui.mailbox import Mailbox
from cifar_tui.text import did_you_mean, human_bytes, human_count, human_seconds, nearest, safe_text


@given(st.text())
def test_safe_text_has_no_control_characters(text: str) -> None:
    shown = safe_text(text)
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2028\u2066" for c in shown)
    shown.encode("utf-8")  # no lone surrogates


@given(st.text(), st.integers(2, 80))
def test_safe_text_keeps_to_its_limit(text: str, limit: int) -> None:
    assert len(safe_text(text, limit)) <= limit


def test_safe_text_shows_what_it_hides() -> None:
    assert safe_text("a\x1b[31mb\n") == r"a\x1b[31mb\n"
    assert safe_text("žluťoučký 猫 👩‍🔬") == "žluťoučký 猫 👩‍🔬"


def test_a_megabyte_is_cut_quickly() -> None:
    assert len(safe_text("x" * 1_000_000, 80)) == 80


def test_the_nearest_word_is_offered_first() -> None:
    assert nearest("adamv", ["sgd", "adamw"]) == "adamw"
    assert nearest("zzzz", ["sgd", "adamw"]) is None
    assert did_you_mean("AdamW2", ["sgd", "adamw"]).startswith('did you mean "adamw"? valid: sgd, adamw')


def test_amounts_are_for_people() -> None:
    assert (human_bytes(171_696_216), human_seconds(125), human_seconds(12_000), human_seconds(None)) == (
        "171.7 MB",
        "2:05",
        "3:20:00",
        "-:--",
    )
    assert (human_count(9_999), human_count(510_234), human_count(1_311_600_000)) == ("9,999", "510k", "1.3G")


def error_classes() -> list[type[errors.CifarTuiError]]:
    return [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.CifarTuiError)]


def test_every_error_has_an_id_and_the_documented_code() -> None:
    codes = {c.__name__: c.exit_code for c in error_classes()}
    assert codes == {
        "CifarTuiError": 1,
        "UsageError": 2,
        "DivergedError": 3,
        "DamagedError": 65,
        "NotThereError": 66,
        "UnavailableError": 69,
        "SystemResourceError": 71,
        "CannotCreateError": 73,
        "StorageError": 74,
        "LockedError": 75,
        "ProtocolError": 76,
        "AccessError": 77,
        "ConfigFileError": 78,
        "InterruptedBySignal": 1,
    }
    ids = [c.id for c in error_classes()]
    assert len(set(ids)) == len(ids)
    assert errors.InterruptedBySignal(15, "x").exit_code == 143


@given(st.text(), st.text(), st.text())
def test_an_error_block_has_at_most_six_lines_and_nothing_of_the_terminals(
    message: str, where: str, hint: str
) -> None:
    error = errors.DamagedError(message, where=where, state="nothing changed", hint=hint)
    block = error.block()
    assert block.count("\n") <= 5
    assert "\x1b" not in block
    assert max(len(line) for line in block.splitlines()) <= 420
    json.dumps(error.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EACCES, errors.AccessError),
        (errno.ENOSPC, errors.StorageError),
        (errno.EROFS, errors.CannotCreateError),
        (errno.ENOENT, errors.NotThereError),
        (errno.EIO, errors.StorageError),
        (errno.ENAMETOOLONG, errors.CannotCreateError),
    ],
)
def test_errors_of_the_system_get_their_code(number: int, kind: type) -> None:
    found = errors.from_os_error(OSError(number, os.strerror(number)), "write", "/x")
    assert type(found) is kind
    assert os.strerror(number) in found.message


def progress(step: int) -> events.Progress:
    return events.Progress(
        step=step,
        target=9,
        epoch=0.1,
        loss=1.0,
        loss_min=1.0,
        loss_max=1.0,
        moving_loss=1.0,
        moving_accuracy=0.1,
        mean_loss=1.0,
        mean_accuracy=0.1,
        learning_rate=0.1,
        steps_per_second=1.0,
        images_per_second=50.0,
        seconds=1.0,
    )


def note(text: str) -> events.Note:
    return events.Note(level="info", id="I-X", text=text)


def test_an_event_with_a_nan_becomes_null() -> None:
    from dataclasses import replace

    values = events.to_json(replace(progress(1), loss=float("nan"), loss_max=float("inf")))
    assert values["loss"] is None
    assert values["loss_max"] is None


EVALUATION = {
    "event": "evaluation",
    "step": 1,
    "epoch": 0.5,
    "split": "test",
    "examples": 3,
    "loss": None,
    "accuracy": 1,
    "top5": 1.0,
    "confusion": [[1, 2], []],
    "seconds": 0.1,
}


def test_an_event_may_have_whole_numbers_for_fractions_null_and_empty_rows() -> None:
    assert events.to_json(events.from_json(EVALUATION)).items() >= EVALUATION.items()


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        {"event": "no"},
        {"event": "note"},
        {"event": ["note"]},
        {"event": "note", "level": "loud", "id": "x", "text": "y"},
        {"event": "progress", "step": "1"},
        {**EVALUATION, "confusion": [[1, True]]},
        {**EVALUATION, "confusion": [[1, 1 << 63]]},
        {**EVALUATION, "confusion": [[1, 2.0]]},
        {**EVALUATION, "confusion": [1]},
        {**EVALUATION, "accuracy": True},
        {**EVALUATION, "loss": "low"},
        {**EVALUATION, "step": 1 << 63},
    ],
)
def test_what_is_no_event_is_a_value_error(bad: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        events.from_json(bad)


def test_the_set_of_events_is_closed() -> None:
    assert set(events.EVENTS) == {
        "run_started",
        "phase",
        "progress",
        "evaluation",
        "checkpoint",
        "note",
        "run_ended",
    }


def test_the_newest_progress_wins_and_all_else_is_kept() -> None:
    box = Mailbox()
    for step in range(1000):
        box.put(progress(step))
    box.put(note("a"))
    box.put(progress(1000))
    box.put(progress(1001))
    box.put(note("b"))
    kept = box.drain()
    assert [getattr(e, "step", None) if isinstance(e, events.Progress) else e.text for e in kept] == [
        999,
        "a",
        1001,
        "b",
    ]
    assert box.drain() == []


def test_an_unread_mailbox_stays_small() -> None:
    box = Mailbox()
    for step in range(10_000):
        box.put(events.Phase(phase="evaluate", step=step))
        box.put(progress(step))
        box.put(events.Phase(phase="train", step=step))
    assert len(box.drain()) < 50


def test_a_reader_is_woken() -> None:
    box = Mailbox()
    threading.Timer(0.05, lambda: box.put(note("x"))).start()
    assert box.wait(5.0)
    assert not Mailbox().wait(0.01)


def test_a_file_is_replaced_whole_and_private(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    fsio.replace_json(target, {"a": 1})
    fsio.replace_json(target, {"a": 2})
    assert json.loads(target.read_text()) == {"a": 2}
    assert target.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_failed_write_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.json"
    fsio.replace_json(target, {"a": 1})

    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="full"):
        fsio.replace_json(target, {"a": 2})
    assert json.loads(target.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_json_is_strict() -> None:
    with pytest.raises(ValueError, match="JSON"):
        fsio.dump_json(float("nan"))
    assert json.loads(fsio.dump_json("\udcff/猫")) == "\udcff/猫"


def test_folders_are_private(tmp_path: Path) -> None:
    fsio.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        fsio.make_folder(tmp_path / "file")
