"""Numbers as short labels."""

from __future__ import annotations

import math

from cifar_tui.charts.spec import Unit

TICK_WIDTH = 5
VALUE_WIDTH = 6


def short_count(value: float) -> str:
    """``250``, ``1.5k``, ``20k``, ``1M``; exact up to four digits of the mantissa."""
    size = abs(value)
    for limit, divisor, suffix in ((1e3, 1.0, ""), (1e6, 1e3, "k"), (1e9, 1e6, "M"), (1e12, 1e9, "G")):
        if size < limit * 0.99995:
            return f"{value / divisor:.4g}{suffix}" if size >= 1e-3 or size == 0 else scientific(value)
    return scientific(value)


def scientific(value: float, digits: int = 3) -> str:
    """``1e-4``, ``2.5e20``: no padding of the exponent, no zeros at the end."""
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"


def _decimals(step: float) -> int:
    for digits in range(9):
        if abs(round(step, digits) - step) < step * 1e-6:
            return digits
    return 9


def tick_label(value: float, step: float, unit: Unit) -> str | None:
    """The label of a tick, or None when no exact label of `TICK_WIDTH` cells exists.

    Args:
        value: a multiple of `step`.
        step: distance of the ticks, above 0.
        unit: ``fraction`` is shown in percent.
    """
    if unit == "count":
        choices = [short_count(value)]
    elif unit == "fraction":
        fixed = f"{100 * value:.{_decimals(100 * step)}f}"
        choices = [("100" if value == 1 else fixed) + "%"]
    else:
        small = abs(value) < 1e4
        fixed = f"{value:.{_decimals(step)}f}"
        choices = [fixed, scientific(value)] if small else [short_count(value), scientific(value)]
    fitting = [choice for choice in choices if len(choice) <= TICK_WIDTH]
    return fitting[0] if fitting else None


def value_label(value: float | None, unit: Unit) -> str:
    """A last value in at most `VALUE_WIDTH` cells: ``1.254``, ``82.0%``, ``12.3k``, ``NaN``, ``inf``."""
    if value is None:
        return ""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if unit == "fraction" and abs(value) < 10:
        return f"{100 * value:.1f}%"
    if unit == "count":
        choices = [f"{value:.3g}" if abs(value) < 1000 else short_count(value)]
    else:
        choices = [f"{value:.3f}", f"{value:.2f}", f"{value:.1f}"]
        if value != 0 and abs(value) < 1e-3:
            choices = []
    choices += [f"{value:.0f}"] if abs(value) >= 1000 and unit != "count" else []
    choices += [scientific(value, digits) for digits in (2, 1, 0)]
    return next((choice for choice in choices if len(choice) <= VALUE_WIDTH), choices[-1][:VALUE_WIDTH])
