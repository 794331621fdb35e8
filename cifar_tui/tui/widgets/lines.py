"""One-line pieces that several panes share: a bar, and text at both ends of a line."""

from __future__ import annotations

from textual.content import Content

Part = tuple[str, str]
"""Text and its style, such as ``("ready", "$good")``."""


def bar(fraction: float | None, width: int, style: str = "$accent") -> list[Part]:
    """A bar of one row, `width` cells wide.

    Args:
        fraction: how much is filled, clipped to [0, 1]; None for not known.
        width: cells.
        style: of the filled part.
    """
    if width < 1:
        return []
    filled = 0 if fraction is None else min(width, max(0, int(fraction * width + 1e-9)))
    return [("━" * filled, style), ("━" * (width - filled), "$grid")]


def ends(left: list[Part], right: list[Part], width: int) -> Content:
    """A line with parts at its left and right end, `width` cells wide; the left end is cut where needed.

    The texts must be safe: outside text goes through `safe_text` first.
    """
    first, last = Content.assemble(*left), Content.assemble(*right)
    room = max(0, width - last.cell_length - (1 if right else 0))
    first = first.truncate(room, ellipsis=True)
    space = max(1 if right else 0, width - first.cell_length - last.cell_length)
    return Content.assemble(first, " " * space, last)


def stack(lines: list[Content]) -> Content:
    """Lines below each other."""
    return Content("\n").join(lines)
