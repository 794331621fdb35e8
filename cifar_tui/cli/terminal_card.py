"""Lines that show at a glance what a terminal can draw."""

from __future__ import annotations

from collections.abc import Callable

_HALF = "▀"
_BARS = 32


def card(*, colour: bool) -> list[str]:
    """The test card, at most 60 cells wide; without `colour` no escape sequences.

    A terminal that is up to it shows the two colour bars without visible steps or gaps, and the right edges
    of the boxes in one line.
    """
    lines = []
    if colour:
        lines += [f"truecolour   {_bar(_rainbow)}", f"grey         {_bar(_grey)}"]
        lines.append("256 colours  " + "".join(f"\x1b[48;5;{n}m  " for n in range(16, 32)) + "\x1b[0m")
    lines += [
        "half blocks  ▀▄▀▄▀▄▀▄ ▌▐▌▐▌▐▌▐ █▉▊▋▌▍▎▏ ▁▂▃▄▅▆▇█",
        "braille      ⡀⣀⣄⣤⣦⣶⣷⣿⢿⠿⠻⠛⠙⠉⠈ ⣀⡠⠔⠊⠉⠒⠤⣀",
        "lines        ━━━━────┄┄┄┄ ┌─┬─┐ ╭──╮ ╔══╗ ┃│",
        "             ┌──────────────┬──────┐",
    ]
    # Each of the texts is 14 cells wide.
    for text, name in (("accuracy 97.5%", "ascii"), ("résumé → µ ≤ ✓", "latin"), ("画像を学習する", "wide")):
        lines.append(f"unicode      │{text}│ {name:<5}│")
    lines.append("             └──────────────┴──────┘")
    return lines


def _bar(colour_of: Callable[[float], tuple[int, int, int]]) -> str:
    cells = []
    for place in range(_BARS):
        upper = ";".join(str(part) for part in colour_of(place / (_BARS - 1)))
        lower = ";".join(str(part) for part in colour_of(1 - place / (_BARS - 1)))
        cells.append(f"\x1b[38;2;{upper};48;2;{lower}m{_HALF}")
    return "".join(cells) + "\x1b[0m"


def _rainbow(place: float) -> tuple[int, int, int]:
    import colorsys

    red, green, blue = colorsys.hsv_to_rgb(place * 0.85, 0.75, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def _grey(place: float) -> tuple[int, int, int]:
    level = round(place * 255)
    return level, level, level
