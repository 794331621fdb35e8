"""A download that was refused for its hash only: said in place, taken by key or click, and told in full."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar_tui.errors import DamagedError
from cifar_tui.tui.messages import DownloadRequested
from cifar_tui.tui.screens.help import topic_of
from cifar_tui.tui.widgets.dataset_pane import DatasetPane
from cifar_tui.tui.widgets.fields import Edited
from tests.tui.fake_session import make_app, ready
from tests.tui.pane_app import PaneApp
from tests.tui.test_dataset_pane import app_at
from tests.tui.waiting import until

ERROR = DamagedError(
    "cannot download CIFAR-10: [/b] http://127.0.0.1/cifar-10-binary.tar.gz: SHA-256 "
    + "0123456789abcdef" * 4,
    state="the wrong archive is set aside as cifar-10-binary.tar.gz.bad-01234567",
    hint="cifar-tui data download cifar10 --allow-unverified",
    id="E-DATA-HASH",
)


async def refused(app: PaneApp, pilot: object) -> DatasetPane:
    pane = app.widget
    assert isinstance(pane, DatasetPane)
    await until(pilot, lambda: bool(pane.statuses))
    pane.focus()
    pane.action_get()
    pane.show_error(ERROR)
    await until(pilot, lambda: "u uses it anyway" in app.text)
    return pane


@pytest.mark.parametrize("by", ["key", "click"])
async def test_a_refused_archive_can_be_taken_all_the_same(tmp_path: Path, by: str) -> None:
    app = app_at(tmp_path)
    async with app.run_test(size=(41, 14)) as pilot:
        await refused(app, pilot)
        assert "tries again" in app.text
        if by == "key":
            await pilot.press("u")
        else:
            lines = app.text.splitlines()
            y = next(place for place, line in enumerate(lines) if "uses it anyway" in line)
            await pilot.click(offset=(lines[y].index("uses it"), y))
        await pilot.pause()
        asked = [message for message in app.asked if isinstance(message, DownloadRequested)]
        assert [(message.dataset, message.allow_unverified) for message in asked] == [
            ("cifar10", False),
            ("cifar10", True),
        ]


async def test_all_of_a_long_error_is_in_the_tooltip_and_in_the_explanation(tmp_path: Path) -> None:
    app = app_at(tmp_path)
    async with app.run_test(size=(41, 14)) as pilot:
        pane = await refused(app, pilot)
        assert "0123456789abcdef" * 4 not in app.text.replace("\n", "")
        for told in (str(pane.tooltip), topic_of(app.screen).texts[0]):
            assert "0123456789abcdef" * 4 in told and "[/b]" in told and "set aside" in told
        await pilot.press("escape")
        await pilot.pause()
        assert str(tmp_path / "data") in str(pane.tooltip), "the folder may be cut in the line"


async def test_a_field_keeps_what_was_typed_while_an_older_text_was_on_its_way(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        form = app.dashboard.pane("recipe")
        editor = app.dashboard.query_one("#steps")
        editor.value = "600"
        await pilot.pause()
        editor.post_message(Edited("steps", "60"))
        await pilot.pause()
        assert editor.value == "600" and form.values["steps"] == "600"
