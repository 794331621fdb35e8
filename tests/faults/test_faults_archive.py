"""Faults of group B: archives that are wrong or hostile."""

from __future__ import annotations

import gzip
import io
import tarfile
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cifar_tui.datasets import stamp, store, unpack
from cifar_tui.datasets.cifar10 import SPEC as CIFAR10
from cifar_tui.datasets.tar_stream import TarStream
from cifar_tui.errors import DamagedError
from tests.faults.archive_tools import FOLDER, Importer, entries
from tests.faults.tiny_data import Tiny, entry, pack, tar_of, tiny, tiny100


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "cifar-10-batches-bin/../../x",
        "/etc/x",
        "C:/x",
        "c:x",
        "a\\..\\x",
        "a/b/c",
        "cifar-10-batches-bin//x",
    ],
)
def test_fault_024_a_name_that_leads_elsewhere_is_refused(importer: Importer, small: Tiny, name: str) -> None:
    importer.refused(tar_of([*entries(small), entry(name, b"x")]), "unexpected member")


def test_fault_024_a_data_file_outside_its_folder_is_refused(importer: Importer, small: Tiny) -> None:
    importer.refused(tar_of([*entries(small), entry("other/test_batch.bin", b"x")]), "unexpected member")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.BLKTYPE, "device"),
        (tarfile.FIFOTYPE, "FIFO"),
        (tarfile.GNUTYPE_SPARSE, "sparse file"),
        (b"Z", "unknown type"),
    ],
)
def test_fault_025_anything_but_a_plain_file_is_refused(
    importer: Importer, small: Tiny, kind: bytes, said: str
) -> None:
    for name in (f"{FOLDER}/test_batch.bin", f"{FOLDER}/readme"):
        link = entry(name, type=kind, linkname="/etc/passwd")
        importer.refused(tar_of([*entries(small), link]), said)


def test_fault_025_a_folder_in_place_of_a_file_is_refused(importer: Importer, small: Tiny) -> None:
    folder = entry(f"{FOLDER}/test_batch.bin", type=tarfile.DIRTYPE)
    importer.refused(tar_of([folder, *entries(small)[:-1]]), "holds a folder test_batch.bin")


def test_fault_025_long_name_records_are_refused(importer: Importer, small: Tiny) -> None:
    importer.refused(tar_of([*entries(small), entry("n" * 200, b"x")]), "GNU long name")


@pytest.mark.parametrize("key", ["path", "size", "linkpath", "GNU.sparse.realsize", "hdrcharset"])
def test_fault_025_extended_headers_that_rename_or_resize_are_refused(
    importer: Importer, small: Tiny, key: str
) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in entries(small):
            info.pax_headers = {key: "7"}
            tar.addfile(info, io.BytesIO(content))
    importer.refused(gzip.compress(raw.getvalue(), 1), "extended header")


def test_archives_with_times_in_extended_headers_are_read(importer: Importer, small: Tiny) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in entries(small):
            info.mtime = 1234.5
            tar.addfile(info, io.BytesIO(content))
    assert importer(gzip.compress(raw.getvalue(), 1)).state == "unverified"


def patched_header(small: Tiny, start: int, field: bytes) -> bytes:
    """The archive with bytes of its first header replaced and the checksum made right."""
    raw = bytearray(gzip.decompress(tar_of(entries(small))))
    raw[start : start + len(field)] = field
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    return gzip.compress(bytes(raw), 1)


@pytest.mark.parametrize(
    "size", [b"\xff" * 12, b"\x80" + bytes(10) + b"\x01", b"-0000000001\0", b"99999999999\0", bytes(12)]
)
def test_fault_025_negative_binary_and_impossible_sizes_are_refused(
    importer: Importer, small: Tiny, size: bytes
) -> None:
    importer.refused(patched_header(small, 124, size), "impossible size")


def test_fault_025_a_header_with_a_wrong_checksum_is_refused(importer: Importer, small: Tiny) -> None:
    raw = bytearray(gzip.decompress(small.data))
    raw[100] ^= 1
    importer.refused(gzip.compress(bytes(raw), 1), "checksum")


def test_fault_026_a_member_of_another_size_is_refused_before_it_is_read(
    importer: Importer, small: Tiny
) -> None:
    members = small.members | {"test_batch.bin": small.members["test_batch.bin"] + b"x"}
    size = len(members["test_batch.bin"])
    error = importer.refused(
        pack(FOLDER, members), f"test_batch.bin of {size:,} bytes; expected {size - 1:,}"
    )
    assert error.id == "E-DATA-SIZE"


@pytest.mark.timeout(20)
def test_fault_026_a_gzip_bomb_stops_at_the_cap(
    importer: Importer, small: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "MAX_TOTAL_BYTES", 5_000_000)
    bomb = gzip.compress(gzip.decompress(small.data) + bytes(60_000_000), 9)
    started = time.monotonic()
    importer.refused(bomb, "unpacks to more than")
    assert time.monotonic() - started < 5


def test_fault_026_a_large_member_that_is_not_needed_is_refused(importer: Importer, small: Tiny) -> None:
    big = entry(f"{FOLDER}/movie", bytes(unpack.MAX_EXTRA_BYTES + 1))
    importer.refused(tar_of([*entries(small), big]), "unexpected member")


def test_fault_026_too_many_members_are_refused(importer: Importer, small: Tiny) -> None:
    many = [entry(f"{FOLDER}/doc{number}", b"") for number in range(100)]
    importer.refused(tar_of([*entries(small), *many]), "more than 64 members")


def test_fault_026_an_endless_extended_header_is_refused_without_reading_it(
    importer: Importer, small: Tiny
) -> None:
    extended = entry("x", bytes(1 << 17), type=tarfile.XHDTYPE)
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        extended[0].type = tarfile.REGTYPE
        tar.addfile(extended[0], io.BytesIO(extended[1]))
    data = bytearray(raw.getvalue())
    data[156:157] = b"x"
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    importer.refused(gzip.compress(bytes(data), 1), "extended header of 131,072 bytes")


def test_fault_027_a_missing_data_file_is_named(importer: Importer, small: Tiny) -> None:
    members = {name: content for name, content in small.members.items() if name != "data_batch_3.bin"}
    importer.refused(pack(FOLDER, members), "has no data_batch_3.bin")


def test_fault_027_a_doubled_file_is_named(importer: Importer, small: Tiny) -> None:
    importer.refused(tar_of([*entries(small), entries(small)[2]]), "holds data_batch_3.bin twice")


def test_fault_027_extra_documents_are_left_out_with_a_note(importer: Importer, small: Tiny) -> None:
    extra = entry(f"{FOLDER}/readme\x1b[31m.html", b"hello")
    assert importer(tar_of([*entries(small), extra])).state == "unverified"
    found = sorted(path.name for path in (importer.root / FOLDER).iterdir())
    assert found == sorted([*small.members, stamp.FILE])
    note = next(note for note in importer.notes if "left out" in note)
    assert "\x1b" not in note


def test_fault_027_missing_names_are_no_damage(importer: Importer, small: Tiny) -> None:
    members = {name: content for name, content in small.members.items() if name != "batches.meta.txt"}
    assert importer(pack(FOLDER, members)).state == "unverified"
    assert store.load_spec(small.spec, importer.root).names == CIFAR10.names


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_fault_025_damaged_tar_streams_raise_nothing_but_our_error(data: st.DataObject) -> None:
    raw = bytearray(TAR)
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))]
    total = 0
    try:
        stream = TarStream(io.BytesIO(bytes(raw)), "x.tar.gz", 64)
        for _header in stream:
            while content := stream.read(1000):
                total += len(content)
    except DamagedError as error:
        assert error.exit_code == 65
    assert total <= len(TAR)


TAR = gzip.decompress(tar_of([entry("a/one", b"x" * 700), entry("a/two", b"y" * 30), entry("a/three", b"")]))


def test_every_flipped_bit_of_an_official_archive_is_seen(importer: Importer, small: Tiny) -> None:
    random = np.random.default_rng(0)
    for position in random.integers(0, len(small.data), 25):
        data = bytearray(small.data)
        data[position] ^= 1 << int(random.integers(0, 8))
        with pytest.raises(DamagedError):
            importer(bytes(data), allow_unverified=False)


def test_a_flipped_bit_in_the_gzip_trailer_is_seen_in_unofficial_archives(
    importer: Importer, small: Tiny
) -> None:
    data = bytearray(tiny(seed=2).data)
    data[-6] ^= 4
    importer.refused(bytes(data), "not a whole gzip file")


def test_an_archive_of_another_dataset_is_named(importer: Importer) -> None:
    with pytest.raises(DamagedError, match="does not hold CIFAR-10"):
        importer(tiny100().data)
