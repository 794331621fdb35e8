"""Which checkpoint is taken, which are kept, and what else lies in their folder."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from cifar_tui.errors import CannotCreateError, DamagedError, NotThereError, UsageError
from cifar_tui.runs.checkpoints import CheckpointStore

from .checkpoint_tools import DEAD_PID, content, flip, names, names_in, save, visible


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
