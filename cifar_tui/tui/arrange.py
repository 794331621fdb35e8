"""Where each pane of the dashboard lies, as a pure function of the size. No Textual but its geometry.

Below 100 columns or 30 rows the panes are tabs; from 160 columns and 45 rows there are three columns.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.geometry import Region

PANES = ("dataset", "recipe", "loss", "accuracy", "report")
TABS = ("loss", "accuracy", "report", "recipe", "dataset")
TITLES = {
    "dataset": "Dataset",
    "recipe": "Recipe",
    "loss": "Loss",
    "accuracy": "Accuracy",
    "report": "Report",
}
TINY_WIDTH, TINY_HEIGHT = 48, 10  # the tabs need 47 columns
FRAME_ROWS = 3  # header and footer


@dataclass(frozen=True)
class Sizes:
    """What the user chose; 0 for the usual size."""

    left: int = 0
    dataset: int = 0
    chart: int = 0
    report: int = 0


def mode(width: int, height: int) -> str:
    """The layout for a screen of this size in cells: "tiny", "tabs", "two" or "three" columns."""
    if width < TINY_WIDTH or height < TINY_HEIGHT:
        return "tiny"
    if width < 100 or height < 30:
        return "tabs"
    return "three" if width >= 160 and height >= 45 else "two"


def regions(
    width: int, height: int, layout: str, *, sizes: Sizes = Sizes(), tab: str = "loss", alone: str = ""
) -> dict[str, Region]:
    """The places of the panes that are in sight.

    Args:
        width: columns between the borders of the screen.
        height: rows between header and footer, below the tabs.
        layout: what `mode` says.
        sizes: chosen by the user.
        tab: the pane in front where the panes are tabs.
        alone: the maximised pane, or "".
    """
    if width < 1 or height < 1 or layout == "tiny":
        return {}
    if alone:
        return {alone: Region(0, 0, width, height)}
    if layout == "tabs":
        return _tabs(width, height, tab)
    left = _between(sizes.left or (48 if layout == "three" else 42), 30, width - 40)
    placed = _left(left, height, sizes, 17 if layout == "three" else 15)
    if layout == "three":
        report = _between(62, 30, width - left - 40)
        placed |= _charts(left, width - left - report, height, sizes)
        placed["report"] = Region(width - report, 0, report, height)
        return placed
    report = _between(sizes.report or _usual_report(height), 6, height - 14)
    placed |= _charts(left, width - left, height - report, sizes)
    placed["report"] = Region(left, height - report, width - left, report)
    return placed


def _usual_report(height: int) -> int:
    return 13 if height >= 37 else max(9, height // 3)


def _left(width: int, height: int, sizes: Sizes, usual: int) -> dict[str, Region]:
    fitting = usual if height >= usual + 22 else max(7, height - 20)
    dataset = _between(sizes.dataset or fitting, 5, height - 9)
    return {
        "dataset": Region(0, 0, width, dataset),
        "recipe": Region(0, dataset, width, height - dataset),
    }


def _charts(x: int, width: int, height: int, sizes: Sizes) -> dict[str, Region]:
    loss = _between(sizes.chart or (height + 1) // 2, 6, height - 6)
    return {
        "loss": Region(x, 0, width, loss),
        "accuracy": Region(x, loss, width, height - loss),
    }


def _tabs(width: int, height: int, tab: str) -> dict[str, Region]:
    if tab not in {"loss", "accuracy"} or height < 16:
        return {tab: Region(0, 0, width, height)}
    numbers = 6 if height < 24 else max(6, height // 3)
    return {
        tab: Region(0, 0, width, height - numbers),
        "report": Region(0, height - numbers, width, numbers),
    }


def _between(value: int, least: int, most: int) -> int:
    return max(1, min(max(value, least), max(most, 1)))
