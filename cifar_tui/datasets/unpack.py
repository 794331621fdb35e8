"""From an archive file to a folder of checked data. The folder appears by a rename, whole or not at all."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import stat
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from cifar_tui import fsio
from cifar_tui.datasets import stamp as stamps
from cifar_tui.datasets.folder import read_members
from cifar_tui.datasets.spec import ArchiveSpec, DatasetSpec
from cifar_tui.datasets.stamp import FileStamp, Stamp
from cifar_tui.datasets.tar_stream import Header, TarStream
from cifar_tui.datasets.transfer import Watch
from cifar_tui.errors import DamagedError, from_os_error
from cifar_tui.text import safe_text

MAX_TOTAL_BYTES = 200_000_000
MAX_MEMBERS = 64
MAX_EXTRA_BYTES = 1 << 20
"""Size of a member that is not kept, such as a readme."""
_TAIL_BYTES = 1 << 20
_CHUNK = 1 << 18


class _Counted:
    """The uncompressed bytes of a gzip file, with a cap, progress by compressed position and our errors."""

    def __init__(self, path: Path, title: str, watch: Watch, cap: int) -> None:
        self._file = path.open("rb")
        self._gzip = gzip.GzipFile(fileobj=self._file)
        self._name = title
        self._size = os.fstat(self._file.fileno()).st_size
        self._watch = watch
        self._cap = cap
        self._read = 0

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes."""
        self._watch.local("unpack", self._name, min(self._file.tell(), self._size), self._size)
        try:
            data = self._gzip.read(size)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DamagedError(
                f"{safe_text(self._name)} is not a whole gzip file: {safe_text(error, 100)}",
                id="E-DATA-ARCHIVE",
            ) from error
        self._read += len(data)
        if self._read > self._cap:
            raise DamagedError(
                f"{safe_text(self._name)} unpacks to more than {self._cap:,} bytes", id="E-DATA-ARCHIVE"
            )
        return data

    def drain(self) -> None:
        """Read to the end: only there does gzip compare its checksum."""
        while self.read(_CHUNK):
            pass

    def close(self) -> None:
        """Close both files."""
        self._gzip.close()
        self._file.close()


def unpack(
    spec: DatasetSpec,
    archive: ArchiveSpec,
    path: Path,
    root: Path,
    *,
    watch: Watch,
    stamp: Stamp,
    install: bool = True,
) -> Path:
    """Unpack a hashed archive into its folder under `root`, check every record and stamp it.

    Only the expected members are written, by our own names, into a hidden folder that is renamed at the end.

    Args:
        spec: the dataset.
        archive: the layout that is expected.
        path: the archive file.
        root: the folder that holds the datasets.
        watch: told of the progress.
        stamp: what is known of the archive; its files are filled in.
        install: False only checks: nothing is left on disk.

    Returns:
        The folder.

    Raises:
        DamagedError: an unexpected, missing, doubled or wrong-sized member, a bad record or a damaged
        archive. StorageError: the disk is full or fails; nothing is left behind.
    """
    target = root / archive.folder
    temporary = fsio.temporary_beside(target)
    watch.kept = "the archive is kept, nothing was unpacked"
    try:
        temporary.mkdir(mode=fsio.FOLDER_MODE)
        hashes = _write_members(archive, path, temporary, watch)
        for _ in read_members(spec, archive, temporary, watch, hashing=False):
            pass  # each is checked as it is read
        files = {name: _file_stamp(temporary / name, digest) for name, digest in hashes.items()}
        if not install:
            return target
        stamps.write(temporary, replace(stamp, files=files))
        fsio.fsync_folder(temporary)
        _put_in_place(temporary, target, watch)
    except OSError as error:
        raise from_os_error(error, "unpack to", target) from error
    except DamagedError as error:
        error.where = str(path)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def guess_layout(spec: DatasetSpec, path: Path, watch: Watch) -> ArchiveSpec:
    """Which of a dataset's archives a file is, by the folder that its first members lie in.

    Raises:
        DamagedError: it is not a gzipped tar stream, or holds none of the folders.
    """
    stream = _Counted(path, path.name, watch, MAX_TOTAL_BYTES)
    try:
        for number, header in enumerate(TarStream(stream, path.name, MAX_MEMBERS)):
            first = header.name.removeprefix("./").split("/")[0]
            for archive in spec.archives:
                if first == archive.folder:
                    return archive
            if number >= 3:
                break
    finally:
        stream.close()
    folders = " or ".join(archive.folder for archive in spec.archives)
    raise _bad_member(path.name, f"does not hold {spec.title}: expected the folder {folders}")


def _file_stamp(path: Path, digest: str) -> FileStamp:
    found = path.stat()
    return FileStamp(found.st_size, found.st_mtime_ns, digest)


def _write_members(archive: ArchiveSpec, path: Path, folder: Path, watch: Watch) -> dict[str, str]:
    """Write the expected members; returns the SHA-256 of each."""
    title = archive.file
    stream = _Counted(path, title, watch, MAX_TOTAL_BYTES + _TAIL_BYTES)
    try:
        tar = TarStream(stream, title, MAX_MEMBERS)
        hashes: dict[str, str] = {}
        for header in tar:
            name = _expected_name(archive, header, title)
            if name is None:
                _ignore(header, title, watch)
            elif name in hashes:
                raise _bad_member(title, f"holds {name} twice")
            else:
                _check_size(archive, name, header.size, title)
                hashes[name] = _write(tar, folder / name)
        stream.drain()
    finally:
        stream.close()
    for name in archive.data_members:
        if name not in hashes:
            raise _bad_member(title, f"has no {name}")
    return hashes


def _expected_name(archive: ArchiveSpec, header: Header, title: str) -> str | None:
    """The member's own name, or None for a folder or an extra document.

    Raises:
        DamagedError: a name that could lead anywhere but into the folder.
    """
    parts = header.name.removeprefix("./").split("/")
    odd = ".." in parts or "" in parts[:-1] or "\\" in header.name or "\0" in header.name
    drive = len(header.name) > 1 and header.name[1] == ":"
    if odd or drive or header.name.startswith("/") or len(parts) > 2:
        raise _bad_member(title, f'holds an unexpected member "{safe_text(header.name, 80)}"')
    if header.is_folder:
        if parts[-1] in archive.members:
            raise _bad_member(title, f"holds a folder {parts[-1]}; expected a plain file")
        return None
    if len(parts) == 2 and parts[0] == archive.folder and parts[1] in archive.members:
        return parts[1]
    if parts[-1] in archive.data_members:
        raise _bad_member(title, f'holds an unexpected member "{safe_text(header.name, 80)}"')
    return None


def _ignore(header: Header, title: str, watch: Watch) -> None:
    if header.is_folder:
        return
    if header.size > MAX_EXTRA_BYTES:
        raise _bad_member(
            title, f'holds an unexpected member "{safe_text(header.name, 80)}" of {header.size:,} bytes'
        )
    watch.note(f"{safe_text(title)}: {safe_text(header.name, 80)} is not needed and was left out")


def _check_size(archive: ArchiveSpec, name: str, size: int, title: str) -> None:
    expected = archive.members[name]
    limit = MAX_EXTRA_BYTES if name not in archive.data_members else MAX_TOTAL_BYTES
    if expected is not None and size != expected:
        raise _bad_member(title, f"holds {name} of {size:,} bytes; expected {expected:,}", "E-DATA-SIZE")
    if size > limit:
        raise _bad_member(title, f"holds {name} of {size:,} bytes; expected at most {limit:,}", "E-DATA-SIZE")


def _write(tar: TarStream, path: Path) -> str:
    digest = hashlib.sha256()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(path, flags, fsio.FILE_MODE), "wb") as file:
        while data := tar.read(_CHUNK):
            digest.update(data)
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _bad_member(title: str, what: str, identifier: str = "E-DATA-ARCHIVE") -> DamagedError:
    return DamagedError(f"{safe_text(title)} {what}", state="nothing was unpacked", id=identifier)


def _put_in_place(temporary: Path, target: Path, watch: Watch) -> None:
    """Rename the finished folder to its name; what was there before is removed if ours, else kept aside."""
    old: Path | None = None
    ours = False
    if os.path.lexists(target):
        plain = stat.S_ISDIR(target.lstat().st_mode)
        ours = plain and (stamps.read(target) is not None or not any(target.iterdir()))
        old = _trash_name(target) if ours else _aside_name(target)
        target.rename(old)
    try:
        temporary.rename(target)
    except OSError:
        if old is not None:
            with suppress(OSError):
                old.rename(target)
        raise
    fsio.fsync_folder(target.parent)
    if old is not None and ours:
        shutil.rmtree(old, ignore_errors=True)
    elif old is not None:
        watch.note(f"the {target.name} that was here is kept as {old.name}")


def _trash_name(target: Path) -> Path:
    beside = fsio.temporary_beside(target)
    return beside.with_name(beside.name.replace(".tmp-", ".trash-"))


def _aside_name(target: Path) -> Path:
    number = 1
    while os.path.lexists(aside := target.with_name(f"{target.name}.damaged-{number}")):
        number += 1
    return aside


def sweep(root: Path, alive: Callable[[int], bool] = fsio.process_alive) -> int:
    """Remove what dead processes left under `root`: ``.tmp-<pid>-<n>`` and ``.trash-<pid>-<n>``.

    Args:
        root: the folder that holds the datasets.
        alive: whether a process still runs; the leftovers of those are kept.

    Returns:
        How many were removed.
    """
    removed = 0
    with suppress(OSError):
        for entry in list(root.iterdir()):
            owner = fsio.leftover_owner(entry.name)
            if owner is None or alive(owner):
                continue
            with suppress(OSError):
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
                removed += 1
    return removed
