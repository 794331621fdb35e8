from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import shutil
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from cifar_tui.errors import CannotCreateError, CifarTuiError, DamagedError, NotThereError, UsageError
from cifar_tui.runs.checkpoints import CheckpointInfo, CheckpointStore

DEAD_PID = 2**22 + 7
MANIFEST = {"epoch": 1.5, "config_sha256": "ab", "nan": float("nan")}


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content(step: int) -> dict[str, bytes]:
    return {"model.safetensors": b"model %d" % step * 5, "optimizer.safetensors": b"opt %d" % step}


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "cnn-a" / "checkpoints", keep=3)


def save(store: CheckpointStore, step: int, best: bool = False) -> CheckpointInfo:
    info = store.save(step, content(step), MANIFEST, best=best)
    assert info is not None
    return info


def names(store: CheckpointStore) -> list[str]:
    return [info.name for info in store.list()]


def visible(store: CheckpointStore) -> list[str]:
    return sorted(names_in(store._folder))


def flip(path: Path, position: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


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


def test_fault_072_the_newest_good_one_is_found_and_bad_ones_are_set_aside(store: CheckpointStore) -> None:
    for step in (1, 2, 3):
        save(store, step)
    flip(store._folder / "step-000000003" / "model.safetensors", 2)
    (store._folder / "step-000000002" / "manifest.json").unlink()
    before = visible(store)
    found, manifest, notes = store.newest_good(read_only=True)
    assert found.step == manifest["step"] == 1
    assert [note.split(" is damaged")[0] for note in notes] == [
        'checkpoint 3 of run "cnn-a"',
        'checkpoint 2 of run "cnn-a"',
    ]
    assert all(note.endswith("using checkpoint 1 instead") for note in notes)
    assert visible(store) == before
    store.newest_good()
    assert visible(store) == ["step-000000001", "step-000000002.corrupt", "step-000000003.corrupt"]
    save(store, 3)
    flip(store._folder / "step-000000003" / "model.safetensors", 2)
    store.newest_good()
    assert "step-000000003.corrupt-2" in visible(store)


def test_the_right_one_is_found_in_many_random_mixes(tmp_path: Path) -> None:
    rng = random.Random(7)
    steps = list(range(1, 7))
    store = CheckpointStore(tmp_path / "checkpoints", keep=10)
    for step in steps:
        save(store, step)
    shutil.copytree(store._folder, tmp_path / "good")
    for _ in range(60):
        bad = set(rng.sample(steps, rng.randint(0, 5)))
        for step in bad:
            path = store._folder / f"step-{step:09d}" / rng.choice([*content(1), "manifest.json"])
            flip(path, rng.randrange(path.stat().st_size), rng.randrange(8))
        found, _, notes = store.newest_good(read_only=True)
        assert found.step == max(set(steps) - bad)
        assert len(notes) == 6 - found.step
        shutil.rmtree(store._folder)
        shutil.copytree(tmp_path / "good", store._folder)


def test_fault_073_no_good_one_is_damage_and_no_one_at_all_is_missing(store: CheckpointStore) -> None:
    with pytest.raises(NotThereError) as missing:
        store.newest_good()
    assert missing.value.exit_code == 66
    for step in (1, 2):
        flip(save(store, step).path / "manifest.json", 5)
    with pytest.raises(DamagedError, match="no good checkpoint, 2 tried") as caught:
        store.newest_good()
    assert caught.value.exit_code == 65
    assert "--name" in str(caught.value.hint)
    assert visible(store) == ["step-000000001", "step-000000002"]


def test_a_step_that_is_asked_for_is_taken_or_refused_with_the_good_one(store: CheckpointStore) -> None:
    for step in (1000, 2000, 3000):
        save(store, step)
    assert store.newest_good(at=2000)[0].step == 2000
    flip(store._folder / "step-000003000" / "model.safetensors", 0)
    flip(store._folder / "step-000002000" / "model.safetensors", 0)
    with pytest.raises(DamagedError) as caught:
        store.newest_good(at=3000)
    assert caught.value.hint == "cifar-tui train --resume cnn-a --at 1000"
    assert "newest good checkpoint is 1000" in str(caught.value.state)
    with pytest.raises(NotThereError) as missing:
        store.newest_good(at=2900)
    assert missing.value.hint == "cifar-tui train --resume cnn-a --at 3000"
    assert len(store.list()) == 3


def test_fault_074_the_newest_n_are_kept(tmp_path: Path) -> None:
    for keep, expected in ((1, [9]), (3, [7, 8, 9]), (100_000, list(range(10)))):
        store = CheckpointStore(tmp_path / str(keep) / "checkpoints", keep=keep)
        for step in range(10):
            save(store, step)
        assert [info.step for info in store.list()] == expected
        assert visible(store) == names(store)
    lower = CheckpointStore(tmp_path / "100000" / "checkpoints", keep=2)
    save(lower, 10)
    assert [info.step for info in lower.list()] == [9, 10]
    none = CheckpointStore(tmp_path / "0" / "checkpoints", keep=0)
    assert none.save(1, content(1), {}) is None
    assert not none._folder.exists()
    assert save(none, 2, best=True).name == "best-000000002"
    with pytest.raises(UsageError):
        CheckpointStore(tmp_path, keep=-1)


def test_fault_075_the_best_one_is_kept_apart_and_only_the_newest_best(store: CheckpointStore) -> None:
    save(store, 1, best=True)
    save(store, 2, best=True)
    for step in range(3, 10):
        save(store, step)
    assert names(store) == ["best-000000002", "step-000000007", "step-000000008", "step-000000009"]
    found, _, _ = store.newest_good(best=True)
    assert (found.step, found.best) == (2, True)
    assert store.newest_good()[0].step == 9
    assert store.newest_good(at=2)[0].best


def test_a_best_one_serves_when_all_others_are_bad(store: CheckpointStore) -> None:
    save(store, 1, best=True)
    flip(save(store, 2).path / "manifest.json", 5)
    assert store.newest_good()[0].name == "best-000000001"
    with pytest.raises(NotThereError, match="no best checkpoint"):
        CheckpointStore(store._folder.parent / "other").newest_good(best=True)


def test_going_back_supersedes_the_later_ones_and_never_prunes_the_new_one(store: CheckpointStore) -> None:
    for step in (10, 20, 30):
        save(store, step)
    assert save(store, 15).path.exists()
    assert names(store) == ["step-000000010", "step-000000015"]
    assert store.supersede(10) == 1
    assert names(store) == ["step-000000010"]
    assert store.supersede(10) == 0


def test_saving_the_same_again_keeps_it_and_other_content_replaces_it(store: CheckpointStore) -> None:
    info = save(store, 5)
    inode = info.path.stat().st_ino
    assert save(store, 5) == info
    assert info.path.stat().st_ino == inode
    store.save(5, {"model.safetensors": b"other"}, {})
    assert store.verify(info)["files"].keys() == {"model.safetensors"}
    flip(info.path / "model.safetensors", 0)
    store.save(5, {"model.safetensors": b"other"}, {})
    store.verify(info)
    assert visible(store) == ["step-000000005"]
    shutil.rmtree(info.path)
    info.path.write_text("a file in the way")
    save(store, 5)
    store.verify(info)
    assert visible(store) == ["step-000000005"]


def test_fault_058_a_deleted_folder_is_made_anew_even_under_way(store: CheckpointStore) -> None:
    save(store, 1)
    shutil.rmtree(store._folder)
    store.verify(save(store, 2))
    calls = 0

    def write(path: Path) -> None:
        nonlocal calls
        calls += 1
        path.write_bytes(b"x")
        if calls == 1:
            shutil.rmtree(store._folder)

    info = store.save(3, {"a": write}, {})
    assert info is not None
    store.verify(info)
    assert names(store) == ["step-000000003"]


def test_fault_077_leftovers_are_swept_and_those_of_a_living_process_stay(store: CheckpointStore) -> None:
    save(store, 1)
    live = f".tmp-{os.getppid()}-0"
    own = f".tmp-{os.getpid()}-999999"  # of an earlier process that had our id
    for name in (f".tmp-{DEAD_PID}-0", f".trash-{DEAD_PID}-3", live, own):
        (store._folder / name).mkdir()
        (store._folder / name / "manifest.json").write_text("{}")
    assert names(store) == ["step-000000001"]
    assert store.sweep() == 3
    assert visible(store) == sorted([live, "step-000000001"])
    assert CheckpointStore(store._folder / "none").sweep() == 0


def test_a_replacement_that_was_killed_half_way_is_finished(store: CheckpointStore) -> None:
    old = save(store, 5)
    shutil.copytree(old.path, store._folder / "step-000000005.new")
    flip(old.path / "model.safetensors", 0)
    assert [info.name for info in store.list()] == ["step-000000005.new"]
    store.newest_good()
    store.sweep()
    assert visible(store) == ["step-000000005"]
    store.verify(old)


def test_fault_076_a_moved_or_copied_run_keeps_its_checkpoints(
    store: CheckpointStore, tmp_path: Path
) -> None:
    save(store, 5)
    shutil.copytree(store._folder.parent, tmp_path / "copy")
    store._folder.parent.rename(tmp_path / "moved")
    for name in ("copy", "moved"):
        assert CheckpointStore(tmp_path / name / "checkpoints").newest_good()[0].step == 5


def test_fault_080_nothing_is_written_through_links(store: CheckpointStore, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    store._folder.parent.mkdir()
    store._folder.symlink_to(tmp_path / "outside")
    with pytest.raises(CannotCreateError):
        save(store, 1)
    store._folder.unlink()
    store._folder.parent.rmdir()
    store._folder.parent.symlink_to(tmp_path / "outside")
    with pytest.raises(CannotCreateError):
        save(store, 1)
    assert names_in(tmp_path / "outside") == []


def test_fault_102_a_name_planted_in_the_place_of_a_temporary_one_is_not_used(
    store: CheckpointStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(store, 1)
    (tmp_path / "outside").mkdir()
    planted = store._folder / ".tmp-planted"
    planted.symlink_to(tmp_path / "outside")
    real = __import__("cifar_tui.runs.files", fromlist=["x"]).temporary_beside
    answers = [planted]
    monkeypatch.setattr(
        "cifar_tui.runs.files.temporary_beside", lambda path: answers.pop() if answers else real(path)
    )
    save(store, 2)
    assert names_in(tmp_path / "outside") == []
    assert names(store) == ["step-000000001", "step-000000002"]


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".x", "manifest.json", "MANIFEST.json", "a\n"])
def test_bad_file_names_and_steps_are_refused(store: CheckpointStore, name: str) -> None:
    with pytest.raises(UsageError):
        store.save(1, {name: b""}, {})
    for step in (-1, 10**9):
        with pytest.raises(UsageError):
            store.save(step, {}, {})
    assert not store._folder.exists()


def test_listing_ignores_what_is_no_checkpoint(store: CheckpointStore) -> None:
    save(store, 1)
    for name in ("step-1", "step-0000000001", "step-000000001.corrupt", "other", "best-x"):
        (store._folder / name).mkdir()
    (store._folder / "step-000000009").write_text("a file")
    assert names(store) == ["step-000000001"]
    assert CheckpointStore(store._folder / "none").list() == []


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
