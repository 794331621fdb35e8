"""What Textual would end an app for, and does not here."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult
from textual.events import Click
from textual.geometry import Offset
from textual.widgets import OptionList

from cifar_tui.tui.mended import mend_textual


class Options(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.chosen: list[int] = []

    def compose(self) -> ComposeResult:
        yield OptionList("one", "two", "three")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.chosen.append(event.option_index)


@pytest.mark.parametrize(("left", "chosen"), [(3, [2]), (2, []), (0, [])])
async def test_a_click_on_an_option_that_is_gone_chooses_nothing(left: int, chosen: list[int]) -> None:
    mend_textual()
    app = Options()
    async with app.run_test(size=(20, 8)) as pilot:
        options = app.query_one(OptionList)
        region = options.content_region
        spot = Offset(region.x + 1, region.y + 2)
        style = app.screen.get_style_at(*spot)  # as the screen was painted when the button went down
        assert style.meta["option"] == 2
        while options.option_count > left:
            options.remove_option_at_index(options.option_count - 1)
        click = Click(options, 1, 2, 0, 0, 1, False, False, False, *spot, style)
        options.post_message(click)
        await pilot.pause()
        assert set(app.chosen) == set(chosen)
    assert app.is_running is False and app._exception is None
