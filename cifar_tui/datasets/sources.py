"""Addresses: which ones are tried in which order, and how they are shown. Standard library only."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from cifar_tui.datasets.spec import ArchiveSpec, DatasetSpec
from cifar_tui.errors import UsageError
from cifar_tui.text import safe_text

MIRROR_ENVIRONMENT = "CIFAR_TUI_MIRROR"


@dataclass(frozen=True)
class Source:
    """One address of one archive."""

    archive: ArchiveSpec
    url: str

    @property
    def host(self) -> str:
        """Host and port."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


def shown(url: str) -> str:
    """An address for messages: printable, without user name, password, query and fragment."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        return safe_text(urlunsplit((parts.scheme, host, parts.path, "", "")), 200)
    except ValueError:
        return "(an address that cannot be read)"


def sources(spec: DatasetSpec, mirrors: Iterable[str]) -> list[Source]:
    """Every address to try, in order: given mirrors, else the environment's, then the built-in ones.

    On each mirror the binary archive is tried before the python archive. A mirror that names a ``.tar.gz``
    file is used as it is; the archive's file name is appended to any other.

    Raises:
        UsageError: a mirror that is not an http or https address.
    """
    given = [mirror.strip() for mirror in mirrors if mirror.strip()]
    if not given and (fallback := os.environ.get(MIRROR_ENVIRONMENT, "").strip()):
        given = [fallback]
    found = [source for mirror in given for source in _of_mirror(spec, mirror)]
    found += [Source(archive, url) for archive in spec.archives for url in archive.urls]
    unique: dict[str, Source] = {}
    for source in found:
        unique.setdefault(source.url, source)
    return list(unique.values())


def _of_mirror(spec: DatasetSpec, mirror: str) -> Iterator[Source]:
    try:
        parts = urlsplit(mirror)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or any(ord(character) <= 0x20 for character in mirror):
        raise UsageError(
            f'the mirror "{shown(mirror)}" is not an http or https address',
            hint="--mirror https://HOST/FOLDER (the archive's file name is appended)",
        )
    last = parts.path.rpartition("/")[2]
    if last.endswith((".tar.gz", ".tgz")):
        yield Source(_archive_named(spec, last), mirror)
        return
    for archive in spec.archives:
        path = f"{parts.path.rstrip('/')}/{archive.file}"
        yield Source(archive, urlunsplit((parts.scheme, parts.netloc, path, parts.query, "")))


def _archive_named(spec: DatasetSpec, file: str) -> ArchiveSpec:
    """The archive that a file name stands for: by name, else by the word of its format, else the first."""
    for archive in spec.archives:
        if archive.file == file:
            return archive
    for archive in spec.archives:
        if archive.format in file:
            return archive
    return spec.archives[0]
