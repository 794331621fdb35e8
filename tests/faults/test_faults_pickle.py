"""Faults of group B: batches that other tools left as pickles."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cifar_tui.datasets import store
from cifar_tui.datasets.cifar10 import SPEC as CIFAR10
from cifar_tui.datasets.spec import DatasetSpec
from cifar_tui.datasets.unpickle import read_batch
from cifar_tui.errors import DamagedError
from tests.faults.tiny_data import RECORDS, shrink


def python_members(spec: DatasetSpec, seed: int = 0) -> dict[str, bytes]:
    """A small CIFAR-10 in the python layout, pickled as Python 2 would."""
    archive = spec.archives[1]
    random = np.random.default_rng(seed)
    members = {}
    for name in archive.data_members:
        count = RECORDS
        data = random.integers(0, 256, (count, 3072), dtype=np.uint8)
        members[name] = python2_pickle(data, [row % 10 for row in range(count)])
    members["batches.meta"] = pickle.dumps(
        {b"label_names": [name.encode() for name in spec.names]}, protocol=2
    )
    return members


def python2_pickle(data: np.ndarray[Any, Any], column: list[int]) -> bytes:
    """Opcodes as Python 2 wrote the official batches: byte strings, numpy.core names, protocol 2."""

    def text(value: bytes) -> bytes:
        return b"T" + len(value).to_bytes(4, "little") + value

    def integer(value: int) -> bytes:
        return b"J" + value.to_bytes(4, "little", signed=True)

    dtype = b"cnumpy\ndtype\n(" + text(b"u1") + integer(0) + integer(1) + b"tR("
    dtype += integer(3) + text(b"|") + b"NNN" + integer(-1) + integer(-1) + integer(0) + b"tb"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(" + integer(0) + b"t" + text(b"b") + b"tR("
    )
    shape = b"(" + integer(data.shape[0]) + integer(data.shape[1]) + b"t"
    array += integer(1) + shape + dtype + b"\x89" + text(data.tobytes()) + b"tb"
    numbers = b"](" + b"".join(integer(value) for value in column) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + numbers + b"u."


def test_a_python_folder_of_another_tool_is_loaded_in_place(tmp_path: Path) -> None:
    spec = shrink(CIFAR10)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    members = python_members(spec)
    for name, content in members.items():
        (folder / name).write_bytes(content)
    dataset = store.load_spec(spec, tmp_path, allow_unverified=True)
    expected = np.random.default_rng(0).integers(0, 256, (RECORDS, 3072), dtype=np.uint8)
    pictures = expected.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    assert np.array_equal(dataset.train.images[:RECORDS], pictures)
    assert dataset.train.labels[:11].tolist() == [*range(10), 0]
    assert dataset.names == CIFAR10.names
    assert dataset.notes[0].startswith("CIFAR-10: unofficial")


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_python_3_pickles_of_arrays_are_read(protocol: int) -> None:
    data = np.arange(2 * 3072, dtype=np.uint8).reshape(2, 3072)
    for array in (data, np.asfortranarray(data)):
        content = read_batch(pickle.dumps({"data": array, "labels": [1, 2]}, protocol=protocol), "batch")
        assert isinstance(content, dict)
        assert np.array_equal(content["data"], data)


class Evil:
    """A pickle that would run a command."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/should-not-exist-cifar-tui",)


@pytest.mark.parametrize(
    "raw",
    [
        pickle.dumps(Evil()),
        pickle.dumps({"data": Evil()}),
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\n_reconstruct\n.",
        b"cnumpy.core.multiarray\n_reconstruct\n}S'a'\nI1\nsb.",
        b"cnumpy\nndarray\n}S'a'\nI1\nsb.",
        b"cnumpy\nndarray\n)R.",
        b"Ppersistent\n.",
        pickle.dumps({"data": np.zeros((2, 3072), dtype=object)}, protocol=2),
        pickle.dumps({"data": np.zeros((2, 3072), dtype=np.float64)}, protocol=2),
        pickle.dumps({"data": [[[1]]]}),
        b"",
        b"\x80",
        b"garbage",
    ],
)
def test_fault_103_a_hostile_pickle_runs_nothing_and_is_called_damaged(raw: bytes) -> None:
    with pytest.raises(DamagedError, match="is not a CIFAR batch"):
        read_batch(raw, "data_batch_1")
    assert not Path("/tmp/should-not-exist-cifar-tui").exists()


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_fault_103_damaged_pickles_raise_nothing_but_our_error(data: st.DataObject) -> None:
    good = python2_pickle(np.zeros((1, 30), dtype=np.uint8), [1])
    raw = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_batch(bytes(raw), "data_batch_1")
    except DamagedError as error:
        assert error.block().replace("\n", "").isprintable()
