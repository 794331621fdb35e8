"""The stamp ``.cifar-tui.json`` beside the data: what was checked, when it had which size and hash."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifar_tui import fsio

FILE = ".cifar-tui.json"
SCHEMA = 1
_MAX_BYTES = 1 << 16
_HEX64 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FileStamp:
    """One file as it was when it was checked."""

    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class Stamp:
    """What is known about a folder of data."""

    dataset: str
    format: str
    state: str
    """``ready``: official by hash; ``unverified``: well formed, of unknown origin."""
    accepted: bool
    """Whether the user accepted unverified data."""
    files: Mapping[str, FileStamp]
    archive: str | None = None
    archive_sha256: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "schema": SCHEMA,
            "dataset": self.dataset,
            "format": self.format,
            "state": self.state,
            "accepted": self.accepted,
            "archive": self.archive,
            "archive_sha256": self.archive_sha256,
            "files": {
                name: {"size": file.size, "mtime_ns": file.mtime_ns, "sha256": file.sha256}
                for name, file in self.files.items()
            },
        }


def write(folder: Path, stamp: Stamp) -> None:
    """Put the stamp into the folder, atomically.

    Raises:
        OSError: the folder cannot be written.
    """
    fsio.replace_json(folder / FILE, stamp.to_json())


def read(folder: Path) -> Stamp | None:
    """The stamp of a folder, or None where there is none that can be used.

    A stamp that is damaged, of another schema or not a plain file counts as absent: the data is checked
    again.
    """
    try:
        descriptor = os.open(folder / FILE, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return None
        try:
            raw = file.read(_MAX_BYTES + 1)
            return _parse(json.loads(raw)) if len(raw) <= _MAX_BYTES else None
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, OSError):
            return None


def _parse(value: Any) -> Stamp | None:
    if value["schema"] != SCHEMA or value["state"] not in {"ready", "unverified"}:
        return None
    files = {
        str(name): FileStamp(int(entry["size"]), int(entry["mtime_ns"]), str(entry["sha256"]))
        for name, entry in value["files"].items()
    }
    if not all(_HEX64.fullmatch(file.sha256) for file in files.values()):
        return None
    return Stamp(
        dataset=str(value["dataset"]),
        format=str(value["format"]),
        state=value["state"],
        accepted=value["accepted"] is True,
        files=files,
        archive=_text_or_none(value["archive"]),
        archive_sha256=_text_or_none(value["archive_sha256"]),
    )


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None
