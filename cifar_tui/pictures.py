"""Pictures of bytes as terminal text and as a PNG sheet.

One cell shows two pixels, one above the other: 32 by 32 pixels are 32 columns by 16 rows, without loss.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cifar_tui.charts.cells import fit, plain

Colours = Literal["truecolour", "256", "ascii"]
Pixels = NDArray[np.uint8]

RESET = "\x1b[0m"
_HALF = "▀"
_RAMP = " .:-=+*#%@"  # dark to bright, for light text on a dark ground
_CUBE = np.array([0, 95, 135, 175, 215, 255], dtype=np.int64)  # levels of the 6x6x6 cube of xterm


def half_blocks(image: Pixels, *, colours: Colours = "truecolour") -> list[str]:
    """A picture as lines of text.

    Args:
        image: (H, W, 3) uint8.
        colours: ``truecolour`` loses nothing, ``256`` takes the nearest xterm colour, ``ascii`` shows the
            mean brightness of the two pixels by a sign, stretched to the picture's own range.

    Returns:
        ceil(H / 2) lines of W cells. In colour the sign is the upper half block, its foreground the upper
        pixel, its background the lower one; runs of equal colours share one escape sequence, and each
        line ends with a reset. The missing lower pixel of an odd height has the terminal's own background.

    Raises:
        ValueError: when shape, dtype or `colours` is another.
    """
    pixels = _checked(image)
    if colours not in ("truecolour", "256", "ascii"):
        raise ValueError(f"colours is {colours!r}, expected truecolour, 256 or ascii")
    if colours == "ascii":
        return _ascii(pixels)
    upper, lower = _halves(pixels)
    lines = []
    for row in range(upper.shape[0]):
        last_alone = 2 * row + 1 == pixels.shape[0]
        above = _codes(upper[row], colours, 38)
        under = [""] * len(above) if last_alone else _codes(lower[row], colours, 48)
        parts = []
        for (front, back), run in groupby(zip(above, under, strict=True)):
            sgr = f"{front};{back}" if back else front
            parts.append(f"\x1b[{sgr}m{_HALF * len(list(run))}")
        lines.append("".join(parts) + RESET)
    return lines


def grid(
    images: Pixels,
    captions: Sequence[str],
    *,
    columns: int | None = None,
    width: int = 80,
    gap: int = 2,
    scale: Literal[1, 2] = 1,
    colours: Colours = "truecolour",
) -> str:
    """Pictures side by side with a caption under each.

    Args:
        images: (N, H, W, 3) uint8.
        captions: N texts, made safe and cut to the width of a picture; all empty ones leave no caption line.
        columns: pictures a row; None takes as many as fit. Never more than fit into `width`.
        width: cells of the terminal. A picture wider than this is shown at half its size until it fits.
        gap: cells between two pictures; one empty line stands between two rows.
        scale: 1 shows every pixel, 2 shows the mean of each 2x2 pixels (16 by 8 cells for CIFAR).
        colours: as in `half_blocks`.

    Returns:
        Lines joined by newlines, none wider than `width`; an empty string for no pictures.

    Raises:
        ValueError: when shapes, dtype, number of captions, columns, gap or scale do not fit.
    """
    batch = _checked_batch(images, captions)
    if scale not in (1, 2) or gap < 0 or width < 1 or (columns is not None and columns < 1):
        raise ValueError(
            f"grid has scale {scale}, gap {gap}, width {width} and columns {columns}, "
            "expected scale 1 or 2, gap >= 0, width >= 1, columns >= 1"
        )
    if batch.shape[0] == 0:
        return ""
    if scale == 2:
        batch = halved(batch)
    while batch.shape[2] > width:
        batch = halved(batch)
    cell = batch.shape[2]
    fitting = max(1, (width + gap) // (cell + gap))
    across = min(fitting, columns or fitting)
    shown = [plain(caption) for caption in captions]
    blocks: list[str] = []
    for start in range(0, batch.shape[0], across):
        drawn = [half_blocks(image, colours=colours) for image in batch[start : start + across]]
        rows = [(" " * gap).join(parts) for parts in zip(*drawn, strict=True)]
        if any(shown):
            rows.append((" " * gap).join(fit(text, cell) for text in shown[start : start + across]).rstrip())
        blocks.append("\n".join(rows))
    return "\n\n".join(blocks)


def halved(images: Pixels) -> Pixels:
    """Each 2x2 pixels as their mean, rounded; an odd last row or column stands for itself.

    Args:
        images: (..., H, W, 3) uint8.

    Returns:
        (..., ceil(H / 2), ceil(W / 2), 3) uint8.
    """
    high, wide = images.shape[-3] % 2, images.shape[-2] % 2
    padding = [(0, 0)] * (images.ndim - 3) + [(0, high), (0, wide), (0, 0)]
    even = (
        np.pad(images, padding, mode="edge").astype(np.uint16) if high or wide else images.astype(np.uint16)
    )
    total = (
        even[..., 0::2, 0::2, :]
        + even[..., 1::2, 0::2, :]
        + even[..., 0::2, 1::2, :]
        + even[..., 1::2, 1::2, :]
    )
    result: Pixels = ((total + 2) // 4).astype(np.uint8)
    return result


def png_grid(
    images: Pixels, *, captions: Sequence[str] | None = None, columns: int = 8, scale: int = 4, gap: int = 4
) -> bytes:
    """A PNG sheet of pictures; every pixel becomes `scale` by `scale` equal ones.

    Args:
        images: (N, H, W, 3) uint8, N >= 1.
        captions: N texts drawn under the pictures, cut to their width; None for none.
        columns: pictures a row, at least 1.
        scale: pixels a pixel, at least 1.
        gap: pixels around each picture.

    Returns:
        The bytes of the file. The caller writes it.

    Raises:
        ValueError: when shapes, dtype, number of captions, columns, scale or gap do not fit.
    """
    from PIL import Image, ImageDraw, ImageFont

    batch = _checked_batch(images, captions)
    if batch.shape[0] == 0 or columns < 1 or scale < 1 or gap < 0:
        raise ValueError(
            f"png grid has {batch.shape[0]} pictures, columns {columns}, scale {scale} and gap {gap}, "
            "expected at least 1, 1, 1 and 0"
        )
    count, high, wide = batch.shape[0], batch.shape[1] * scale, batch.shape[2] * scale
    font = ImageFont.load_default(size=max(8, min(14, wide // 9)))
    ascent = int(sum(font.getmetrics())) + 2 if isinstance(font, ImageFont.FreeTypeFont) else 13
    under = ascent if captions is not None else 0
    across = min(columns, count)
    down = -(-count // across)
    sheet = Image.new("RGB", (gap + across * (wide + gap), gap + down * (high + under + gap)), (14, 17, 22))
    pen = ImageDraw.Draw(sheet)
    for number in range(count):
        left = gap + number % across * (wide + gap)
        top = gap + number // across * (high + under + gap)
        pixels = batch[number].repeat(scale, axis=0).repeat(scale, axis=1)
        sheet.paste(Image.fromarray(pixels), (left, top))
        if captions is not None:
            text = _cut(plain(captions[number]), lambda part: pen.textlength(part, font=font), wide)
            pen.text((left, top + high + 1), text, fill=(215, 221, 229), font=font)
    out = io.BytesIO()
    sheet.save(out, format="PNG", optimize=False)
    return out.getvalue()


def supports_truecolour(environ: Mapping[str, str]) -> bool:
    """Whether the environment names a terminal that shows 24-bit colours."""
    if environ.get("COLORTERM", "").strip().lower() in {"truecolor", "24bit"}:
        return True
    term = environ.get("TERM", "").lower()
    known = ("kitty", "alacritty", "wezterm", "ghostty", "foot", "contour", "iterm")
    return term.endswith(("-direct", "-truecolor")) or any(name in term for name in known)


def colours_for(environ: Mapping[str, str], is_tty: bool) -> Colours:
    """How to show pictures: ``ascii`` off a terminal, with NO_COLOR (not empty) or a TERM of dumb or none."""
    term = environ.get("TERM", "").lower()
    if not is_tty or environ.get("NO_COLOR") or term in {"", "dumb", "unknown"} or term.startswith("vt"):
        return "ascii"
    return "truecolour" if supports_truecolour(environ) else "256"


# ---- parts ----


def _checked(image: Pixels) -> Pixels:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"image is {image.dtype} of shape {image.shape}, expected uint8 of shape (H, W, 3)")
    return image


def _checked_batch(images: Pixels, captions: Sequence[str] | None) -> Pixels:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape[1:]:
        raise ValueError(
            f"images are {images.dtype} of shape {images.shape}, expected uint8 of shape (N, H, W, 3)"
        )
    if captions is not None and len(captions) != images.shape[0]:
        raise ValueError(f"{len(captions)} captions for {images.shape[0]} pictures, expected one for each")
    return images


def _halves(pixels: Pixels) -> tuple[Pixels, Pixels]:
    if pixels.shape[0] % 2:
        pixels = np.concatenate([pixels, pixels[-1:]])
    return pixels[0::2], pixels[1::2]


def _codes(row: Pixels, colours: Colours, first: int) -> list[str]:
    """SGR codes of a row of pixels; `first` is 38 for the foreground, 48 for the background."""
    if colours == "256":
        return [f"{first};5;{index}" for index in nearest_256(row).tolist()]
    return [f"{first};2;{red};{green};{blue}" for red, green, blue in row.tolist()]


def nearest_256(pixels: Pixels) -> NDArray[np.int64]:
    """The xterm colour (16 to 255) nearest to each pixel, by squared distance in RGB.

    Args:
        pixels: (N, 3) uint8.

    Returns:
        (N,) int64: the 6x6x6 cube at 16, the ramp of 24 greys at 232.
    """
    wanted = pixels.astype(np.int64)
    level = np.abs(wanted[:, :, None] - _CUBE).argmin(axis=2)
    cube = 16 + 36 * level[:, 0] + 6 * level[:, 1] + level[:, 2]
    cube_error = ((wanted - _CUBE[level]) ** 2).sum(axis=1)
    grey = np.clip(np.rint((wanted.mean(axis=1) - 8) / 10), 0, 23).astype(np.int64)
    grey_error = ((wanted - (8 + 10 * grey)[:, None]) ** 2).sum(axis=1)
    nearest: NDArray[np.int64] = np.where(grey_error < cube_error, 232 + grey, cube)
    return nearest


def _cut(text: str, length: Callable[[str], float], room: int) -> str:
    """The longest start of a text that is at most `room` pixels long, with an ellipsis where it is cut."""
    text = text[:200]  # a caption is a line, whatever a file says
    if length(text) <= room:
        return text
    while text and length(text + "…") > room:
        text = text[:-1]
    return text.rstrip() + "…" if text else ""


def _ascii(pixels: Pixels) -> list[str]:
    brightness = pixels.astype(np.float64) @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    if brightness.shape[0] % 2:
        brightness = np.concatenate([brightness, brightness[-1:]])
    cells = (brightness[0::2] + brightness[1::2]) / 2
    low, high = np.percentile(cells, [2, 98])
    if high - low < 8:  # a flat picture keeps its own brightness instead of showing its noise
        low, high = 0.0, 255.0
    index = np.clip((cells - low) / (high - low) * len(_RAMP), 0, len(_RAMP) - 1).astype(np.int64)
    return ["".join(_RAMP[number] for number in row) for row in index.tolist()]
