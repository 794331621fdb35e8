from __future__ import annotations

import json
import os
import re
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cifar_tui.errors import (
    AccessError,
    CannotCreateError,
    CifarTuiError,
    DamagedError,
    LockedError,
    NotThereError,
    UsageError,
)
from cifar_tui.runs.directory import (
    RunDirectory,
    check_run_id,
    delete_run,
    list_runs,
    rename_run,
    runs_dir,
    suggest_run_id,
)
from cifar_tui.runs.files import sweep_leftovers
from cifar_tui.runs.lock import RunLock

META: dict[str, Any] = {"title": "first", "config": {"model": "cnn", "steps": 100}}
DEAD_PID = 2**22 + 7  # beyond the largest process id of Linux


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def make(root: Path, name: str, **more: Any) -> RunDirectory:
    return RunDirectory.create(root, {**META, **more}, name=name, stem="cnn")


def test_a_new_run_has_a_complete_record(tmp_path: Path) -> None:
    run = make(tmp_path / "deep" / "runs", "cnn-a")
    stored = json.loads(run.run_json.read_text())
    assert stored["schema"] == 1
    assert stored["id"] == "cnn-a"
    assert stored["title"] == "first"
    assert stored["parent"] is None
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", stored["created"])
    assert RunDirectory.open(run.root, "cnn-a").meta() == stored


def test_paths_of_a_run_are_those_of_the_contract(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path, "a")
    names = [run.run_json, run.events_path, run.checkpoints, run.report_path, run.lock_path]
    assert [path.relative_to(tmp_path).as_posix() for path in names] == [
        "a/run.json",
        "a/events.jsonl",
        "a/checkpoints",
        "a/report.json",
        "a/run.lock",
    ]


def test_numbered_names_take_the_first_free_number(tmp_path: Path) -> None:
    ids = [RunDirectory.create(tmp_path, META, name=None, stem="cnn").id for _ in range(3)]
    assert ids == ["cnn-1", "cnn-2", "cnn-3"]
    delete_run(RunDirectory(tmp_path, "cnn-2"))
    assert RunDirectory.create(tmp_path, META, name=None, stem="cnn").id == "cnn-2"
    assert RunDirectory.create(tmp_path, META, name=None, stem="../é").id == "run-1-1"


def test_threads_that_make_numbered_runs_at_once_get_different_names(tmp_path: Path) -> None:
    ids: list[str] = []

    def work() -> None:
        ids.extend(RunDirectory.create(tmp_path, META, name=None, stem="r").id for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ids) == sorted(f"r-{n}" for n in range(1, 31))
    for run in list_runs(tmp_path):
        assert run.meta()["id"] == run.id == json.loads(run.run_json.read_text())["id"]
    assert sorted(names_in(tmp_path)) == sorted(ids)


def test_a_taken_name_is_refused_with_both_ways_on(tmp_path: Path) -> None:
    run = make(tmp_path, "cnn-a")
    before = run.run_json.read_bytes()
    with pytest.raises(CannotCreateError) as caught:
        make(tmp_path, "cnn-a")
    assert caught.value.exit_code == 73
    assert "cifar-tui train --resume cnn-a" in str(caught.value.hint)
    assert "--name cnn-a-1" in str(caught.value.hint)
    assert run.run_json.read_bytes() == before
    assert names_in(tmp_path) == ["cnn-a"]


def test_a_run_is_never_seen_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cifar_tui.runs.directory.replace_json", fail)
    with pytest.raises(CifarTuiError) as caught:
        make(tmp_path, "a")
    assert caught.value.exit_code == 74
    assert names_in(tmp_path) == []


def test_an_unknown_run_names_the_nearest_one(tmp_path: Path) -> None:
    make(tmp_path, "cnn-alpha")
    with pytest.raises(NotThereError, match="cnn-alhpa") as caught:
        RunDirectory.open(tmp_path, "cnn-alhpa")
    assert '"cnn-alpha"' in str(caught.value.hint)
    assert caught.value.exit_code == 66
    with pytest.raises(NotThereError, match="there is no run") as caught:
        RunDirectory.open(tmp_path / "none", "x")
    assert "demo" in str(caught.value.hint)


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"schema": "1"}',
        b'{"schema": true}',
        b'{"schema": 0}',
        b"{}",
        b"\xff\xfe",
        b'{"schema": 1, "x": NaN}',
        b"[" * 100_000,
        b'{"schema": 1' + b"0" * 5000 + b"}",
    ],
)
def test_a_missing_or_corrupt_record_is_damage(tmp_path: Path, content: bytes | None) -> None:
    run = make(tmp_path, "a")
    run.run_json.unlink()
    if content is not None:
        run.run_json.write_bytes(content)
    with pytest.raises(DamagedError, match='run "a"') as caught:
        run.meta()
    assert caught.value.exit_code == 65
    with pytest.raises(DamagedError):
        run.update_meta(title="x")


def test_a_folder_or_pipe_in_place_of_the_record_is_damage_and_does_not_block(tmp_path: Path) -> None:
    for name, plant in (("a", Path.mkdir), ("b", os.mkfifo)):
        run = make(tmp_path, name)
        run.run_json.unlink()
        plant(run.run_json)
        with pytest.raises(DamagedError):
            run.meta()


def test_update_meta_changes_only_what_is_named(tmp_path: Path) -> None:
    run = make(tmp_path, "a")
    before = run.meta()
    run.update_meta(title="x \x1b[31m é \udcff", loss=float("nan"))
    assert run.meta() == {**before, "title": "x \x1b[31m é \udcff", "loss": None}


def test_list_is_newest_first_and_skips_what_is_hidden_or_no_folder(tmp_path: Path) -> None:
    for name, year in (("old", 2020), ("new", 2030), ("mid", 2025)):
        make(tmp_path, name, created=f"{year}-01-01T00:00:00Z")
    (tmp_path / ".tmp-1-1").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a file").write_text("x")
    (tmp_path / "file").write_text("x")
    assert [run.id for run in list_runs(tmp_path)] == ["new", "mid", "old"]
    assert list_runs(tmp_path / "none") == []


def test_delete_removes_all_and_refuses_a_run_in_use(tmp_path: Path) -> None:
    run = make(tmp_path, "a")
    (run.checkpoints / "step-000000001").mkdir(parents=True)
    with RunLock(run), pytest.raises(LockedError):
        delete_run(run)
    assert run.run_json.exists()
    delete_run(run)
    assert names_in(tmp_path) == []
    with pytest.raises(NotThereError):
        delete_run(run)


def test_deleting_a_linked_run_leaves_what_the_link_points_to(tmp_path: Path) -> None:
    outside = make(tmp_path / "elsewhere", "real")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "link").symlink_to(outside.path)
    delete_run(RunDirectory(tmp_path / "runs", "link"))
    assert outside.run_json.exists()
    assert not (tmp_path / "runs" / "link").is_symlink()


def test_rename_keeps_everything_and_refuses_taken_and_used_names(tmp_path: Path) -> None:
    run, other = make(tmp_path, "a"), make(tmp_path, "b")
    with pytest.raises(CannotCreateError):
        rename_run(run, "b")
    with RunLock(run), pytest.raises(LockedError):
        rename_run(run, "c")
    with pytest.raises(UsageError):
        rename_run(run, "../c")
    renamed = rename_run(run, "c")
    assert not run.path.exists()
    assert renamed.meta()["id"] == "c"
    assert renamed.meta()["title"] == "first"
    assert other.meta()["id"] == "b"


def test_leftovers_of_dead_processes_are_swept_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    for name in (f".tmp-{DEAD_PID}-0", f".trash-{DEAD_PID}-1", f".tmp-{os.getppid()}-0", ".tmp-x", "run"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    assert sweep_leftovers(tmp_path) == 2
    assert sorted(names_in(tmp_path)) == sorted([f".tmp-{os.getppid()}-0", ".tmp-x", "run"])
    assert sweep_leftovers(tmp_path / "none") == 0


def test_making_a_run_sweeps_what_is_old_and_leaves_what_is_young(tmp_path: Path) -> None:
    for name in (f".tmp-{DEAD_PID}-0", f".tmp-{DEAD_PID}-1"):
        (tmp_path / name).mkdir()
    os.utime(tmp_path / f".tmp-{DEAD_PID}-0", (0, 0))
    make(tmp_path, "a")
    assert names_in(tmp_path) == [f".tmp-{DEAD_PID}-1", "a"]


def test_sweeping_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("x")
    (tmp_path / f".trash-{DEAD_PID}-1").symlink_to(tmp_path / "precious")
    sweep_leftovers(tmp_path)
    assert sorted(names_in(tmp_path)) == ["precious"]
    assert (tmp_path / "precious" / "file").exists()


def test_runs_dir_prefers_option_then_environment_then_user_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CIFAR_TUI_RUNS_DIR", "~/from-environment")
    assert runs_dir("~/x") == tmp_path / "x"
    assert runs_dir(Path("/y")) == Path("/y")
    assert runs_dir("z").is_absolute()
    assert runs_dir(None) == tmp_path / "from-environment"
    monkeypatch.setenv("CIFAR_TUI_RUNS_DIR", "")
    assert runs_dir(None).is_absolute()
    assert runs_dir(None).name == "runs"
    monkeypatch.setenv("XDG_DATA_HOME", "relative/folder")
    assert runs_dir(None).is_absolute()
    assert "relative" not in str(runs_dir(None))


@pytest.mark.parametrize("text", ["", "  ", "a\0b", "~no-such-user-here/x"])
def test_a_runs_dir_that_is_no_folder_name_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        runs_dir(text)


def test_a_runs_dir_that_is_a_file_cannot_be_created_in(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CannotCreateError) as caught:
        make(tmp_path / "file", "a")
    assert caught.value.exit_code == 73
    with pytest.raises(CannotCreateError):
        make(tmp_path / "file" / "below", "a")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_fault_101_folders_are_0700_and_files_0600_under_any_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        run = make(tmp_path / "runs", "a")
        with RunLock(run):
            pass
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (run.root, run.path)]
    assert modes == [0o700, 0o700]
    assert [stat.S_IMODE(path.stat().st_mode) for path in (run.run_json, run.lock_path)] == [0o600, 0o600]


def test_fault_101_a_folder_of_others_that_all_may_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o777)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(AccessError) as caught:
        make(tmp_path, "a")
    assert caught.value.exit_code == 77
    tmp_path.chmod(0o1777)
    assert make(tmp_path, "a").run_json.exists()


@pytest.mark.parametrize(
    "text",
    [
        "../x",
        "/x",
        ".",
        "..",
        "",
        "-rf",
        "_x",
        "CON",
        "nul",
        "com1",
        "LPT9.txt",
        "a\0",
        "a\n",
        "a" * 65,
        ".hidden",
        "a.",
        "é",
        "a b",
        "a/b",
        "a\\b",
        "x" * 300,
        "\u202eabc",
        "[bold]x",
        "\ud800",
    ],
)
def test_fault_098_bad_run_names_are_refused_with_a_valid_suggestion(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_run_id(text)
    assert caught.value.exit_code == 2
    block = caught.value.block()
    assert all(character.isprintable() for line in block.splitlines() for character in line)
    suggestion = str(caught.value.hint).removeprefix("use ")
    assert check_run_id(suggestion) == suggestion == suggest_run_id(text)
    for attempt in (
        lambda: make(tmp_path, text),
        lambda: RunDirectory.open(tmp_path, text),
        lambda: rename_run(RunDirectory(tmp_path, "a"), text),
    ):
        with pytest.raises(UsageError):
            attempt()
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("text", ["a", "0", "cnn-1", "A.b_c-D", "a" * 64, "console", "com10", "a.-"])
def test_good_run_names_are_taken(text: str) -> None:
    assert check_run_id(text) == text


def test_two_thousand_runs_are_listed_in_time(tmp_path: Path) -> None:
    for number in range(2000):
        folder = tmp_path / f"r-{number}"
        folder.mkdir()
        text = {"schema": 1, "created": f"2025-01-01T00:00:{number / 100:07.4f}Z", "config": {"model": "cnn"}}
        (folder / "run.json").write_text(json.dumps(text))
    start = time.perf_counter()
    found = list_runs(tmp_path)
    assert time.perf_counter() - start < 2.0
    assert [run.id for run in found[:2]] == ["r-1999", "r-1998"]
