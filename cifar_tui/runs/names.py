"""Names that a run may have: safe as a folder on every system, and on a command line."""

from __future__ import annotations

import re

from cifar_tui.errors import UsageError
from cifar_tui.text import safe_text

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DEVICE_NAME = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE | re.DOTALL)


def check_run_id(text: str) -> str:
    """The text, where it is a valid run id.

    An id has 1 to 64 letters, digits, dots, underscores and hyphens of ASCII, begins with a letter or digit,
    does not end in a dot and is no device name of Windows.

    Raises:
        UsageError: it is not; the hint holds a valid name made from it.
    """
    if is_run_id(text):
        return text
    raise UsageError(
        f'"{safe_text(text, 80)}" is no name for a run: expected 1 to 64 of A-Z a-z 0-9 . _ - that begin '
        "with a letter or digit and do not end in a dot (and no device name such as CON)",
        hint=f"use {suggest_run_id(text)}",
        id="E-RUN-NAME",
    )


def is_run_id(text: str) -> bool:
    """Whether `check_run_id` takes the text."""
    return bool(RUN_ID.fullmatch(text)) and not text.endswith(".") and not _DEVICE_NAME.fullmatch(text)


def suggest_run_id(text: str) -> str:
    """A valid run id that is like `text`."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text[:1000]).lstrip("._-")[:64].rstrip(".-")
    if not name:
        return "run-1"
    return name if is_run_id(name) else f"run-{name}"[:64].rstrip(".-")
