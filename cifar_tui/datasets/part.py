"""A download that may not be finished: ``<archive>.part`` and what the server said about it beside it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from cifar_tui import fsio

_MAX_NOTE_BYTES = 1 << 14


class Part:
    """The bytes that arrived so far, and the validator that says which version of a file they belong to.

    Writes go straight to the file: what was written survives the death of the process.

    Args:
        path: of the part file; the sidecar is ``<path>.json``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note_path = path.with_name(path.name + ".json")
        self._note = self._read_note()

    @property
    def size(self) -> int:
        """Bytes on disk."""
        try:
            return self.path.lstat().st_size
        except FileNotFoundError:
            return 0

    @property
    def url(self) -> str | None:
        """The address that the bytes came from."""
        return self._text("url")

    @property
    def etag(self) -> str | None:
        """The ETag that the server gave, weak ones included."""
        return self._text("etag")

    @property
    def validator(self) -> str | None:
        """What If-Range can be asked with: a strong ETag, else the Last-Modified date."""
        etag = self._text("etag")
        return etag if etag and not etag.startswith("W/") else self._text("last_modified")

    @property
    def total(self) -> int | None:
        """Size of the whole file as the server told it."""
        value = self._note.get("total")
        return value if isinstance(value, int) and value >= 0 else None

    def _text(self, key: str) -> str | None:
        value = self._note.get(key)
        return value if isinstance(value, str) and value.isprintable() and value.isascii() else None

    def _read_note(self) -> dict[str, object]:
        try:
            with self._note_path.open("rb") as file:
                note = json.loads(file.read(_MAX_NOTE_BYTES))
        except (OSError, ValueError, RecursionError):
            return {}
        return note if isinstance(note, dict) else {}

    def describe(self, *, url: str, etag: str | None, last_modified: str | None, total: int | None) -> None:
        """Keep what the server said about the file that the bytes belong to.

        Raises:
            OSError: the sidecar cannot be written.
        """
        self._note = {"url": url, "etag": etag, "last_modified": last_modified, "total": total}
        fsio.replace_json(self._note_path, self._note)

    def open(self, *, keep: bool) -> int:
        """A descriptor to append with; without `keep` the part starts from nothing.

        Raises:
            OSError: the file cannot be opened, or is a symbolic link.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        return os.open(self.path, flags | (0 if keep else os.O_TRUNC), fsio.FILE_MODE)

    def discard(self) -> None:
        """Forget the bytes and what is known about them."""
        for path in (self.path, self._note_path):
            with suppress(FileNotFoundError):
                path.unlink()
        self._note = {}

    def quarantine(self, archive_file: str, digest: str) -> Path:
        """Move the bytes to ``<archive>.bad-<first 8 digits>``, replacing an older one."""
        for old in self.path.parent.glob(f"{archive_file}.bad-*"):
            with suppress(OSError):
                old.unlink()
        bad = self.path.with_name(f"{archive_file}.bad-{digest[:8]}")
        self.path.replace(bad)
        self.discard()
        return bad


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte, however few a call takes.

    Raises:
        OSError: such as a full disk; the bytes before it are in the file.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
