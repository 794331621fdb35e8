"""What the pictures promise: every pixel as it is, no line too wide, files any viewer reads."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from wcwidth import wcswidth

from cifar_tui.pictures import (
    colours_for,
    grid,
    half_blocks,
    halved,
    nearest_256,
    png_grid,
    supports_truecolour,
)

TOKEN = re.compile(r"\x1b\[([0-9;]*)m|(.)")
SGR = re.compile(r"\x1b\[[0-9;]*m")


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def pixels_of(lines):
    """What a terminal shows: (2 * lines, W, 3), -1 where no colour was set."""
    rows = []
    for text in lines:
        front = back = (-1, -1, -1)
        upper, lower = [], []
        for codes, sign in TOKEN.findall(text):
            if sign:
                assert sign == "▀"
                upper.append(front)
                lower.append(back)
                continue
            parts = [int(code) for code in codes.split(";")]
            while parts:
                if parts[:2] == [38, 2]:
                    front, parts = tuple(parts[2:5]), parts[5:]
                elif parts[:2] == [48, 2]:
                    back, parts = tuple(parts[2:5]), parts[5:]
                else:
                    assert parts == [0]
                    front = back = (-1, -1, -1)
                    parts = []
        assert front == back == (-1, -1, -1)  # reset at the end
        rows += [upper, lower]
    return np.array(rows)


# ---- half blocks ----


@pytest.mark.parametrize("shape", [(32, 32), (1, 1), (2, 1), (7, 5), (31, 40)])
def test_half_blocks_lose_no_pixel(shape):
    image = noise(*shape)
    lines = half_blocks(image)
    assert len(lines) == -(-shape[0] // 2)
    shown = pixels_of(lines)
    assert np.array_equal(shown[: shape[0]], image)
    if shape[0] % 2:
        assert (shown[-1] == -1).all()  # the terminal's own background


def test_a_cifar_picture_is_32_columns_by_16_rows():
    lines = half_blocks(noise(32, 32))
    assert [wcswidth(SGR.sub("", text)) for text in lines] == [32] * 16


def test_runs_of_equal_colours_share_one_escape_sequence():
    image = np.zeros((2, 32, 3), dtype=np.uint8)
    image[:, 16:] = 200
    (text,) = half_blocks(image)
    assert len(SGR.findall(text)) == 3
    assert np.array_equal(pixels_of([text]), image)


def test_256_colours_use_the_nearest_of_the_palette():
    levels = [0, 95, 135, 175, 215, 255]
    palette = [(r, g, b) for r in levels for g in levels for b in levels] + [
        (8 + 10 * n,) * 3 for n in range(24)
    ]
    pixels = np.concatenate([noise(1, 300)[0], np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(-1, 3)])
    chosen = nearest_256(pixels)
    distance = ((pixels[:, None].astype(int) - np.array(palette)) ** 2).sum(axis=2)
    assert np.array_equal(distance[np.arange(len(pixels)), chosen - 16], distance.min(axis=1))
    text = half_blocks(noise(2, 4), colours="256")[0]
    assert "38;5;" in text and "38;2;" not in text


def test_ascii_pictures_hold_no_escape_and_are_darker_where_the_picture_is():
    image = np.zeros((32, 32, 3), dtype=np.uint8)
    image[:, 16:] = 255
    lines = half_blocks(image, colours="ascii")
    assert lines == [" " * 16 + "@" * 16] * 16
    assert "".join(half_blocks(noise(32, 32), colours="ascii")).isascii()
    flat = half_blocks(np.full((4, 4, 3), 255, dtype=np.uint8), colours="ascii")
    assert flat == ["@@@@", "@@@@"]
    assert half_blocks(np.zeros((3, 4, 3), dtype=np.uint8), colours="ascii") == ["    ", "    "]


def test_a_picture_of_another_form_is_refused_by_name():
    for bad in (np.zeros((32, 32), np.uint8), np.zeros((3, 32, 32), np.uint8), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(
            ValueError, match=re.escape(f"shape {bad.shape}, expected uint8 of shape (H, W, 3)")
        ):
            half_blocks(bad)
    with pytest.raises(ValueError, match="image is float64 of shape"):
        half_blocks(np.zeros((2, 2, 3)))
    with pytest.raises(ValueError, match="colours is 'sepia', expected truecolour, 256 or ascii"):
        half_blocks(noise(2, 2), colours="sepia")
    with pytest.raises(ValueError, match=r"expected uint8 of shape \(N, H, W, 3\)"):
        grid(noise(4, 4), ["a"] * 4)
    with pytest.raises(ValueError, match="2 captions for 3 pictures"):
        grid(noise(3, 4, 4), ["a", "b"])
    with pytest.raises(ValueError, match="columns 0"):
        grid(noise(1, 4, 4), ["a"], columns=0)
    with pytest.raises(ValueError, match="scale 0"):
        png_grid(noise(1, 4, 4), scale=0)


# ---- grid ----


@pytest.mark.parametrize("colours", ["truecolour", "256", "ascii"])
@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("width", [1, 5, 16, 33, 66, 80, 200])
def test_a_grid_is_never_wider_than_the_terminal(width, scale, colours):
    captions = [
        "automobile",
        "日本語のラベルはとても長いのでここで切れます",
        "",
        "a\x1b[31mb",
        "x" * 99,
        "frog",
    ]
    text = SGR.sub("", grid(noise(6, 32, 32), captions, width=width, scale=scale, colours=colours))
    assert "\x1b" not in text
    assert max(wcswidth(row) for row in text.split("\n")) <= width


def test_a_grid_takes_as_many_columns_as_fit_and_no_more_than_asked():
    images, captions = noise(6, 32, 32), list("abcdef")

    def rows(**options):
        return [
            row.split()
            for row in SGR.sub("", grid(images, captions, **options)).split("\n")
            if "▀" not in row
        ]

    assert rows(width=99) == [["a", "b"], [], ["c", "d"], [], ["e", "f"]]
    assert rows(width=100) == [["a", "b", "c"], [], ["d", "e", "f"]]
    assert rows(width=200, columns=1)[:3] == [["a"], [], ["b"]]
    assert rows(width=40, columns=9)[0] == ["a"]
    assert rows(width=80, scale=2)[0] == ["a", "b", "c", "d"]


def test_captions_stand_under_the_left_edge_of_their_picture():
    text = SGR.sub(
        "", grid(noise(2, 32, 32), ["cat", "a label that is longer than a picture"], width=80, gap=2)
    )
    caption = text.split("\n")[16]
    assert caption.startswith("cat ") and caption[34:] == "a label that is longer than a p…"
    assert len(grid(noise(1, 4, 4), [""]).split("\n")) == 2
    assert grid(noise(0, 4, 4), []) == ""


def test_half_size_shows_the_mean_of_four_pixels():
    image = np.array([[[0, 0, 0], [10, 20, 30]], [[20, 40, 60], [31, 60, 90]]], dtype=np.uint8)
    assert halved(image).tolist() == [[[15, 30, 45]]]
    assert halved(np.full((3, 5, 3), 255, np.uint8)).tolist() == [[[255] * 3] * 3] * 2
    assert halved(noise(4, 32, 32)).shape == (4, 16, 16, 3)


# ---- png ----


def test_a_png_sheet_holds_the_same_pixels():
    from PIL import Image

    images = noise(5, 32, 32)
    for scale in (1, 3):
        with Image.open(io.BytesIO(png_grid(images, columns=3, scale=scale, gap=2))) as sheet:
            assert sheet.format == "PNG"
            pixels = np.asarray(sheet.convert("RGB"))
        side = 32 * scale
        assert pixels.shape == (2 + 2 * (side + 2), 2 + 3 * (side + 2), 3)
        for number, image in enumerate(images):
            top, left = 2 + number // 3 * (side + 2), 2 + number % 3 * (side + 2)
            part = pixels[top : top + side, left : left + side]
            assert np.array_equal(part, image.repeat(scale, 0).repeat(scale, 1))


def test_captions_are_drawn_under_the_pictures_of_a_png_and_never_over_them():
    from PIL import Image

    images = noise(2, 32, 32)
    captions = ["airplane", "x" * 400 + "\x1b[31m\n日本"]
    with Image.open(io.BytesIO(png_grid(images, captions=captions, scale=2, gap=3))) as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    assert np.array_equal(pixels[3:67, 3:67], images[0].repeat(2, 0).repeat(2, 1))
    assert np.array_equal(pixels[3:67, 70:134], images[1].repeat(2, 0).repeat(2, 1))
    for left in (3, 70):
        assert (pixels[67:-3, left : left + 64] != pixels[0, 0]).any()
    assert (pixels[:, :3] == pixels[0, 0]).all() and (pixels[:, 134:] == pixels[0, 0]).all()


# ---- terminals ----


@pytest.mark.parametrize(
    ("environ", "is_tty", "expected"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, True, "truecolour"),
        ({"TERM": "xterm-256color", "COLORTERM": "24bit"}, True, "truecolour"),
        ({"TERM": "xterm-direct"}, True, "truecolour"),
        ({"TERM": "xterm-kitty"}, True, "truecolour"),
        ({"TERM": "xterm-256color"}, True, "256"),
        ({"TERM": "screen"}, True, "256"),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, True, "ascii"),
        ({"TERM": "vt100"}, True, "ascii"),
        ({}, True, "ascii"),
        ({"TERM": "xterm", "COLORTERM": "truecolor", "NO_COLOR": "1"}, True, "ascii"),
        ({"TERM": "xterm", "COLORTERM": "truecolor", "NO_COLOR": ""}, True, "truecolour"),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, False, "ascii"),
    ],
)
def test_the_terminal_decides_how_pictures_are_shown(environ, is_tty, expected):
    assert colours_for(environ, is_tty) == expected
    if expected == "truecolour":
        assert supports_truecolour(environ)


@pytest.mark.real_data
def test_real_cifar_pictures_come_through_without_loss():
    beside = Path(__file__).resolve().parents[2].parent / "shared"
    batch = (
        Path(os.environ.get("CIFAR_TUI_TEST_ARCHIVES", beside)) / "cifar-10-batches-bin" / "data_batch_1.bin"
    )
    if not batch.is_file():
        pytest.skip("the CIFAR-10 files are not beside the checkout")
    records = np.fromfile(batch, dtype=np.uint8, count=3073 * 20).reshape(20, 3073)
    images = records[:, 1:].reshape(20, 3, 32, 32).transpose(0, 2, 3, 1)
    for image in images:
        assert np.array_equal(pixels_of(half_blocks(image)), image)
