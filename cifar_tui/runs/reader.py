"""Reads a run's events, whole or while another process writes them."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from cifar_tui.errors import from_os_error
from cifar_tui.events import Event, from_json
from cifar_tui.runs.files import open_regular

if TYPE_CHECKING:
    from io import BufferedReader

    import numpy as np
    from numpy.typing import NDArray

MAX_LINE = 64 << 20
_PROGRESS = b'{"event": "progress",'
_PROGRESS_BYTES = 400  # about the size of such a line
_POLL_BYTES = 8 << 20
_BLOCK = 1 << 16
_raw_decode = json.JSONDecoder().raw_decode
_THINNED_BLOCK = 1 << 18  # what is looked at in one go where most lines are left out


@dataclass(frozen=True)
class ReadResult:
    """Events in the order of the file, and how many lines were no events (a torn last one included)."""

    events: list[Event] = field(default_factory=list)
    damaged: int = 0


def read_events(path: Path | str, *, progress_limit: int | None = None, confusion: bool = True) -> ReadResult:
    """All events of a file; lines that are no events are counted and left out. A missing file has none.

    Args:
        path: an ``events.jsonl``.
        progress_limit: keep about this many progress events, evenly thinned, and the newest; None for all.
            The others are not parsed, so that a million of them take well under a second.
        confusion: whether evaluations have their confusion counts, most of what there is to check; else [].

    Raises:
        AccessError, StorageError: it cannot be read.
    """
    try:
        return _read_file(open_regular(path), progress_limit, None, confusion)
    except (FileNotFoundError, NotADirectoryError):
        return ReadResult()
    except OSError as error:
        if error.errno in {errno.EISDIR, errno.EINVAL}:
            return ReadResult(damaged=1)
        raise from_os_error(error, "read", path) from error


class Tail:
    """Follows an events file that another process appends to.

    Attributes:
        damaged: complete lines so far that were no events.
        resets: how often the file was replaced or cut, after which its events come again from the first.
    """

    def __init__(self, path: Path) -> None:
        self.damaged = 0
        self.resets = 0
        self._path = path
        self._file: IO[bytes] | None = None
        self._consumed = 0  # offset just after the last complete line that was read

    @classmethod
    def follow(cls, path: Path) -> Tail:
        """A tail that begins with the first event; the file need not be there yet."""
        return cls(path)

    @classmethod
    def after(cls, path: Path, *, progress_limit: int | None = None) -> tuple[ReadResult, Tail]:
        """The events that are there, read as `read_events` does, and a tail that begins after them.

        Raises:
            AccessError, StorageError: the file cannot be read.
        """
        tail = cls(path)
        try:
            tail._file = os.fdopen(open_regular(path), "rb", buffering=0)
            size = os.fstat(tail._file.fileno()).st_size
        except (FileNotFoundError, NotADirectoryError):
            return ReadResult(), tail
        except OSError as error:
            if error.errno in {errno.EISDIR, errno.EINVAL}:
                return ReadResult(damaged=1), tail
            raise from_os_error(error, "read", path) from error
        tail._consumed = line_start(tail._file.fileno(), size)
        try:
            return _read_file(os.dup(tail._file.fileno()), progress_limit, tail._consumed, True), tail
        except OSError as error:
            raise from_os_error(error, "read", path) from error

    def poll(self) -> list[Event]:
        """The events that were completed since the last call; none while the file cannot be read."""
        try:
            file = self._current_file()
            if file is None:
                return []
            found: list[Event] = []
            while data := self._complete_lines(file):
                for line in data.split(b"\n")[:-1]:
                    event = parse_line(line)
                    if event is None:
                        self.damaged += 1
                    else:
                        found.append(event)
            return found
        except OSError:
            self.close()
            return []

    def close(self) -> None:
        """Close the file; a later `poll` goes on where this one was."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _current_file(self) -> IO[bytes] | None:
        try:
            named = self._path.stat()
        except OSError:
            return self._file  # moved or deleted: read to the end what is open
        if self._file is not None:
            mine = os.fstat(self._file.fileno())
            if (named.st_dev, named.st_ino) != (mine.st_dev, mine.st_ino):
                self.close()
                self._restart()
        if self._file is None:
            self._file = os.fdopen(open_regular(self._path), "rb", buffering=0)
        if os.fstat(self._file.fileno()).st_size < self._consumed:
            self._restart()
        return self._file

    def _restart(self) -> None:
        self._consumed = 0
        self.resets += 1

    def _complete_lines(self, file: IO[bytes]) -> bytes:
        for limit in (_POLL_BYTES, MAX_LINE):
            data = os.pread(file.fileno(), limit, self._consumed)
            end = data.rfind(b"\n") + 1
            if end:
                self._consumed += end
                return data[:end]
            if len(data) < limit:
                return b""
        self.damaged += 1  # no line of ours is that long
        self._consumed += len(data)
        return b""


def parse_line(line: bytes, *, confusion: bool = True) -> Event | None:
    """The event in a line; None where it is none. `confusion` as for `read_events`."""
    try:
        values = _decode(line)
        if not confusion and isinstance(values, dict) and "confusion" in values:
            values["confusion"] = []
        return from_json(values)
    except (ValueError, RecursionError, OverflowError):
        return None


def _decode(line: bytes) -> Any:
    """As `json.loads`, in half of its time for the lines that we write."""
    try:
        text = line.decode()
        value, end = _raw_decode(text)
        if end == len(text):
            return value
    except ValueError:
        pass
    return json.loads(line)


def line_start(descriptor: int, end: int) -> int:
    """Offset just after the last newline before `end`; 0 where there is none."""
    while end > 0:
        start = max(0, end - _BLOCK)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _read_file(descriptor: int, progress_limit: int | None, end: int | None, confusion: bool) -> ReadResult:
    """The events of an open file, which is closed, up to offset `end` (None for all)."""
    size = os.fstat(descriptor).st_size if end is None else end
    stride = 1
    if progress_limit is not None:
        stride = max(1, size // (_PROGRESS_BYTES * max(1, progress_limit)))
    thinned = _Thinned(stride, confusion)
    if size <= _BLOCK:  # without a file object: a list of runs reads thousands of small files
        try:
            *lines, rest = os.pread(descriptor, size, 0).split(b"\n")
        finally:
            os.close(descriptor)
        for line in lines:
            thinned.add(line)
        thinned.damaged += bool(rest)
        return thinned.result()
    most = 1 << 20 if stride == 1 else _THINNED_BLOCK
    with os.fdopen(descriptor, "rb", buffering=min(most, size)) as opened:
        file = cast("BufferedReader", opened)
        file.seek(0)
        _read_lines(file, thinned, end)
    return thinned.result()


class _Thinned:
    """The events of lines in the order of the file; of progress every `stride`-th and the newest in a row."""

    def __init__(self, stride: int, confusion: bool) -> None:
        self.stride = stride
        self.damaged = 0
        self._confusion = confusion
        self._found: list[Event] = []
        self._count = 0  # lines of progress
        self._skipped: bytes | None = None  # the newest of them, where it was left out

    def add(self, line: bytes) -> None:
        """A complete line, without its end."""
        if self.stride > 1 and line.startswith(_PROGRESS) and line.endswith(b"}"):
            self._count += 1
            if self._count % self.stride:
                self._skipped = line
                return
        elif self._skipped is not None:
            self._take(self._skipped)
        self._skipped = None
        self._take(line)

    def add_progress(self, data: bytes, ends: NDArray[np.int64]) -> None:
        """Lines of progress alone, which end at `ends`."""
        for end in ends[(-self._count - 1) % self.stride :: self.stride]:
            self._take(_line_before(data, end))
        self._count += ends.size
        self._skipped = _line_before(data, ends[-1]) if self._count % self.stride else None

    def result(self) -> ReadResult:
        """What was found."""
        if self._skipped is not None:
            self._take(self._skipped)
            self._skipped = None
        return ReadResult(self._found, self.damaged)

    def _take(self, line: bytes) -> None:
        event = parse_line(line, confusion=self._confusion)
        if event is None:
            self.damaged += 1
        else:
            self._found.append(event)


def _read_lines(file: BufferedReader, thinned: _Thinned, end: int | None) -> None:
    position = mixed = 0
    while end is None or position < end:
        if thinned.stride > 1 and position >= mixed:
            ahead = file.peek()[: None if end is None else end - position]
            ends = _ends_of_progress(ahead) if ahead.startswith(_PROGRESS) else None
            if ends is not None:
                thinned.add_progress(ahead, ends)
                position += int(ends[-1])
                file.seek(position)
                continue
            mixed = position + len(ahead)
        line = file.readline(MAX_LINE)
        if not line:
            break
        position += len(line)
        if line.endswith(b"\n"):
            thinned.add(line[:-1])
        else:
            thinned.damaged += 1
            position += _skip_line(file, line)


def _ends_of_progress(data: bytes) -> NDArray[np.int64] | None:
    """Where the complete lines at the start of `data` end, where all of them are progress; else None.

    To look at lines one by one takes five times as long.
    """
    import numpy as np

    cells = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(cells == ord("\n")) + 1
    starts = np.concatenate([[0], ends[:-1]]) if ends.size else ends
    prefix = np.frombuffer(_PROGRESS, np.uint8)
    if not ends.size or (ends - starts).min() < prefix.size + 2 or (cells[ends - 2] != ord("}")).any():
        return None
    if (cells[starts[:, None] + np.arange(prefix.size)] != prefix).any():
        return None
    return ends


def _line_before(data: bytes, end: int) -> bytes:
    return data[data.rfind(b"\n", 0, end - 1) + 1 : end]


def _skip_line(file: IO[bytes], line: bytes) -> int:
    """Read on to the end of a line; returns how many bytes that were."""
    skipped = 0
    while line and not line.endswith(b"\n"):
        line = file.readline(MAX_LINE)
        skipped += len(line)
    return skipped
