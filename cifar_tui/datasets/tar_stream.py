"""A reader of tar streams that can do less than a tar tool: plain files and folders, in order, only.

Links, devices, sparse files, long-name records, negative or base-256 sizes and extended headers that rename
or resize a member are refused. Extended headers with times only (Python and bsdtar write them) are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn, Protocol

from cifar_tui.errors import DamagedError
from cifar_tui.text import safe_text

BLOCK = 512
_MAX_EXTENDED_BYTES = 1 << 16
_KINDS = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"5": "folder",
    b"1": "hard link",
    b"2": "symbolic link",
    b"3": "device",
    b"4": "device",
    b"6": "FIFO",
    b"S": "sparse file",
    b"L": "GNU long name",
    b"K": "GNU long link name",
    b"M": "continued file",
    b"D": "GNU directory listing",
    b"V": "GNU volume name",
}
_HARMLESS_KEYS = frozenset({b"mtime", b"atime", b"ctime", b"comment", b"uid", b"gid", b"uname", b"gname"})


class Readable(Protocol):
    """What the tar stream is read from."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; fewer only at the end."""
        ...


@dataclass(frozen=True)
class Header:
    """One member of the stream."""

    name: str
    """As stored, undecodable bytes as surrogates; a trailing slash is removed."""
    size: int
    is_folder: bool


class TarStream:
    """Members of a tar stream in order.

    Args:
        stream: the uncompressed bytes.
        title: name of the archive, for messages.
        max_members: stop with an error at more headers than this.
    """

    def __init__(self, stream: Readable, title: str, max_members: int) -> None:
        self._stream = stream
        self._title = safe_text(title, 120)
        self._max_members = max_members
        self._left = 0  # bytes of the current member that were not read
        self._padding = 0

    def __iter__(self) -> Iterator[Header]:
        for _ in range(self._max_members + 1):
            self._skip_rest()
            block = self._exactly(BLOCK, "a header")
            if not block.strip(b"\0"):
                return
            header = self._parse(block)
            if header is not None:
                yield header
        self._fail(f"has more than {self._max_members} members")

    def read(self, size: int) -> bytes:
        """Up to `size` bytes of the current member; empty at its end."""
        wanted = min(size, self._left)
        data = self._exactly(wanted, "a member") if wanted else b""
        self._left -= len(data)
        return data

    def _skip_rest(self) -> None:
        while self._left:
            self.read(1 << 16)
        if self._padding:
            self._exactly(self._padding, "a member")
            self._padding = 0

    def _exactly(self, size: int, what: str) -> bytes:
        data = self._stream.read(size)
        if len(data) != size:
            self._fail(f"ends within {what}")
        return data

    def _parse(self, block: bytes) -> Header | None:
        if self._octal(block[148:156], "checksum") not in _checksums(block):
            self._fail("has a header with a wrong checksum")
        name = block[:100].split(b"\0", 1)[0]
        if block[257:263] == b"ustar\0" and (prefix := block[345:500].split(b"\0", 1)[0]):
            name = prefix + b"/" + name
        size = self._octal(block[124:136], "size")
        kind = block[156:157]
        if kind in {b"x", b"g"}:
            self._skip_extended(size)
            return None
        text = name.decode("utf-8", "surrogateescape")
        what = _KINDS.get(kind, "member of unknown type")
        if what not in {"file", "folder"}:
            self._fail(f'holds a {what} "{safe_text(text, 80)}"; expected plain files')
        is_folder = what == "folder" or (text.endswith("/") and size == 0)
        self._left = 0 if is_folder else size
        self._padding = -self._left % BLOCK
        return Header(text.rstrip("/"), self._left, is_folder)

    def _octal(self, field: bytes, what: str) -> int:
        digits = field.strip(b" \0")
        if not digits.isdigit() or any(digit > ord("7") for digit in digits):
            self._fail(f"has a header with an impossible {what}")
        return int(digits, 8)

    def _skip_extended(self, size: int) -> None:
        if size > _MAX_EXTENDED_BYTES:
            self._fail(f"has an extended header of {size:,} bytes; expected at most {_MAX_EXTENDED_BYTES:,}")
        data = self._exactly(size, "a header")
        self._exactly(-size % BLOCK, "a header")
        while data:
            length, _, _ = data.partition(b" ")
            if not length.isdigit() or len(length) > 6 or not len(length) + 3 <= int(length) <= len(data):
                self._fail("has a damaged extended header")
            key = data[len(length) + 1 : int(length)].partition(b"=")[0]
            vendor = key.startswith((b"SCHILY.", b"LIBARCHIVE.")) and key != b"SCHILY.realsize"
            if key not in _HARMLESS_KEYS and not vendor:
                self._fail(f'has an extended header with "{safe_text(key.decode("latin-1"), 40)}"')
            data = data[int(length) :]

    def _fail(self, what: str) -> NoReturn:
        raise DamagedError(f"{self._title} {what}", id="E-DATA-ARCHIVE")


def _checksums(block: bytes) -> tuple[int, int]:
    """The sum of the header with its checksum field as spaces: of unsigned, and of signed bytes."""
    rest = block[:148] + block[156:]
    unsigned = sum(rest) + 8 * 32
    return unsigned, unsigned - 256 * sum(byte > 127 for byte in rest)
