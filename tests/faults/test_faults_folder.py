"""Faults of group B: what a data folder is called, holds and is left with."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cifar_tui import fsio
from cifar_tui.datasets import stamp, store
from cifar_tui.datasets.places import data_dir
from cifar_tui.errors import CannotCreateError, CifarTuiError, DamagedError, UsageError
from tests.faults.archive_tools import FOLDER, Importer
from tests.faults.tiny_data import Tiny


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
