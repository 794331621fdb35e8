"""Room 3: what a model gets right and wrong."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot

from cifar_tui.datasets import store, synthetic
from cifar_tui.errors import NotThereError
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.tui import answer_data, report_data
from cifar_tui.tui.live import ALL_KINDS, LiveRun
from cifar_tui.tui.messages import CopyRequested
from cifar_tui.tui.screens.checkpoints import ChooseCheckpoint
from cifar_tui.tui.screens.rooms.report import RoomReport
from cifar_tui.tui.screens.zoom import ZoomScreen
from cifar_tui.tui.widgets.confusion_matrix import ConfusionMatrix
from cifar_tui.tui.widgets.gallery import Gallery
from tests.tui import fake_session
from tests.tui.answers_by_hand import Evaluate, answered
from tests.tui.pane_app import PaneApp, screen_text
from tests.tui.room_tools import app_with, line_with, until
from tests.tui.run_maker import confusion, evaluation, make_run, report_values, started


@pytest.fixture(autouse=True)
def small_synthetic(monkeypatch: pytest.MonkeyPatch) -> None:
    store.reset_cache()
    monkeypatch.setattr(synthetic, "build", functools.partial(synthetic.build, train=120, test=40))


@pytest.fixture
def evaluate(monkeypatch: pytest.MonkeyPatch) -> Evaluate:
    found = Evaluate()
    monkeypatch.setattr("cifar_tui.session.evaluate.evaluate_run", found)
    return found


def live_of(run: RunDirectory) -> LiveRun:
    return LiveRun.from_run(run)


async def test_the_report_of_the_open_run_is_shown_with_intervals_and_calibration(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "cnn-1")
    room = RoomReport()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        room.show_live(live_of(run), ALL_KINDS)
        await until(pilot, lambda: "ECE 11.0 points" in app.text)
        low, high = report_data.wilson(0.7, 1000)
        assert f"{low * 100:.1f} to {high * 100:.1f}" in line_with(app, "test ")
        assert "70.0%" in line_with(app, "test ")
        assert "gap 20.0 points" in app.text
        assert "penalty 0.250" in app.text
        assert "cnn-1, step 1,000" in app.text
        assert "80 to 90%" in app.text and "-15.0" in app.text
        assert "cat → dog" in app.text


async def test_the_matrix_is_walked_and_says_each_cell(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "cnn-1")
    room = RoomReport()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        room.show_live(live_of(run), ALL_KINDS)
        await until(pilot, lambda: "plane" in app.text)
        room.focus_first()
        assert "airplane said airplane  50 of 51, 98.0%  right" in app.text
        await pilot.press("m")
        assert "cat said dog  40 of 91, 44.0%  wrong" in app.text
        await pilot.press("p")
        assert "44.0" in line_with(app, "│ cat  ")
        await pilot.press("left", "up")
        assert "bird said deer" in app.text
        await pilot.press("t")
        assert "Confusion, train" in app.text
        await pilot.press("y")
        copied = [message for message in app.asked if isinstance(message, CopyRequested)]
        assert "cat → dog" in copied[0].text


async def test_classes_are_worst_first_with_what_they_are_taken_for(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "cnn-1")
    room = RoomReport()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        room.show_live(live_of(run), ALL_KINDS)
        await until(pilot, lambda: "Per class" in app.text)
        lines = app.text.splitlines()
        first = lines[next(i for i, line in enumerate(lines) if "10 classes" in line) + 1]
        assert "cat" in first and "54.9%" in first and "dog" in first
        room.focus_first()
        await pilot.press("o")
        assert "Per class, best first" in app.text


async def test_no_report_says_the_next_key(tmp_path: Path) -> None:
    room = RoomReport()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(80, 21)) as pilot:
        await pilot.pause()
        assert "No run is open." in app.text
        assert "4 Open a run that was trained before" in app.text


async def test_an_evaluation_newer_than_the_report_is_shown_instead(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "cnn-1")
    room = RoomReport()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        live = live_of(run)
        live.add(evaluation(1500, accuracy=0.81))
        room.show_live(live, ALL_KINDS)
        await until(pilot, lambda: "step 1,500" in app.text)
        assert "81.0%" in line_with(app, "test ")
        assert "Known after the evaluation at the end" in app.text


async def test_a_damaged_report_is_an_error_in_place(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "cnn-1", report=False)
    run.report_path.write_text("{broken")
    run.events_path.write_text("")
    room = RoomReport()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        room.show_live(live_of(run), ALL_KINDS)
        await until(pilot, lambda: 'report.json of run "cnn-1" is damaged' in app.text)


@pytest.mark.parametrize(
    "splits",
    [
        {"test": {}},
        {"test": {"confusion": [[1, 2], [3]], "accuracy": "x", "examples": -1}},
        {"test": {"confusion": "abc", "calibration": [1], "classes": 7, "loss": float("nan")}},
        {"test": {"confusion": [[0]], "accuracy": 0.0, "examples": 0}},
        {"test": {"confusion": [[1, 2], [3, 4]], "calibration": {"ece": "x", "bins": [{"count": 1}, 3]}}},
    ],
)
def test_fault_a_report_with_odd_fields_never_raises(splits: dict[str, Any]) -> None:
    report = report_data.from_json("r", {"splits": splits, "dataset": 3, "step": "x"})
    for split in report.splits.values():
        split.classes()
        split.pairs()
        assert len(split.names) == len(split.confusion)
        assert 0 <= split.interval[0] <= split.interval[1] <= 1


async def test_fault_100_class_names_with_markup_stay_plain_text(tmp_path: Path) -> None:
    names = ["[/x]", "\x1b[31m"] + [f"c{number}" for number in range(8)]
    room = RoomReport()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        live = LiveRun()
        live.add(started("", names=names))
        live.add(evaluation(10))
        room.show_live(live, ALL_KINDS)
        await until(pilot, lambda: "[/x]" in app.text)
        assert "\\x1b[31m" in app.text


async def test_a_hundred_classes_show_their_groups_and_enter_opens_one(tmp_path: Path) -> None:
    counts = np.eye(100, dtype=int) * 9
    counts[0, 1] = 5
    live = LiveRun()
    live.add(started(""))
    from cifar_tui.datasets.cifar100 import SPEC

    live.dataset = {"name": "cifar100", "names": list(SPEC.names)}
    live.add(evaluation(10, confusion=counts.tolist()))
    room = RoomReport()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(120, 50)) as pilot:
        room.show_live(live, ALL_KINDS)
        await until(pilot, lambda: "its classes" in app.text)
        assert SPEC.coarse_names[0][:7] in app.text
        room.focus_first()
        await pilot.press("enter")
        inside = [name for name, group in zip(SPEC.names, SPEC.fine_to_coarse, strict=True) if group == 0]
        assert all(name[:10] in app.text for name in inside)
        await pilot.press("escape")
        assert SPEC.coarse_names[19][:5] in app.text


def test_wilson_intervals_are_those_of_the_formula() -> None:
    low, high = report_data.wilson(0.5, 100)
    assert (round(low, 4), round(high, 4)) == (0.4038, 0.5962)
    assert report_data.wilson(0.0, 0) == (0.0, 1.0)
    assert report_data.wilson(1.0, 50)[1] == pytest.approx(1.0)


def test_grouping_keeps_every_picture() -> None:
    report = report_data.SplitReport("test", 4, 1.0, 0.0, 0.5, 1.0, tuple("abcd"), ((1, 2, 0, 0),) * 4)
    joined = report_data.grouped(report, ("x", "y"), (0, 0, 1, 1))
    assert joined.confusion == ((6, 0), (6, 0))
    assert joined.accuracy == 0.5
    assert report_data.grouped(report, (), (0,)) is report


def test_a_report_of_an_evaluation_equals_the_recorded_one() -> None:
    recorded = report_data.from_json("r", report_values("r", 7)).splits["test"]
    found = report_data.from_evaluations("r", {"names": list(recorded.names)}, {"test": evaluation(7)})
    assert found.splits["test"].classes() == recorded.classes()
    assert recorded.confusion == tuple(map(tuple, confusion()))


# ---- the pictures behind a number ----


async def open_report(app: PaneApp, pilot: Pilot[None], tmp_path: Path) -> RoomReport:
    room = app.widget
    assert isinstance(room, RoomReport)
    room.show_live(live_of(make_run(tmp_path / "runs", "cnn-1")), ALL_KINDS)
    await until(pilot, lambda: "80 to 90%" in app.text or "Confusion, test" in app.text)
    room.focus_first()
    await pilot.pause()
    return room


def gallery(app: PaneApp) -> Gallery:
    return app.query_one("#pictures-gallery", Gallery)


@pytest.mark.usefixtures("evaluate")
async def test_three_keys_lead_from_the_end_of_a_training_to_the_most_confused_pair(tmp_path: Path) -> None:
    class Quick(fake_session.FakeSession):
        rate = 1e7

        def _save(self, step: int, why: Any) -> None:
            self.mailbox.put(evaluation(step))
            super()._save(step, why)

    make_run(tmp_path / "runs", "fnn-1")
    app = fake_session.make_app(tmp_path, Quick)
    async with app.run_test(size=(120, 40)) as pilot:
        await fake_session.ready(pilot)
        await pilot.press("space")
        await fake_session.until(pilot, lambda: app.live.status == "done")
        await pilot.press("3", "m", "enter")
        await fake_session.until(pilot, lambda: "surest first" in screen_text(app))
        assert "cat taken for dog" in screen_text(app)


@pytest.mark.parametrize("size", [(80, 21), (120, 37), (200, 47)])
async def test_enter_on_a_cell_shows_its_pictures_with_the_five_most_likely_classes(
    tmp_path: Path, evaluate: Evaluate, size: tuple[int, int]
) -> None:
    app = app_with(RoomReport(), tmp_path)
    async with app.run_test(size=size) as pilot:
        room = await open_report(app, pilot, tmp_path)
        await pilot.press("enter")
        await until(pilot, lambda: gallery(app).count > 0)
        assert evaluate.asked == [("last", ("test",))]
        await pilot.press("escape")
        part = answered("test", tmp_path)
        wrong = answer_data.mistakes(part).tolist()
        surest = answer_data.said_of(part, wrong[0])
        assert surest.index == 36 and not surest.right
        matrix = room.query_one(ConfusionMatrix)
        await until(pilot, lambda: matrix.has_focus)
        matrix._go(surest.true, surest.said)
        await pilot.press("enter")
        await until(pilot, lambda: gallery(app).count > 0 and gallery(app).has_focus)
        await pilot.pause()
        names = store.load("synthetic", tmp_path).names
        assert f"{names[surest.true]} taken for {names[surest.said]}" in app.text
        first = line_with(app, "✕ ")
        assert names[surest.said][:6] in first and f"{surest.confidence * 100:.1f}" in first
        assert f"✓ {names[surest.true][:6]}" in app.text and "20.0" in app.text
        assert "#36" in app.text and "surest first" in app.text
        assert len(evaluate.asked) == 1, "a checkpoint is evaluated once"


@pytest.mark.usefixtures("evaluate")
async def test_the_pictures_of_a_cell_stand_beside_the_matrix_once_they_are_known(tmp_path: Path) -> None:
    app = app_with(RoomReport(), tmp_path)
    async with app.run_test(size=(120, 37)) as pilot:
        room = await open_report(app, pilot, tmp_path)
        assert "Most confused" in app.text
        await pilot.press("enter")
        await until(pilot, lambda: gallery(app).count > 0)
        await pilot.press("escape")
        await until(pilot, lambda: room.query_one(ConfusionMatrix).has_focus)
        assert "disc told rightly" in app.text and "▀" in app.text
        await pilot.press("right")
        assert "disc taken for ring" in app.text
        await pilot.press("b")
        await pilot.pause()
        assert "Most confused" in app.text and "disc taken for ring" not in app.text


@pytest.mark.usefixtures("evaluate")
async def test_v_shows_the_surest_mistakes_o_orders_them_and_c_goes_to_the_pair(tmp_path: Path) -> None:
    app = app_with(RoomReport(), tmp_path)
    async with app.run_test(size=(120, 37)) as pilot:
        await open_report(app, pilot, tmp_path)
        await pilot.press("v")
        await until(pilot, lambda: gallery(app).count == 10)
        await until(pilot, lambda: "1 to 8 of 10, surest first" in app.text)
        assert "Most confident mistakes  test" in app.text
        numbers = [36, 32, 28, 24]
        places = [app.text.index(f"#{number} ") for number in numbers]
        assert places == sorted(places)
        await pilot.press("o")
        await until(pilot, lambda: "least sure first" in app.text)
        assert gallery(app).place == 0
        await pilot.press("y")
        copied = [message for message in app.asked if isinstance(message, CopyRequested)][-1].text
        assert copied.splitlines()[0].split("\t") == ["split", "index", "true", "said", "probability"]
        assert copied.splitlines()[1].split("\t")[:2] == ["test", "0"]
        await pilot.press("c")
        await until(pilot, lambda: " taken for " in app.text.splitlines()[0])
        assert 0 < gallery(app).count < 10


@pytest.mark.usefixtures("evaluate")
async def test_a_double_click_opens_a_cell_and_enter_zooms_its_picture(tmp_path: Path) -> None:
    app = app_with(RoomReport(), tmp_path)
    async with app.run_test(size=(120, 37)) as pilot:
        await open_report(app, pilot, tmp_path)
        await pilot.click("#report-matrix", offset=(13, 1), times=2)
        await until(pilot, lambda: gallery(app).count > 0 and gallery(app).has_focus)
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, ZoomScreen)
        text = screen_text(app)
        assert "right  disc" in text and "80.0" not in text.splitlines()[0]


async def test_an_evaluation_says_how_far_it_is_and_x_stops_it(tmp_path: Path, evaluate: Evaluate) -> None:
    evaluate.hold.clear()
    app = app_with(RoomReport(), tmp_path)
    async with app.run_test(size=(80, 21)) as pilot:
        room = await open_report(app, pilot, tmp_path)
        await pilot.press("enter")
        await until(pilot, lambda: "Evaluating step 1,000 on test" in app.text)
        assert "20 of 40" in app.text and "x Cancel" in app.text
        await pilot.press("x")
        await until(pilot, lambda: room.query_one(ConfusionMatrix).has_focus)
        assert room.exam is None and "Confusion, test" in app.text


async def test_a_run_without_a_checkpoint_says_so_where_the_pictures_would_be(
    tmp_path: Path, evaluate: Evaluate
) -> None:
    evaluate.error = NotThereError("run cnn-1 has no checkpoint", hint="cifar-tui runs show cnn-1")
    app = app_with(RoomReport(), tmp_path)
    async with app.run_test(size=(80, 21)) as pilot:
        room = await open_report(app, pilot, tmp_path)
        await pilot.press("enter")
        await until(pilot, lambda: "✕ run cnn-1 has no checkpoint" in app.text)
        assert "hint: cifar-tui runs show cnn-1" in app.text
        await pilot.press("escape")
        await until(pilot, lambda: room.query_one(ConfusionMatrix).has_focus)
        assert "✕" not in app.text


async def test_k_evaluates_another_checkpoint_and_goes_back_to_the_recorded_report(
    tmp_path: Path, evaluate: Evaluate
) -> None:
    app = app_with(RoomReport(), tmp_path)
    async with app.run_test(size=(120, 37)) as pilot:
        await open_report(app, pilot, tmp_path)
        for name in ("step-000000500", "step-000001000", "best-000000500"):
            (tmp_path / "runs" / "cnn-1" / "checkpoints" / name).mkdir(parents=True)
        await pilot.press("k")
        await until(pilot, lambda: isinstance(app.screen, ChooseCheckpoint))
        await pilot.pause()
        text = screen_text(app)
        assert "recorded report" in text and "best" in text and "step 500" in text
        await pilot.press("down", "down", "down", "enter")
        await until(pilot, lambda: "cnn-1, checkpoint of step 500" in app.text)
        assert evaluate.asked == [(500, ("test", "train"))]
        await until(pilot, lambda: "75.0%" in line_with(app, "train "))
        await pilot.press("k")
        await until(pilot, lambda: isinstance(app.screen, ChooseCheckpoint))
        await pilot.press("enter")
        await until(pilot, lambda: "cnn-1, step 1,000" in app.text)
        assert "70.0%" in line_with(app, "test ")


@pytest.mark.usefixtures("evaluate")
async def test_the_pixels_are_let_go_when_the_report_is_left_and_come_back(tmp_path: Path) -> None:
    app = app_with(RoomReport(), tmp_path)
    async with app.run_test(size=(120, 37)) as pilot:
        room = await open_report(app, pilot, tmp_path)
        await pilot.press("v")
        await until(pilot, lambda: gallery(app).count == 10)
        room.display = False
        await pilot.pause()
        assert room.dataset is None and gallery(app).count == 0
        room.display = True
        await until(pilot, lambda: gallery(app).count == 10)


def test_pictures_behind_a_cell_are_those_of_the_classes_surest_first(tmp_path: Path) -> None:
    part = answered("train", tmp_path)
    found = answer_data.behind(part, (3, 4), (4,)).tolist()
    said = [answer_data.said_of(part, place) for place in found]
    assert all(one.true in {3, 4} and one.said == 4 for one in said)
    assert [one.confidence for one in said] == sorted((one.confidence for one in said), reverse=True)
    total = sum(len(answer_data.behind(part, (i,), (j,))) for i in range(10) for j in range(10))
    assert total == 120
    by_number = answer_data.ordered(part, answer_data.mistakes(part), 2).tolist()
    assert by_number == sorted(by_number) and len(by_number) == 30


def test_probabilities_that_are_not_finite_have_no_number() -> None:
    assert answer_data.percent(float("nan")) == "    -"
    assert answer_data.percent(1.0) == "100.0"


async def test_an_evaluation_under_way_does_not_keep_the_app_from_ending(
    tmp_path: Path, evaluate: Evaluate
) -> None:
    evaluate.hold.clear()
    app = app_with(RoomReport(), tmp_path)
    async with app.run_test(size=(80, 21)) as pilot:
        room = await open_report(app, pilot, tmp_path)
        await pilot.press("enter")
        await until(pilot, lambda: "20 of 40" in app.text)
        exam = room.exam
    assert exam is not None and exam.cancelled
