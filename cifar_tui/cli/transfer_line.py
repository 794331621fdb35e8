"""Progress of a download or check on stderr: one line in place on a terminal, else a line every tenth."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from cifar_tui.text import human_bytes, human_seconds, safe_text

if TYPE_CHECKING:
    from cifar_tui.datasets.transfer import Transfer

_GAP = "  "
_BAR_LEAST, _BAR_MOST = 8, 30
_FULL, _EMPTY = "━", "─"


class TransferLine:
    """Shows progress; call it with each `Transfer`, and `close` it at the end.

    On a terminal it rewrites one line that is never wider than the terminal. Elsewhere it prints a line when
    the phase or file changes and at each tenth of the work.
    """

    def __init__(self) -> None:
        self._stream = sys.stderr
        self._in_place = self._stream.isatty() and os.environ.get("TERM", "") != "dumb"
        self._unicode = (getattr(self._stream, "encoding", "") or "").lower().startswith("utf")
        self._open = False
        self._said: tuple[str, str, int] | None = None

    def __call__(self, transfer: Transfer) -> None:
        """Show how far it is."""
        if self._in_place:
            width = shutil.get_terminal_size((80, 24)).columns - 1  # the last column would wrap
            self._stream.write(f"\r{line(transfer, width, unicode=self._unicode)}\x1b[K")
            self._stream.flush()
            self._open = True
            return
        tenth = int(10 * share(transfer))
        if self._said is not None and self._said[:2] == (transfer.phase, transfer.file):
            if tenth <= self._said[2]:
                return
        elif transfer.phase == "download" and transfer.total is None:
            tenth = 0
        self._said = (transfer.phase, transfer.file, tenth)
        print(line(transfer, 200, unicode=False, bar=False), file=self._stream, flush=True)

    def note(self, text: str) -> None:
        """A sentence on a line of its own."""
        self.close()
        print(f"note: {safe_text(text, 300)}", file=self._stream, flush=True)

    def close(self) -> None:
        """Take the line away, so that what follows begins at the margin."""
        if self._open:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._open = False


def share(transfer: Transfer) -> float:
    """How much is done, in [0, 1]; 0 while the total is not known."""
    return min(1.0, max(0.0, transfer.done / transfer.total)) if transfer.total else 0.0


def line(transfer: Transfer, width: int, *, unicode: bool = True, bar: bool = True) -> str:
    """One line of at most `width` cells: phase, bar, percent, amount, rate, time left, file.

    What does not fit is left out from the right; the columns keep their places while the numbers grow.
    """
    done, total = human_bytes(transfer.done), transfer.total
    fields = [f"{safe_text(transfer.phase, 8):<8}"]
    if total:
        fields.append(f"{share(transfer):4.0%}")
        fields.append(f"{done.rjust(8)} of {human_bytes(total)}")
    elif transfer.done:
        fields.append(done.rjust(8))
    if transfer.phase in {"connect", "download"}:
        rate = f"{human_bytes(transfer.rate)}/s" if transfer.rate > 0 else ""
        fields += [rate.rjust(10), f"ETA {human_seconds(transfer.eta_seconds):>5}"]
    if transfer.attempt > 1:
        fields.append(f"try {transfer.attempt}")
    fields.append(safe_text(transfer.file, 40))
    while len(fields) > 1 and len(_GAP.join(fields)) > width:
        fields.pop()
    room = min(_BAR_MOST, width - len(_GAP.join(fields)) - len(_GAP))
    if bar and total and room >= _BAR_LEAST:
        filled = int(share(transfer) * room)
        full, empty = (_FULL, _EMPTY) if unicode else ("#", "-")
        fields.insert(1, full * filled + empty * (room - filled))
    return _GAP.join(fields)[: max(0, width)]
