"""Text measured in terminal cells, and a grid of styled cells that becomes ANSI text."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from cifar_tui.charts.colours import RGB
from cifar_tui.text import safe_text

_SKIN_TONES = range(0x1F3FB, 0x1F400)
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)
_JOINING_JAMO = range(0x1160, 0x1200)
RESET = "\x1b[0m"


def plain(text: object) -> str:
    """Safe text in which every character has the same width in all terminals.

    Joined emoji come apart and flags become letters, since terminals do not agree on their width.
    """
    shown = []
    for character in unicodedata.normalize("NFC", safe_text(text)):
        code = ord(character)
        if code in _FLAG_LETTERS:
            shown.append(chr(code - _FLAG_LETTERS.start + ord("A")))
        elif not _is_unsteady(character):
            shown.append(character)
    return "".join(shown)


def _is_unsteady(character: str) -> bool:
    """Whether terminals disagree on the width of this character."""
    code = ord(character)
    if code in _SKIN_TONES or code in _JOINING_JAMO or 0xFE00 <= code <= 0xFE0F:
        return True
    return unicodedata.category(character) in {"Cf", "Mc", "Zl", "Zp"}


@lru_cache(maxsize=4096)
def char_width(character: str) -> int:
    """Cells one character of `plain` text takes: 0, 1 or 2."""
    if character.isascii():
        return 1
    if unicodedata.category(character) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def cell_width(text: str) -> int:
    """Cells a `plain` text takes."""
    return len(text) if text.isascii() else sum(map(char_width, text))


def clip(text: str, width: int) -> str:
    """A `plain` text cut to at most `width` cells, with an ellipsis where something was cut."""
    if cell_width(text) <= width:
        return text
    if width <= 0:
        return ""
    kept: list[str] = []
    used = 0
    for character in text:
        used += char_width(character)
        if used > width - 1:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "…"


def fit(text: str, width: int) -> str:
    """A `plain` text of exactly `width` cells: cut, or filled with spaces at the right."""
    cut = clip(text, width)
    return cut + " " * (width - cell_width(cut))


@dataclass(frozen=True)
class Style:
    """How a cell looks: a colour, or the terminal's own where it is None."""

    colour: RGB | None = None
    bold: bool = False

    def sgr(self) -> str:
        """The escape sequence that turns this style on; empty for the terminal's own."""
        codes = ["1"] if self.bold else []
        if self.colour is not None:
            codes.append("38;2;{};{};{}".format(*self.colour))
        return f"\x1b[{';'.join(codes)}m" if codes else ""


PLAIN = Style()


class CellGrid:
    """A rectangle of cells, each a character and a style. Row 0 is the top.

    The cell right of a wide character holds an empty string.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._chars = [[" "] * width for _ in range(height)]
        self._styles = [[PLAIN] * width for _ in range(height)]

    def put(self, row: int, column: int, text: str, style: Style = PLAIN) -> int:
        """Write `plain` text and return the column after it. What lies outside the grid is left out."""
        for character in text:
            size = char_width(character)
            if size == 0:
                if 0 < column <= self.width:
                    self._chars[row][column - 1] += character
                continue
            if column >= 0 and column + size <= self.width:
                self._chars[row][column] = character
                self._styles[row][column] = style
                if size == 2:
                    self._chars[row][column + 1] = ""
                    self._styles[row][column + 1] = style
            column += size
        return column

    def blank(self, row: int, start: int, stop: int) -> bool:
        """Whether the cells of [start, stop) lie inside the grid and hold nothing."""
        return start >= 0 and stop <= self.width and all(cell == " " for cell in self._chars[row][start:stop])

    def fill(self, row: int, start: int, stop: int, character: str, style: Style) -> None:
        """Put a character of one cell into every cell of [start, stop) that holds nothing."""
        chars, styles = self._chars[row], self._styles[row]
        for column in range(max(0, start), min(stop, self.width)):
            if chars[column] == " ":
                chars[column], styles[column] = character, style

    def text(self, colour: bool) -> str:
        """The grid as lines joined by newlines; with `colour` each styled run has its escape sequence."""
        if not colour:
            return "\n".join("".join(row) for row in self._chars)
        return "\n".join(map(_ansi, self._chars, self._styles))


def _ansi(chars: Sequence[str], styles: Sequence[Style]) -> str:
    out: list[str] = []
    current = PLAIN
    for char, style in zip(chars, styles, strict=True):
        if style is not current and style != current and not (char == " " and current == PLAIN):
            if current != PLAIN:
                out.append(RESET)
            out.append(style.sgr())
            current = style
        out.append(char)
    if current != PLAIN:
        out.append(RESET)
    return "".join(out)
