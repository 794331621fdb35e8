"""Small makers and readers of charts, for their tests."""

from __future__ import annotations

import re

import numpy as np

from cifar_tui.charts import (
    ChartSpec,
    Line,
)
from cifar_tui.charts.numbers import TICK_WIDTH

SGR = re.compile(r"\x1b\[[0-9;]*m")
NAN, INF = float("nan"), float("inf")


def line(y, x=None, role="train", label=None):
    y = np.asarray(y, dtype=np.float64)
    return Line(label or role, np.arange(1, y.size + 1) if x is None else np.asarray(x), y, role)


def chart(*lines, width=80, height=15, colour=False, **fields):
    return ChartSpec("Loss", lines, width, height, colour=colour, **fields)


def falling(count=2000, seed=0):
    steps = np.arange(1, count + 1)
    return 1.25 + np.exp(-steps / (count / 6)) + 0.02 * np.random.default_rng(seed).standard_normal(count)


def bare(text):
    return SGR.sub("", text)


def plot_rows(text):
    """The part between the axis and the last values, top row first."""
    return [row[TICK_WIDTH + 1 : -7] for row in bare(text).split("\n")[1:-2]]


def y_ticks(text):
    return [row[:TICK_WIDTH].strip() for row in bare(text).split("\n")[1:-2] if row[:TICK_WIDTH].strip()]


def x_ticks(text):
    return bare(text).split("\n")[-1].split()[:-1]
