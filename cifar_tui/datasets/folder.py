"""One folder of data on disk: a quick look, a full check, and reading it into memory."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cifar_tui import fsio
from cifar_tui.datasets import stamp as stamps
from cifar_tui.datasets.places import command
from cifar_tui.datasets.records import Records, parse_binary, parse_python
from cifar_tui.datasets.spec import ArchiveSpec, DatasetSpec
from cifar_tui.datasets.stamp import FileStamp, Stamp
from cifar_tui.datasets.transfer import Watch
from cifar_tui.datasets.unpickle import read_batch
from cifar_tui.errors import CifarTuiError, DamagedError, from_os_error

MAX_MEMBER_BYTES = 200_000_000


@dataclass(frozen=True)
class Place:
    """A folder that exists, and what a quick look says about it."""

    spec: DatasetSpec
    archive: ArchiveSpec
    folder: Path
    state: str
    """``ready``, ``damaged`` or ``unverified``."""
    detail: str
    bytes: int
    stamp: Stamp | None
    current: bool
    """Whether the stamp describes the files as they are now (size and time)."""

    @property
    def accepted(self) -> bool:
        """Whether unverified data was accepted as it is now."""
        return self.current and self.stamp is not None and self.stamp.accepted


def stat_or_none(path: Path) -> os.stat_result | None:
    """The status of a path, None where nothing is there.

    Raises:
        CifarTuiError: it cannot be looked at, such as a name that is too long.
    """
    try:
        return path.stat()
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            return None
        raise from_os_error(error, "look at", path) from error


def find(spec: DatasetSpec, root: Path) -> Place | None:
    """The best folder of a dataset under `root`: ready before not, then binary before python."""
    places = []
    for archive in spec.archives:
        folder = root / archive.folder
        found = stat_or_none(folder)
        if found is not None and stat.S_ISDIR(found.st_mode):
            places.append(look(spec, archive, folder))
    order = {"ready": 0, "unverified": 1, "damaged": 2}
    return min(places, key=lambda place: order[place.state], default=None)


def look(spec: DatasetSpec, archive: ArchiveSpec, folder: Path) -> Place:
    """Judge a folder by the sizes and times of its files and by its stamp; no file is read but the stamp."""
    stamp = stamps.read(folder)
    if stamp is not None and (stamp.dataset, stamp.format) != (spec.name, archive.format):
        stamp = None
    total, damage = 0, ""
    current = stamp is not None and all(name in stamp.files for name in archive.data_members)
    for name, expected in archive.members.items():
        found = stat_or_none(folder / name)
        needed = name in archive.data_members
        if found is None or not stat.S_ISREG(found.st_mode):
            if needed:
                damage = damage or (f"{name} is missing" if found is None else f"{name} is not a plain file")
            continue
        total += found.st_size
        if expected is not None and found.st_size != expected and needed:
            damage = damage or f"{name} holds {found.st_size:,} bytes; expected {expected:,}"
        elif stamp is not None and name in stamp.files:
            known = stamp.files[name]
            if needed and known.size != found.st_size:
                damage = (
                    damage or f"{name} holds {found.st_size:,} bytes; it held {known.size:,} when checked"
                )
            current = current and known.mtime_ns == found.st_mtime_ns
    state, detail = _judge(stamp, current, damage)
    return Place(spec, archive, folder, state, detail, total, stamp, current and not damage)


def _judge(stamp: Stamp | None, current: bool, damage: str) -> tuple[str, str]:
    if damage:
        return "damaged", damage
    if stamp is None:
        return "unverified", "not checked yet"
    if not current:
        return "unverified", "a file changed since it was checked"
    if stamp.state == "ready":
        return "ready", "official, by hash"
    return "unverified", "unofficial data, accepted" if stamp.accepted else "unofficial data, not accepted"


@dataclass(frozen=True)
class Check:
    """What was found out about a data file while it was read."""

    name: str
    stamp: FileStamp | None
    """None where the file was not hashed."""
    md5: str | None


def read_members(
    spec: DatasetSpec, archive: ArchiveSpec, folder: Path, watch: Watch, *, hashing: bool
) -> Iterator[tuple[Check, Records]]:
    """Read and check each data file in order, one in memory at a time.

    Args:
        spec: the dataset.
        archive: the layout.
        folder: where the files lie.
        watch: told of the progress.
        hashing: also take SHA-256, and MD5 where one is known.

    Raises:
        DamagedError: a file of another size, a bad record, or too few or too many pictures.
    """
    counts = {"train": 0, "test": 0}
    sizes = [archive.members[name] or 0 for name in archive.data_members]
    done = 0
    for name, size in zip(archive.data_members, sizes, strict=True):
        watch.local("verify", name, done, sum(sizes))
        check, records = _read_member(spec, archive, folder / name, hashing)
        counts["train" if name in archive.train else "test"] += len(records)
        done += size
        yield check, records
    watch.local("verify", archive.folder, sum(sizes), sum(sizes))
    for part, expected in (("train", spec.train), ("test", spec.test)):
        if counts[part] != expected:
            raise DamagedError(
                f"{spec.title} in {folder} holds {counts[part]:,} {part} pictures; expected {expected:,}",
                id="E-DATA-SIZE",
                hint=command(f"data download {spec.name}", folder.parent),
            )


def _read_member(spec: DatasetSpec, archive: ArchiveSpec, path: Path, hashing: bool) -> tuple[Check, Records]:
    raw, found = _read_file(path, archive.members[path.name])
    sha256 = hashlib.sha256(raw.data).hexdigest() if hashing else None
    known_md5 = archive.md5s.get(path.name) if hashing else None
    md5 = hashlib.md5(raw.data, usedforsecurity=False).hexdigest() if known_md5 else None
    try:
        if archive.format == "binary":
            records = parse_binary(spec, raw, path.name)
        else:
            records = parse_python(spec, read_batch(raw.tobytes(), path.name), path.name)
    except DamagedError as error:
        error.where = error.where or str(path)
        error.hint = error.hint or command(f"data download {spec.name}", path.parent.parent)
        raise
    stamp = None if sha256 is None else FileStamp(found.st_size, found.st_mtime_ns, sha256)
    return Check(path.name, stamp, md5), records


def _read_file(path: Path, expected: int | None) -> tuple[NDArray[np.uint8], os.stat_result]:
    """A whole file as bytes; one more try on EIO or ESTALE."""
    for attempt in (1, 2):
        try:
            return _read_once(path, expected)
        except OSError as error:
            if attempt == 2 or error.errno not in {errno.EIO, errno.ESTALE}:
                raise from_os_error(error, "read", path) from error
    raise AssertionError("unreachable")


def _read_once(path: Path, expected: int | None) -> tuple[NDArray[np.uint8], os.stat_result]:
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise DamagedError(f"{path} is not a plain file", id="E-DATA-SIZE")
        if (expected is not None and found.st_size != expected) or found.st_size > MAX_MEMBER_BYTES:
            limit = f"{expected:,}" if expected is not None else f"at most {MAX_MEMBER_BYTES:,}"
            raise DamagedError(f"{path} holds {found.st_size:,} bytes; expected {limit}", id="E-DATA-SIZE")
        raw = np.fromfile(file, dtype=np.uint8, count=found.st_size)
    if len(raw) != found.st_size:
        raise DamagedError(f"{path} became shorter while it was read", id="E-DATA-SIZE")
    return raw, found


def fingerprint(spec: DatasetSpec, archive: ArchiveSpec, hashes: Mapping[str, str]) -> str:
    """64 hex digits over the SHA-256 of every data file, in order."""
    text = "".join(f"{name} {hashes[name]}\n" for name in archive.data_members)
    return hashlib.sha256(f"{spec.name} {archive.format}\n{text}".encode()).hexdigest()


def restamp(place: Place, checks: Mapping[str, Check], *, accept: bool) -> Stamp:
    """The stamp for a folder whose every data file was just hashed and checked.

    A folder is official when its stamp says so and no hash changed, or when the MD5 of every data file is
    known.

    Raises:
        DamagedError: the folder was official and a file has changed.
    """
    files = {name: check.stamp for name, check in checks.items() if check.stamp is not None}
    before = place.stamp
    same = before is not None and all(
        name in before.files and before.files[name].sha256 == file.sha256 for name, file in files.items()
    )
    known = place.archive.md5s
    official = bool(known) and all(check.md5 == known.get(name) for name, check in checks.items())
    if before is not None and before.state == "ready" and not same and not official:
        raise _changed(place, before, files)
    for name in set(place.archive.members) - set(files):  # label names: no pictures, but part of the folder
        with suppress(OSError):
            found = (place.folder / name).stat()
            if stat.S_ISREG(found.st_mode) and found.st_size <= MAX_MEMBER_BYTES:
                digest = fsio.sha256_file(place.folder / name)
                files[name] = FileStamp(found.st_size, found.st_mtime_ns, digest)
    if before is not None and same:
        state = "ready" if official else before.state
        return replace(before, files=files, state=state, accepted=before.accepted or accept)
    return Stamp(place.spec.name, place.archive.format, "ready" if official else "unverified", accept, files)


def _changed(place: Place, before: Stamp, files: Mapping[str, FileStamp]) -> CifarTuiError:
    for name, file in files.items():
        known = before.files.get(name)
        if known is None or known.sha256 != file.sha256:
            expected = "none" if known is None else known.sha256
            return DamagedError(
                f"{place.spec.title} has changed since it was verified: {name} has SHA-256 {file.sha256};"
                f" expected {expected}",
                where=place.folder / name,
                state="nothing was changed",
                hint=command(f"data download {place.spec.name}", place.folder.parent),
                id="E-DATA-HASH",
            )
    raise AssertionError("no file differs")


def unverified_error(place: Place, found: str) -> DamagedError:
    """The refusal of well-formed data of unknown origin, with what was found and what is official."""
    return DamagedError(
        f"{place.spec.title} is well formed but not the official data: SHA-256 over its files {found};"
        f" the official archive has {place.archive.sha256 or place.archive.md5}",
        where=place.folder,
        state="nothing was changed",
        hint=command(f"data verify {place.spec.name} --allow-unverified", place.folder.parent),
        id="E-DATA-UNVERIFIED",
    )


def write_stamp(folder: Path, stamp: Stamp) -> None:
    """Keep the stamp where the folder can be written; without it the next start checks again."""
    with suppress(OSError):
        stamps.write(folder, stamp)
