"""Tells errors of the screen library from our own."""

from __future__ import annotations

from pathlib import Path

import textual

_LIBRARY = str(Path(textual.__file__).parent)


def is_of_library(error: BaseException) -> bool:
    """Whether an error was raised and came up through Textual alone, but for the function that caught it."""
    trace = error.__traceback__.tb_next if error.__traceback__ is not None else None
    if trace is None:
        return False
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(_LIBRARY):
            return False
        trace = trace.tb_next
    return True
