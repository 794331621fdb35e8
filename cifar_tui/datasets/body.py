"""The body of one answer on its way into the part file: limits, magic, progress and a full disk."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass

from cifar_tui import fsio
from cifar_tui.datasets.part import Part, write_all
from cifar_tui.datasets.sources import Source, shown
from cifar_tui.datasets.transfer import Transfer, Watch
from cifar_tui.datasets.transport import Exchange, Head, TransportError
from cifar_tui.errors import CifarTuiError, StorageError, from_os_error
from cifar_tui.text import human_bytes, safe_text

MAX_ARCHIVE_BYTES = 200_000_000
"""Of an archive whose size is not pinned."""


class SourceError(Exception):
    """This address cannot give the archive; the next one may.

    Args:
        reason: for people, without the address.
        kind: ``network``, ``protocol`` (it broke the rules) or ``content`` (it gave another file).
        dead_host: whether no other address of that host needs to be tried.
    """

    def __init__(self, reason: str, kind: str = "network", *, dead_host: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind
        self.dead_host = dead_host


class AgainError(Exception):
    """Worth another try."""

    def __init__(self, reason: str, *, wait: float | None = None, free: bool = False, tries: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait = wait
        self.free = free
        self.tries = tries


@dataclass
class Body:
    """The body of one answer.

    `cap` is one byte more than may arrive, or the limit of what is taken at all; `expected` is the size of
    the whole file, where it is known.
    """

    watch: Watch
    part: Part
    source: Source
    start: int
    cap: int
    expected: int | None
    attempt: int

    def __post_init__(self) -> None:
        self._done = self.start

    def receive(self, exchange: Exchange, head: Head) -> None:
        """Append everything up to the cap.

        Raises:
            AgainError: it ended early.
            SourceError: it is not an archive, or too long.
            CifarTuiError: it cannot be written.
        """
        descriptor = self._open()
        try:
            self._append(descriptor, exchange, head)
        except TransportError as error:
            raise AgainError(self._shortfall(error.reason)) from error
        finally:
            os.close(descriptor)
        if self.expected is not None and self._done < self.expected:
            raise AgainError(self._shortfall(None))

    def _open(self) -> int:
        try:
            return self.part.open(keep=True)
        except OSError as error:
            raise disk_error(error, self.part, self.source) from error

    def _append(self, descriptor: int, exchange: Exchange, head: Head) -> None:
        pending = b""
        fresh = self._done == 0
        for block in exchange.blocks():
            pending += block
            if fresh:
                if len(pending) < 2:
                    continue
                _check_magic(pending)
                fresh = False
            self._write(descriptor, pending, exchange)
            pending = b""
        if fresh and (pending or head.number("content-length") in {None, 0}):
            _check_magic(pending)

    def _write(self, descriptor: int, data: bytes, exchange: Exchange) -> None:
        room = self.cap - self._done
        data = data[:room]
        try:
            write_all(descriptor, data)
        except OSError as error:
            raise disk_error(error, self.part, self.source) from error
        self._done += len(data)
        self._report(exchange.meter.rate())
        if self._done >= self.cap:
            raise self._too_long()

    def _report(self, rate: float) -> None:
        total = self.expected
        left = None if total is None or rate <= 0 else max(0, total - self._done) / rate
        file, url = self.source.archive.file, shown(self.source.url)
        self.watch.kept = kept(self.source, self._done)
        self.watch.report(Transfer("download", file, self._done, total, rate, left, url, self.attempt))

    def _too_long(self) -> SourceError:
        """Quarantine what is longer than the official archive."""
        file = self.source.archive.file
        official = self.source.archive
        digest = fsio.sha256_file(self.part.path)
        self.part.quarantine(file, digest)
        if self.cap == MAX_ARCHIVE_BYTES:
            return SourceError(f"more than {self.cap:,} bytes", "content")
        return SourceError(
            f"longer than the official {official.bytes:,} bytes (SHA-256 so far {digest};"
            f" expected {official.sha256 or official.md5})",
            "content",
        )

    def _shortfall(self, reason: str | None) -> str:
        if self.expected is None:
            return reason or f"ended after {self._done:,} bytes"
        short = f"short by {self.expected - self._done:,} of {self.expected:,} bytes"
        return f"{short} ({reason})" if reason else short


def _check_magic(data: bytes) -> None:
    if data[:2] == b"\x1f\x8b":
        return
    if data.lstrip()[:1] == b"<":
        raise SourceError("the server sent a web page instead of the archive")
    raise SourceError(f"the server sent something that is not a gzip archive ({safe_text(data[:8], 40)})")


def disk_error(error: OSError, part: Part, source: Source) -> CifarTuiError:
    """A failed write, with free and needed space where the disk is full."""
    found = from_os_error(error, "write", part.path)
    if isinstance(found, StorageError):
        needed = max(0, (source.archive.bytes or MAX_ARCHIVE_BYTES) - part.size)
        with suppress(OSError):
            free = shutil.disk_usage(part.path.parent).free
            found.message += f" ({human_bytes(free)} free, {human_bytes(needed)} needed)"
        found.state = kept(source, part.size)
        found.hint = "free some disk space and run the same command again"
    return found


def kept(source: Source, size: int) -> str:
    """What a stop leaves, for messages."""
    return f"{size:,} bytes of {source.archive.file} are kept; the same command goes on from there"
