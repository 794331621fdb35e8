"""Two faults of Textual (8.2) that end an app, mended in its own widgets too.

A click on an option that is not there any more: a list goes by the number that was painted where the click
was. A palette that is filtered, or a choice whose options changed, may have fewer by the time the click
arrives, and IndexError is raised in the list's own task, where nobody can catch it.

A line with no room for a letter: a terminal so narrow that borders and padding take all of it leaves the
options of a list no width, and to ask for the height of their text raises ValueError.
"""

from __future__ import annotations

from functools import cache

from textual.content import Content
from textual.css.styles import RulesMap
from textual.events import Click
from textual.widgets import OptionList


@cache
def mend_textual() -> None:
    """Pass over such a click, and tell the height of text as if there were room for a letter."""
    usual_click, usual_height = OptionList._on_click, Content.get_height

    async def on_click(self: OptionList, event: Click) -> None:
        option = event.style.meta.get("option")
        if option is None or option < self.option_count:
            await usual_click(self, event)

    def get_height(self: Content, rules: RulesMap, width: int) -> int:
        return usual_height(self, rules, max(1, width))

    OptionList._on_click = on_click  # type: ignore[method-assign]
    Content.get_height = get_height  # type: ignore[method-assign]
