"""A restricted reader of the pickled CIFAR batches: dicts, lists, numbers, bytes and byte arrays only.

No name of a pickle is ever looked up or imported. The four names that arrays need are answered with stand-ins
from this file that can only describe an array of bytes; every other name is refused. This also keeps numpy's
own reconstruction code, and what changes in it between versions, out of the way.
"""

from __future__ import annotations

import io
import math
import pickle
from typing import Any, NoReturn

import numpy as np

from cifar_tui.errors import DamagedError
from cifar_tui.text import safe_text

_BYTE_TYPES = frozenset({"u1", "|u1", "uint8", "B"})


def _refuse(what: str) -> NoReturn:
    raise pickle.UnpicklingError(what)


class _Dtype:
    """Stands in for ``numpy.dtype``: accepts the type of a byte only."""

    __slots__ = ()

    def __init__(self, kind: object = None, *_flags: object) -> None:
        name = kind.decode("latin-1") if isinstance(kind, bytes) else kind
        if name not in _BYTE_TYPES:
            _refuse(f"an array of {safe_text(name, 40)}")

    def __setstate__(self, state: object) -> None:
        """Byte order, fields and alignment mean nothing for a byte."""


class _Array:
    """Stands in for ``numpy.ndarray``: holds the state until the whole pickle is read."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: np.ndarray[Any, Any] | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            _refuse("an array with an unknown state")
        _version, shape, kind, fortran, raw = state
        if not isinstance(kind, _Dtype) or not isinstance(raw, bytes) or not isinstance(shape, tuple):
            _refuse("an array that is not of bytes")
        if not all(type(length) is int and 0 <= length <= 1 << 28 for length in shape):
            _refuse("an array with an impossible shape")
        if math.prod(shape) != len(raw):
            _refuse(f"an array of shape {shape} with {len(raw)} bytes")
        self.value = np.frombuffer(raw, dtype=np.uint8).reshape(shape, order="F" if fortran else "C")


class _NdArrayName:
    """Stands in for the class ``numpy.ndarray`` as an argument; cannot be called."""

    __slots__ = ()

    def __init__(self) -> None:
        _refuse("a bare numpy.ndarray")

    def __setstate__(self, state: object) -> None:
        _refuse("a state for a class")


class _Reconstruct:
    """Stands in for ``_reconstruct(ndarray, (0,), b"b")``."""

    __slots__ = ()

    def __new__(cls, *arguments: object) -> Any:
        if not arguments or arguments[0] is not _NdArrayName:
            _refuse("an array of an unknown class")
        return _Array()

    def __setstate__(self, state: object) -> None:
        _refuse("a state for a function")


class _Encode:
    """Stands in for ``_codecs.encode(text, "latin1")``, which is how Python 3 writes bytes at protocol 2."""

    __slots__ = ()

    def __new__(cls, *arguments: object) -> Any:
        if len(arguments) != 2 or arguments[1] not in {"latin1", b"latin1"}:
            _refuse("an unknown encoding")
        text = arguments[0]
        return text.encode("latin-1") if isinstance(text, str) else _refuse("an encoding of something else")

    def __setstate__(self, state: object) -> None:
        _refuse("a state for a function")


_STAND_INS: dict[tuple[str, str], type] = {
    ("numpy.core.multiarray", "_reconstruct"): _Reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _Reconstruct,
    ("numpy", "ndarray"): _NdArrayName,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Encode,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        """Answer the names that arrays need with stand-ins; refuse every other."""
        try:
            return _STAND_INS[module, name]
        except KeyError:
            _refuse(f"the name {safe_text(module, 60)}.{safe_text(name, 60)}")

    def persistent_load(self, _pid: object, /) -> Any:
        """Refuse references to anything outside the pickle."""
        _refuse("a reference to something outside the file")


def read_batch(raw: bytes, file: str) -> object:
    """Decode a pickled CIFAR batch or its list of names.

    Args:
        raw: the whole file.
        file: its name, for messages.

    Returns:
        Usually a dict; text that Python 2 wrote is bytes, arrays are read-only uint8.

    Raises:
        DamagedError: it is not a pickle, or holds anything but dicts, lists, numbers, bytes and byte arrays.
    """
    try:
        content = _Reader(io.BytesIO(raw), encoding="bytes").load()
        return _plain(content, 0)
    except Exception as error:
        reason = safe_text(error, 120) or type(error).__name__
        raise DamagedError(
            f"{safe_text(file)} is not a CIFAR batch: it holds {reason}"
            if isinstance(error, pickle.UnpicklingError) and reason.startswith(("an ", "a ", "the "))
            else f"{safe_text(file)} is not a CIFAR batch: {reason}",
            state="nothing of it was run",
            id="E-DATA-RECORD",
        ) from error


def _plain(value: object, depth: int) -> object:
    """The decoded value with stand-ins replaced; only the shallow shape of a batch is allowed."""
    if isinstance(value, _Array):
        if value.value is None:
            _refuse("an array without content")
        return value.value
    if isinstance(value, dict) and depth == 0:
        return {key: _plain(entry, 1) for key, entry in value.items() if isinstance(key, str | bytes)}
    if isinstance(value, list) and depth <= 1:
        plain = all(isinstance(entry, int | bytes | str) for entry in value)
        return value if plain else _refuse("a nested list")
    if value is None or isinstance(value, int | float | bytes | str):
        return value
    return _refuse(f"a {type(value).__name__}")
