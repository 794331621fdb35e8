"""The folder of a run: its names, its ``run.json``, and making, finding, renaming and deleting it.

A run appears whole: its folder is built under a hidden name and renamed, so that the rename decides who gets
a name. Paths inside are relative, so that a run can be copied or moved; its id is the name of its folder.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cifar_tui.errors import (
    AccessError,
    CannotCreateError,
    CifarTuiError,
    DamagedError,
    NotThereError,
    UsageError,
    from_os_error,
)
from cifar_tui.fsio import fsync_folder, make_folder, replace_json
from cifar_tui.runs.files import (
    discard,
    finished,
    fresh_folder,
    json_safe,
    parse_object,
    read_regular,
    refuse_link,
    remove_tree,
    rfc3339,
    sweep_leftovers,
)
from cifar_tui.runs.names import RUN_ID, check_run_id, is_run_id, suggest_run_id
from cifar_tui.text import nearest, safe_text

__all__ = [
    "RUN_ID",
    "SCHEMA",
    "RunDirectory",
    "check_run_id",
    "created",
    "delete_run",
    "folder_time",
    "iterate_runs",
    "list_runs",
    "rename_run",
    "runs_dir",
    "suggest_run_id",
]

SCHEMA = 1
_META_LIMIT = 16 << 20
_LEFTOVER_AGE = 60.0


def runs_dir(option: Path | str | None = None) -> Path:
    """Where runs live: `option`, else ``CIFAR_TUI_RUNS_DIR``, else the user data folder; absolute.

    Raises:
        UsageError: an empty name, or a home folder that is not known.
    """
    text = os.environ.get("CIFAR_TUI_RUNS_DIR") or None if option is None else str(option)
    if text is None:
        return _user_data_folder() / "runs"
    if not text.strip() or "\0" in text:
        raise UsageError(f'--runs-dir: "{safe_text(text, 80)}" is no folder name', hint="--runs-dir ./runs")
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(f"--runs-dir {safe_text(text, 80)}: {error}", hint="--runs-dir ./runs") from None


@dataclass(frozen=True)
class RunDirectory:
    """A run on disk.

    Attributes:
        root: the folder that holds all runs.
        id: name of this run's folder.
    """

    root: Path
    id: str

    @cached_property
    def path(self) -> Path:
        """The run's folder."""
        return self.root / self.id

    @property
    def base(self) -> str:
        """The same as text, for where thousands of runs are looked at: a `Path` takes longer than a file."""
        return f"{self.root}/{self.id}"

    @property
    def run_json(self) -> Path:
        """What the run is: written when it is made, small."""
        return self.path / "run.json"

    @property
    def events_path(self) -> Path:
        """Its events, one a line."""
        return self.path / "events.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of its checkpoints; made with the first one."""
        return self.path / "checkpoints"

    @property
    def report_path(self) -> Path:
        """The last evaluation report."""
        return self.path / "report.json"

    @property
    def lock_path(self) -> Path:
        """Locked while a process trains."""
        return self.path / "run.lock"

    @classmethod
    def create(cls, runs_dir: Path, meta: dict[str, Any], *, name: str | None, stem: str) -> RunDirectory:
        """Make a new run.

        Args:
            runs_dir: the folder of all runs; made where it is missing.
            meta: content of ``run.json``; `schema`, `id` and `created` are filled in.
            name: the id; None for the first free ``<stem>-<n>``, counted from 1.
            stem: what numbered ids begin with.

        Raises:
            UsageError: a bad name.
            CannotCreateError: the name is taken, or the folder cannot be made.
            AccessError: no permission, or a runs folder that others could write into.
        """
        if name is not None:
            check_run_id(name)
        base = suggest_run_id(stem)[:48].rstrip(".-")
        try:
            make_folder(runs_dir)
            _refuse_open_folder(runs_dir)
            sweep_leftovers(runs_dir, older_than=_LEFTOVER_AGE)
            return _build(runs_dir, meta, name, base)
        except OSError as error:
            raise from_os_error(
                error, "make a run in", runs_dir, hint="name another folder: --runs-dir ./runs"
            ) from error

    @classmethod
    def open(cls, runs_dir: Path, id: str) -> RunDirectory:
        """The run with this id.

        Raises:
            UsageError: no valid id.
            NotThereError: there is no such run; the hint names the nearest one.
        """
        run = cls(runs_dir, check_run_id(id))
        if run.path.is_dir():
            return run
        names = _entries(runs_dir)
        near = nearest(id, names)
        if near is not None:
            hint = f'did you mean "{near}"? cifar-tui runs list'
        elif names:
            hint = "cifar-tui runs list"
        else:
            hint = "there are no runs yet: cifar-tui demo"
        raise NotThereError(f'there is no run "{id}"', where=runs_dir, hint=hint, id="E-RUN-MISSING")

    def meta(self) -> dict[str, Any]:
        """The content of ``run.json``, with the folder's name as `id`.

        Raises:
            DamagedError: it is missing, no JSON object, or written by a newer version.
            AccessError: no permission.
        """
        try:
            values = parse_object(read_regular(f"{self.base}/run.json", _META_LIMIT))
        except PermissionError as error:
            raise from_os_error(error, "read", self.run_json) from error
        except OSError as error:
            raise self._damaged(error.strerror or "unreadable") from error
        except ValueError as error:
            raise self._damaged(f"not a JSON object: {error}") from error
        schema = values.get("schema")
        if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
            raise self._damaged(f"schema is {safe_text(schema, 40)}, expected {SCHEMA}")
        if schema > SCHEMA:
            raise DamagedError(
                f'run "{self.id}" was written by a newer version '
                f"(schema {schema}, this version reads up to {SCHEMA})",
                where=self.run_json,
                state="nothing changed",
                hint="pip install --upgrade cifar-tui",
                id="E-RUN-VERSION",
            )
        return {**values, "id": self.id}

    def update_meta(self, **changes: Any) -> dict[str, Any]:
        """Change fields of ``run.json``, atomically; returns the new content.

        Raises:
            DamagedError: as `meta`.
            CifarTuiError: it cannot be written.
        """
        refuse_link(self.path)
        values = json_safe({**self.meta(), **changes})
        try:
            replace_json(self.run_json, values)
        except OSError as error:
            raise from_os_error(error, "write", self.run_json) from error
        assert isinstance(values, dict)
        return values

    def _damaged(self, found: str) -> DamagedError:
        return DamagedError(
            f'run.json of run "{self.id}" is damaged ({found})',
            where=self.run_json,
            state="nothing changed; its events and checkpoints are untouched",
            hint=f"cifar-tui runs delete {self.id}",
            id="E-RUN-DAMAGED",
        )


def list_runs(runs_dir: Path) -> list[RunDirectory]:
    """All runs, newest first by `created`; damaged ones by their folder's time. Hidden names are skipped.

    Raises:
        CifarTuiError: the folder cannot be read; a missing one has no runs.
    """
    found = [(created(run), run.id, run) for run in iterate_runs(runs_dir)]
    found.sort(key=lambda entry: entry[:2], reverse=True)
    return [run for _, _, run in found]


def iterate_runs(runs_dir: Path) -> Iterator[RunDirectory]:
    """All runs in no order, without reading them.

    Raises:
        CifarTuiError: as `list_runs`.
    """
    for name in _entries(runs_dir):
        yield RunDirectory(runs_dir, name)


def created(run: RunDirectory) -> str:
    """When the run was made: RFC 3339 in UTC; the time of the folder for a damaged run."""
    with contextlib.suppress(CifarTuiError):
        value = run.meta().get("created")
        if isinstance(value, str):
            return value
    return folder_time(run.path)


def folder_time(path: Path) -> str:
    """The modification time of a folder as RFC 3339 text; "" where it has none."""
    try:
        return rfc3339(path.stat().st_mtime)
    except (OSError, ValueError, OverflowError):
        return ""


def delete_run(run: RunDirectory) -> None:
    """Delete a run: it vanishes in one step, then its files are removed.

    Raises:
        LockedError: a process trains in it.
        CifarTuiError: it cannot be deleted.
    """
    from cifar_tui.runs.lock import RunLock

    try:
        if run.path.is_symlink():
            run.path.unlink()
            return
        with RunLock(run):
            discard(run.path)
        sweep_leftovers(run.root, older_than=_LEFTOVER_AGE)
    except OSError as error:
        raise from_os_error(error, "delete", run.path) from error


def rename_run(run: RunDirectory, new_id: str) -> RunDirectory:
    """Give a run another id.

    Raises:
        UsageError: no valid id.
        LockedError: a process trains in it.
        CannotCreateError: the id is taken.
    """
    from cifar_tui.runs.lock import RunLock

    renamed = RunDirectory(run.root, check_run_id(new_id))
    try:
        with RunLock(run):
            if os.path.lexists(renamed.path):
                raise _taken(renamed)
            run.path.rename(renamed.path)
            fsync_folder(run.root)
            with contextlib.suppress(DamagedError):  # a damaged run can be renamed too
                renamed.update_meta(id=new_id)
    except OSError as error:
        if _means_taken(error):
            raise _taken(renamed) from None
        raise from_os_error(error, "rename", run.path) from error
    return renamed


def _user_data_folder() -> Path:
    import platformdirs

    folder = Path(platformdirs.user_data_dir("cifar-tui", appauthor=False))
    if folder.is_absolute():
        return folder
    # The XDG specification: a relative path is invalid and is ignored.
    return Path.home() / ".local" / "share" / "cifar-tui"


def _entries(root: Path) -> list[str]:
    try:
        with os.scandir(root) as entries:
            return [entry.name for entry in entries if is_run_id(entry.name) and entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise from_os_error(error, "list", root) from error


def _build(root: Path, meta: dict[str, Any], name: str | None, base: str) -> RunDirectory:
    folder = fresh_folder(root)
    try:
        while True:
            run = RunDirectory(root, name if name is not None else _first_free(root, base))
            if name is not None and os.path.lexists(run.path):
                raise _taken(run)
            values = {"schema": SCHEMA, "id": run.id, "title": run.id, "created": rfc3339(), "parent": None}
            values |= {key: value for key, value in json_safe(meta).items() if key not in {"schema", "id"}}
            replace_json(folder / "run.json", values)
            try:
                folder.rename(run.path)  # fails where the name holds a run: they are never empty
            except OSError as error:
                if not _means_taken(error):
                    raise
                if name is not None:
                    raise _taken(run) from None
                continue
            fsync_folder(root)
            return run
    except BaseException:
        remove_tree(folder)
        raise
    finally:
        finished(folder)


def _first_free(root: Path, base: str) -> str:
    names = {name.casefold() for name in os.listdir(root)}  # noqa: PTH208 - names only
    number = 1
    while f"{base}-{number}".casefold() in names:
        number += 1
    return f"{base}-{number}"


def _means_taken(error: OSError) -> bool:
    return error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}


def _taken(run: RunDirectory) -> CannotCreateError:
    free = _first_free(run.root, run.id[:56].rstrip(".-"))
    return CannotCreateError(
        f'run "{run.id}" exists already',
        where=run.path,
        state="nothing changed",
        hint=f"cifar-tui train --resume {run.id}, or a new run with --name {free}",
        id="E-RUN-EXISTS",
    )


def _refuse_open_folder(root: Path) -> None:
    status = root.stat()
    shared = status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX
    if shared and status.st_uid != os.geteuid():
        raise AccessError(
            f"{root} belongs to user {status.st_uid} and everyone can write into it, expected your own",
            hint="name another folder: --runs-dir ./runs",
            id="E-RUNS-DIR-OPEN",
        )
