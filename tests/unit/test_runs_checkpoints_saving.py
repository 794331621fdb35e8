"""Saving a checkpoint: whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from cifar_tui.errors import CifarTuiError
from cifar_tui.runs.checkpoints import CheckpointStore

from .checkpoint_tools import MANIFEST, content, names, save, visible


def test_a_saved_checkpoint_holds_its_files_and_a_manifest_of_them(store: CheckpointStore) -> None:
    info = save(store, 12_000)
    assert info.name == "step-000012000"
    assert info.path == store._folder / info.name
    assert (info.step, info.best) == (12_000, False)
    assert store.list() == [info]
    manifest = store.verify(info)
    assert manifest["schema"] == 1
    assert manifest["step"] == 12_000
    assert manifest["epoch"] == 1.5
    assert manifest["nan"] is None
    for name, data in content(12_000).items():
        assert (info.path / name).read_bytes() == data
        assert manifest["files"][name] == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert json.loads((info.path / "manifest.json").read_text()) == manifest
    assert visible(store) == ["step-000012000"]


def test_files_are_private(store: CheckpointStore) -> None:
    info = save(store, 1)
    assert stat.S_IMODE(info.path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in info.path.iterdir()} == {0o600}


def test_a_file_may_be_written_by_a_function(store: CheckpointStore) -> None:
    def write(path: Path) -> None:
        path.write_bytes(b"written")
        path.chmod(0o644)

    info = store.save(5, {"model.safetensors": write}, {})
    assert info is not None
    assert store.verify(info)["files"]["model.safetensors"]["bytes"] == 7
    assert stat.S_IMODE((info.path / "model.safetensors").stat().st_mode) == 0o600


class RustError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 74),
        (RustError("I/O error: No space left on device (os error 28)"), 74),
        (OSError(errno.EACCES, "Permission denied"), 77),
        (None, 74),
    ],
)
def test_a_failed_save_leaves_no_trace_and_the_old_ones_untouched(
    store: CheckpointStore, error: Exception | None, code: int
) -> None:
    old = save(store, 1)

    def write(path: Path) -> None:
        if error is not None:
            path.write_bytes(b"half")
            raise error

    with pytest.raises(CifarTuiError) as caught:
        store.save(2, {"a": b"x", "b": write}, {})
    assert caught.value.exit_code == code
    assert visible(store) == ["step-000000001"]
    assert store.newest_good()[0] == old


def test_a_programming_error_in_a_writer_is_not_hidden(store: CheckpointStore) -> None:
    def write(path: Path) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.save(2, {"b": write}, {})
    assert visible(store) == []


@pytest.mark.parametrize("call", ["open", "fsync", "mkdir", "rename"])
def test_fault_057_an_error_of_any_call_drops_the_new_checkpoint_whole(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    old = save(store, 1)
    real = getattr(os, call)
    failed_in_save = 0
    for number in range(1, 40):
        calls = 0

        def wrapped(*args: Any, _number: int = number, **keywords: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == _number:
                raise OSError(errno.EIO, "Input/output error")
            return real(*args, **keywords)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, wrapped)
            try:
                acknowledged = store.save(2, content(2), MANIFEST) is not None
            except CifarTuiError as error:
                assert error.exit_code == 74
                acknowledged = False
                failed_in_save += 1
        assert not [name for name in visible(store) if name.startswith(".tmp-")]
        store.verify(old)
        for info in store.list():
            store.verify(info)
        if acknowledged:
            assert names(store)[-1] == "step-000000002"
        if calls < number:
            break
        shutil.rmtree(store._folder / "step-000000002", ignore_errors=True)
    assert failed_in_save >= 1
    assert calls < number, "every call was failed once"


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Every fsync and rename from here on, with the name of the file or the new name."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    calls: list[tuple[str, str]] = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(descriptor: int) -> None:
        calls.append(("fsync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        real_fsync(descriptor)

    def rename(source: Any, target: Any, **keywords: Any) -> None:
        calls.append(("rename", Path(target).name))
        real_rename(source, target, **keywords)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    return calls


def test_order_of_writes_files_then_folder_then_rename_then_parent(
    store: CheckpointStore, journal: list[tuple[str, str]]
) -> None:
    save(store, 1)
    journal.clear()
    store._keep = 1
    store.save(2, {"a": b"1", "b": lambda path: path.write_bytes(b"2") and None}, {})
    temporary = journal[3][1]
    assert temporary.startswith(".tmp-")
    assert journal[:6] == [
        ("fsync", "a"),
        ("fsync", "b"),
        ("fsync", "manifest.json"),
        ("fsync", temporary),
        ("rename", "step-000000002"),
        ("fsync", "checkpoints"),
    ]
    assert journal[6][0] == "rename"  # only now is the older one pruned
    assert journal[6][1].startswith(".trash-")


def test_a_replacement_is_safe_under_its_second_name_before_the_old_one_goes(
    store: CheckpointStore, journal: list[tuple[str, str]]
) -> None:
    save(store, 1)
    journal.clear()
    store.save(1, {"a": b"other"}, {})
    trash = journal[5][1]
    assert trash.startswith(".trash-")
    assert journal[3:] == [
        ("rename", "step-000000001.new"),
        ("fsync", "checkpoints"),
        ("rename", trash),
        ("fsync", "checkpoints"),
        ("rename", "step-000000001"),
        ("fsync", "checkpoints"),
        ("fsync", "checkpoints"),
    ]
    journal.clear()
    store.save(1, {"a": b"other"}, {})
    assert journal[-1] == ("fsync", "checkpoints"), "a kept one is acknowledged only when it is durable"
