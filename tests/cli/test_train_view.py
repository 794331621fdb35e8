"""The progress line and the views of a training."""

from __future__ import annotations

import dataclasses
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar_tui import events
from cifar_tui.cli import common, console
from cifar_tui.cli.progress_line import (
    loss_text,
    percent_text,
    phase_line,
    phase_text,
    progress_line,
    rate_text,
)

ANSI = re.compile(r"\x1b\[[0-9;]*m")
PROGRESS = events.Progress(
    step=12_400, target=20_000, epoch=12.4, loss=1.2345, loss_min=1.0, loss_max=1.5, moving_loss=1.2301,
    moving_accuracy=0.5621, mean_loss=1.5, mean_accuracy=0.4, learning_rate=1e-4, steps_per_second=812.3,
    images_per_second=40_615.0, seconds=15.0, seconds_left=18.2,
)  # fmt: skip
EVALUATION = events.Evaluation(
    step=100,
    epoch=0.1,
    split="train",
    examples=10,
    loss=1.5,
    accuracy=0.5,
    top5=0.9,
    confusion=[],
    seconds=0.1,
)


def test_at_80_columns_the_line_has_all_but_the_batch_loss():
    line = progress_line(PROGRESS, 79)
    for part in (" 62%", "12,400/20,000", "812.3/s", "~loss 1.2301", "~acc  56.2%", "ETA  0:18", "━"):
        assert part in line
    assert len(line) <= 79


def test_at_120_columns_the_line_has_everything():
    line = progress_line(PROGRESS, 119)
    assert "  loss 1.2345" in line
    assert "812.3 steps/s" in line


@pytest.mark.parametrize("activity", ["", "evaluating test  40%"])
@pytest.mark.parametrize("colour", [False, True])
def test_the_line_is_never_wider_than_the_terminal(activity, colour):
    for width in range(0, 200):
        for progress in (PROGRESS, dataclasses.replace(PROGRESS, paused=True)):
            line = progress_line(progress, width, activity=activity, colour=colour)
            assert len(ANSI.sub("", line)) <= width


@given(
    step=st.integers(0, 20_000),
    loss=st.floats(0, 1e30),
    accuracy=st.floats(0, 1),
    rate=st.floats(0, 9_999),
    left=st.floats(0, 3_500),
)
def test_the_columns_stay_where_they_are(step, loss, accuracy, rate, left):
    changed = dataclasses.replace(
        PROGRESS, step=step, loss=loss, moving_loss=loss, moving_accuracy=accuracy, steps_per_second=rate,
        seconds_left=left,
    )  # fmt: skip
    for width in (40, 79, 119):
        one, other = progress_line(PROGRESS, width), progress_line(changed, width)
        assert len(one) == len(other)
        for word in ("loss", "~acc", "ETA", "/20,000"):
            assert one.find(word) == other.find(word)


def test_the_bar_keeps_its_width_during_an_evaluation():
    for width in (79, 119, 199):
        busy = progress_line(PROGRESS, width, activity="evaluating test  40%")
        assert busy.count("━") + busy.count("─") == sum(progress_line(PROGRESS, width).count(c) for c in "━─")


def test_without_unicode_the_line_is_ascii():
    assert progress_line(PROGRESS, 119, unicode=False).isascii()


def test_a_target_of_no_steps_is_complete():
    assert progress_line(dataclasses.replace(PROGRESS, step=0, target=0), 79).startswith("100%")


def test_a_download_shows_how_much_how_fast_and_how_long():
    phase = events.Phase(
        phase="data",
        text="download cifar-10-binary.tar.gz",
        done=73_000_000,
        total=171_000_000,
        unit="bytes",
        rate=12e6,
    )
    line = phase_line(phase, 110, 3.0)
    for part in (
        "downloading cifar-10-binary.tar.gz",
        "43%",
        "73.0 MB of 171.0 MB",
        "12.0 MB/s",
        "ETA  0:08",
    ):
        assert part in line
    for width in range(0, 130):
        assert len(phase_line(phase, width, 3.0)) <= width


def test_phases_are_named():
    assert phase_text(events.Phase(phase="import", text="torch")) == "loading torch"
    assert phase_text(events.Phase(phase="evaluate", text="test")) == "evaluating test"
    assert phase_line(events.Phase(phase="import", text="torch"), 79, 3.2) == "loading torch  3 s"


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_loss_takes_six_cells(value):
    if not math.isfinite(value) or 0 <= value < 1e30:
        assert len(loss_text(value)) == 6


@given(st.floats(0, 1), st.floats(0, 9_999))
def test_percents_and_rates_have_a_steady_width(share, rate):
    assert len(percent_text(share)) == 6
    assert len(percent_text(None)) == 6
    assert len(rate_text(rate)) == 6


class Terminal(console.Screen):
    """A terminal of 80 by 24."""

    def size(self) -> tuple[int, int]:
        return 80, 24


def terminal_view(colour=False):
    return console.TerminalView(Terminal(terminal=True, colour=colour, unicode=True))


def test_the_progress_line_is_rewritten_in_place_and_only_when_it_changed(capsys):
    view = terminal_view()
    view.take(PROGRESS)
    view.draw()
    view.draw()
    view.take(dataclasses.replace(PROGRESS, step=12_500))
    view.draw()
    err = capsys.readouterr().err
    assert err.count("\r") == 2
    assert err.count("\x1b[K") == 2
    assert "\n" not in err


def test_evaluations_stay_above_the_progress_line_under_one_header(capsys):
    view = terminal_view()
    view.take(PROGRESS)
    view.draw()
    for step in (100, 200):
        for split in ("train", "validation", "test"):
            view.take(dataclasses.replace(EVALUATION, step=step, split=split))
    view.draw()
    view.close()
    taken = capsys.readouterr()
    assert taken.out.splitlines() == [
        "  step  train loss     acc  valid loss     acc   test loss     acc",
        "   100      1.5000   50.0%      1.5000   50.0%      1.5000   50.0%",
        "   200      1.5000   50.0%      1.5000   50.0%      1.5000   50.0%",
    ]
    assert taken.err.endswith(console.ERASE)


def test_an_evaluation_that_was_cut_short_is_shown_at_the_end(capsys):
    view = console.LogView()
    view.take(EVALUATION)
    assert capsys.readouterr().out == ""
    view.close()
    assert "step    100  train: loss 1.5000" in capsys.readouterr().out


def test_colours_are_left_out_where_they_are_not_wanted(capsys, monkeypatch):
    note = events.Note(level="warning", id="W-X", text="look out")
    for colour in (False, True):
        view = terminal_view(colour)
        view.take(note)
        assert ("\x1b[33m" in capsys.readouterr().err) is colour
    monkeypatch.setattr(common, "on_terminal", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not console.Screen.current().colour


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setattr(common, "on_terminal", lambda: True)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(console.make_view(console.Screen.current(), as_json=False), console.LogView)
    assert not console.Screen.current().terminal


def test_text_from_outside_cannot_steer_the_terminal(capsys):
    view = terminal_view()
    view.take(events.Note(level="info", id="I-X", text="a\x1b[2Jb\nc"))
    err = capsys.readouterr().err
    assert "\x1b[2J" not in err
    assert "\\x1b[2Jb\\nc" in err


def test_long_narration_is_broken_at_spaces(capsys):
    view = terminal_view()
    view.say("word " * 40)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 1
    assert all(len(line) <= 80 for line in lines)


def test_a_log_says_each_tenth_of_a_download_once(capsys):
    view = console.LogView()
    for done in range(0, 101):
        view.take(events.Phase(phase="data", text="download a.tar.gz", done=done, total=100, unit="bytes"))
    assert len(capsys.readouterr().err.splitlines()) == 11
