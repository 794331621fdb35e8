"""What charts promise of their lines: last values, marks, gaps, few points, and that nothing breaks them."""

from __future__ import annotations

import itertools
import re
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from wcwidth import wcswidth

from cifar_tui.charts import (
    Line,
    Mark,
    bar,
    draw,
    draw_columns,
    sparkline,
)
from cifar_tui.charts.cells import clip, fit, plain
from cifar_tui.charts.labels import spread
from cifar_tui.charts.numbers import value_label
from cifar_tui.charts.scales import x_scale
from cifar_tui.charts.series import clean, keep_extremes
from tests.unit.chart_tools import INF, NAN, bare, chart, falling, line, plot_rows, x_ticks


def test_the_last_value_stands_at_the_lines_end_in_the_lines_row():
    text = draw(chart(line([2.0, 1.5, 1.254]), colour=True))
    row = next(row for row in bare(text).split("\n") if "1.254" in row)
    assert row.endswith(" 1.254")
    assert any("\u2800" < sign <= "\u28ff" for sign in row)


def test_a_last_value_stays_at_its_line_and_the_text_of_a_mark_gives_way():
    upper, lower = line(np.linspace(2.3, 1.99, 50)), line(np.linspace(2.2, 1.93, 50), role="test")
    spec = chart(upper, lower, height=12, marks=(Mark(50, 1.93, "best 1.930 at 50", "test"),), x_end=100.0)
    rows = draw(spec).split("\n")
    for value in ("1.990", "1.930 "):
        row = next(row for row in rows if value in row.replace("best 1.930", ""))
        assert row.replace("best 1.930", "best xxxxx").index(value.strip()) < 60, row
    assert sum("best 1.930 at 50" in row for row in rows) == 1


def test_last_values_that_would_stand_on_one_another_are_moved_apart():
    lines = [line([2.0, 1.5 + 0.001 * n], role=role) for n, role in enumerate(("train", "test", "other:0"))]
    text = draw(chart(*lines))
    rows = [next(i for i, row in enumerate(text.split("\n")) if f"1.50{n}" in row) for n in range(3)]
    assert len(set(rows)) == 3 and max(rows) - min(rows) == 2


def test_labels_are_spread_without_loss_and_in_order():
    for wanted in itertools.combinations_with_replacement(range(6), 4):
        placed = spread(wanted, 6)
        assert len(set(placed)) == 4 and placed == sorted(placed)
        assert placed[0] >= 0 and placed[-1] < 6
    assert spread([1, 4], 6) == [1, 4]


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (1.2541, "loss", "1.254"), (12.345, "loss", "12.345"), (1234.5, "loss", "1234.5"),
        (0.0001, "loss", "1e-4"), (-1.25, "loss", "-1.250"), (1.5e25, "loss", "1.5e25"), (NAN, "loss", "NaN"),
        (INF, "loss", "inf"), (0.8204, "fraction", "82.0%"), (1.0, "fraction", "100.0%"),
        (12_345, "count", "12.35k"), (0.0, "loss", "0.000"), (None, "loss", ""),
    ],
)  # fmt: skip
def test_last_values_are_short(value, unit, expected):
    assert value_label(value, unit) == expected
    assert len(expected) <= 6


def test_the_best_point_is_marked_with_its_text_beside_it():
    text = draw(
        chart(line([2.0, 1.5, 1.6, 1.7], [0, 50, 100, 150]), marks=[Mark(50, 1.5, "best 1.500 at 50")])
    )
    assert "◆" in text and "best 1.500 at 50" in text
    assert "◆" not in draw(chart(line([2.0]), marks=[Mark(NAN, 1.0), Mark(1e300, 2), Mark(1, INF)]))


def test_a_ghost_is_a_faint_dotted_line_behind_the_data():
    text = draw(chart(line([1.0, 1.0], [0, 100], "ghost"), line([1.5, 1.5], [0, 100])))
    ghost = next(row for row in plot_rows(text) if "·" in row)
    assert set(ghost) == {"·", " "} and ghost.count("·") == pytest.approx(len(ghost) / 2, abs=1)
    crossing = draw(chart(line([1.0, 1.0], [0, 9], "ghost"), line([1.0, 1.0], [0, 9])))
    assert "·" not in "".join(plot_rows(crossing))


def test_fault_093_nan_and_inf_make_a_gap_and_a_sign_and_say_where():
    y = np.full(100, 1.0)
    y[40:60] = NAN
    text = draw(chart(line(y)))
    row = next(row for row in plot_rows(text) if row.strip())
    assert re.search(r"[\u2801-\u28ff] {5,}[\u2801-\u28ff]", row)
    assert "! 20 not finite, from 41" in text
    axis = text.split("\n")[-2]
    assert axis.count("!") >= 10
    y[40:60] = 1.0
    y[99] = -INF
    text = draw(chart(line(y)))
    assert "! not finite at 100" in text and "-inf" in text


@pytest.mark.parametrize("log_x", [True, False])
@pytest.mark.parametrize("log_y", [True, False])
@pytest.mark.parametrize(
    "y",
    [
        [], [NAN], [INF, -INF], [0.0], [0.0, 0.0], [1.0], [1e308, -1e308], [1e308, 1.0], [1e-320, 1e-320],
        [5e-324, 1.0], [-1.0, -2.0], [0.0, 1.0, NAN, 2.0], [1.0] * 5, [1e29, -1e29], [1.0, 1.0 + 1e-15],
    ],
)  # fmt: skip
def test_fault_093_no_series_breaks_a_chart(y, log_x, log_y):
    for unit in ("loss", "fraction", "count"):
        for x in (None, np.zeros(len(y)), np.full(len(y), 1e308), np.full(len(y), NAN)):
            text = draw(chart(line(y, x), unit=unit, log_x=log_x, log_y=log_y, height=9, width=40))
            assert [len(row) for row in text.split("\n")] == [40] * 9


def test_an_empty_chart_says_so_inside_its_frame():
    for lines in ([], [line([])]):
        text = draw(chart(*lines, x_end=1000))
        assert "no points yet" in text and "└" in text
        assert x_ticks(text)[0] == "0" and x_ticks(text)[-1] == "1k"
    assert "no finite values" in draw(chart(line([NAN])))


def test_one_point_is_a_visible_dot():
    text = draw(chart(line([1.5], [100])))
    assert "".join(plot_rows(text)).count("●") == 1 and "1.500" in text


@pytest.mark.parametrize(
    ("value", "unit"), [(0.3, "fraction"), (1.5, "loss"), (-2.0, "loss"), (7e5, "count")]
)
def test_a_constant_series_runs_through_the_middle(value, unit):
    rows = plot_rows(draw(chart(line([value] * 20), unit=unit, height=14)))
    drawn = [index for index, row in enumerate(rows) if row.strip()]
    assert drawn == [pytest.approx(len(rows) / 2, abs=1)]


def test_steps_out_of_order_are_sorted():
    points = [(3, 1.0), (1, 2.0), (2, 1.5)]
    given = draw(chart(line([y for _, y in points], [x for x, _ in points])))
    assert given == draw(chart(line([2.0, 1.5, 1.0], [1, 2, 3])))


def test_what_cannot_be_meant_is_refused_by_name():
    with pytest.raises(ValueError, match=r"shape \(2,\) and y \(3,\)"):
        Line("a", np.zeros(2), np.zeros(3), "train")
    with pytest.raises(ValueError, match="role is 'tran', expected one of train"):
        line([1.0], role="tran")
    for field in ("unit", "marker", "palette"):
        with pytest.raises(ValueError, match=f"{field} is 'x'"):
            chart(**{field: "x"})


def test_at_most_two_points_a_column_are_kept_the_lowest_and_the_highest():
    rng = np.random.default_rng(1)
    columns = np.sort(rng.integers(0, 80, 20_000))
    y = rng.standard_normal(20_000)
    kept = keep_extremes(columns, y)
    assert np.bincount(columns[kept]).max() == 2
    assert (np.diff(kept) > 0).all()
    for column in np.unique(columns):
        mine = y[kept][columns[kept] == column]
        assert mine.min() == y[columns == column].min() and mine.max() == y[columns == column].max()


def test_a_single_spike_among_many_points_stays_visible():
    y = np.full(100_000, 1.0)
    y[61_803] = 5.0
    assert any(row.strip() for row in plot_rows(draw(chart(line(y))))[:3])


def test_plotext_never_gets_more_than_two_points_a_column(monkeypatch):
    import cifar_tui.charts.frame as frame

    seen = []
    real = frame.paint

    def spy(width, height, strokes):
        seen.append((width, sum(stroke.columns.size for stroke in strokes)))
        return real(width, height, strokes)

    monkeypatch.setattr(frame, "paint", spy)
    for log_x in (False, True):
        draw(chart(line(falling(50_000)), log_x=log_x))
    assert all(points <= 2 * width for width, points in seen) and len(seen) == 2


def test_values_on_a_log_axis_fall_on_their_decades():
    scale = x_scale(1, 10_000, 81, log=True)
    assert scale.cells(np.array([1.0, 10.0, 100.0, 10_000.0])) == pytest.approx([0, 20, 40, 80])


def test_clean_keeps_the_last_value_as_it_was_given():
    cleaned = clean(line([1.0, 2.0, NAN]))
    assert cleaned.ends_badly and cleaned.last != cleaned.last
    assert clean(line([1.0, 1e35])).last == 1e35


def test_charts_drawn_from_several_threads_at_once_are_the_same_as_alone():
    specs = [chart(line(falling(400, seed)), width=50 + seed, height=10) for seed in range(4)]
    alone = [draw(spec) for spec in specs]
    found = [[] for _ in specs]

    def work(index):
        for _ in range(4):
            found[index].append(draw(specs[index]))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[text] * 4 for text in alone]


def test_importing_charts_loads_no_plotext_and_no_screen_library():
    code = (
        "import sys, cifar_tui.charts, cifar_tui.pictures;"
        "print([m for m in ('plotext', 'textual', 'rich', 'torch', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.benchmark
def test_a_chart_of_20000_points_costs_little():
    spec = chart(line(falling(20_000)), width=100, height=25, colour=True)
    draw(spec)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        draw(spec)
        times.append(time.perf_counter() - start)
    assert statistics.median(times) < 0.12  # 30 ms on an idle machine; others may be at work here


def test_two_charts_stand_side_by_side():
    left, right = chart(line(falling(50)), width=30, height=8), chart(width=40, height=10)
    rows = draw_columns([left, right], gap=3).split("\n")
    assert [len(row) for row in rows] == [73] * 10
    assert [row[:30] for row in rows[:8]] == draw(left).split("\n")
    assert [row[33:] for row in rows] == draw(right).split("\n")
    assert draw_columns([]) == "" and draw_columns([replace(left, width=0)]) == ""


def test_a_sparkline_has_its_width_and_shows_low_and_high():
    assert sparkline([1, 2, 3], 5) == "▁▅█  "
    assert sparkline(np.linspace(0, 1, 1000), 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([2, 2, 2], 3) == "▄▄▄"
    assert sparkline([1, NAN, 2, INF], 4) == "▁ █ "
    assert sparkline([], 3) == "   " and sparkline([NAN] * 9, 3) == "   " and sparkline([1], 0) == ""
    assert sparkline([1, 2, 3], 3, ascii=True).isascii()


def test_a_bar_has_its_width_and_is_full_only_at_the_end():
    for width in (1, 2, 10, 33):
        for fraction in (0, 1e-9, 0.1, 0.5, 0.999999, 1 - 2**-53, 1, -1, 7, NAN, INF):
            for ascii in (True, False):
                text = bar(fraction, width, ascii=ascii)
                assert wcswidth(text) == width
                assert (text == ("#" if ascii else "█") * width) == (fraction >= 1)
    assert bar(0.5, 4) == "██  " and bar(0.5625, 2) == "█▏" and bar(0.001, 3) == "▏  "
    assert bar(0.5, 4, ascii=True) == "##--" and bar(0.5, 0) == "" and bar(NAN, 2) == "  "


def test_text_is_cut_by_cells_not_by_characters():
    assert (
        clip("日本語", 5) == "日本…"
        and clip("日本語", 4) == "日…"
        and clip("abc", 3) == "abc"
        and clip("abc", 0) == ""
    )
    assert fit("日本語", 4) == "日… " and fit("ab", 4) == "ab  "
    assert plain("🇩🇪") == "DE" and plain("a\x1bb") == "a\\x1bb"
