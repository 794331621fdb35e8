"""What the charts promise: exact size, a legend beside the data, round axes that stay where they are."""

from __future__ import annotations

import random

import numpy as np
import pytest
from wcwidth import wcswidth

from cifar_tui.charts import (
    PALETTES,
    ROLE_COLOURS,
    ChartSpec,
    Mark,
    draw,
    role_colour,
)
from cifar_tui.charts.numbers import TICK_WIDTH, short_count, tick_label
from cifar_tui.charts.scales import y_scale
from tests.unit.chart_tools import NAN, SGR, bare, chart, falling, line, plot_rows, x_ticks, y_ticks


@pytest.mark.parametrize("width", [1, 7, 19, 20, 21, 80, 133])
@pytest.mark.parametrize("height", [1, 4, 5, 6, 15, 40])
@pytest.mark.parametrize("colour", [True, False])
def test_a_chart_is_exactly_as_wide_and_as_high_as_asked(width, height, colour):
    text = draw(chart(line(falling(300)), line([2.0, 1.5], [100, 300], "test"), width=width, height=height))
    assert [wcswidth(row) for row in bare(text).split("\n")] == [width] * height


@pytest.mark.parametrize("size", [(0, 10), (10, 0), (-3, 10), (10, -1)])
def test_no_room_gives_an_empty_string(size):
    assert draw(chart(line([1.0]), width=size[0], height=size[1])) == ""


def test_a_tiny_pane_shows_the_last_value_on_one_line():
    text = draw(ChartSpec("", [line([2.0, 1.23])], 12, 1, colour=False))
    assert text == "loss 1.230  "
    assert draw(ChartSpec("", [line([0.5])], 12, 2, unit="fraction", colour=False)).startswith("acc 50.0%")


def test_labels_of_any_script_and_with_escapes_keep_the_width_and_reach_no_terminal():
    for label in (
        "日本語",
        "a\x1b[31mred",
        "e\u0301",
        "👨‍👩‍👧 family",
        "🇩🇪",
        "x" * 300,
        "שלום\u202e",
        "a\nb\t",
    ):
        spec = ChartSpec(label, [line(falling(50), label=label)], 60, 10, x_label=label)
        text = bare(draw(spec))
        assert "\x1b" not in text
        assert [wcswidth(row) for row in text.split("\n")] == [60] * 10, label


def test_without_colour_there_is_no_escape_sequence():
    text = draw(chart(line(falling()), line([2, 1.6], [1, 2000], "test"), line([NAN, 2.0], role="ghost")))
    assert "\x1b" not in text


def test_with_colour_train_and_test_have_their_own_colours_and_every_line_is_reset():
    text = draw(chart(line(falling()), line([2, 1.6], [1, 2000], "test"), colour=True))
    for role in ("train", "test"):
        assert "38;2;{};{};{}".format(*ROLE_COLOURS[role]) in text
    for row in text.split("\n"):
        assert not SGR.findall(row) or SGR.findall(row)[-1] == "\x1b[0m"


def test_the_ascii_marker_uses_ascii_only_and_gives_each_line_its_own_sign():
    lines = [line(falling()), line([2.4, 1.9], [1, 2000], "test"), line([2.2, 2.2], [1, 2000], "ghost")]
    text = draw(chart(*lines, marker="ascii", marks=[Mark(1000, 2.0, "best")]))
    assert text.isascii()
    assert "** train" in text and "++ test" in text and ".. ghost" in text
    assert all(sign in "".join(plot_rows(text)) for sign in "*+.@")


def test_without_colour_two_lines_can_be_told_apart():
    text = draw(chart(line([1.0, 1.0], [0, 100]), line([2.0, 2.0], [0, 100], "test")))
    test_row = next(row for row in plot_rows(text) if "+" in row)
    assert set(test_row.strip()) == {"+"}
    assert "── train" in text and "++ test" in text


def test_without_colour_a_role_has_the_same_sign_in_every_chart():
    both = [line([1.0, 1.0], [0, 100]), line([2.0, 2.0], [0, 100], "test")]
    raw, other = line([1.1, 1.3], [0, 100], "batch"), line([3.0, 3.0], [0, 100], "other:0")
    for lines in (both, [raw, *both], both[::-1], [other, *both]):
        text = draw(chart(*lines))
        assert "── train" in text and "++ test" in text
    assert "xx other:0" in draw(chart(*both, other)), "and a line of another role none of theirs"


def test_the_legend_stands_above_the_plot_and_never_over_the_data():
    text = draw(chart(line([2.0, 2.0]), line([2.0, 2.0], role="test"), colour=True))
    first, *rest = bare(text).split("\n")
    assert first.split() == ["Loss", "──", "train", "──", "test"]
    assert not any("train" in row or "test" in row for row in rest)


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("palette", PALETTES)
def test_line_colours_are_readable_on_their_background_and_differ(palette, dark):
    def luminance(colour):
        parts = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    ground = luminance((0x15, 0x1A, 0x21) if dark else (0xFB, 0xFC, 0xFD))
    roles = ["train", "test", "validation", "accent", "bad", "muted", "other:0", "other:1", "other:2"]
    colours = [role_colour(role, palette, dark) for role in roles]
    for role, colour in zip(roles, colours, strict=True):
        low, high = sorted([luminance(colour), ground])
        assert (high + 0.05) / (low + 0.05) >= 4.5, role
    assert len(set(colours)) == len(colours)


def test_ticks_are_round():
    text = draw(chart(line(np.linspace(2.3, 1.3, 1000)), x_end=1000))
    assert set(y_ticks(text)) <= {f"{value / 10:.1f}" for value in range(8, 28, 2)} | {"1.5", "2.5"}
    assert x_ticks(text)[:3] in (["0", "200", "400"], ["0", "250", "500"])


def test_steps_are_short_and_a_log_axis_has_decades():
    assert [short_count(n) for n in (0, 250, 1000, 1500, 20_000, 2_500_000)] == [
        "0", "250", "1k", "1.5k", "20k", "2.5M",
    ]  # fmt: skip
    assert x_ticks(draw(chart(line(falling(20_000)), log_x=True))) == ["1", "10", "100", "1k", "10k"]
    wide = x_ticks(draw(chart(line(falling(20_000)), log_x=True, width=120)))
    assert wide[:7] == ["1", "2", "5", "10", "20", "50", "100"]


def test_a_log_y_axis_has_decades_and_drops_what_is_not_positive():
    rates = np.geomspace(1e-1, 1e-5, 500)
    rates[::7] = 0.0
    rates[1::50] = -1.0
    text = draw(chart(line(rates), log_y=True))
    assert [label for label in y_ticks(text) if label.startswith("1e")] or "0.1" in y_ticks(text)
    assert {"0.1", "1e-5"} <= set(y_ticks(text))
    assert "!" not in text


def test_a_fraction_axis_stays_with_the_data_and_inside_0_to_100_percent():
    text = draw(chart(line(np.linspace(0.3, 0.5, 100)), unit="fraction"))
    shown = [int(label.rstrip("%")) for label in y_ticks(text)]
    assert min(shown) >= 20 and max(shown) <= 60
    full = draw(chart(line(np.linspace(0.0, 1.0, 100)), unit="fraction", height=25))
    assert {"0%", "100%"} <= set(y_ticks(full))
    for low, high in ((0.0, 0.02), (0.99, 1.0), (0.4, 0.401), (0.1, 1.0)):
        for height in range(6, 40):
            ticks = y_ticks(draw(chart(line([low, high]), unit="fraction", height=height)))
            assert len(ticks) >= 2
            assert all(0 <= float(label.rstrip("%")) <= 100 for label in ticks)


@pytest.mark.parametrize("unit", ["loss", "fraction", "count"])
def test_every_tick_stands_on_the_row_of_its_value_and_all_data_are_inside(unit):
    rng = random.Random(5)
    for _ in range(300):
        low = rng.uniform(0, 1)
        high = low + rng.uniform(0.001, 1 - low if unit == "fraction" else 3)
        rows = rng.randint(2, 40)
        scale = y_scale(low, high, rows, unit, log=False)
        assert len(scale.ticks) >= 2
        for row, label in scale.ticks:
            value = float(label.rstrip("%")) / (100 if unit == "fraction" else 1)
            assert float(scale.cells(np.array(value))) == pytest.approx(row, abs=1e-6)
        bottom, top = scale.cells(np.array([low, high]))
        assert -0.5 < bottom <= top < rows - 0.5


def test_the_plot_stays_where_it_is_while_values_change():
    columns = set()
    for count in (10, 300, 5000, 20_000):
        for unit, scale in (("loss", 1.0), ("loss", 0.01), ("loss", 300), ("fraction", 0.3), ("count", 9e5)):
            text = draw(chart(line(falling(count) * scale), unit=unit))
            columns.add(tuple(row.index("└") for row in text.split("\n") if "└" in row))
            assert all(row[TICK_WIDTH] in "│┤" for row in text.split("\n")[1:-2])
    assert columns == {(TICK_WIDTH,)}


def test_the_x_axis_reaches_the_target_so_that_what_is_left_stays_empty():
    text = draw(chart(line(np.full(500, 1.0)), x_end=1000))
    row = next(row for row in plot_rows(text) if row.strip())
    drawn = [column for column, sign in enumerate(row) if "\u2800" < sign <= "\u28ff"]
    assert max(drawn) == pytest.approx(len(row) / 2, abs=1)
    assert x_ticks(text)[-1] == "1k"


def test_a_label_that_would_not_fit_its_column_is_never_cut():
    for low, high in ((1.23456, 1.23458), (-1e12, 1e12), (1e-9, 3e-9), (123456, 123457), (-1e-7, 1e29)):
        for unit in ("loss", "count"):
            for _, label in y_scale(low, high, 12, unit, log=False).ticks:
                assert len(label) <= TICK_WIDTH
    assert tick_label(0.00012, 0.00001, "loss") is None
