"""What an archive must be to count as official, and the hashes of what arrived."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cifar_tui import fsio
from cifar_tui.datasets.spec import ArchiveSpec
from cifar_tui.datasets.transfer import Watch
from cifar_tui.errors import from_os_error


@dataclass(frozen=True)
class Pin:
    """What an archive must be to count as official."""

    sha256: str | None
    md5: str | None
    bytes: int | None

    @classmethod
    def of(cls, archive: ArchiveSpec, pins: Mapping[str, str]) -> Pin:
        """The official pin, or the one given for the archive's file name (then of any size)."""
        if archive.file in pins:
            return cls(pins[archive.file].lower(), None, None)
        return cls(archive.sha256, archive.md5, archive.bytes)

    @property
    def text(self) -> str:
        """The hash for messages."""
        return self.sha256 or f"MD5 {self.md5}"


@dataclass(frozen=True)
class Digests:
    """Hashes of a whole file, as hex digits."""

    sha256: str
    md5: str

    def match(self, pin: Pin) -> bool:
        """Whether the file is what the pin says; MD5 counts only where no SHA-256 is known."""
        return self.sha256 == pin.sha256 if pin.sha256 else self.md5 == pin.md5


def digest_file(path: Path, title: str, watch: Watch) -> Digests:
    """Hash a file, reporting progress.

    Raises:
        CifarTuiError: the file cannot be read.
    """
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    try:
        total, done = path.stat().st_size, 0
        for block in fsio.read_blocks(path):
            sha256.update(block)
            md5.update(block)
            done += len(block)
            watch.local("verify", title, done, total)
    except OSError as error:
        raise from_os_error(error, "read", path) from error
    return Digests(sha256.hexdigest(), md5.hexdigest())
