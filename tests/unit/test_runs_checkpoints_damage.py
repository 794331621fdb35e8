"""Checkpoints that are damaged, foreign or of another version."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from cifar_tui.errors import CifarTuiError, DamagedError
from cifar_tui.runs.checkpoints import CheckpointStore

from .checkpoint_tools import flip, names, save


def refuse_flips(store: CheckpointStore, bits: Callable[[int], Iterable[int]]) -> None:
    info = save(store, 3)
    for path in sorted(info.path.iterdir()):
        good = path.read_bytes()
        for position in range(len(good)):
            for bit in bits(position):
                data = bytearray(good)
                data[position] ^= 1 << bit
                path.write_bytes(data)
                with pytest.raises(DamagedError, match="checkpoint 3 of run"):
                    store.verify(info)
        path.write_bytes(good)
    store.verify(info)


def test_fault_068_a_flipped_bit_in_every_byte_of_every_file_is_refused(store: CheckpointStore) -> None:
    refuse_flips(store, lambda position: [position % 8])


@pytest.mark.slow
def test_fault_068_every_flipped_bit_of_every_file_is_refused(store: CheckpointStore) -> None:
    refuse_flips(store, lambda _: range(8))


def test_fault_067_a_cut_at_every_byte_an_empty_file_and_a_folder_are_refused(store: CheckpointStore) -> None:
    info = save(store, 3)
    for path in sorted(info.path.iterdir()):
        good = path.read_bytes()
        for length in range(len(good)):
            path.write_bytes(good[:length])
            with pytest.raises(DamagedError):
                store.verify(info)
        path.write_bytes(good + b"x")
        with pytest.raises(DamagedError, match=path.name):
            store.verify(info)
        path.unlink()
        with pytest.raises(DamagedError, match=path.name):
            store.verify(info)
        path.mkdir()
        with pytest.raises(DamagedError, match=path.name):
            store.verify(info)
        path.rmdir()
        os.mkfifo(path)
        with pytest.raises(DamagedError, match=path.name):
            store.verify(info)
        path.unlink()
        path.write_bytes(good)
    store.verify(info)


def test_damage_says_which_file_what_was_found_and_what_was_expected(store: CheckpointStore) -> None:
    info = save(store, 3)
    path = info.path / "model.safetensors"
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    flip(path, 0)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(DamagedError) as caught:
        store.verify(info)
    message = caught.value.message
    assert message == (
        'checkpoint 3 of run "cnn-a" is damaged '
        f"(model.safetensors: SHA-256 {found[:12]}.. expected {expected[:12]}..)"
    )
    assert caught.value.exit_code == 65
    path.write_bytes(b"")
    with pytest.raises(DamagedError, match=r"model.safetensors: 0 bytes, expected 35"):
        store.verify(info)


def test_links_in_a_checkpoint_are_refused_even_to_the_right_bytes(
    store: CheckpointStore, tmp_path: Path
) -> None:
    info = save(store, 3)
    for name in ("model.safetensors", "manifest.json"):
        (info.path / name).rename(tmp_path / name)
        (info.path / name).symlink_to(tmp_path / name)
        with pytest.raises(DamagedError, match="symbolic link"):
            store.verify(info)
        (info.path / name).unlink()
        (tmp_path / name).rename(info.path / name)
    info.path.rename(tmp_path / "moved")
    info.path.symlink_to(tmp_path / "moved")
    with pytest.raises(DamagedError, match="not a folder"):
        store.verify(info)
    assert store.list() == []


def resealed(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    values = json.loads(data)
    change(values)
    values["manifest_sha256"] = "0" * 64
    text = json.dumps(values, indent=1) + "\n"
    seal = hashlib.sha256(text.encode()).hexdigest()
    return text.replace("0" * 64, seal).encode()


@pytest.mark.parametrize(
    "files",
    [
        {"../../secret": {"bytes": 1, "sha256": "0" * 63 + "1"}},
        {"/etc/passwd": {"bytes": 1, "sha256": "0" * 63 + "1"}},
        {"": {"bytes": 1, "sha256": "0" * 63 + "1"}},
        {".hidden": {"bytes": 1, "sha256": "0" * 63 + "1"}},
        {"a\0b": {"bytes": 1, "sha256": "0" * 63 + "1"}},
        {"manifest.json": {"bytes": 1, "sha256": "0" * 63 + "1"}},
        {"a": {"bytes": -1, "sha256": "0" * 63 + "1"}},
        {"a": {"bytes": True, "sha256": "0" * 63 + "1"}},
        {"a": {"bytes": 1, "sha256": "x"}},
        {"a": {"bytes": 1}},
        {"a": 3},
        [],
        None,
    ],
)
def test_a_sealed_manifest_with_a_bad_table_of_files_is_refused(store: CheckpointStore, files: Any) -> None:
    info = save(store, 3)
    path = info.path / "manifest.json"
    path.write_bytes(resealed(path.read_bytes(), lambda values: values.update(files=files)))
    with pytest.raises(DamagedError, match="table of files"):
        store.verify(info)


def test_a_checkpoint_under_the_name_of_another_step_is_refused(store: CheckpointStore) -> None:
    save(store, 3).path.rename(store._folder / "step-000000009")
    with pytest.raises(DamagedError, match="step is 3, expected 9"):
        store.verify(store.list()[0])


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"[" * 100_000, b"x" * (2 << 20), b'{"schema": 1, "step": 3}']
)
def test_a_manifest_that_is_none_is_damage(store: CheckpointStore, data: bytes) -> None:
    info = save(store, 3)
    (info.path / "manifest.json").write_bytes(data)
    with pytest.raises(DamagedError, match=r"manifest\.json"):
        store.verify(info)


def test_fault_069_a_planted_pickle_is_never_opened(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = save(store, 3)
    for name in ("model.pt", "data.pkl", ".hidden"):
        (info.path / name).write_bytes(b"\x80\x04cos\nsystem\n")
    opened: list[str] = []
    real = os.open

    def spy(path: Any, *args: Any, **keywords: Any) -> int:
        opened.append(Path(path).name)
        return real(path, *args, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", spy)
        store.newest_good()
    assert set(opened) == {"step-000000003", "manifest.json", "model.safetensors", "optimizer.safetensors"}
    planted = store._folder / "step-000000004"
    planted.mkdir()
    (planted / "model.pt").write_bytes(b"\x80\x04cos\nsystem\n")
    found, _, notes = store.newest_good()
    assert found.step == 3
    assert "checkpoint 4" in notes[0]
    assert "manifest.json: missing" in notes[0]


def test_fault_071_a_newer_version_is_named_and_left_untouched(store: CheckpointStore) -> None:
    save(store, 3)
    newer = save(store, 4)
    path = newer.path / "manifest.json"
    path.write_bytes(json.dumps({"schema": 2, "step": 4}).encode())
    with pytest.raises(DamagedError, match="newer version") as caught:
        store.verify(newer)
    assert caught.value.exit_code == 65
    assert "upgrade" in str(caught.value.hint)
    found, _, notes = store.newest_good()
    assert found.step == 3
    assert "newer version" in notes[0]
    assert names(store) == ["step-000000003", "step-000000004"]
    shutil.rmtree(found.path)
    with pytest.raises(DamagedError, match="newer version"):
        store.newest_good()


GOLDEN_1 = """{
 "schema": 1,
 "step": 7,
 "epoch": 0.5,
 "files": {
  "model.safetensors": {
   "bytes": 6,
   "sha256": "dd56de4137951d9c92681b03416ec15f886b4482a27e3a517d32f085244cbe5d"
  }
 },
 "manifest_sha256": "2bcd648cb556c4d1c23a09ba46d46898e7aaec81f890fbec029cd2df4a50e500"
}
"""


def test_fault_071_a_checkpoint_of_schema_1_stays_readable(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints" / "step-000000007"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"golden")
    (folder / "manifest.json").write_text(GOLDEN_1)
    _, manifest, _ = CheckpointStore(tmp_path / "checkpoints").newest_good()
    assert manifest["epoch"] == 0.5


def test_a_disk_that_cannot_be_read_is_no_reason_to_set_a_checkpoint_aside(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(store, 1)
    save(store, 2)

    def fail(path: Any, *args: Any, **keywords: Any) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("cifar_tui.runs.manifest.read_regular", fail)
        with pytest.raises(CifarTuiError) as caught:
            store.newest_good()
    assert caught.value.exit_code == 74
    assert names(store) == ["step-000000001", "step-000000002"]
