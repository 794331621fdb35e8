"""What the keys do to a training, and what the user sees of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar_tui.errors import DamagedError, NotThereError, UsageError
from tests.tui.fake_session import FakeSession, make_app, progress, ready, screen_text, started
from tests.tui.waiting import until


class Slow(FakeSession):
    rate = 200.0


async def test_space_starts_pauses_and_resumes(tmp_path: Path) -> None:
    app = make_app(tmp_path, Slow)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("space")
        await until(pilot, lambda: app.live.step > 20)
        assert "fnn-1  training" in screen_text(app) and "space Pause" in screen_text(app).splitlines()[-1]
        await pilot.press("space")
        await until(pilot, lambda: app.live.status == "paused")
        await until(pilot, lambda: "‖ paused" in screen_text(app))
        step = app.live.step
        await pilot.pause(0.2)
        assert app.live.step == step and "space Resume" in screen_text(app).splitlines()[-1]
        await pilot.press("space")
        await until(pilot, lambda: app.live.step > step)
        await pilot.press("s")
        await until(pilot, lambda: app.live.status == "stopped")
        await until(pilot, lambda: "■ stopped" in screen_text(app))
        assert app.sessions[0].saved


async def test_numbers_keep_their_place_while_training(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        app.live.add(started(target=20_000))
        lines = []
        for step in (1, 99, 1234, 19_999):
            app.live.add(progress(step, target=20_000, steps_per_second=step / 10 + 1))
            app.dashboard.header.show_live(app.live)
            await pilot.pause()
            lines.append(screen_text(app).splitlines()[1])
        for word in ("/ 20,000", "epoch", "ETA", "steps/s"):
            assert len({line.index(word) for line in lines}) == 1, (word, lines)
        assert "62" not in lines[0] and " 6%" in lines[2]


async def test_evaluate_and_checkpoint_now_and_changes_under_way(tmp_path: Path) -> None:
    app = make_app(tmp_path, Slow)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        app.dashboard.pane("recipe").load(values={"steps": "100000"})  # it must not end by itself
        await pilot.press("space")
        await until(pilot, lambda: app.live.step > 0)
        await pilot.press("e", "c")
        await until(pilot, lambda: "test" in app.live.last)
        await until(pilot, lambda: any(mark.kind == "checkpoint" for mark in app.live.marks))
        await pilot.press("R")
        await pilot.pause()
        assert "Learning rate" in screen_text(app)
        await pilot.press(*["backspace"] * 8, *"abc", "enter")
        await pilot.pause()
        assert 'learning_rate is "abc", expected a number' in screen_text(app)
        await pilot.press(*["backspace"] * 3, *"0.5", "enter")
        await until(pilot, lambda: app.sessions[0].rates == [0.5])
        await until(pilot, lambda: any(mark.kind == "learning_rate" for mark in app.live.marks))
        await pilot.press("T")
        await pilot.press(*["backspace"] * 8, *"60", "enter")
        await until(pilot, lambda: app.live.status == "done")
        assert app.live.target == 60


async def test_stop_and_evaluate_asks_for_both(tmp_path: Path) -> None:
    app = make_app(tmp_path, Slow)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("space")
        await until(pilot, lambda: app.live.step > 0)
        await pilot.press("E")
        await until(pilot, lambda: app.live.status == "stopped")
        request = app.sessions[0].control.stop_request
        assert request is not None and request.evaluate


async def test_every_phase_is_named_from_the_first_moment(tmp_path: Path) -> None:
    app = make_app(tmp_path, Slow)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        app.action_start()
        assert app.live.status == "starting"
        app.dashboard.header.show_live(app.live)
        await pilot.pause()
        assert "training" in screen_text(app) or "loading torch" in screen_text(app)
        await pilot.press("s")


async def test_an_error_is_a_dialog_with_the_remedy_and_the_app_lives(tmp_path: Path) -> None:
    class Fails(FakeSession):
        fails = NotThereError(
            "dataset cifar10 is missing in [/x]",
            state="nothing changed",
            hint="cifar-tui data download cifar10",
        )

    app = make_app(tmp_path, Fails)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("space")
        await until(pilot, lambda: "That did not work" in screen_text(app))
        text = screen_text(app)
        assert "Dataset cifar10 is missing in [/x]" in text
        assert "cifar-tui data download cifar10" in text and "nothing changed" in text
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is app.dashboard and "✕ failed" in screen_text(app)


async def test_divergence_is_a_dialog_that_offers_a_lower_rate(tmp_path: Path) -> None:
    class Diverges(FakeSession):
        diverges_at = 100

    app = make_app(tmp_path, Diverges)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("space")
        await until(pilot, lambda: "diverged" in screen_text(app) and "What to do" in screen_text(app))
        text = screen_text(app)
        assert "Run fnn-1 diverged" in text and "Loss is NaN at step 100" in text
        assert "Resume from 100 at rate 1e-05" in text
        await pilot.press("f")
        await pilot.pause()
        assert app.dashboard.pane("recipe").values["learning_rate"] == "1e-05"


async def test_a_bad_recipe_is_told_and_nothing_starts(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        app.start_recipe({"steps": "many"}, None)
        await until(pilot, lambda: "That did not work" in screen_text(app))
        assert 'Steps is "many"' in screen_text(app) and not app.sessions


async def test_quitting_while_training_asks_and_cancel_goes_on(tmp_path: Path) -> None:
    app = make_app(tmp_path, Slow)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("space")
        await until(pilot, lambda: app.live.step > 0)
        await pilot.press("q")
        await pilot.pause()
        assert "Run fnn-1 is training" in screen_text(app) and "Stop and save" in screen_text(app)
        await pilot.press("c")
        step = app.live.step
        await until(pilot, lambda: app.live.step > step)
        assert not app._exit
        await pilot.press("q", "s")
        await until(pilot, lambda: app._exit)
    assert app.sessions[0].saved and app.sessions[0].ended is not None
    assert app.sessions[0].ended.reason == "the app was closed"


async def test_quitting_an_idle_app_does_not_ask(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("q")
        await until(pilot, lambda: app._exit)


async def test_a_second_training_is_refused_while_one_runs(tmp_path: Path) -> None:
    app = make_app(tmp_path, Slow)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("space")
        await until(pilot, lambda: app.live.step > 0)
        app.action_start()
        app.action_open_run("x")
        app.action_resume_run("x")
        await pilot.pause()
        assert len(app.sessions) == 1
        await pilot.press("s")


async def test_a_recorded_run_is_opened_and_resumed(tmp_path: Path) -> None:
    from cifar_tui.runs.directory import RunDirectory
    from cifar_tui.runs.recorder import Recorder
    from tests.tui.fake_session import ended, evaluation

    run = RunDirectory.create(tmp_path / "runs", {"config": {}}, name="old-run", stem="x")
    recorder = Recorder(run)
    for event in (
        started(run="old-run"),
        progress(500),
        evaluation(500),
        ended(500, "stopped", run="old-run"),
    ):
        recorder.append(event)
    recorder.close()
    app = make_app(tmp_path, Slow)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        app.action_open_run("old-run")
        await until(pilot, lambda: "old-run" in screen_text(app))
        assert "500 / 1,000" in screen_text(app) and "■ stopped" in screen_text(app)
        app.action_resume_run("old-run")
        await until(pilot, lambda: app.sessions and app.live.is_live)
        assert app.sessions[0].request.resume == "old-run"
        await pilot.press("s")
        await until(pilot, lambda: app.desk.thread is None)


async def test_a_run_that_is_not_there_is_a_dialog(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        app.action_open_run("nobody")
        await until(pilot, lambda: 'There is no run "nobody"' in screen_text(app))


async def test_a_download_shows_its_way_and_can_be_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    from cifar_tui.datasets import download
    from cifar_tui.datasets.transfer import Transfer

    def fetch(name, folder, *, report, note, cancelled, allow_unverified):
        done = 0
        while not cancelled():
            done += 1_000_000
            report(Transfer("download", "cifar-10-binary.tar.gz", done, 170_000_000, 1e6, 5.0, "", 1))
            time.sleep(0.02)
        raise UsageError("stopped")

    monkeypatch.setattr(download, "fetch", fetch)
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        app.action_download("cifar10")
        await until(pilot, lambda: "cifar10 download" in screen_text(app))
        app.action_download("cifar100")
        app.desk.download.cancel()
        await until(pilot, lambda: app.desk.download is None)
        await pilot.pause()
        assert "cifar10 download" not in screen_text(app)


async def test_the_switch_interval_is_short_only_while_training(tmp_path: Path) -> None:
    import sys

    before = sys.getswitchinterval()
    app = make_app(tmp_path, Slow)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("space")
        await until(pilot, lambda: app.live.step > 0)
        assert sys.getswitchinterval() == pytest.approx(0.001)
        await pilot.press("s")
        await until(pilot, lambda: app.desk.thread is None)
    assert sys.getswitchinterval() == before


@pytest.mark.parametrize("id", ["E-DATA-UNVERIFIED", "E-DATA-HASH"])
async def test_data_of_unknown_origin_can_be_taken_all_the_same(tmp_path: Path, id: str) -> None:
    class Refuses(FakeSession):
        fails = DamagedError("cifar10 has an unknown hash", id=id)

    app = make_app(tmp_path, Refuses)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("space")
        await until(pilot, lambda: "Train on it all the same" in screen_text(app))
        await pilot.press("u")
        await until(pilot, lambda: len(app.sessions) == 2)
        assert [session.request.allow_unverified for session in app.sessions] == [False, True]
