"""Fetching a dataset: from mirrors, the official host or a local archive, into a folder of checked data."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cifar_tui import fsio
from cifar_tui.datasets import folder as folders
from cifar_tui.datasets.attempt import Downloader
from cifar_tui.datasets.body import SourceError
from cifar_tui.datasets.locking import fetch_lock
from cifar_tui.datasets.part import Part
from cifar_tui.datasets.pin import Digests, Pin, digest_file
from cifar_tui.datasets.places import DatasetStatus, command
from cifar_tui.datasets.sources import Source, shown, sources
from cifar_tui.datasets.spec import ArchiveSpec, DatasetSpec, get_spec
from cifar_tui.datasets.stamp import Stamp
from cifar_tui.datasets.store import status_of, verify_spec
from cifar_tui.datasets.transfer import Timing, Transfer, Watch
from cifar_tui.datasets.unpack import guess_layout, sweep, unpack
from cifar_tui.errors import (
    CannotCreateError,
    CifarTuiError,
    DamagedError,
    NotThereError,
    ProtocolError,
    StorageError,
    UnavailableError,
    UsageError,
    from_os_error,
)
from cifar_tui.text import human_bytes, safe_text

__all__ = ["Timing", "Transfer", "fetch", "fetch_spec"]


def fetch(
    name: str,
    data_dir: Path,
    *,
    mirrors: Iterable[str] = (),
    from_file: Path | None = None,
    offline: bool = False,
    allow_unverified: bool = False,
    no_wait: bool = False,
    report: Callable[[Transfer], None] | None = None,
    note: Callable[[str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    pins: Mapping[str, str] | None = None,
    timing: Timing | None = None,
) -> DatasetStatus:
    """Make sure that a dataset is on disk; returns at once, without any traffic, where it is.

    Args:
        name: the dataset.
        data_dir: the folder that holds the datasets; made where it is missing.
        mirrors: addresses to try first; the archive's file name is appended. None given: `CIFAR_TUI_MIRROR`.
        from_file: a local archive to take instead of a download; it is not removed.
        offline: forbid traffic.
        allow_unverified: also take a well-formed archive or folder of unknown hash.
        no_wait: raise where another process fetches the same dataset.
        report: told of progress, at most ten times a second.
        note: told of what the user should know.
        cancelled: asked every 50 ms; True stops.
        pins: archive file name to SHA-256, in place of the official hashes.
        timing: limits and waits.

    Returns:
        The status after it: ``ready``, or ``unverified`` and accepted.

    Raises:
        UsageError: no such dataset, or a mirror that is no address.
        DamagedError: only wrong or damaged content could be had.
        NotThereError: offline, and it is not on disk; or `from_file` does not exist.
        UnavailableError: no address could be reached.
        ProtocolError: the only failures were servers that broke the rules.
        StorageError, CannotCreateError, AccessError: the disk is full or the folder cannot be used.
        LockedError: `no_wait` and another process has the lock.
        InterruptedBySignal: stopped; what arrived is kept.
    """
    options = Options(tuple(mirrors), from_file, offline, allow_unverified, no_wait, dict(pins or {}))
    spec = get_spec(name)
    resume = command(f"data download {spec.name}{options.flags}", data_dir)
    return fetch_spec(spec, data_dir, options, Watch(report, note, cancelled, timing, resume))


@dataclass(frozen=True)
class Options:
    """How to fetch; see `fetch`."""

    mirrors: tuple[str, ...] = ()
    from_file: Path | None = None
    offline: bool = False
    allow_unverified: bool = False
    no_wait: bool = False
    pins: Mapping[str, str] | None = None

    @property
    def flags(self) -> str:
        """The same options as flags for a hint, without passwords in addresses."""
        text = "".join(f" --mirror {shown(mirror)}" for mirror in self.mirrors)
        if self.from_file is not None:
            text += f" --from-file {safe_text(self.from_file)}"
        return text + (" --allow-unverified" if self.allow_unverified else "")


def fetch_spec(spec: DatasetSpec, root: Path, options: Options, watch: Watch) -> DatasetStatus:
    """`fetch` for a specification."""
    if spec.synthetic:
        return status_of(spec, root)
    try:
        return _Fetch(spec, root, options, watch).run()
    except KeyboardInterrupt:
        raise watch.interrupted() from None


class _Fetch:
    """One call of `fetch`."""

    def __init__(self, spec: DatasetSpec, root: Path, options: Options, watch: Watch) -> None:
        self._spec = spec
        self._root = root
        self._options = options
        self._watch = watch
        self._pins = dict(options.pins or {})

    def run(self) -> DatasetStatus:
        """Return what is there, or get it under the lock."""
        found = status_of(self._spec, self._root)
        if self._enough(found):
            return found
        if (
            self._options.offline
            and self._options.from_file is None
            and found.state in {"missing", "damaged"}
        ):
            raise NotThereError(
                f"{self._spec.title} is {found.state} in {self._root}, and offline work was asked for",
                state="no traffic was made",
                hint=command(f"data download {self._spec.name} --from-file ARCHIVE", self._root),
                id="E-DATA-OFFLINE",
            )
        addresses = sources(self._spec, self._options.mirrors)
        self._make_root()
        with fetch_lock(
            self._root, self._spec.name, self._watch, no_wait=self._options.no_wait, waiting=self._waiting
        ):
            found = status_of(self._spec, self._root)
            return found if self._enough(found) else self._get(found, addresses)

    def _enough(self, found: DatasetStatus) -> bool:
        if found.state == "ready":
            return True
        return self._options.from_file is None and found.state == "unverified" and found.accepted

    def _make_root(self) -> None:
        try:
            fsio.make_folder(self._root)
        except OSError as error:
            hint = "cifar-tui --data-dir FOLDER"
            found = from_os_error(error, "make the data folder", self._root, hint)
            if isinstance(found, NotThereError):
                found = CannotCreateError(found.message, hint=hint)
            raise found from error

    def _waiting(self) -> None:
        """Show how far the other process is."""
        parts = [(Part(self._root / f"{archive.file}.part").size, archive) for archive in self._spec.archives]
        done, archive = max(parts, key=lambda pair: pair[0])
        self._watch.report(Transfer("wait", archive.file, done, archive.bytes, 0.0, None, "", 1))

    def _get(self, found: DatasetStatus, addresses: list[Source]) -> DatasetStatus:
        sweep(self._root)
        if self._options.from_file is not None:
            self._import(self._options.from_file)
        elif found.state != "unverified" or not self._adopt(found):
            self._check_space(self._missing_bytes())
            self._download(addresses)
        return status_of(self._spec, self._root)

    def _adopt(self, found: DatasetStatus) -> bool:
        """Check a folder that is there; True where it can be used, False where it is damaged.

        Raises:
            DamagedError: it is well formed, of unknown origin, and that was not allowed.
        """
        assert found.path is not None
        self._watch.note(f"checking the data in {safe_text(found.path)}")
        allow = self._options.allow_unverified
        try:
            checked = verify_spec(self._spec, self._root, self._watch, allow_unverified=allow)
        except DamagedError as error:
            if self._options.offline:
                raise
            self._watch.note(f"{error.message}; fetching it again")
            return False
        if checked.state == "ready" or checked.accepted or allow:
            return True
        place = folders.find(self._spec, self._root)
        assert place is not None
        hashes = (
            {} if place.stamp is None else {name: file.sha256 for name, file in place.stamp.files.items()}
        )
        known = all(name in hashes for name in place.archive.data_members)
        print_of = folders.fingerprint(self._spec, place.archive, hashes) if known else "unknown"
        raise folders.unverified_error(place, print_of)

    # --- space ---

    def _missing_bytes(self) -> int:
        archive = self._spec.archives[0]
        size = archive.bytes or 0
        part = Part(self._root / f"{archive.file}.part").size
        return max(0, size - part) + archive.unpacked_bytes

    def _check_space(self, needed: int) -> None:
        try:
            free = shutil.disk_usage(self._root).free
        except OSError as error:
            raise from_os_error(error, "look at the space of", self._root) from error
        if free < needed:
            raise StorageError(
                f"{self._root} has {human_bytes(free)} free; {self._spec.title} needs {human_bytes(needed)}"
                " (archive and data)",
                state="nothing was downloaded",
                hint="free some disk space, or cifar-tui --data-dir FOLDER",
                id="E-DISK-FULL",
            )

    # --- a local archive ---

    def _import(self, path: Path) -> None:
        found = folders.stat_or_none(path)
        if found is None:
            raise NotThereError(
                f"there is no archive {path}", hint="--from-file ARCHIVE", id="E-ARCHIVE-MISSING"
            )
        if not path.is_file():
            raise UsageError(f"{path} is not a file", hint="--from-file takes one .tar.gz archive")
        self._check_space(self._spec.archives[0].unpacked_bytes)
        digests = digest_file(path, path.name, self._watch)
        archive = self._official(digests)
        official = archive is not None
        if archive is None:
            self._refuse_other_dataset(path, digests)
            archive = guess_layout(self._spec, path, self._watch)
        install = official or self._options.allow_unverified
        stamp = self._stamp(archive, digests, official)
        unpack(self._spec, archive, path, self._root, watch=self._watch, stamp=stamp, install=install)
        if not install:
            raise self._unverified(archive, digests, path)
        self._say_unverified(official)

    def _official(self, digests: Digests) -> ArchiveSpec | None:
        for archive in self._spec.archives:
            if digests.match(Pin.of(archive, self._pins)):
                return archive
        return None

    def _refuse_other_dataset(self, path: Path, digests: Digests) -> None:
        for name in ("cifar10", "cifar100"):
            other = get_spec(name)
            if name != self._spec.name and any(
                digests.match(Pin.of(archive, {})) for archive in other.archives
            ):
                raise UsageError(
                    f"{path} is the {other.title} archive; expected {self._spec.title}",
                    hint=command(f"data download {name} --from-file {safe_text(path)}", self._root),
                )

    def _unverified(self, archive: ArchiveSpec, digests: Digests, path: Path) -> DamagedError:
        return DamagedError(
            f"{path.name} is well formed but not the official {self._spec.title}: SHA-256 {digests.sha256};"
            f" expected {Pin.of(archive, self._pins).text}",
            where=path,
            state="nothing was changed",
            hint=command(
                f"data download {self._spec.name}{self._options.flags} --allow-unverified", self._root
            ),
            id="E-DATA-UNVERIFIED",
        )

    def _stamp(self, archive: ArchiveSpec, digests: Digests, official: bool) -> Stamp:
        state = "ready" if official else "unverified"
        return Stamp(
            dataset=self._spec.name,
            format=archive.format,
            state=state,
            accepted=not official,
            files={},
            archive=archive.file,
            archive_sha256=digests.sha256,
        )

    def _say_unverified(self, official: bool) -> None:
        if not official:
            self._watch.note(
                f"{self._spec.title}: this is not the official archive; it is marked as unverified, also in"
                " every run trained on it"
            )

    # --- the network ---

    def _download(self, addresses: list[Source]) -> None:
        failures: list[tuple[Source, SourceError | CifarTuiError]] = []
        dead_hosts: set[str] = set()
        getter = Downloader(self._root, self._watch, strict=not self._options.allow_unverified)
        for source in addresses:
            if source.host in dead_hosts:
                continue
            try:
                self._from_source(getter, source)
            except (SourceError, DamagedError) as error:
                failures.append((source, error))
                if isinstance(error, SourceError) and error.dead_host:
                    dead_hosts.add(source.host)
                self._watch.note(f"{shown(source.url)}: {safe_text(_reason(error))}")
            else:
                return
        raise self._all_failed(failures)

    def _from_source(self, getter: Downloader, source: Source) -> None:
        archive = source.archive
        got = getter.get(source, Pin.of(archive, self._pins))
        stamp = self._stamp(archive, got.digests, got.official)
        try:
            unpack(self._spec, archive, got.part.path, self._root, watch=self._watch, stamp=stamp)
        except DamagedError:
            got.part.quarantine(archive.file, got.digests.sha256)
            raise
        for each in self._spec.archives:
            Part(self._root / f"{each.file}.part").discard()
        self._watch.note(f"{archive.file} was checked and unpacked; the archive itself was removed")
        self._say_unverified(got.official)

    def _all_failed(self, failures: list[tuple[Source, SourceError | CifarTuiError]]) -> CifarTuiError:
        damaged = [error for _, error in failures if isinstance(error, DamagedError)]
        if damaged and not any(
            isinstance(error, SourceError) and error.kind == "content" for _, error in failures
        ):
            return damaged[0]
        kinds = [error.kind for _, error in failures if isinstance(error, SourceError)]
        if damaged and "content" not in kinds:
            return damaged[0]
        listing = "; ".join(f"{shown(source.url)}: {_reason(error)}" for source, error in failures)
        message = f"cannot download {self._spec.title}: {listing or 'no address is known'}"
        kept = self._kept()
        if "content" in kinds:
            flags = "" if self._options.allow_unverified else " --allow-unverified"
            hint = command(f"data download {self._spec.name}{self._options.flags}{flags}", self._root)
            return DamagedError(message, state=kept, hint=hint, id="E-DATA-HASH")
        hint = command(f"data download {self._spec.name} --mirror URL", self._root)
        if kinds and all(kind == "protocol" for kind in kinds):
            return ProtocolError(message, state=kept, hint=hint)
        return UnavailableError(message, state=kept, hint=hint, id="E-DOWNLOAD")

    def _kept(self) -> str:
        for archive in self._spec.archives:
            size = Part(self._root / f"{archive.file}.part").size
            if size:
                return f"{size:,} bytes of {archive.file} are kept; the same command goes on from there"
        bad = sorted(self._root.glob("*.tar.gz.bad-*"))
        return f"the wrong archive is set aside as {bad[-1].name}" if bad else "nothing was changed"


def _reason(error: SourceError | CifarTuiError) -> str:
    return error.reason if isinstance(error, SourceError) else error.message
