"""The course of the learning rate over the steps, drawn small."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget

if TYPE_CHECKING:
    from textual.geometry import Size

    from cifar_tui.config import RunConfig

BLOCKS = " ▁▂▃▄▅▆▇█"
ROWS = 3
_SCALE = 9  # columns for the figures at the right
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a braille cell, by row and column


def curve(config: RunConfig, steps: int, points: int) -> list[float]:
    """The learning rate at `points` steps, evenly spaced from the first to the last of `steps`."""
    from cifar_tui import catalog

    rate = catalog.get("schedules", config.schedule).learning_rate
    if steps <= 0 or points <= 0:
        return []
    last = steps - 1
    return [float(rate(round(last * i / max(1, points - 1)), steps, config)) for i in range(points)]


def spark(values: list[float]) -> str:
    """One line of bars from zero to the greatest value; nothing where the values are all the same."""
    top = max(values, default=0.0)
    if top <= 0 or min(values) == top:
        return ""
    return "".join(BLOCKS[max(1, round(value / top * 8)) if value > 0 else 0] for value in values)


def braille_line(values: list[float], rows: int) -> list[str]:
    """A line through the values, two a column, from zero at the bottom to the greatest at the top.

    Returns:
        `rows` strings of ``len(values) // 2`` braille characters, top row first.
    """
    top, height = max(values, default=0.0), 4 * rows - 1
    cells = [[0x2800] * (len(values) // 2) for _ in range(rows)]
    before = None
    for x, value in enumerate(values[: 2 * (len(values) // 2)]):
        at = height - round(value / top * height) if top > 0 else height
        joined = range(at, at + 1) if before is None else range(min(at, before + 1), max(at, before - 1) + 1)
        for y in joined:
            cells[y // 4][x // 2] |= _DOTS[y % 4][x % 2]
        before = at
    return ["".join(map(chr, row)) for row in cells]


class RatePreview(Widget):
    """The curve over the steps of the recipe, with its greatest value, its last, and the last step."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._config: RunConfig | None = None
        self._steps = 0

    def show(self, config: RunConfig, steps: int) -> None:
        """Draw the schedule of a config."""
        if (config, steps) != (self._config, self._steps):
            self._config, self._steps = config, steps
            self.refresh()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        """Always the same."""
        return ROWS

    def render(self) -> Content:
        """The curve with its greatest and last rate at the right, and the steps below."""
        from cifar_tui.tui.widgets.form_state import number_text

        config = self._config
        if config is None or self.size.width < 16:
            return Content("")
        if not self._steps:
            return Content.styled("  no steps, no learning rate", "$muted")
        width = max(4, self.size.width - 2 - _SCALE)
        values = curve(config, self._steps, 2 * width)
        upper, lower = braille_line(values, 2)
        figures = [number_text(float(f"{value:.2g}")) for value in (max(values), values[-1])]
        high, low = (figure.rjust(_SCALE)[:_SCALE] for figure in figures)
        return Content.assemble(
            ("  " + upper, "$accent"),
            (high, "$muted"),
            "\n",
            ("  " + lower, "$accent"),
            (low if figures[0] != figures[1] else "", "$muted"),
            "\n",
            ("  0" + f"step {self._steps:,}".rjust(width - 1), "$muted"),
        )
