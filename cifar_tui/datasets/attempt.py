"""Getting one archive from one address: resume, retries, redirects, limits and the hash."""

from __future__ import annotations

import datetime
import email.utils
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from cifar_tui import __version__, fsio
from cifar_tui.datasets.body import MAX_ARCHIVE_BYTES, AgainError, Body, SourceError, disk_error, kept
from cifar_tui.datasets.part import Part
from cifar_tui.datasets.pin import Digests, Pin, digest_file
from cifar_tui.datasets.sources import Source, shown
from cifar_tui.datasets.transfer import Transfer, Watch
from cifar_tui.datasets.transport import Exchange, Head, TransportError
from cifar_tui.errors import from_os_error

MAX_HOPS = 5
_CONNECT_TRIES = 2
_RETRY_STATUS = frozenset({408, 425, 429})
_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)")


@dataclass(frozen=True)
class Downloaded:
    """A whole archive in its part file."""

    part: Part
    digests: Digests
    official: bool


class Downloader:
    """Gets archives into part files under one folder.

    Args:
        root: the folder that holds the datasets.
        watch: progress, notes, cancellation and time limits.
        strict: take only what matches its pin; False also takes another file (at most `MAX_ARCHIVE_BYTES`).
    """

    def __init__(self, root: Path, watch: Watch, *, strict: bool) -> None:
        self._root = root
        self._watch = watch
        self._strict = strict

    def get(self, source: Source, pin: Pin) -> Downloaded:
        """The whole archive from one address.

        Raises:
            SourceError: it cannot be had here; what arrived is kept where it may be of use.
            InterruptedBySignal: the user stopped it; the part is kept.
            StorageError: the disk is full or fails; the part is kept.
        """
        part = Part(self._root / f"{source.archive.file}.part")
        failures, started_over = 0, False
        while True:
            try:
                encoded = self._transfer(part, source, pin, failures + 1)
            except AgainError as again:
                failures += not again.free
                self._pause(again, failures, source)
                continue
            digests = digest_file(part.path, source.archive.file, self._watch)
            if encoded and not digests.match(pin):
                digests = self._decode(part, source.archive.file, digests)
            official = digests.match(pin)
            if official or not self._strict:
                return Downloaded(part, digests, official)
            part.quarantine(source.archive.file, digests.sha256)
            if started_over:
                raise SourceError(f"SHA-256 {digests.sha256}; expected {pin.text}", "content")
            started_over = True
            self._watch.note(f"{source.archive.file} has a wrong hash; fetching it once more from the start")

    def _pause(self, again: AgainError, failures: int, source: Source) -> None:
        limit = again.tries or self._watch.timing.tries
        if failures >= limit:
            tries = f"{failures} tries" if failures > 1 else "1 try"
            raise SourceError(f"{again.reason} after {tries}", dead_host=bool(again.tries))
        if again.free:
            return
        self._watch.note(f"{shown(source.url)}: {again.reason}; trying again")
        self._watch.wait(self._watch.timing.backoff(failures) if again.wait is None else again.wait)

    # --- one try ---

    def _transfer(self, part: Part, source: Source, pin: Pin, attempt: int) -> bool:
        """One request; returns whether the server encoded the body. The part is then as long as it gets."""
        cap = pin.bytes + 1 if self._strict and pin.bytes else MAX_ARCHIVE_BYTES
        if part.size >= cap:
            part.discard()
        if self._is_complete(part, source, pin):
            return False
        start, headers = self._resume_headers(part, source)
        self._watch.kept = kept(source, part.size)
        self._report("connect", source, start, pin.bytes if self._strict else part.total, attempt)
        with self._answer(source.url, headers) as (exchange, head):
            if head.status == 416 and start:
                if self._whole_by_range(head, part, pin):
                    return False
                part.discard()
                raise AgainError("the server refused to resume", free=True)
            start = self._check_head(head, part, start)
            encoded = head.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}
            declared = None if "transfer-encoding" in head.headers else head.number("content-length")
            total = None if declared is None else start + declared
            expected = pin.bytes if self._strict and pin.bytes and not encoded else total
            if encoded and cap != MAX_ARCHIVE_BYTES:
                cap += cap // 64 + 4096  # gzip of gzip is a little longer
            if start == 0:
                self._start_part(part, source, head, total)
            Body(self._watch, part, source, start, cap, expected, attempt).receive(exchange, head)
            if encoded and expected is not None and part.size < expected:
                part.discard()  # a range counts encoded bytes, so such a part cannot be resumed
        return encoded

    def _is_complete(self, part: Part, source: Source, pin: Pin) -> bool:
        if self._strict and pin.bytes:
            return part.size == pin.bytes
        return part.size > 0 and part.url == source.url and part.total == part.size

    def _resume_headers(self, part: Part, source: Source) -> tuple[int, dict[str, str]]:
        headers = {"Accept-Encoding": "identity", "User-Agent": f"cifar-tui/{__version__}"}
        size = part.size
        validator = part.validator if part.url == source.url else None
        if size == 0 or not (validator or self._strict):  # without a pinned hash two versions could be mixed
            return 0, headers
        headers["Range"] = f"bytes={size}-"
        if validator:
            headers["If-Range"] = validator
        return size, headers

    def _whole_by_range(self, head: Head, part: Part, pin: Pin) -> bool:
        total = head.headers.get("content-range", "").removeprefix("bytes */")
        expected = pin.bytes if self._strict and pin.bytes else None
        return part.size == expected if expected else total == str(part.size)

    def _check_head(self, head: Head, part: Part, start: int) -> int:
        """Where the body starts in the file: `start` for a right 206, 0 for a 200."""
        if head.status == 200:
            kind = head.headers.get("content-type", "").lower()
            if kind.startswith(("text/html", "application/xhtml")):
                raise SourceError("the server sent a web page instead of the archive")
            return 0
        if head.status == 206 and start:
            found = _CONTENT_RANGE.fullmatch(head.headers.get("content-range", "").strip())
            etag = head.headers.get("etag")
            if found is None or int(found[1]) != start or (etag and part.etag and etag != part.etag):
                part.discard()
                raise AgainError("the server answered with another range or version", free=True)
            return start
        if head.status in _RETRY_STATUS or head.status >= 500:
            raise AgainError(f"HTTP {head.status}", wait=self._retry_after(head))
        kind = "network" if head.status >= 400 else "protocol"
        raise SourceError(f"HTTP {head.status}", kind)

    def _retry_after(self, head: Head) -> float | None:
        text = head.headers.get("retry-after", "").strip()
        seconds: float | None = head.number("retry-after")
        if seconds is None and text:
            with suppress(ValueError, OverflowError):
                when = email.utils.parsedate_to_datetime(text)
                if when.tzinfo is not None:
                    seconds = max(0.0, (when - datetime.datetime.now(datetime.UTC)).total_seconds())
        if seconds is not None and seconds > self._watch.timing.retry_after_limit_seconds:
            raise SourceError(f"HTTP {head.status}, asks to wait {seconds:.0f} s")
        return seconds

    def _start_part(self, part: Part, source: Source, head: Head, total: int | None) -> None:
        try:
            os.close(part.open(keep=False))
            part.describe(
                url=source.url,
                etag=head.headers.get("etag"),
                last_modified=head.headers.get("last-modified"),
                total=total,
            )
        except OSError as error:
            raise disk_error(error, part, source) from error

    @contextmanager
    def _answer(self, url: str, headers: dict[str, str]) -> Iterator[tuple[Exchange, Head]]:
        """The answer after at most `MAX_HOPS` redirects, each checked."""
        visited = {url}
        while True:
            with Exchange(url, headers, self._watch) as exchange:
                try:
                    head = exchange.head()
                except TransportError as error:
                    raise _failure(error) from error
                target = head.headers.get("location")
                if head.status not in {301, 302, 303, 307, 308} or not target:
                    yield exchange, head
                    return
            url = self._hop(url, target, visited)
            visited.add(url)

    def _hop(self, url: str, target: str, visited: set[str]) -> str:
        try:
            joined = urljoin(url, target)
            parts, before = urlsplit(joined), urlsplit(url)
        except ValueError as error:
            raise SourceError("it redirects to an address that cannot be read", "protocol") from error
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SourceError(
                f"it redirects to {shown(joined)}; only http and https are followed", "protocol"
            )
        if joined in visited:
            raise SourceError(f"it redirects in a loop ({shown(joined)})", "protocol")
        if len(visited) > MAX_HOPS:
            raise SourceError(f"it redirects more than {MAX_HOPS} times", "protocol")
        if before.scheme == "https" and parts.scheme == "http":
            if not self._strict:
                raise SourceError(f"it redirects from https to {shown(joined)}", "protocol")
            self._watch.note(f"redirected to {shown(joined)} without TLS; the pinned hash still decides")
        return joined

    # --- helpers ---

    def _report(self, phase: str, source: Source, done: int, total: int | None, attempt: int) -> None:
        file, url = source.archive.file, shown(source.url)
        self._watch.report(Transfer(phase, file, done, total, 0.0, None, url, attempt))

    def _decode(self, part: Part, title: str, before: Digests) -> Digests:
        """Undo a Content-Encoding that a proxy put around the archive; the part stays if that fails."""
        decoder = zlib.decompressobj(wbits=31)
        temporary = fsio.temporary_beside(part.path)
        size = 0
        try:
            with temporary.open("xb") as file:
                for block in fsio.read_blocks(part.path):
                    data = decoder.decompress(block, MAX_ARCHIVE_BYTES + 1 - size)
                    size += len(data)
                    if size > MAX_ARCHIVE_BYTES:
                        return before
                    file.write(data)
            if not decoder.eof:
                return before
            temporary.replace(part.path)
        except zlib.error:
            return before
        except OSError as error:
            raise from_os_error(error, "write", part.path) from error
        finally:
            with suppress(OSError):
                temporary.unlink()
        return digest_file(part.path, title, self._watch)


def _failure(error: TransportError) -> Exception:
    """Whether a failed connection is worth another try."""
    if error.kind in {"tls", "request", "timeout"}:
        return SourceError(error.reason, dead_host=error.kind != "request")
    tries = _CONNECT_TRIES if error.kind == "connect" else 0
    return AgainError(error.reason, tries=tries)
