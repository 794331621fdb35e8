"""A loopback HTTP server that misbehaves by script (cuts, stalls, resets, lies) and counts bytes."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

_RANGE = re.compile(r"bytes=(\d+)-")


@dataclass
class Reply:
    """How one request is answered. Without a script the file is served as it should be, ranges included."""

    body: bytes | None = None
    """What to send instead of the file."""
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    """Added, or in place of the usual ones; an empty value leaves the header out."""
    cut_after: int | None = None
    """Close after so many body bytes."""
    reset_after: int | None = None
    """Close with a TCP reset after so many body bytes."""
    stall_after: int | None = None
    """Send so many body bytes, then nothing until the server is closed."""
    stall_before: bool = False
    """Accept the request and never answer."""
    chunk: int = 1 << 16
    pause: float = 0.0
    """Seconds between chunks."""
    ignore_range: bool = False
    ignore_if_range: bool = False
    chunked: bool = False
    raw: bytes | None = None
    """These bytes instead of any answer."""


@dataclass
class Request:
    """What a client asked for and got."""

    path: str
    headers: dict[str, str]
    start: int
    """First byte that was asked for."""
    sent: int = 0
    """Body bytes handed to the kernel."""


class FaultServer:
    """Serves `files` by path; `script` holds replies that are used up one a request, per path."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.etags: dict[str, str] = {}
        self.script: dict[str, list[Reply]] = {}
        self.always: dict[str, Reply] = {}
        self.requests: list[Request] = []
        self.on_request: Callable[[Request], None] | None = None
        self._closing = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port: int = self._socket.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        """Paths asked for, in order."""
        return [request.path for request in self.requests]

    def close(self) -> None:
        self._closing.set()
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()  # wakes accept
        self._acceptor.join(2)
        self._socket.close()
        for thread in self._threads:
            thread.join(2)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(10)
            head = b""
            while b"\r\n\r\n" not in head:
                data = connection.recv(4096)
                if not data:
                    return
                head += data
                if head[:1] == b"\x16":  # a TLS greeting: answer in plain text, as plain servers do
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    return
            lines = head.decode("latin-1").split("\r\n")
            path = lines[0].split(" ")[1]
            headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in lines[1:])}
            wanted = _RANGE.match(headers.get("range", ""))
            request = Request(path, headers, int(wanted[1]) if wanted else 0)
            self.requests.append(request)
            if self.on_request is not None:
                self.on_request(request)
            queue = self.script.get(path)
            reply = queue.pop(0) if queue else self.always.get(path, Reply())
            self._answer(connection, request, reply, ranged=wanted is not None)

    def _answer(self, connection: socket.socket, request: Request, reply: Reply, *, ranged: bool) -> None:
        if reply.raw is not None:
            connection.sendall(reply.raw)
            return
        if reply.stall_before:
            self._closing.wait(20)
            return
        name = request.path.partition("?")[0]
        content = reply.body if reply.body is not None else self.files.get(name)
        status = reply.status or (404 if content is None else 200)
        body = content or b""
        headers = {"Content-Type": "application/x-gzip"}
        if etag := self.etags.get(name):
            headers["ETag"] = etag
        same = request.headers.get("if-range") in {None, etag} or reply.ignore_if_range
        if ranged and reply.status is None and content is not None and not reply.ignore_range and same:
            if request.start >= len(body):
                status, headers["Content-Range"], body = 416, f"bytes */{len(body)}", b""
            else:
                status = 206
                headers["Content-Range"] = f"bytes {request.start}-{len(body) - 1}/{len(body)}"
                body = body[request.start :]
        if reply.chunked:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = str(len(body))
        headers |= reply.headers
        lines = [f"HTTP/1.1 {status} Scripted", "Connection: close"]
        lines += [f"{key}: {value}" for key, value in headers.items() if value]
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        self._send_body(connection, request, reply, body)

    def _send_body(self, connection: socket.socket, request: Request, reply: Reply, body: bytes) -> None:
        limits = [
            limit for limit in (reply.cut_after, reply.reset_after, reply.stall_after) if limit is not None
        ]
        end = min([len(body), *limits])
        position = 0
        while position < end:
            data = body[position : min(end, position + reply.chunk)]
            connection.sendall(b"%x\r\n%s\r\n" % (len(data), data) if reply.chunked else data)
            position += len(data)
            request.sent += len(data)
            if reply.pause and self._closing.wait(reply.pause):
                return
        if reply.stall_after is not None:
            self._closing.wait(20)
        elif reply.reset_after is not None:
            time.sleep(0.05)  # lets the client read what was sent before the reset drops it
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif reply.chunked and end == len(body):
            connection.sendall(b"0\r\n\r\n")
