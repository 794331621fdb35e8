"""Files that are either wholly there or not there: write beside, fsync, rename, fsync the folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE_MODE = 0o600
FOLDER_MODE = 0o700
_counter = itertools.count()


def temporary_beside(path: Path) -> Path:
    """A fresh hidden name in the folder of `path`, unique to this process and call."""
    return path.parent / f".tmp-{os.getpid()}-{next(_counter)}"


def leftover_owner(name: str) -> int | None:
    """The process id in a leftover name such as ``.tmp-123-0`` or ``.trash-123-0``, else None."""
    parts = name.split("-")
    if len(parts) == 3 and parts[0] in {".tmp", ".trash"} and parts[1].isdecimal():
        return int(parts[1])
    return None


def process_alive(pid: int) -> bool:
    """Whether a process with this id exists on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def fsync_folder(folder: Path) -> None:
    """Make renames and new names in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # some network file systems cannot
            raise
    finally:
        os.close(descriptor)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a new file of mode 0600 and fsync it. Fails where `path` exists."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_bytes(path: Path, data: bytes) -> None:
    """Put `data` at `path`, atomically and durably; the old content stays until the new is safe."""
    temporary = temporary_beside(path)
    try:
        write_bytes(temporary, data)
        temporary.replace(path)
        fsync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def dump_json(value: Any, *, indent: int | None = None) -> str:
    """Strict JSON: a NaN or infinity is a ValueError; lone surrogates, as paths may have, are escaped."""
    return json.dumps(value, allow_nan=False, ensure_ascii=True, indent=indent)


def replace_json(path: Path, value: Any) -> None:
    """Put `value` at `path` as strict JSON, atomically."""
    replace_bytes(path, (dump_json(value, indent=1) + "\n").encode("ascii"))


def sha256_file(path: Path, *, chunk: int = 1 << 20) -> str:
    """SHA-256 of a file as 64 hex digits."""
    digest = hashlib.sha256()
    for block in read_blocks(path, chunk=chunk):
        digest.update(block)
    return digest.hexdigest()


def read_blocks(path: Path, *, chunk: int = 1 << 20) -> Iterator[bytes]:
    """The content of a file in blocks of at most `chunk` bytes."""
    with path.open("rb") as file:
        while block := file.read(chunk):
            yield block


def make_folder(path: Path) -> None:
    """Make a folder and its parents, mode 0700 for those that are new."""
    missing = []
    current = path
    while not current.exists():
        missing.append(current)
        if current.parent == current:
            break
        current = current.parent
    for folder in reversed(missing):
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=FOLDER_MODE)
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
