"""Faults of group B: records, names and unknown data, in archives and in folders."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cifar_tui.datasets import labels, store
from cifar_tui.datasets.cifar10 import SPEC as CIFAR10
from cifar_tui.datasets.transfer import Watch
from cifar_tui.errors import DamagedError
from tests.faults.archive_tools import FOLDER, Importer
from tests.faults.tiny_data import RECORDS, Tiny, pack, tiny, tiny100, write_folder


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
