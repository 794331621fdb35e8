"""Class names that come with the data. They are outside text: where odd, built-in names are used."""

from __future__ import annotations

from pathlib import Path

from cifar_tui.datasets.spec import ArchiveSpec, DatasetSpec
from cifar_tui.datasets.unpickle import read_batch
from cifar_tui.errors import DamagedError
from cifar_tui.text import safe_text

_MAX_FILE_BYTES = 1 << 20
_MAX_NAME = 64


class _OddNamesError(Exception):
    """Why a names file is not used."""


def class_names(
    spec: DatasetSpec, archive: ArchiveSpec, folder: Path, labels: str
) -> tuple[tuple[str, ...], str | None]:
    """Class names for `labels` from the folder, or the built-in ones.

    Args:
        spec: the dataset.
        archive: the layout of the folder.
        folder: where the data lies.
        labels: ``fine`` or ``coarse``.

    Returns:
        (K names, a note why the file was not used or None). No text of a bad file is ever returned raw.
    """
    built_in = spec.class_names(labels)
    file = archive.fine_names_file if labels == "fine" else archive.coarse_names_file
    if file is None or not (folder / file).is_file():
        return built_in, None
    try:
        raw = _read_small(folder / file)
        lines = _pickled(raw, file, spec, labels) if archive.format == "python" else _text_lines(raw)
        return _checked(lines, len(built_in)), None
    except (_OddNamesError, DamagedError) as error:
        return built_in, f"{file} was not used, the built-in class names are: {safe_text(error, 160)}"


def _read_small(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _OddNamesError(f"it cannot be read ({error.strerror})") from error
    if len(raw) > _MAX_FILE_BYTES:
        raise _OddNamesError("it is larger than 1 MB")
    return raw


def _text_lines(raw: bytes) -> list[str]:
    if b"\r" in raw:
        raise _OddNamesError("it has carriage returns")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _OddNamesError(f"byte {error.start} is not UTF-8") from error
    return [line for line in text.split("\n") if line]


def _pickled(raw: bytes, file: str, spec: DatasetSpec, labels: str) -> list[str]:
    content = read_batch(raw, file)
    key = "label_names" if not spec.coarse_names else f"{labels}_label_names"
    names = content.get(key.encode(), content.get(key)) if isinstance(content, dict) else None
    if not isinstance(names, list):
        raise _OddNamesError(f'it has no list "{key}"')
    try:
        return [name.decode("utf-8") if isinstance(name, bytes) else str(name) for name in names]
    except UnicodeDecodeError as error:
        raise _OddNamesError("a name is not UTF-8") from error


def _checked(lines: list[str], expected: int) -> tuple[str, ...]:
    if len(lines) != expected:
        raise _OddNamesError(f"it has {len(lines)} names; expected {expected}")
    for number, line in enumerate(lines):
        if not line.strip() or len(line) > _MAX_NAME or safe_text(line) != line:
            raise _OddNamesError(f"name {number} is empty, too long or holds control characters")
    if len(set(lines)) != len(lines):
        raise _OddNamesError("it has a name twice")
    return tuple(lines)
