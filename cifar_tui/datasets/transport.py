"""One HTTP request at a time, read by a helper thread so that the caller can stop within a poll interval.

The thread owns the connection. It puts what it reads into a short queue; the caller takes from it in slices,
looks whether to stop, and judges stalls. A thread that hangs in the kernel (a name lookup, a dead server) is
left behind: it is a daemon and holds nothing but its socket.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cifar_tui.datasets.transfer import Meter, Timing, Watch
from cifar_tui.text import safe_text

if TYPE_CHECKING:
    import requests

_CHUNK = 1 << 16
_QUEUE_CHUNKS = 4  # what is in it is lost by kill -9, so it is short


@dataclass(frozen=True)
class Head:
    """Status line and headers of an answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]

    def number(self, name: str) -> int | None:
        """A header that is a whole number at least 0, else None."""
        value = self.headers.get(name, "")
        return int(value) if value.isascii() and value.isdigit() and len(value) < 16 else None


class TransportError(Exception):
    """The connection failed.

    Args:
        reason: one line for the user.
        kind: ``connect`` (no answer at all), ``tls``, ``request`` (the address itself is wrong) or ``read``.
    """

    def __init__(self, reason: str, kind: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind


class Exchange:
    """A GET request under way.

    Args:
        url: http or https.
        headers: to send.
        watch: asked often whether to stop.
        agent: the User-Agent.
    """

    def __init__(self, url: str, headers: Mapping[str, str], watch: Watch) -> None:
        self._url = url
        self._headers = dict(headers)
        self._watch = watch
        self._timing: Timing = watch.timing
        self._queue: queue.Queue[Head | bytes | TransportError | None] = queue.Queue(_QUEUE_CHUNKS)
        self._stop = threading.Event()
        self._response: Any = None
        self.meter = Meter(self._timing)
        self._thread = threading.Thread(target=self._work, name="cifar-tui-download", daemon=True)
        self._thread.start()

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading and drop the connection, without waiting for a thread that hangs."""
        self._stop.set()
        shutdown = getattr(getattr(self._response, "raw", None), "shutdown", None)
        if shutdown is not None:  # urllib3 2.3 and later: wakes a thread that waits for bytes
            with suppress(Exception):
                shutdown()
        self._thread.join(self._timing.poll_seconds)

    def head(self) -> Head:
        """Wait for the answer's head.

        Raises:
            TransportError: no connection, or no answer in time.
        """
        limit = self._timing.connect_seconds + self._timing.stall_seconds
        item = self._take(time.monotonic() + limit)
        self.meter = Meter(self._timing)
        if not isinstance(item, Head):
            raise TransportError("the answer had no head", "read")
        return item

    def blocks(self) -> Iterator[bytes]:
        """The body as it arrives.

        Raises:
            TransportError: the connection broke, ended early or stalled.
        """
        while True:
            item = self._take(None)
            if item is None:
                return
            assert isinstance(item, bytes)
            self.meter.add(len(item))
            yield item

    def _take(self, deadline: float | None) -> Head | bytes | None:
        while True:
            self._watch.check()
            try:
                item = self._queue.get(timeout=self._timing.poll_seconds)
            except queue.Empty:
                late = self.meter.stalled() if deadline is None else time.monotonic() > deadline
                if not late:
                    continue
                seconds = f"{self._timing.stall_seconds:g} s"
                raise TransportError(f"stalled: nearly nothing arrived in {seconds}", "read") from None
            if isinstance(item, TransportError):
                raise item
            if deadline is None and item is not None and self.meter.stalled():
                raise TransportError(
                    f"stalled: below {self._timing.floor_bytes_per_second:g} bytes a second"
                    f" over {self._timing.stall_seconds:g} s",
                    "read",
                )
            return item

    # --- the helper thread ---

    def _put(self, item: Head | bytes | TransportError | None) -> bool:
        while not self._stop.is_set():
            with suppress(queue.Full):
                self._queue.put(item, timeout=self._timing.poll_seconds)
                return True
        return False

    def _work(self) -> None:
        phase = "connect"
        try:
            with _session() as session:
                response = session.get(
                    self._url,
                    headers=self._headers,
                    stream=True,
                    allow_redirects=False,
                    timeout=(self._timing.connect_seconds, self._timing.stall_seconds * 2),
                )
                with response:
                    phase = "read"
                    self._response = response
                    headers = {key.lower(): value for key, value in response.headers.items()}
                    if self._put(Head(response.status_code, headers)) and response.status_code in {200, 206}:
                        self._read_body(response.raw)
        except Exception as error:  # noqa: BLE001 - many kinds are raised; all of them are one failed try
            self._put(_describe(error, phase))

    def _read_body(self, raw: Any) -> None:
        read = getattr(raw, "read1", None)
        while not self._stop.is_set():
            # read1 returns what is there: a slow server is seen as slow, not as silent
            data = read(_CHUNK, decode_content=False) if read else raw.read(4096, decode_content=False)
            if not data:
                self._put(None)
                return
            self._put(bytes(data))


def _session() -> requests.Session:
    """A session that leaves redirects alone: ours are checked hop by hop."""
    import requests

    class Session(requests.Session):
        def get_redirect_target(self, _response: requests.Response) -> None:
            """No target: the library would already fail on an address that cannot be read."""

    return Session()


def _describe(error: Exception, phase: str) -> TransportError:
    """One line about a failure, and which kind it is."""
    import requests

    cause = _innermost(error)
    reason = safe_text(getattr(cause, "strerror", None) or cause, 160) or type(cause).__name__
    if isinstance(error, requests.exceptions.SSLError):
        return TransportError(f"TLS failed: {reason}", "tls")
    if isinstance(error, requests.exceptions.ProxyError):
        return TransportError(f"the proxy failed: {reason}", "connect")
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return TransportError("no connection in time", "timeout")
    if isinstance(error, requests.exceptions.ReadTimeout):
        return TransportError("stalled: no answer in time", "read")
    if phase == "connect" and isinstance(error, ValueError):
        return TransportError(f"the address cannot be used: {reason}", "request")
    if phase == "connect" and not _answered(error):
        return TransportError(f"no connection: {reason}", "connect")
    return TransportError(f"the connection broke: {reason}", "read")


def _answered(error: BaseException) -> bool:
    """Whether the failure came after a connection was made."""
    text = repr(error)
    return any(
        mark in text for mark in ("ProtocolError", "RemoteDisconnected", "BadStatusLine", "HeaderParsing")
    )


def _innermost(error: BaseException) -> BaseException:
    """The first cause in a chain of wrapped exceptions."""
    seen: set[int] = set()
    current = error
    while id(current) not in seen:
        seen.add(id(current))
        inner = getattr(current, "reason", None) or current.__cause__ or current.__context__
        if isinstance(inner, BaseException):
            current = inner
    return current
