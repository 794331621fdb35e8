"""What stands in the border of a chart: legend, state of the axes, values at the cursor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from textual.content import Content

from cifar_tui.text import safe_text
from cifar_tui.tui.widgets.chart_options import TITLES, ChartOptions, Kind

if TYPE_CHECKING:
    from cifar_tui.charts import Line
    from cifar_tui.tui.widgets.chart_plan import Plan

_GAP = "  "


def title(kind: Kind, plan: Plan | None, look: Mapping[str, Any]) -> Content:
    """The name of the chart, its legend, and what is not finite."""
    parts: list[Any] = [(TITLES[kind], "bold")]
    lines = [] if plan is None else sorted(plan.spec.lines, key=lambda line: line.role == "ghost")
    if look.get("colour", True) and kind in {"loss", "accuracy"}:
        for line in lines:
            if line.role != "batch":
                parts += [_GAP, (_sample(line), _colour(line.role, look))]
                text = "$muted" if line.role == "ghost" else _colour(line.role, look)
                parts += [" ", (safe_text(line.label, 24), text)]
    if plan is not None and plan.bad:
        parts += [_GAP, (plan.bad, "bold $bad")]
    return Content.assemble(*parts)


def _sample(line: Line) -> str:
    return "··" if line.role == "ghost" else "━━"


def _colour(role: str, look: Mapping[str, Any]) -> str:
    from cifar_tui.charts import role_colour

    return "#{:02x}{:02x}{:02x}".format(*role_colour(role, look["palette"], look["dark"]))


def state(options: ChartOptions, width: int) -> Content:
    """How the chart is drawn, each with the key that changes it; as much as fits."""
    smoothing = f"smooth {options.smoothing:g}" if options.smoothing else "smooth off"
    items = [
        ("x", options.x_axis),
        ("l", "log" if options.log_x else "linear"),
        ("+-", smoothing),
        ("m", options.marker),
        ("v", "rates" if options.pair == "main" else "loss, accuracy"),
    ]
    parts: list[Any] = []
    used = 6
    for key, value in items:
        used += len(key) + 1 + len(value) + len(_GAP)
        if width and used > width:
            break
        parts += [(key, "bold $accent"), " ", (value, "$muted"), _GAP]
    return Content.assemble(*parts[:-1])


def cursor(kind: Kind, plan: Plan, step: float, width: int) -> Content:
    """The exact values at the cursor."""
    from cifar_tui.tui.widgets.chart_plan import column_of

    values = values_at(plan, step)
    at = f"{max(0, round(step)):,}"
    parts: list[Any] = [("step ", "$muted"), (at, "bold")]
    used = 12 + len(at)
    look = {"palette": plan.spec.palette, "dark": plan.spec.dark}
    column = column_of(plan, step)
    for label, role, own, value in values:
        text = f"{label} {number(value, kind)}"
        if column_of(plan, own) != column:
            text += f" at {own:,}"
        used += len(text) + len(_GAP)
        if width and used > width:
            break
        parts += [_GAP, (text, "$muted" if role == "ghost" else _colour(role, look))]
    for place, _, what in plan.signs:
        if place == column and (not width or used + len(what) + 2 <= width):
            parts += [_GAP, (safe_text(what, 40), "$muted")]
    return Content.assemble(*parts, _GAP, ("esc", "bold $accent"))


def values_at(plan: Plan, step: float) -> list[tuple[str, str, int, float]]:
    """Of each line label, role, and step and value of the point nearest to a step; this run's lines first."""
    from cifar_tui.tui.widgets.chart_plan import value_at

    found = []
    order = {"train": 0, "validation": 1, "test": 2, "accent": 0, "ghost": 9}
    for label, role, curve in sorted(plan.values, key=lambda value: order.get(value[1], 5)):
        if len(curve):
            own, value = value_at(curve, step)
            found.append((safe_text(label, 20), role, own, value))
    return found


def number(value: float, kind: Kind) -> str:
    """A value, always as wide as others of its kind."""
    from cifar_tui.charts.numbers import scientific

    if not math.isfinite(value):
        return "NaN".rjust(6)
    if kind == "accuracy":
        return f"{100 * value:5.2f}%"
    if kind == "learning_rate":
        return scientific(value) if 0 < abs(value) < 1e-2 else f"{value:.3g}"
    return f"{value:7,.1f}" if kind == "rate" else f"{value:6.4f}"


def table(kind: Kind, plan: Plan, step: float) -> str:
    """The values at a step as text, one line each, for the clipboard."""
    values = values_at(plan, step)
    lines = [f"{TITLES[kind]}\tstep\tvalue"]
    lines += [f"{label}\t{own}\t{value:.6g}" for label, _, own, value in values]
    return "\n".join(lines)
