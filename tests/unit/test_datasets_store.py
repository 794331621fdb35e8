"""What is on disk, checking it and loading it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cifar_tui import datasets, fsio
from cifar_tui.datasets import cifar10, cifar100, stamp, store
from cifar_tui.datasets.places import command, data_dir
from cifar_tui.datasets.spec import get_spec
from cifar_tui.datasets.transfer import Transfer, Watch
from cifar_tui.errors import AccessError, CannotCreateError, DamagedError, NotThereError, UsageError
from tests.faults.tiny_data import Tiny, tiny, tiny100, write_folder


@pytest.fixture(scope="module")
def small() -> Tiny:
    return tiny()


def test_records_become_pictures_row_by_row_with_channels_last(tmp_path: Path, small: Tiny) -> None:
    write_folder(tmp_path, small)
    dataset = store.load_spec(small.spec, tmp_path, allow_unverified=True)
    raw = small.members["data_batch_2.bin"]
    record = raw[3 * 3073 : 4 * 3073]
    picture = dataset.train.images[23]
    assert dataset.train.labels[23] == record[0] == 3
    for row, column, channel in ((0, 0, 0), (0, 1, 0), (1, 0, 1), (31, 31, 2)):
        assert picture[row, column, channel] == record[1 + channel * 1024 + row * 32 + column]
    assert dataset.train.images.shape == (100, 32, 32, 3)
    assert (dataset.train.images.dtype, dataset.train.labels.dtype) == (np.uint8, np.int64)
    assert dataset.test.labels.tolist() == [row % 10 for row in range(20)]
    assert (dataset.num_classes, dataset.labels_kind, dataset.path) == (
        10,
        "fine",
        tmp_path / small.archive.folder,
    )


def test_cifar100_can_be_loaded_by_either_label(tmp_path: Path) -> None:
    small = tiny100()
    write_folder(tmp_path, small)
    fine = store.load_spec(small.spec, tmp_path, allow_unverified=True)
    coarse = store.load_spec(small.spec, tmp_path, labels="coarse")
    assert (fine.num_classes, coarse.num_classes) == (100, 20)
    assert coarse.names == cifar100.COARSE_NAMES
    assert np.array_equal(coarse.train.labels, fine.train.coarse_labels)
    assert np.array_equal(coarse.train.fine_labels, fine.train.labels)
    assert coarse.fingerprint == fine.fingerprint


def test_cifar10_has_no_coarse_labels(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='no "coarse" labels'):
        store.load("cifar10", tmp_path, labels="coarse")


def test_the_superclass_table_is_the_official_one() -> None:
    assert len(set(cifar100.FINE_NAMES)) == 100
    assert len(cifar100.COARSE_NAMES) == 20
    assert cifar100.FINE_TO_COARSE[:10] == (4, 1, 14, 8, 0, 6, 7, 7, 18, 3)
    assert np.bincount(cifar100.FINE_TO_COARSE).tolist() == [5] * 20


def test_a_missing_dataset_names_the_command_that_gets_it(tmp_path: Path) -> None:
    for use in (store.load, store.verify):
        with pytest.raises(NotThereError) as caught:
            use("cifar10", tmp_path)
        assert caught.value.exit_code == 66
        assert str(caught.value.hint).startswith("cifar-tui data download cifar10")
        assert f"--data-dir {tmp_path}" in str(caught.value.hint)
    status = store.status("cifar10", tmp_path)
    assert (status.state, status.train, status.bytes, status.path) == ("missing", 0, 0, None)


def test_the_hint_leaves_out_the_usual_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CIFAR_TUI_DATA_DIR", str(tmp_path))
    assert command("data download cifar10", tmp_path) == "cifar-tui data download cifar10"
    assert "--data-dir '" in command("data download cifar10", tmp_path / "a b")


def test_status_json_has_exactly_the_promised_keys(tmp_path: Path, small: Tiny) -> None:
    folder = write_folder(tmp_path, small)
    found = store.status_of(small.spec, tmp_path).to_json()
    assert list(found) == ["dataset", "state", "train", "test", "classes", "bytes", "path"]
    size = sum(len(content) for content in small.members.values())
    assert found == {
        "dataset": "cifar10",
        "state": "unverified",
        "train": 100,
        "test": 20,
        "classes": 10,
        "bytes": size,
        "path": str(folder),
    }
    assert json.loads(fsio.dump_json(found)) == found


def test_status_reads_no_data_file(tmp_path: Path, small: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path, small)
    store.load_spec(small.spec, tmp_path, allow_unverified=True)
    opened: list[str] = []
    real = os.open
    monkeypatch.setattr(
        os, "open", lambda path, *rest, **more: opened.append(str(path)) or real(path, *rest, **more)
    )
    monkeypatch.setattr(np, "fromfile", lambda *_: pytest.fail("a data file was read"))
    assert store.status_of(small.spec, tmp_path).accepted
    assert all(path.endswith(stamp.FILE) for path in opened)


def test_a_second_load_hashes_nothing_and_shares_what_is_in_memory(
    tmp_path: Path, small: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    write_folder(tmp_path, small)
    first = store.load_spec(small.spec, tmp_path, allow_unverified=True)
    assert store.load_spec(small.spec, tmp_path) is first
    store.reset_cache()
    hashed: list[int] = []
    real = hashlib.sha256
    monkeypatch.setattr(hashlib, "sha256", lambda data=b"": hashed.append(len(data)) or real(data))
    second = store.load_spec(small.spec, tmp_path)
    assert second is not first
    assert second.fingerprint == first.fingerprint
    assert all(size < 3073 for size in hashed)


def test_other_content_has_another_fingerprint(tmp_path: Path, small: Tiny) -> None:
    prints = set()
    for seed in (0, 1):
        write_folder(tmp_path / str(seed), tiny(seed=seed))
        prints.add(store.load_spec(small.spec, tmp_path / str(seed), allow_unverified=True).fingerprint)
    assert len(prints) == 2
    assert all(len(found) == 64 for found in prints)


def test_a_folder_that_cannot_be_written_is_loaded_without_a_stamp(
    tmp_path: Path, small: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path, small)

    def refuse(_path: Path, _value: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(fsio, "replace_json", refuse)
    assert len(store.load_spec(small.spec, tmp_path, allow_unverified=True).train) == 100
    assert not (folder / stamp.FILE).exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"schema": 99}',
        b"\xff",
        b'{"schema":1,"state":"ready","files":[]}',
        b"[" * 60_000,
    ],
)
def test_a_damaged_stamp_means_that_the_data_is_checked_again(
    tmp_path: Path, small: Tiny, content: bytes
) -> None:
    folder = write_folder(tmp_path, small)
    (folder / stamp.FILE).write_bytes(content)
    assert store.status_of(small.spec, tmp_path).state == "unverified"
    assert len(store.load_spec(small.spec, tmp_path, allow_unverified=True).train) == 100
    assert store.status_of(small.spec, tmp_path).accepted


def test_a_stamp_that_is_a_link_is_not_followed(tmp_path: Path, small: Tiny) -> None:
    folder = write_folder(tmp_path, small)
    store.load_spec(small.spec, tmp_path, allow_unverified=True)
    (folder / stamp.FILE).rename(tmp_path / "elsewhere.json")
    (folder / stamp.FILE).symlink_to(tmp_path / "elsewhere.json")
    assert stamp.read(folder) is None


def test_verify_reports_progress_and_can_be_stopped(tmp_path: Path, small: Tiny) -> None:
    from cifar_tui.errors import InterruptedBySignal

    write_folder(tmp_path, small)
    seen: list[Transfer] = []
    store.verify_spec(small.spec, tmp_path, Watch(seen.append))
    assert {transfer.phase for transfer in seen} == {"verify"}
    assert seen[-1].done == seen[-1].total
    with pytest.raises(InterruptedBySignal):
        store.verify_spec(small.spec, tmp_path, Watch(cancelled=lambda: True))


def test_verify_finds_a_flipped_bit_that_keeps_size_and_time(tmp_path: Path, small: Tiny) -> None:
    folder = write_folder(tmp_path, small)
    store.load_spec(small.spec, tmp_path, allow_unverified=True)
    known = stamp.read(folder)
    assert known is not None
    from dataclasses import replace

    stamp.write(folder, replace(known, state="ready"))
    path = folder / "data_batch_5.bin"
    times = path.stat()
    content = bytearray(path.read_bytes())
    content[500] ^= 8
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert store.status_of(small.spec, tmp_path).state == "ready"
    with pytest.raises(DamagedError, match=r"changed since it was verified: data_batch_5\.bin"):
        store.verify_spec(small.spec, tmp_path, Watch())


def test_a_data_file_that_may_not_be_read_is_a_permission_error(
    tmp_path: Path, small: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cifar_tui.datasets import folder as folders

    write_folder(tmp_path, small)

    def refuse(_path: Path, _expected: int | None) -> object:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(folders, "_read_once", refuse)
    with pytest.raises(AccessError):
        store.load_spec(small.spec, tmp_path, allow_unverified=True)


def test_the_data_folder_comes_from_the_flag_then_the_environment_then_the_platform(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CIFAR_TUI_DATA_DIR", "~/from-environment")
    assert data_dir("~/flag") == tmp_path / "flag"
    assert data_dir(None) == tmp_path / "from-environment"
    monkeypatch.delenv("CIFAR_TUI_DATA_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    if sys.platform.startswith("linux"):
        assert data_dir(None) == tmp_path / "xdg" / "cifar-tui" / "data"
        monkeypatch.setenv("XDG_DATA_HOME", "relative")
        assert data_dir(None) == tmp_path / ".local" / "share" / "cifar-tui" / "data"


def test_a_tilde_of_nobody_is_a_clear_error() -> None:
    with pytest.raises(CannotCreateError, match="no home folder"):
        data_dir("~no-such-user-anywhere/x")


def test_an_unknown_dataset_names_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        get_spec("cifar-10")
    assert "cifar10" in str(caught.value.hint)


def test_the_names_come_in_their_order() -> None:
    assert datasets.names() == ("cifar10", "cifar100", "synthetic")
    assert [get_spec(name).name for name in datasets.names()] == list(datasets.names())
    assert cifar10.SPEC.archives[0].members["test_batch.bin"] == 30_730_000


def loaded_after(code: str) -> set[str]:
    text = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(' '.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    ).stdout
    return set(text.split())


def test_importing_the_package_loads_neither_numpy_nor_requests() -> None:
    code = "import cifar_tui.datasets as d; d.names(); from cifar_tui.datasets import data_dir, get_spec"
    code += "; [get_spec(name) for name in d.names()]"
    assert not loaded_after(code) & {"numpy", "requests", "torch", "cifar_tui.datasets.store"}


def test_loading_and_fetching_modules_load_no_torch_and_requests_only_for_traffic() -> None:
    code = "from cifar_tui.datasets import fetch, load, status, verify, statistics, Timing, Transfer"
    loaded = loaded_after(code)
    assert "numpy" in loaded
    assert not loaded & {"torch", "requests", "pydantic", "PIL", "textual", "typer"}
