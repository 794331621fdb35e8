"""Textual's terminal driver, with three things that a terminal may do taken into account.

Bytes that are no UTF-8 become replacement characters in place of an error that ends the app. The end of the
input ends the app in place of a loop that never sleeps. Output that nobody reads is dropped, and painted anew
once somebody does, in place of a write that stops the event loop.
"""

from __future__ import annotations

import contextlib
import os
import selectors
from codecs import getincrementaldecoder
from queue import Empty, Full, Queue
from typing import Any

from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

READ_BYTES = 4096
JOIN_SECONDS = 0.4


def _empty(queue: Queue[str | None]) -> None:
    with contextlib.suppress(Empty):
        while True:
            queue.get_nowait()


class TerminalDriver(LinuxDriver):
    """A `LinuxDriver` that does not trust the terminal."""

    dropped = False
    """Output was dropped since the last `take_dropped`."""

    _active = False

    def start_application_mode(self) -> None:
        """Take the terminal."""
        self._active = True
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def stop_application_mode(self) -> None:
        """Give it back; frames that wait to be written are of no use any more."""
        self._active = False
        if self._writer_thread is not None:
            _empty(self._writer_thread._queue)
        super().stop_application_mode()

    def _sigcont_application(self, *_: object) -> None:
        """Take the terminal again, unless we have it: SIGCONT may come twice, or without a stop before it."""
        if not self._active:
            super()._sigcont_application()

    def write(self, data: str) -> None:
        """Queue output; drop it where the queue is full, as the terminal is then not read."""
        writer = self._writer_thread
        assert writer is not None, "the driver must be in application mode"
        if not writer.is_alive() and writer.ident is not None:
            self.dropped = True  # the terminal is gone
            return
        try:
            writer._queue.put_nowait(data)
        except Full:
            self.dropped = True

    @property
    def stalled(self) -> bool:
        """Whether output waits for a terminal that is not read."""
        writer = self._writer_thread
        return writer is not None and writer._queue.qsize() > 2

    def take_dropped(self) -> bool:
        """Whether the screen must be painted anew, as output was dropped and the terminal is read again."""
        if self.dropped and not self.stalled:
            self.dropped = False
            return True
        return False

    def close(self) -> None:
        """Write what is queued, but do not wait for a terminal that is not read."""
        writer = self._writer_thread
        if writer is None:
            return
        try:
            writer._queue.put(None, timeout=JOIN_SECONDS)
        except Full:
            _empty(writer._queue)
            with contextlib.suppress(Full):
                writer._queue.put_nowait(None)
        writer.join(JOIN_SECONDS)

    @property
    def stuck(self) -> bool:
        """Whether the thread that writes could not be ended."""
        return self._writer_thread is not None and self._writer_thread.is_alive()

    def run_input_thread(self) -> None:
        """Read keys until the driver stops or the input ends."""
        decode = getincrementaldecoder("utf-8")(errors="replace").decode
        parser = XTermParser(self._debug)
        selector = selectors.SelectSelector()
        selector.register(self.fileno, selectors.EVENT_READ)
        try:
            while not self.exit_event.is_set():
                text = ""
                if selector.select(0.1):
                    data = self._read()
                    if not data:
                        self._input_ended()
                        return
                    text = decode(data)
                try:
                    self._process(parser.feed(text) if text else parser.tick())
                except Exception:  # noqa: BLE001 - no sequence of bytes may end the app
                    parser = XTermParser(self._debug)
        finally:
            selector.close()
            with contextlib.suppress(Exception):
                for _event in parser.feed(""):
                    pass

    def _read(self) -> bytes:
        try:
            return os.read(self.fileno, READ_BYTES)
        except InterruptedError:
            return self._read()
        except OSError:
            return b""

    def _process(self, messages: Any) -> None:
        for message in messages:
            self.process_message(message)

    def _input_ended(self) -> None:
        ended = getattr(self._app, "terminal_gone", None)
        if ended is not None:
            self._loop.call_soon_threadsafe(ended)
