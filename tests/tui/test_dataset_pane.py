"""The dataset pane: what is here, getting what is missing, pictures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cifar_tui import events
from cifar_tui.datasets import synthetic
from cifar_tui.datasets.places import DatasetStatus
from cifar_tui.datasets.transfer import Transfer
from cifar_tui.errors import InterruptedBySignal, UnavailableError
from cifar_tui.tui.live import LiveRun
from cifar_tui.tui.messages import CancelDownload, DownloadRequested
from cifar_tui.tui.settings import Settings
from cifar_tui.tui.widgets import dataset_pane as module
from cifar_tui.tui.widgets.dataset_pane import DatasetPane
from cifar_tui.tui.widgets.dataset_reader import Look, Samples
from cifar_tui.tui.widgets.picture_views import Picture
from tests.tui.pane_app import PaneApp
from tests.tui.run_maker import started
from tests.tui.waiting import until

pytestmark = pytest.mark.usefixtures("small_synthetic")


def app_at(tmp_path: Path, width: int = 41, height: int = 14, **fields: Any) -> PaneApp:
    pane = DatasetPane(**fields)
    pane.styles.width, pane.styles.height = width, height
    return PaneApp(pane, tmp_path / "data", tmp_path / "runs")


def line_with(app: PaneApp, words: str) -> str:
    return next((line for line in app.text.splitlines() if words in line), "")


def status(dataset: str, state: str, **fields: Any) -> DatasetStatus:
    return DatasetStatus(dataset, state, 50_000, 10_000, 10, 1, Path("/data"), "why", **fields)


async def test_a_missing_dataset_says_size_free_disk_and_the_next_key(tmp_path: Path) -> None:
    app = app_at(tmp_path)
    async with app.run_test(size=(41, 14)) as pilot:
        await until(pilot, lambda: "not on this disk yet" in app.text)
        assert "missing   170.1 MB  Get" in line_with(app, "CIFAR-10 ")
        assert "built in        10k + 2k" in line_with(app, "Synthetic")
        assert "download   170.1 MB" in app.text
        assert "free" in app.text
        assert "g Get CIFAR-10" in app.text


async def test_g_asks_for_the_selected_dataset_and_a_click_for_another(tmp_path: Path) -> None:
    app = app_at(tmp_path)
    async with app.run_test(size=(41, 14)) as pilot:
        await until(pilot, lambda: "not on this disk yet" in app.text)
        app.widget.focus()
        await pilot.press("g")
        await pilot.click("#get-cifar100")
        await pilot.pause()
        assert [message.dataset for message in app.asked if isinstance(message, DownloadRequested)] == [
            "cifar10",
            "cifar100",
        ]
        assert "CIFAR-100 is not on this disk yet." in app.text


async def test_a_download_shows_bar_amount_rate_time_and_can_be_cancelled(tmp_path: Path) -> None:
    app = app_at(tmp_path)
    async with app.run_test(size=(41, 14)) as pilot:
        pane = app.widget
        assert isinstance(pane, DatasetPane)
        await until(pilot, lambda: bool(pane.statuses))
        pane.focus()
        file = "cifar-100-binary.tar.gz"
        pane.show_transfer(Transfer("download", file, 93_200_000, 168_513_733, 9.6e6, 7.8, "http://x", 2))
        await pilot.pause()
        assert "getting              55%" in line_with(app, "CIFAR-100  ")
        assert "CIFAR-100 downloading, try 2" in app.text
        assert " 93.2 of 168.5 MB     9.6 MB/s   0:08" in app.text
        first = line_with(app, "MB/s").index("MB/s")
        pane.show_transfer(Transfer("download", file, 103_200_000, 168_513_733, 10.6e6, 67.8, "http://x", 2))
        await pilot.pause()
        assert line_with(app, "MB/s").index("MB/s") == first, "numbers must not jump"
        await pilot.press("x")
        await pilot.click("#cancel-download")
        assert [type(message) for message in app.asked] == [CancelDownload, CancelDownload]
        pane.show_transfer(None)
        await pilot.pause()
        assert "downloading" not in app.text


async def test_a_failed_download_stays_in_place_with_its_remedy(tmp_path: Path) -> None:
    app = app_at(tmp_path)
    async with app.run_test(size=(41, 14)) as pilot:
        pane = app.widget
        assert isinstance(pane, DatasetPane)
        await until(pilot, lambda: bool(pane.statuses))
        pane.focus()
        error = UnavailableError(
            "host.example: connection refused", state="3 MB are kept", hint="use --mirror"
        )
        pane.show_error(error)
        await pilot.pause()
        assert "✕ host.example: connection refused" in app.text
        assert "3 MB are kept" in app.text
        assert "hint: use --mirror" in app.text
        assert "g tries again" in app.text
        await pilot.press("escape")
        assert "connection refused" not in app.text


async def test_a_cancelled_download_is_no_failure(tmp_path: Path) -> None:
    app = app_at(tmp_path)
    async with app.run_test(size=(41, 14)) as pilot:
        pane = app.widget
        assert isinstance(pane, DatasetPane)
        await until(pilot, lambda: bool(pane.statuses))
        pane.show_error(InterruptedBySignal(2, "stopped", state="31 MB are kept"))
        await pilot.pause()
        assert "Stopped; 31 MB are kept." in app.text
        assert "g goes on" in app.text
        assert "✕" not in app.text


async def test_a_long_error_keeps_its_hint_and_keys_in_sight(tmp_path: Path) -> None:
    app = app_at(tmp_path)
    async with app.run_test(size=(41, 14)) as pilot:
        pane = app.widget
        assert isinstance(pane, DatasetPane)
        await until(pilot, lambda: bool(pane.statuses))
        pane.show_error(
            UnavailableError("word " * 200, state="all " * 60, hint="cifar-tui data verify cifar10")
        )
        await pilot.pause()
        assert "hint: cifar-tui data verify cifar10" in app.text
        assert "g tries again" in app.text


async def test_real_pictures_with_their_names_and_n_shows_others(tmp_path: Path) -> None:
    app = app_at(tmp_path)
    async with app.run_test(size=(41, 14)) as pilot:
        pane = app.widget
        assert isinstance(pane, DatasetPane)
        await until(pilot, lambda: bool(pane.statuses))
        pane.focus()
        pane.select("synthetic")
        await until(pilot, lambda: "▀" in app.text)
        lines = app.text.splitlines()
        assert lines[4].count("▀") == 32, "two thumbs of 16 cells"
        names = lines[12].strip("│ ").split()
        assert len(names) == 2
        assert set(names) <= set(synthetic.SPEC.names)
        before = pane.samples_in_sight
        await pilot.press("n")
        assert pane.samples_in_sight[0] is not before[0]
        assert "n other samples" in app.text


async def test_78_columns_show_four_pictures(tmp_path: Path) -> None:
    app = app_at(tmp_path, 78, 18)
    async with app.run_test(size=(78, 18)) as pilot:
        pane = app.widget
        assert isinstance(pane, DatasetPane)
        pane.select("synthetic")
        await until(pilot, lambda: "▀" in app.text)
        assert max(line.count("▀") for line in app.text.splitlines()) == 64


async def test_what_a_key_would_not_do_is_not_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"cifar10": status("cifar10", "ready"), "cifar100": status("cifar100", "missing")}
    monkeypatch.setattr(module, "look", lambda _folder: Look(found, 10**12, None))
    monkeypatch.setattr(module, "read_samples", lambda name, *_: Samples(name))
    app = app_at(tmp_path)
    async with app.run_test(size=(41, 14)) as pilot:
        pane = app.widget
        assert isinstance(pane, DatasetPane)
        await until(pilot, lambda: bool(pane.statuses))
        assert not pane.check_action("get", ())
        assert not pane.check_action("cancel", ())
        pane.select("cifar100")
        assert pane.check_action("get", ())


async def test_unverified_data_is_said_once_and_accepted_with_u(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted: list[str] = []

    def look(_folder: Path) -> Look:
        found = {"cifar10": status("cifar10", "unverified", accepted=bool(accepted))}
        return Look(found, 10**12, None)

    def read(name: str, *_: Any) -> Samples:
        if not accepted:
            return Samples(name, [], UnavailableError("not official"))
        return Samples(name, [Picture(np.zeros((32, 32, 3), np.uint8), "cat")] * 4)

    monkeypatch.setattr(module, "look", look)
    monkeypatch.setattr(module, "read_samples", read)
    monkeypatch.setattr(module, "accept", lambda name, _folder: accepted.append(name))
    app = app_at(tmp_path)
    async with app.run_test(size=(41, 14)) as pilot:
        app.widget.focus()
        await until(pilot, lambda: "u Use anyway" in app.text)
        assert "not that of the official" in app.text
        await pilot.press("u")
        await until(pilot, lambda: "cat" in app.text)
        assert accepted == ["cifar10"]
        assert "unverified" in line_with(app, "CIFAR-10")
        assert "u Use anyway" not in app.text


async def test_fault_100_markup_and_escapes_in_a_class_name_are_plain_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = [Picture(np.zeros((32, 32, 3), np.uint8), text) for text in ("[/red]", "\x1b[31mX")]
    monkeypatch.setattr(module, "look", lambda _f: Look({"cifar10": status("cifar10", "ready")}, None, None))
    monkeypatch.setattr(module, "read_samples", lambda name, *_: Samples(name, evil))
    app = app_at(tmp_path)
    async with app.run_test(size=(41, 14)) as pilot:
        await until(pilot, lambda: "[/red]" in app.text)
        assert "\\x1b[31mX" in app.text


async def test_an_unreadable_folder_is_an_error_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "look", lambda _f: Look({}, None, UnavailableError("cannot read [x] /data")))
    app = app_at(tmp_path)
    async with app.run_test(size=(41, 14)) as pilot:
        await until(pilot, lambda: "cannot read [x] /data" in app.text)


async def test_the_pane_follows_the_training_and_its_own_download(tmp_path: Path) -> None:
    app = app_at(tmp_path)
    async with app.run_test(size=(41, 14)) as pilot:
        pane = app.widget
        assert isinstance(pane, DatasetPane)
        await until(pilot, lambda: bool(pane.statuses))
        live = LiveRun()
        live.begin()
        phase = events.Phase(
            phase="data", text="cifar-10-binary.tar.gz", done=5, total=10, unit="bytes", rate=1.0
        )
        live.add(phase)
        pane.show_live(live, frozenset({"phase"}))
        await pilot.pause()
        assert "getting              50%" in line_with(app, "CIFAR-10 ")
        live.add(started("cnn-1"))
        live.add(events.Phase(phase="train"))
        pane.show_live(live, frozenset({"phase", "run_started"}))
        await pilot.pause()
        assert "getting" not in app.text
        assert pane.selected == "cifar10"


@pytest.mark.parametrize("size", [(20, 5), (30, 7), (1, 1), (120, 40)])
async def test_any_size_is_drawn_without_an_exception(tmp_path: Path, size: tuple[int, int]) -> None:
    app = app_at(tmp_path, *size)
    async with app.run_test(size=size) as pilot:
        pane = app.widget
        assert isinstance(pane, DatasetPane)
        await until(pilot, lambda: bool(pane.statuses))
        pane.show_transfer(Transfer("connect", "cifar-10-binary.tar.gz", 0, None, 0.0, None, "", 1))
        await pilot.pause()
        pane.select("synthetic")
        await pilot.pause()


def test_importing_panes_and_rooms_loads_neither_torch_nor_plotext() -> None:
    code = (
        "import sys\n"
        "import cifar_tui.tui.widgets.dataset_pane, cifar_tui.tui.screens.help, cifar_tui.tui.commands\n"
        "from cifar_tui.tui.screens.rooms import data, report, runs, machine\n"
        "print([name for name in ('torch', 'plotext', 'psutil', 'requests') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_the_dataset_that_the_user_chose_is_selected_at_the_next_start(tmp_path: Path) -> None:
    settings = Settings()
    for chosen in ("synthetic", "cifar100"):
        app = app_at(tmp_path)
        app.settings = settings  # type: ignore[attr-defined]
        async with app.run_test(size=(60, 20)) as pilot:
            pane = app.widget
            assert isinstance(pane, DatasetPane)
            await until(pilot, lambda pane=pane: bool(pane.statuses))  # type: ignore[misc]
            pane.focus()
            if chosen == "synthetic":
                await pilot.press("down", "down")
            else:
                assert pane.selected == "synthetic"
                await pilot.click("#dataset-cifar100")
            assert pane.selected == settings.dataset == chosen


async def test_following_a_training_is_no_choice_of_the_user(tmp_path: Path) -> None:
    app = app_at(tmp_path)
    app.settings = Settings(dataset="synthetic")  # type: ignore[attr-defined]
    async with app.run_test(size=(60, 20)) as pilot:
        pane = app.widget
        assert isinstance(pane, DatasetPane)
        live = LiveRun()
        live.add(started("cnn-1"))
        pane.show_live(live, frozenset({"run_started"}))
        await until(pilot, lambda: pane.selected == "cifar10")
        assert app.settings.dataset == "synthetic"  # type: ignore[attr-defined]
