"""Room 3: the pictures behind a number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from cifar_tui.datasets import store
from cifar_tui.errors import NotThereError
from cifar_tui.tui import answer_data
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
from tests.tui.room_tools import app_with, line_with
from tests.tui.run_maker import evaluation, make_run
from tests.tui.waiting import until

pytestmark = pytest.mark.usefixtures("small_synthetic")


# ---- the pictures behind a number ----


async def open_report(app: PaneApp, pilot: Pilot[None], tmp_path: Path) -> RoomReport:
    room = app.widget
    assert isinstance(room, RoomReport)
    room.show_live(LiveRun.from_run(make_run(tmp_path / "runs", "cnn-1")), ALL_KINDS)
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
