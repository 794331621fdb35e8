"""The one line that shows where a training is, for any width of terminal."""

from __future__ import annotations

import math

from cifar_tui import events
from cifar_tui.text import human_bytes, human_seconds, safe_text

_GAP = "  "
_BAR_LEAST, _BAR_MOST = 8, 40
_FULL, _EMPTY = "━", "─"
_COLOUR, _DIM, _PLAIN = "\x1b[36m", "\x1b[2m", "\x1b[0m"

# What is shown, best first: the first set that fits is taken, and the bar gets what is left.
_SETS = (
    ("percent", "bar", "steps", "rate", "loss", "~loss", "~acc", "eta"),
    ("percent", "bar", "steps", "rate", "~loss", "~acc", "eta"),
    ("percent", "bar", "steps", "short rate", "~loss", "~acc", "eta"),
    ("percent", "bar", "steps", "~loss", "~acc", "eta"),
    ("percent", "steps", "~loss", "~acc", "eta"),
    ("percent", "steps", "~acc", "eta"),
    ("percent", "steps", "eta"),
    ("percent", "steps"),
    ("percent",),
)


def progress_line(
    progress: events.Progress, width: int, *, activity: str = "", unicode: bool = True, colour: bool = False
) -> str:
    """One line of at most `width` cells whose columns stay where they are while a training goes on.

    Args:
        progress: where it is.
        width: cells of the terminal.
        activity: what it is busy with besides steps, shown in place of the metrics.
        unicode: whether other signs than ASCII may be used.
        colour: whether escape sequences may be used.
    """
    share = min(1.0, progress.step / progress.target) if progress.target else 1.0
    fields = _fields(progress, share)
    chosen, bar_width = _layout(fields, width)
    if activity or progress.paused:
        short = activity or "paused"
        taken = sum(len(fields[name]) for name in ("percent", "steps")) + 3 * len(_GAP)
        bar_width = bar_width or min(_BAR_LEAST, max(0, width - taken - len(short)))
        if taken + bar_width + len(short) <= width:
            chosen = ("percent", *(("bar",) if bar_width else ()), "steps", "activity")
            fields["activity"] = short
    fields["bar"] = _bar(share, bar_width, unicode, colour)
    if chosen == ("percent",):
        return fields["percent"].strip()[: max(0, width)]
    return _GAP.join(fields[name] for name in chosen)


def _layout(fields: dict[str, str], width: int) -> tuple[tuple[str, ...], int]:
    """The best set of fields that fits, and the width of its bar."""
    for chosen in _SETS:
        fixed = sum(len(fields[name]) for name in chosen if name != "bar") + len(_GAP) * (len(chosen) - 1)
        room = width - fixed
        if "bar" not in chosen and room >= 0:
            return chosen, 0
        if room >= _BAR_LEAST:
            return chosen, min(room, _BAR_MOST)
    return ("percent",), 0


def phase_line(phase: events.Phase, width: int, seconds: float, *, unicode: bool = True) -> str:
    """What a training that has not begun is busy with, in at most `width` cells.

    Args:
        phase: the phase.
        width: cells of the terminal.
        seconds: since the phase began.
        unicode: whether other signs than ASCII may be used.
    """
    parts = [phase_text(phase)]
    if phase.total > 0:
        share = min(1.0, phase.done / phase.total)
        parts.append(f"{share:4.0%}")
        if phase.unit == "bytes":
            parts.append(f"{human_bytes(phase.done):>8} of {human_bytes(phase.total)}")
            parts.append(f"{human_bytes(phase.rate):>8}/s" if phase.rate else " " * 10)
            left = (phase.total - phase.done) / phase.rate if phase.rate else None
            parts.append(f"ETA {human_seconds(left):>5}")
        room = width - len(_GAP.join(parts)) - len(_GAP)
        if room >= _BAR_LEAST:
            parts.insert(1, _bar(share, min(room, _BAR_MOST), unicode, colour=False))
    elif seconds >= 1:
        parts.append(f"{seconds:.0f} s")
    while len(parts) > 1 and len(_GAP.join(parts)) > width:
        parts.pop()
    return _GAP.join(parts)[: max(0, width)]


def phase_text(phase: events.Phase) -> str:
    """A phase in words, such as ``loading torch``."""
    text = safe_text(phase.text, 60)
    if phase.phase == "data" and " " in text:
        action, _, file = text.partition(" ")
        words = {
            "wait": "waiting for another process that fetches",
            "connect": "connecting for",
            "download": "downloading",
            "verify": "verifying",
            "unpack": "unpacking",
        }
        return f"{words.get(action, action)} {file}"
    verb = {
        "import": "loading",
        "data": "loading",
        "build": "building",
        "compile": "compiling",
        "train": "training",
        "evaluate": "evaluating",
        "save": "saving",
    }[phase.phase]
    return f"{verb} {text}".rstrip()


def loss_text(value: float | None) -> str:
    """A loss in six cells: five significant digits at most, an exponent from 1000 on."""
    if value is None or math.isnan(value):
        return "     -"
    if math.isinf(value):
        return "   inf"
    value += 0.0  # -0.0 to 0.0
    size = abs(value)
    if size < 1000:
        return f"{value:.{4 if size < 9.99995 else 3 if size < 99.9995 else 2}f}".rjust(6)
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}".rjust(6)


def percent_text(value: float | None, digits: int = 1) -> str:
    """A fraction as percent, aligned to the right: `` 56.2%``, ``100.0%``."""
    width = 5 + digits
    return f"{100 * value:.{digits}f}%".rjust(width) if value is not None else "-".rjust(width)


def rate_text(value: float) -> str:
    """Steps a second in six cells."""
    digits = 2 if value < 9.995 else 1 if value < 999.95 else 0
    return f"{value:,.{digits}f}".rjust(6)


def _fields(progress: events.Progress, share: float) -> dict[str, str]:
    target = f"{progress.target:,}"
    rate = rate_text(progress.steps_per_second)
    return {
        "percent": f"{math.floor(100 * share):3d}%",
        "steps": f"{progress.step:,}".rjust(len(target)) + f"/{target}",
        "rate": f"{rate} steps/s",
        "short rate": f"{rate}/s",
        "loss": f"loss {loss_text(progress.loss)}",
        "~loss": f"~loss {loss_text(progress.moving_loss)}",
        "~acc": f"~acc {percent_text(progress.moving_accuracy)}",
        "eta": f"ETA {human_seconds(progress.seconds_left):>5}",
    }


def _bar(share: float, width: int, unicode: bool, colour: bool) -> str:
    full, empty = (_FULL, _EMPTY) if unicode else ("#", "-")
    filled = min(width, int(share * width + 1e-9))
    if not colour:
        return full * filled + empty * (width - filled)
    return f"{_COLOUR}{full * filled}{_PLAIN}{_DIM}{empty * (width - filled)}{_PLAIN}"
