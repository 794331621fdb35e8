"""Tiny datasets in the official layouts: 20 records a file, with right labels."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cifar_tui.datasets import cifar10, cifar100
from cifar_tui.datasets.spec import ArchiveSpec, DatasetSpec

RECORDS = 20


@dataclass(frozen=True)
class Tiny:
    """A small dataset: its specification, where the archive counts as official, and the archive's bytes."""

    spec: DatasetSpec
    members: dict[str, bytes]
    data: bytes

    @property
    def archive(self) -> ArchiveSpec:
        return self.spec.archives[0]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def binary_member(spec: DatasetSpec, records: int, seed: int) -> bytes:
    """Records with random pixels and right labels."""
    random = np.random.default_rng(seed)
    rows = random.integers(0, 256, (records, spec.record_bytes), dtype=np.uint8)
    fine = np.arange(records, dtype=np.uint8) % len(spec.names)
    if spec.coarse_names:
        rows[:, 0] = np.asarray(spec.fine_to_coarse, dtype=np.uint8)[fine]
        rows[:, 1] = fine
    else:
        rows[:, 0] = fine
    return rows.tobytes()


def names_text(spec: DatasetSpec, archive: ArchiveSpec, file: str) -> bytes:
    """The text of a names file."""
    names = spec.coarse_names if file == archive.coarse_names_file else spec.names
    return ("\n".join(names) + "\n").encode()


def tar_of(entries: list[tuple[tarfile.TarInfo, bytes]], *, level: int = 1) -> bytes:
    """A .tar.gz of entries as they are, whatever they say."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content) if info.isreg() else None)
    return gzip.compress(raw.getvalue(), level, mtime=0)


def entry(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """One member."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def pack(folder: str, members: dict[str, bytes]) -> bytes:
    """Members in a folder, as the official archives are packed."""
    entries = [entry(folder, type=tarfile.DIRTYPE)]
    entries += [entry(f"{folder}/{name}", content) for name, content in members.items()]
    return tar_of(entries)


def official(spec: DatasetSpec, data: bytes) -> DatasetSpec:
    """The specification with `data` as its official (first) archive."""
    first = replace(spec.archives[0], bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), md5=None)
    return replace(spec, archives=(first, *spec.archives[1:]))


def shrink(spec: DatasetSpec, records: int = RECORDS) -> DatasetSpec:
    """The specification with `records` records in each binary file, no addresses and no known hashes."""
    archives = []
    for archive in spec.archives:
        fixed = archive.format == "binary"
        members = {
            name: records * spec.record_bytes if fixed and name in archive.data_members else None
            for name in archive.members
        }
        archives.append(
            replace(archive, members=members, urls=(), md5s={}, bytes=None, sha256="0" * 64, md5=None)
        )
    first = archives[0]
    train, test = len(first.train) * records, len(first.test) * records
    return replace(spec, archives=tuple(archives), train=train, test=test)


def tiny(spec: DatasetSpec = cifar10.SPEC, records: int = RECORDS, seed: int = 0) -> Tiny:
    """A small dataset in the binary layout."""
    small = shrink(spec, records)
    archive = small.archives[0]
    members = {
        name: binary_member(small, records, seed + number)
        if name in archive.data_members
        else names_text(small, archive, name)
        for number, name in enumerate(archive.members)
    }
    data = pack(archive.folder, members)
    return Tiny(official(small, data), members, data)


def tiny100(records: int = RECORDS) -> Tiny:
    """A small CIFAR-100."""
    return tiny(cifar100.SPEC, records)


def write_folder(root: Path, small: Tiny, members: dict[str, bytes] | None = None) -> Path:
    """Put the members into the official folder under `root`, as another tool would."""
    folder = root / small.archive.folder
    folder.mkdir(parents=True)
    for name, content in (small.members if members is None else members).items():
        (folder / name).write_bytes(content)
    return folder
