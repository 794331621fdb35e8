"""Binary records and decoded arrays to checked pictures and labels. Every record is checked, vectorised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cifar_tui.datasets.spec import PIXEL_BYTES, DatasetSpec
from cifar_tui.errors import DamagedError
from cifar_tui.text import safe_text

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Records:
    """The checked content of one data file: N planar pictures and their labels."""

    planes: Bytes
    """(N, 3072) uint8: red, green, blue planes, each row by row. A view where the format allows."""
    fine: Bytes
    """(N,) uint8."""
    coarse: Bytes | None
    """(N,) uint8, where the dataset has coarse labels."""

    def __len__(self) -> int:
        return len(self.fine)


def parse_binary(spec: DatasetSpec, raw: Bytes, file: str) -> Records:
    """Split the content of a binary data file into records and check all of them.

    Args:
        spec: the dataset.
        raw: (B,) uint8, the whole file.
        file: its name, for messages.

    Raises:
        DamagedError: the size is not a whole number of records, or a label is out of range or impossible.
    """
    size = spec.record_bytes
    if len(raw) % size or len(raw) == 0:
        whole = len(raw) // size
        raise DamagedError(
            f"{safe_text(file)} holds {len(raw):,} bytes, not a whole number of {size}-byte records"
            f" ({whole:,} records are {whole * size:,} bytes)",
            id="E-DATA-SIZE",
        )
    rows = raw.reshape(-1, size)
    coarse = rows[:, 0] if spec.coarse_names else None
    records = Records(planes=rows[:, spec.label_bytes :], fine=rows[:, spec.label_bytes - 1], coarse=coarse)
    check_labels(spec, records, file, binary=True)
    return records


def check_labels(spec: DatasetSpec, records: Records, file: str, *, binary: bool) -> None:
    """Refuse labels that are out of range, and fine labels under a superclass that is not theirs.

    Args:
        spec: the dataset.
        records: what was read.
        file: its name, for messages.
        binary: whether a record has a byte offset to name.

    Raises:
        DamagedError: naming the file, the first bad record, its offset and the value.
    """
    what = "label" if records.coarse is None else "fine label"
    _check_range(spec, records.fine, len(spec.names), what=what, file=file, binary=binary)
    if records.coarse is None:
        return
    _check_range(spec, records.coarse, len(spec.coarse_names), what="coarse label", file=file, binary=binary)
    expected = np.asarray(spec.fine_to_coarse, dtype=np.uint8)[records.fine]
    wrong = records.coarse != expected
    if wrong.any():
        row = int(np.argmax(wrong))
        fine, found = int(records.fine[row]), int(records.coarse[row])
        raise DamagedError(
            f"{safe_text(file)}: record {row}{_offset(spec, row, 'coarse label', binary)} has fine label"
            f" {fine} ({spec.names[fine]}) with coarse label {found}; expected {int(expected[row])}",
            id="E-DATA-LABEL",
        )


def _check_range(spec: DatasetSpec, labels: Bytes, count: int, *, what: str, file: str, binary: bool) -> None:
    bad = labels >= count
    if bad.any():
        row = int(np.argmax(bad))
        raise DamagedError(
            f"{safe_text(file)}: record {row}{_offset(spec, row, what, binary)} has {what}"
            f" {int(labels[row])}; expected 0 to {count - 1}",
            id="E-DATA-LABEL",
        )


def _offset(spec: DatasetSpec, row: int, what: str, binary: bool) -> str:
    if not binary:
        return ""
    within = 1 if what == "fine label" else 0
    return f" at byte {row * spec.record_bytes + within:,}"


def parse_python(spec: DatasetSpec, content: object, file: str) -> Records:
    """Check the decoded content of a python batch file.

    Args:
        spec: the dataset.
        content: what the restricted unpickler returned: a dict with bytes or str keys.
        file: its name, for messages.

    Raises:
        DamagedError: a key is missing, or has another type, shape or range.
    """
    if not isinstance(content, dict):
        raise _not_a_batch(file, f"holds a {type(content).__name__}; expected a dict")
    planes = _entry(content, "data", file)
    pictures = isinstance(planes, np.ndarray) and planes.ndim == 2 and planes.shape[1] == PIXEL_BYTES
    if not isinstance(planes, np.ndarray) or not pictures or not len(planes):
        shape = getattr(planes, "shape", type(planes).__name__)
        raise _not_a_batch(file, f'"data" is {shape}; expected an (N, {PIXEL_BYTES}) array of bytes')
    two_kinds = bool(spec.coarse_names)
    fine = _label_column(content, "fine_labels" if two_kinds else "labels", len(planes), file)
    coarse = _label_column(content, "coarse_labels", len(planes), file) if two_kinds else None
    records = Records(planes=planes, fine=fine, coarse=coarse)
    check_labels(spec, records, file, binary=False)
    return records


def _entry(content: dict[object, object], key: str, file: str) -> object:
    for spelling in (key.encode("ascii"), key):
        if spelling in content:
            return content[spelling]
    raise _not_a_batch(file, f'has no "{key}"')


def _label_column(content: dict[object, object], key: str, count: int, file: str) -> Bytes:
    column = _entry(content, key, file)
    if not isinstance(column, list) or len(column) != count:
        length = len(column) if isinstance(column, list) else type(column).__name__
        raise _not_a_batch(file, f'"{key}" is {length}; expected a list of {count}')
    for row, value in enumerate(column):
        if type(value) is not int or not 0 <= value <= 255:
            raise DamagedError(
                f"{safe_text(file)}: record {row} has {key} {safe_text(value, 40)}; expected a small number",
                id="E-DATA-LABEL",
            )
    return np.asarray(column, dtype=np.uint8)


def _not_a_batch(file: str, what: str) -> DamagedError:
    return DamagedError(f"{safe_text(file)} {what}", id="E-DATA-RECORD")


def copy_pictures(planes: Bytes, out: NDArray[np.uint8]) -> None:
    """Write planar pictures into `out` as NHWC.

    Args:
        planes: (N, 3072) uint8.
        out: (N, 32, 32, 3) uint8, written.
    """
    for start in range(0, len(planes), 256):  # blocks that stay in the cache
        block = planes[start : start + 256]
        for channel in range(3):
            plane = block[:, 1024 * channel : 1024 * (channel + 1)]
            out[start : start + 256, ..., channel] = plane.reshape(-1, 32, 32)
