"""Faults of group B: archives and records that are wrong, hostile or half there."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import tarfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cifar_tui import fsio
from cifar_tui.datasets import labels, stamp, store, unpack
from cifar_tui.datasets.cifar10 import SPEC as CIFAR10
from cifar_tui.datasets.download import Options, fetch_spec
from cifar_tui.datasets.places import data_dir
from cifar_tui.datasets.spec import DatasetSpec
from cifar_tui.datasets.tar_stream import TarStream
from cifar_tui.datasets.transfer import Watch
from cifar_tui.datasets.unpickle import read_batch
from cifar_tui.errors import CannotCreateError, CifarTuiError, DamagedError, UsageError
from tests.faults.tiny_data import (
    RECORDS,
    Tiny,
    entry,
    pack,
    shrink,
    tar_of,
    tiny,
    tiny100,
    write_folder,
)

FOLDER = "cifar-10-batches-bin"


@pytest.fixture(scope="module")
def small() -> Tiny:
    return tiny()


class Importer:
    """Imports archive bytes as unofficial data and keeps the notes."""

    def __init__(self, root: Path, small: Tiny) -> None:
        self.root = root
        self.small = small
        self.notes: list[str] = []

    def __call__(self, data: bytes, *, allow_unverified: bool = True, spec: DatasetSpec | None = None) -> Any:
        path = self.root.parent / "archive.tar.gz"
        path.write_bytes(data)
        options = Options(from_file=path, allow_unverified=allow_unverified)
        return fetch_spec(spec or self.small.spec, self.root, options, Watch(note=self.notes.append))

    def refused(self, data: bytes, said: str) -> DamagedError:
        """The error for data that must be refused; nothing may be left in the data folder."""
        before = outside(self.root)
        with pytest.raises(DamagedError, match=said) as caught:
            self(data)
        assert caught.value.exit_code == 65
        assert [entry.name for entry in self.root.iterdir()] == [".download-cifar10.lock"]
        assert outside(self.root) - before <= {"archive.tar.gz"}
        return caught.value


def outside(root: Path) -> set[str]:
    """What lies beside the data folder."""
    return {entry.name for entry in root.parent.iterdir() if entry != root}


@pytest.fixture
def importer(tmp_path: Path, small: Tiny) -> Importer:
    return Importer(tmp_path / "data", small)


def entries(small: Tiny) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [entry(f"{FOLDER}/{name}", content) for name, content in small.members.items()]


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


@pytest.mark.parametrize("change", [-1, 1, -3073, 3073])
def test_fault_028_a_file_of_another_size_names_both_sizes(tmp_path: Path, small: Tiny, change: int) -> None:
    content = small.members["data_batch_2.bin"]
    wrong = content[:change] if change < 0 else content + bytes(change)
    write_folder(tmp_path, small, small.members | {"data_batch_2.bin": wrong})
    assert store.status_of(small.spec, tmp_path).state == "damaged"
    for use in (store.load_spec, lambda spec, root: store.verify_spec(spec, root, Watch())):
        with pytest.raises(DamagedError) as caught:
            use(small.spec, tmp_path)
        assert (
            f"data_batch_2.bin holds {len(wrong):,} bytes; expected {len(content):,}" in caught.value.message
        )
        assert "data download cifar10" in str(caught.value.hint)


def test_fault_028_a_damaged_folder_is_fetched_again_and_the_old_one_kept(
    tmp_path: Path, small: Tiny
) -> None:
    root = tmp_path / "data"
    write_folder(root, small, small.members | {"test_batch.bin": b"half"})
    importer = Importer(root, small)
    assert importer(small.data).state == "ready"
    assert (root / f"{FOLDER}.damaged-1" / "test_batch.bin").read_bytes() == b"half"
    assert any("damaged-1" in note for note in importer.notes)


def broken(small: Tiny, file: str, record: int, offset: int, value: int) -> dict[str, bytes]:
    content = bytearray(small.members[file])
    content[record * small.spec.record_bytes + offset] = value
    return small.members | {file: bytes(content)}


@pytest.mark.parametrize("value", [10, 255])
@pytest.mark.parametrize("record", [0, 7, RECORDS - 1])
def test_fault_029_a_label_out_of_range_names_file_record_offset_and_value(
    importer: Importer, small: Tiny, value: int, record: int
) -> None:
    data = pack(FOLDER, broken(small, "data_batch_4.bin", record, 0, value))
    error = importer.refused(data, "data_batch_4.bin")
    for part in (f"record {record} at byte {record * 3073:,}", f"label {value}", "expected 0 to 9"):
        assert part in error.message


@pytest.mark.parametrize(
    ("offset", "value", "said"), [(1, 100, "fine label 100"), (0, 20, "coarse label 20")]
)
def test_fault_029_both_labels_of_cifar100_are_checked(
    tmp_path: Path, offset: int, value: int, said: str
) -> None:
    small = tiny100()
    write_folder(tmp_path, small, broken(small, "test.bin", 3, offset, value))
    with pytest.raises(DamagedError) as caught:
        store.load_spec(small.spec, tmp_path, allow_unverified=True)
    assert f"test.bin: record 3 at byte {3 * 3074 + offset:,} has {said}" in caught.value.message


def test_fault_030_a_fine_label_under_a_foreign_superclass_is_refused(tmp_path: Path) -> None:
    small = tiny100()
    right = small.spec.fine_to_coarse[5]
    write_folder(tmp_path, small, broken(small, "train.bin", 5, 0, (right + 1) % 20))
    with pytest.raises(DamagedError) as caught:
        store.load_spec(small.spec, tmp_path, allow_unverified=True)
    for part in (
        "train.bin: record 5",
        "fine label 5 (bed)",
        f"coarse label {right + 1}",
        f"expected {right}",
    ):
        assert part in caught.value.message


NAMES = "\n".join(CIFAR10.names)


@pytest.mark.parametrize(
    "content",
    [
        b"only\ntwo\n",
        NAMES.encode() + b"\nextra\n",
        NAMES.replace("cat", "c\xe4t").encode("latin-1"),
        NAMES.replace("\n", "\r\n").encode(),
        NAMES.replace("cat", "\x1b[31mcat").encode(),
        NAMES.replace("cat", "\u202etac").encode(),
        NAMES.replace("cat", "dog").encode(),
        NAMES.replace("cat", "c" * 100).encode(),
        bytes(2_000_000),
    ],
)
def test_fault_031_odd_names_give_the_built_in_ones_and_a_warning(
    tmp_path: Path, small: Tiny, content: bytes
) -> None:
    write_folder(tmp_path, small, small.members | {"batches.meta.txt": content})
    dataset = store.load_spec(small.spec, tmp_path, allow_unverified=True)
    assert dataset.names == CIFAR10.names == dataset.train.names
    assert "batches.meta.txt was not used" in dataset.notes[0]
    assert dataset.notes[0].isprintable()


def test_fault_031_good_names_of_the_file_are_used(tmp_path: Path, small: Tiny) -> None:
    content = NAMES.replace("cat", "Katze").encode()
    write_folder(tmp_path, small, small.members | {"batches.meta.txt": content})
    assert store.load_spec(small.spec, tmp_path, allow_unverified=True).names[3] == "Katze"


def test_fault_031_names_that_are_a_link_to_nowhere_or_a_folder_are_not_used(
    tmp_path: Path, small: Tiny
) -> None:
    members = {name: content for name, content in small.members.items() if name != "batches.meta.txt"}
    folder = write_folder(tmp_path, small, members)
    (folder / "batches.meta.txt").mkdir()
    assert labels.class_names(small.spec, small.archive, folder, "fine") == (CIFAR10.names, None)


def test_fault_032_unknown_data_needs_consent_once_and_is_marked(tmp_path: Path, small: Tiny) -> None:
    write_folder(tmp_path, small)
    before = store.status_of(small.spec, tmp_path)
    assert (before.state, before.accepted) == ("unverified", False)
    with pytest.raises(DamagedError) as caught:
        store.load_spec(small.spec, tmp_path)
    assert caught.value.id == "E-DATA-UNVERIFIED"
    assert caught.value.exit_code == 65
    assert "--allow-unverified" in str(caught.value.hint)
    assert small.archive.sha256 is not None
    assert small.archive.sha256 in caught.value.message
    dataset = store.load_spec(small.spec, tmp_path, allow_unverified=True)
    assert dataset.state == "unverified"
    assert dataset.fingerprint in caught.value.message
    assert any("unofficial" in note for note in dataset.notes)
    store.reset_cache()
    assert store.load_spec(small.spec, tmp_path).fingerprint == dataset.fingerprint
    assert store.status_of(small.spec, tmp_path).accepted


def test_fault_032_consent_can_be_given_at_verify(tmp_path: Path, small: Tiny) -> None:
    write_folder(tmp_path, small)
    assert not store.verify_spec(small.spec, tmp_path, Watch()).accepted
    with pytest.raises(DamagedError, match="not the official data"):
        store.load_spec(small.spec, tmp_path)
    assert store.verify_spec(small.spec, tmp_path, Watch(), allow_unverified=True).accepted
    assert store.load_spec(small.spec, tmp_path).state == "unverified"


def test_fault_032_an_archive_of_unknown_hash_is_refused_with_both_hashes(importer: Importer) -> None:
    other = tiny(seed=9)
    with pytest.raises(DamagedError) as caught:
        importer(other.data, allow_unverified=False)
    assert caught.value.id == "E-DATA-UNVERIFIED"
    assert other.sha256 in caught.value.message
    assert str(importer.small.archive.sha256) in caught.value.message
    assert not (importer.root / FOLDER).exists()
    assert importer(other.data).state == "unverified"


def test_fault_032_a_damaged_unknown_archive_is_called_damaged_not_unknown(
    importer: Importer, small: Tiny
) -> None:
    with pytest.raises(DamagedError, match="not a whole gzip file"):
        importer(small.data[:-100], allow_unverified=False)


def test_fault_032_known_member_hashes_make_a_folder_official(tmp_path: Path) -> None:
    import hashlib

    small = tiny100()
    md5s = {name: hashlib.md5(small.members[name]).hexdigest() for name in ("train.bin", "test.bin")}
    spec = replace(small.spec, archives=(replace(small.archive, md5s=md5s), *small.spec.archives[1:]))
    write_folder(tmp_path, small)
    assert store.load_spec(spec, tmp_path).state == "ready"
    assert store.status_of(spec, tmp_path).state == "ready"


def test_fault_033_a_changed_file_is_seen_by_the_quick_check(importer: Importer, small: Tiny) -> None:
    importer(small.data)
    path = importer.root / FOLDER / "data_batch_1.bin"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))
    status = store.status_of(small.spec, importer.root)
    assert (status.state, status.detail) == ("unverified", "a file changed since it was checked")
    store.reset_cache()
    with pytest.raises(DamagedError, match=r"has changed since it was verified: data_batch_1\.bin") as caught:
        store.load_spec(small.spec, importer.root, allow_unverified=True)
    assert caught.value.id == "E-DATA-HASH"


def test_fault_033_a_copy_with_new_times_is_hashed_once_and_stays_official(
    importer: Importer, small: Tiny
) -> None:
    importer(small.data)
    for path in (importer.root / FOLDER).iterdir():
        os.utime(path, ns=(5, 5))
    assert store.status_of(small.spec, importer.root).state == "unverified"
    store.reset_cache()
    assert store.load_spec(small.spec, importer.root).state == "ready"
    assert store.status_of(small.spec, importer.root).state == "ready"


def test_fault_033_consent_does_not_cover_other_content(tmp_path: Path, small: Tiny) -> None:
    folder = write_folder(tmp_path, small)
    store.load_spec(small.spec, tmp_path, allow_unverified=True)
    (folder / "test_batch.bin").write_bytes(tiny(seed=4).members["test_batch.bin"])
    os.utime(folder / "test_batch.bin", ns=(9, 9))
    store.reset_cache()
    with pytest.raises(DamagedError, match="not the official data"):
        store.load_spec(small.spec, tmp_path)


def test_fault_033_loaded_pictures_do_not_follow_the_file(tmp_path: Path, small: Tiny) -> None:
    folder = write_folder(tmp_path, small)
    dataset = store.load_spec(small.spec, tmp_path, allow_unverified=True)
    first = dataset.train.images[0].copy()
    with (folder / "data_batch_1.bin").open("r+b") as file:
        file.write(bytes(3073))
    assert np.array_equal(dataset.train.images[0], first)
    with pytest.raises(ValueError, match="read-only"):
        dataset.train.images[0] = 0


def test_fault_034_leftovers_of_dead_processes_are_swept_and_those_of_live_ones_kept(
    importer: Importer, small: Tiny
) -> None:
    dead = importer.root / ".tmp-999999999-0"
    alive = importer.root / f".tmp-{os.getppid()}-0"
    trash = importer.root / ".trash-999999999-1"
    for folder in (dead, alive, trash):
        folder.mkdir(parents=True)
        (folder / "data_batch_1.bin").write_bytes(b"half")
    assert store.status_of(small.spec, importer.root).state == "missing"
    importer(small.data)
    assert not dead.exists()
    assert not trash.exists()
    assert alive.exists()


def test_fault_034_the_folder_appears_whole_or_not_at_all(importer: Importer, small: Tiny) -> None:
    """A watcher never sees the folder without every file, whatever moment it looks."""
    target, seen, stop = importer.root / FOLDER, [], threading.Event()

    def look() -> None:
        while not stop.is_set():
            if target.exists():
                seen.append({path.name for path in target.iterdir()})

    watcher = threading.Thread(target=look)
    watcher.start()
    importer(small.data)
    time.sleep(0.02)
    stop.set()
    watcher.join()
    assert seen
    assert all(found == {*small.members, stamp.FILE} for found in seen)


def test_fault_034_a_crash_at_any_file_call_leaves_no_folder_or_a_whole_one(
    tmp_path: Path, small: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fail the N-th fsync, rename or write, for each N until the import ends."""
    for number in range(1, 60):
        root = tmp_path / str(number) / "data"
        root.mkdir(parents=True)
        calls = [0]

        def fail(
            real: Callable[..., Any], limit: int = number, counter: list[int] = calls
        ) -> Callable[..., Any]:
            def call(*arguments: Any, **more: Any) -> Any:
                counter[0] += 1
                if counter[0] == limit:
                    raise OSError(5, "Input/output error")
                return real(*arguments, **more)

            return call

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail(os.fsync))
            patch.setattr(os, "rename", fail(os.rename))
            patch.setattr(os, "replace", fail(os.replace))
            patch.setattr(os, "mkdir", fail(os.mkdir))
            try:
                Importer(root, small)(small.data)
            except CifarTuiError as error:
                assert error.exit_code in {73, 74}, error
            else:
                assert calls[0] < number
                break
        state = store.status_of(small.spec, root).state
        assert state in {"missing", "ready"}
        assert not list(root.glob(".tmp-*"))
    else:
        pytest.fail("the import never ended without a failure")
    assert number > 8


AWKWARD = [
    "with spaces and 'quotes'",
    "new\nline",
    "émoji 🐸 ünïcode",
    b"not-utf8-\xff\xfe".decode("utf-8", "surrogateescape"),
    "n" * 200,
]


@pytest.mark.parametrize("name", AWKWARD)
def test_fault_035_awkward_folder_names_work(tmp_path: Path, small: Tiny, name: str) -> None:
    importer = Importer(tmp_path / name / "data", small)
    importer.root.parent.mkdir()
    status = importer(small.data)
    assert status.state == "ready"
    assert store.load_spec(small.spec, importer.root).path == importer.root / FOLDER
    text = fsio.dump_json(status.to_json())
    assert text.isascii()
    assert json.loads(text)["path"] == str(importer.root / FOLDER)
    (importer.root / FOLDER / "test_batch.bin").unlink()
    with pytest.raises(DamagedError) as caught:
        store.load_spec(small.spec, importer.root)
    assert caught.value.block().replace("\n", "").isprintable()


@pytest.mark.parametrize("name", ["n" * 300, "/".join(["d" * 200] * 30)])
def test_fault_035_names_beyond_the_limits_are_a_clear_error(tmp_path: Path, small: Tiny, name: str) -> None:
    for use in (store.status_of, store.load_spec):
        with pytest.raises(CannotCreateError, match="name too long") as caught:
            use(small.spec, tmp_path / name)
        assert caught.value.exit_code == 73


def test_fault_035_a_nul_in_the_data_folder_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="NUL"):
        data_dir("a\0b")


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
