"""Reading files that others may have replaced, and folders that appear and vanish whole."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import shutil
import stat
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from cifar_tui.errors import CannotCreateError
from cifar_tui.fsio import FOLDER_MODE, fsync_folder, leftover_owner, process_alive, temporary_beside

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a planted FIFO must not block
_BLOCK = 1 << 16
_FIRST_BLOCK = 1 << 12  # most files are smaller, and memory for more costs more than to read them
_in_use: set[Path] = set()  # temporary folders this process is working on


def open_regular(path: Path | str, *, follow: bool = True, dir_fd: int | None = None) -> int:
    """A descriptor for reading a regular file.

    Args:
        path: the file; relative to `dir_fd` where that is given.
        follow: whether a symbolic link is followed.
        dir_fd: descriptor of a folder.

    Raises:
        OSError: it cannot be opened, or it is no regular file (EISDIR for a folder, else EINVAL).
    """
    flags = _READ if follow else _READ | os.O_NOFOLLOW
    descriptor = os.open(path, flags, dir_fd=dir_fd)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(number, "not a regular file", str(path))
    return descriptor


def read_regular(path: Path | str, limit: int, *, follow: bool = True, dir_fd: int | None = None) -> bytes:
    """The content of a regular file of at most `limit` bytes.

    Raises:
        OSError: as `open_regular`; EFBIG where the file is larger than `limit`.
    """
    descriptor = open_regular(path, follow=follow, dir_fd=dir_fd)
    try:  # without a file object: a list of runs reads thousands of small files
        blocks: list[bytes] = []
        left = limit + 1
        while left:
            wanted = min(left, _BLOCK if blocks else _FIRST_BLOCK)
            block = os.read(descriptor, wanted)
            blocks.append(block)
            left -= len(block)
            if len(block) < wanted:  # the end of a regular file
                break
    finally:
        os.close(descriptor)
    if not left:
        raise OSError(errno.EFBIG, f"larger than {limit:,} bytes", str(path))
    return b"".join(blocks)


def parse_object(data: bytes) -> dict[str, Any]:
    """A JSON object from strict JSON in UTF-8.

    Raises:
        ValueError: anything else, NaN and nesting beyond the parser's depth included.
    """
    value = parse_json(data.decode(json.detect_encoding(data), "surrogatepass"))
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, found {type(value).__name__}")
    return value


def parse_json(text: str) -> Any:
    """The value of strict JSON.

    Raises:
        ValueError: no JSON, NaN and nesting beyond the parser's depth included.
    """
    try:
        return _strict_json.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def json_safe(value: Any) -> Any:
    """The value with NaN and infinities replaced by None, tuples by lists, keys by text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(item) for item in value]
    return value


def rfc3339(seconds: float | None = None) -> str:
    """A moment (seconds since the epoch, None for now) in UTC, such as ``2025-01-31T12:00:00.000001Z``."""
    moment = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def refuse_link(path: Path) -> None:
    """Raise `CannotCreateError` where `path` is a symbolic link: nothing is written through links."""
    if path.is_symlink():
        raise CannotCreateError(
            f"{path} is a symbolic link; a run is written only into real folders",
            hint="name the real folder's parent with --runs-dir",
            id="E-RUN-LINK",
        )


def fresh_folder(parent: Path) -> Path:
    """A new empty hidden folder ``.tmp-<pid>-<n>`` in `parent`, mode 0700; see `finished`."""
    while True:
        folder = temporary_beside(parent / "x")
        try:
            folder.mkdir(mode=FOLDER_MODE)
        except FileExistsError:
            continue  # left by a dead process that had our id
        _in_use.add(folder)
        return folder


def finished(folder: Path) -> None:
    """Forget a folder of `fresh_folder`: it was renamed, or may be swept."""
    _in_use.discard(folder)


def discard(path: Path) -> None:
    """Remove a file or folder in one visible step: rename it to ``.trash-<pid>-<n>``, then remove that."""
    while True:
        trash = path.parent / temporary_beside(path).name.replace(".tmp-", ".trash-", 1)
        try:
            path.rename(trash)
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                continue
            raise
        break
    fsync_folder(path.parent)
    remove_tree(trash)


def remove_tree(path: Path) -> None:
    """Remove a file, link or folder as far as possible; links are removed, not followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def sweep_leftovers(folder: Path, *, older_than: float = 0.0) -> int:
    """Remove the ``.tmp-*`` and ``.trash-*`` that dead processes left in `folder`.

    Those of another live process stay, and so do those this process is working on.

    Args:
        folder: where to look.
        older_than: seconds; younger ones stay too. For folders without a lock, that other machines may share.

    Returns:
        How many were removed.
    """
    removed = 0
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208 - names only
            owner = leftover_owner(name)
            path = folder / name
            if owner is None or path in _in_use or (owner != os.getpid() and process_alive(owner)):
                continue
            if older_than and time.time() - path.lstat().st_mtime < older_than:
                continue
            remove_tree(path)
            removed += 1
    return removed


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_strict_json = json.JSONDecoder(parse_constant=_refuse_constant)
