"""Text from outside made safe to show, near matches, and amounts for people. Standard library only."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from pathlib import Path

_BIDI_AND_INVISIBLE = frozenset(
    "\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)


def safe_text(value: object, limit: int | None = None) -> str:
    r"""Text with every control, escape, bidi and invisible character made visible.

    Args:
        value: anything; ``str()`` is applied.
        limit: at most this many characters in the result, an ellipsis included; ``None`` for no limit.

    Returns:
        Printable text on one line: ``\n`` becomes ``\\n``, ESC becomes ``\\x1b``, lone surrogates become
        ``\\udcff``. Letters of any script and emoji joined with U+200D are kept.
    """
    text = str(value)
    if text.isascii() and text.isprintable() and (limit is None or len(text) <= limit):
        return text  # nearly all are, and a list of runs has a hundred thousand
    if limit is not None and len(text) > 4 * limit:
        text = text[: 4 * limit]  # a megabyte pasted into a field must not cost a megabyte of work
        clipped = True
    else:
        clipped = False
    safe = "".join(_visible(character) for character in text)
    if limit is not None and (clipped or len(safe) > limit):
        return safe[: limit - 1] + "…"
    return safe


def _visible(character: str) -> str:
    code = ord(character)
    if 0x20 <= code < 0x7F:
        return character
    if code < 0x20 or 0x7F <= code < 0xA0 or character in _BIDI_AND_INVISIBLE:
        return character.encode("unicode_escape").decode("ascii")
    if unicodedata.category(character) in {"Cs", "Cc"}:
        return f"\\u{code:04x}"
    return character


def from_home(path: str | Path) -> str:
    """A path as people write it: below the home folder it begins with ``~``."""
    try:
        return str("~" / Path(path).relative_to(Path.home()))
    except (ValueError, RuntimeError):  # elsewhere; no home
        return str(path)


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice most like `word`, or None when nothing is near. Case is ignored."""
    by_folded = {choice.casefold(): choice for choice in choices}
    found = difflib.get_close_matches(word[:100].casefold(), list(by_folded), n=1, cutoff=0.5)
    return by_folded[found[0]] if found else None


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A sentence for an unknown word: the nearest choice first, then all of them."""
    known = list(choices)
    near = nearest(word, known)
    listing = ", ".join(known)
    return f'did you mean "{near}"? valid: {listing}' if near else f"valid: {listing}"


def human_bytes(count: float) -> str:
    """A number of bytes with a decimal unit, such as ``171.7 MB``."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def human_seconds(seconds: float | None) -> str:
    """A duration: ``0:42``, ``12:05``, ``3:20:00``; ``-:--`` when it is not known."""
    if seconds is None or not 0 <= seconds < 1e8:
        return "-:--"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def human_count(count: float) -> str:
    """A count with a metric suffix, such as ``510k`` or ``1.3M``; exact below 10,000."""
    if count < 10_000:
        return f"{count:,.0f}"
    for limit, divisor, suffix in ((1e6, 1e3, "k"), (1e9, 1e6, "M"), (1e12, 1e9, "G")):
        if count < limit:
            value = count / divisor
            return f"{value:.0f}{suffix}" if value >= 100 else f"{value:.1f}{suffix}"
    return f"{count / 1e12:.1f}T"
