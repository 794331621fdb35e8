"""What is on disk, checking it, and loading it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from cifar_tui.datasets import folder as folders
from cifar_tui.datasets.folder import Check, Place
from cifar_tui.datasets.labels import class_names
from cifar_tui.datasets.places import DatasetStatus, command, data_dir
from cifar_tui.datasets.records import Records, copy_pictures
from cifar_tui.datasets.spec import DatasetSpec, get_spec
from cifar_tui.datasets.split import Dataset, Split
from cifar_tui.datasets.summary import SplitStatistics, statistics
from cifar_tui.datasets.transfer import Transfer, Watch
from cifar_tui.errors import DamagedError, NotThereError

__all__ = [
    "DatasetStatus",
    "SplitStatistics",
    "data_dir",
    "load",
    "load_spec",
    "reset_cache",
    "statistics",
    "status",
    "status_of",
    "verify",
    "verify_spec",
]

_loaded: WeakValueDictionary[tuple[str, ...], Dataset] = WeakValueDictionary()


def status(name: str, data_dir: Path) -> DatasetStatus:
    """What is there of a dataset, from sizes, times and the stamp; cheap enough for every screen.

    Args:
        name: the dataset.
        data_dir: the folder that holds the datasets.

    Raises:
        UsageError: there is no dataset of that name.
        CifarTuiError: the folder cannot be looked at.
    """
    return status_of(get_spec(name), data_dir)


def status_of(spec: DatasetSpec, root: Path) -> DatasetStatus:
    """`status` for a specification."""
    classes = len(spec.names)
    if spec.synthetic:
        return DatasetStatus(spec.name, "ready", spec.train, spec.test, classes, 0, None, "built in")
    place = folders.find(spec, root)
    if place is None:
        return DatasetStatus(spec.name, "missing", 0, 0, classes, 0, None, f"no data in {root}")
    whole = place.state != "damaged"
    return DatasetStatus(
        dataset=spec.name,
        state=place.state,
        train=spec.train if whole else 0,
        test=spec.test if whole else 0,
        classes=classes,
        bytes=place.bytes,
        path=place.folder,
        detail=place.detail,
        accepted=place.accepted,
    )


def verify(
    name: str,
    data_dir: Path,
    progress: Callable[[Transfer], None] | None = None,
    *,
    allow_unverified: bool = False,
    cancelled: Callable[[], bool] | None = None,
) -> DatasetStatus:
    """Hash every file again, check every record and renew the stamp.

    Args:
        name: the dataset.
        data_dir: the folder that holds the datasets.
        progress: told how far it is.
        allow_unverified: accept well-formed data of unknown origin from now on.
        cancelled: asked between files; True stops.

    Returns:
        The status after the check: ``ready``, or ``unverified`` for well-formed data of unknown origin.

    Raises:
        NotThereError: the dataset is not on disk.
        DamagedError: a file, record or hash is wrong; the message says which.
    """
    watch = Watch(progress, None, cancelled)
    return verify_spec(get_spec(name), data_dir, watch, allow_unverified=allow_unverified)


def verify_spec(
    spec: DatasetSpec, root: Path, watch: Watch, *, allow_unverified: bool = False
) -> DatasetStatus:
    """`verify` for a specification."""
    if not spec.synthetic:
        place = _existing(spec, root)
        read = folders.read_members(spec, place.archive, place.folder, watch, hashing=True)
        checks = {check.name: check for check, _ in read}
        folders.write_stamp(place.folder, folders.restamp(place, checks, accept=allow_unverified))
    return status_of(spec, root)


def _existing(spec: DatasetSpec, root: Path) -> Place:
    place = folders.find(spec, root)
    if place is None:
        raise NotThereError(
            f"{spec.title} is not in {root}",
            state="nothing was changed",
            hint=command(f"data download {spec.name}", root),
            id="E-DATA-MISSING",
        )
    if place.state == "damaged":
        raise DamagedError(
            f"{spec.title} is damaged: {place.detail}",
            where=place.folder,
            state="nothing was changed",
            hint=command(f"data download {spec.name}", root),
            id="E-DATA-SIZE",
        )
    return place


def load(
    name: str,
    data_dir: Path,
    *,
    labels: str = "fine",
    allow_unverified: bool = False,
    seed: int = 0,
) -> Dataset:
    """Read a dataset into memory, checking every label.

    Files whose size and time match the stamp are not hashed again. A dataset that something still holds is
    returned again without reading; `reset_cache` forgets it.

    Args:
        name: the dataset.
        data_dir: the folder that holds the datasets.
        labels: ``fine``, or ``coarse`` where the dataset has superclasses.
        allow_unverified: accept well-formed data of unknown origin, now and from now on.
        seed: of the synthetic pictures; not used for the others.

    Raises:
        UsageError: no such dataset or labels.
        NotThereError: the dataset is not on disk.
        DamagedError: damaged data, or unverified data that was not accepted.
    """
    return load_spec(get_spec(name), data_dir, labels=labels, allow_unverified=allow_unverified, seed=seed)


def load_spec(
    spec: DatasetSpec, root: Path, *, labels: str = "fine", allow_unverified: bool = False, seed: int = 0
) -> Dataset:
    """`load` for a specification."""
    spec.class_names(labels)
    if spec.synthetic:
        return _synthetic(seed)
    place = _existing(spec, root)
    refused = place.current and place.state == "unverified" and not (place.accepted or allow_unverified)
    if refused and place.stamp is not None:
        hashes = {name: file.sha256 for name, file in place.stamp.files.items()}
        raise folders.unverified_error(place, folders.fingerprint(spec, place.archive, hashes))
    key = _cache_key(place, labels)
    if key is not None and (known := _loaded.get(key)) is not None:
        return known
    dataset = _read(place, labels, allow_unverified)
    key = _cache_key(folders.look(spec, place.archive, place.folder), labels)
    if key is not None:
        _loaded[key] = dataset
    return dataset


def reset_cache() -> None:
    """Forget the datasets that are in memory; the next `load` reads them again."""
    _loaded.clear()


def _cache_key(place: Place, labels: str) -> tuple[str, ...] | None:
    if not place.current or place.stamp is None:
        return None
    files = sorted(place.stamp.files.items())
    times = "".join(f"{name} {file.mtime_ns} {file.sha256}\n" for name, file in files)
    return (place.spec.name, labels, str(place.folder.absolute()), place.state, times)


def _synthetic(seed: int) -> Dataset:
    from cifar_tui.datasets import synthetic

    key = ("synthetic", str(seed))
    dataset = _loaded.get(key)
    if dataset is None:
        dataset = _loaded[key] = synthetic.build(seed=seed)
    return dataset


class _Pictures:
    """Room for one part of a dataset, filled file by file."""

    def __init__(self, count: int, two_kinds: bool) -> None:
        self.images: NDArray[np.uint8] = np.empty((count, 32, 32, 3), dtype=np.uint8)
        self.fine: NDArray[np.int64] = np.empty(count, dtype=np.int64)
        self.coarse: NDArray[np.int64] | None = np.empty(count, dtype=np.int64) if two_kinds else None
        self.filled = 0

    def add(self, records: Records, file: str) -> None:
        """Append the records of a file."""
        end = self.filled + len(records)
        if end > len(self.fine):
            raise DamagedError(
                f"{file} brings the part to {end:,} pictures; expected {len(self.fine):,}", id="E-DATA-SIZE"
            )
        rows = slice(self.filled, end)
        copy_pictures(records.planes, self.images[rows])
        self.fine[rows] = records.fine
        if self.coarse is not None and records.coarse is not None:
            self.coarse[rows] = records.coarse
        self.filled = end


def _read(place: Place, labels: str, allow_unverified: bool) -> Dataset:
    spec, archive = place.spec, place.archive
    two_kinds = bool(spec.coarse_names)
    parts = {"train": _Pictures(spec.train, two_kinds), "test": _Pictures(spec.test, two_kinds)}
    checks: dict[str, Check] = {}
    for check, records in folders.read_members(
        spec, archive, place.folder, Watch(), hashing=not place.current
    ):
        parts["train" if check.name in archive.train else "test"].add(records, check.name)
        checks[check.name] = check
    stamp = place.stamp
    if not place.current or stamp is None:
        stamp = folders.restamp(place, checks, accept=allow_unverified)
    elif allow_unverified and stamp.state == "unverified" and not stamp.accepted:
        stamp = replace(stamp, accepted=True)
    hashes = {name: stamp.files[name].sha256 for name in archive.data_members}
    found = folders.fingerprint(spec, archive, hashes)
    if stamp is not place.stamp:
        folders.write_stamp(place.folder, stamp)
    if stamp.state == "unverified" and not stamp.accepted:
        raise folders.unverified_error(place, found)
    return _dataset(place, labels, parts, stamp.state, found)


def _dataset(place: Place, labels: str, parts: dict[str, _Pictures], state: str, found: str) -> Dataset:
    spec = place.spec
    names, note = class_names(spec, place.archive, place.folder, labels)
    train, test = (
        Split(
            name=part,
            images=parts[part].images,
            labels=parts[part].fine if labels == "fine" else _coarse(parts[part]),
            names=names,
            fine_labels=parts[part].fine if spec.coarse_names else None,
            coarse_labels=parts[part].coarse,
        )
        for part in ("train", "test")
    )
    notes = [note] if note else []
    if state == "unverified":
        notes.append(f"{spec.title}: unofficial data, accepted; its fingerprint is kept in each run")
    return Dataset(
        name=spec.name,
        title=spec.title,
        labels_kind=labels,
        train=train,
        test=test,
        names=names,
        mean=spec.mean,
        std=spec.std,
        state=state,
        fingerprint=found,
        path=place.folder,
        notes=tuple(notes),
    )


def _coarse(pictures: _Pictures) -> NDArray[np.int64]:
    assert pictures.coarse is not None
    return pictures.coarse
