"""Real pixels, where the terminal has them: Sixel or Kitty's graphics, through the extra ``graphics``.

The terminal is asked once, before the app takes it: later its answer would be taken for keys. Without the
extra, or with `CIFAR_TUI_GRAPHICS` at ``off``, nothing is asked and pictures are drawn with half-block cells.
"""

from __future__ import annotations

import contextlib
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from textual.widget import Widget

_found: list[Any] = []  # the kind of widget that shows pixels here, if there is one


def ask() -> None:
    """Ask the terminal what it can do; at once where there is nothing to ask for."""
    if os.environ.get("CIFAR_TUI_GRAPHICS", "auto") == "off" or find_spec("textual_image") is None:
        return
    with contextlib.suppress(Exception):  # whatever a terminal answers, cells are always possible
        from textual_image import renderable, widget

        if renderable.Image in {renderable.SixelImage, renderable.TGPImage}:
            _found[:] = [widget.Image]


def available() -> bool:
    """Whether the terminal said that it shows pixels."""
    return bool(_found)


def picture(image: NDArray[np.uint8], columns: int, rows: int) -> Widget:
    """A picture of (H, W, 3), with sharp edges between its pixels, on so many cells.

    Raises:
        RuntimeError: the terminal has no pixels, see `available`.
    """
    if not _found:
        raise RuntimeError("this terminal shows no pixels")
    from PIL import Image
    from textual_image import widget

    cell = widget.get_cell_size()
    size = (max(1, columns * cell.width), max(1, rows * cell.height))
    found: Widget = _found[0](Image.fromarray(image).resize(size, Image.Resampling.NEAREST))
    found.styles.width, found.styles.height = columns, rows
    return found
