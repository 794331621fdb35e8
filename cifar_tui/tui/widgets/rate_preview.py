"""The course of the learning rate over the steps, drawn small."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget

from cifar_tui.text import human_count

if TYPE_CHECKING:
    from cifar_tui.config import RunConfig

BLOCKS = " ▁▂▃▄▅▆▇█"
ROWS = 3


def curve(config: RunConfig, steps: int, points: int) -> list[float]:
    """The learning rate at `points` steps, evenly spaced from the first to the last of `steps`."""
    from cifar_tui import catalog

    rate = catalog.get("schedules", config.schedule).learning_rate
    if steps <= 0 or points <= 0:
        return []
    last = steps - 1
    return [float(rate(round(last * i / max(1, points - 1)), steps, config)) for i in range(points)]


def spark(values: list[float], rows: int = 1) -> list[str]:
    """Bars from zero to the greatest value, as `rows` lines of block characters, top line first."""
    top = max(values, default=0.0)
    if top <= 0:
        return [" " * len(values) for _ in range(rows)]
    heights = [max(1, round(value / top * rows * 8)) if value > 0 else 0 for value in values]
    return [
        "".join(BLOCKS[min(8, max(0, height - 8 * (rows - 1 - row)))] for height in heights)
        for row in range(rows)
    ]


class RatePreview(Widget):
    """The curve over the steps of the recipe, with its greatest value, its last, and the last step."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._config: RunConfig | None = None
        self._steps = 0
        self._key: object = None

    def show(self, config: RunConfig | None, steps: int) -> None:
        """Draw the schedule of a recipe; None keeps the last one, dimmed."""
        if config is None:
            return
        key = (config.learning_rate, config.min_learning_rate, config.warmup_steps, config.schedule, steps)
        self._config, self._steps = config, steps
        if key != self._key:
            self._key = key
            self.refresh()

    def render(self) -> Content:
        """`ROWS` lines: the curve with its greatest and last rate at the right, and the steps below."""
        from cifar_tui.tui.widgets.form_state import number_text

        config = self._config
        if config is None or self.size.width < 16:
            return Content("")
        if not self._steps:
            return Content.styled("  no steps, no learning rate", "$muted")
        width = max(4, self.size.width - 10)
        values = curve(config, self._steps, width)
        upper, lower = spark(values, 2)
        high, low = (number_text(float(f"{value:.3g}")) for value in (max(values), values[-1]))
        last = f"step {human_count(self._steps)}"
        return Content.assemble(
            ("  " + upper, "$accent"),
            (f" {high}"[:8], "$muted"),
            "\n",
            ("  " + lower, "$accent"),
            (f" {low}"[:8], "$muted"),
            "\n",
            ("  0" + last.rjust(width - 1), "$muted"),
        )
