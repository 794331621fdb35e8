"""A click on an option that is not there any more.

A list of options goes by the number that was painted where the click was. A palette that is filtered, or a
choice whose options changed, may have fewer by the time the click arrives; Textual (8.2) then raises
IndexError in the list's own task, where nobody can catch it, and the app ends.
"""

from __future__ import annotations

from functools import cache

from textual.events import Click
from textual.widgets import OptionList


@cache
def mind_gone_options() -> None:
    """Let every list of options, those within Textual's own widgets too, pass over such a click."""
    usual = OptionList._on_click

    async def on_click(self: OptionList, event: Click) -> None:
        option = event.style.meta.get("option")
        if option is None or option < self.option_count:
            await usual(self, event)

    OptionList._on_click = on_click  # type: ignore[method-assign]
