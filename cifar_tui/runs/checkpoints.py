"""Checkpoints as folders that are wholly there or not there, and are checked before they are used.

A checkpoint is built under a hidden name, with its manifest last, every file and the folder fsynced, and then
renamed; only after the parent folder is fsynced too is it acknowledged, and only then are older ones removed.
What the files mean is the caller's business.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifar_tui.errors import CifarTuiError, DamagedError, NotThereError, UsageError, from_os_error
from cifar_tui.fsio import FILE_MODE, fsync_folder, make_folder, sha256_file, write_bytes
from cifar_tui.runs import manifest as manifests
from cifar_tui.runs.files import (
    discard,
    finished,
    fresh_folder,
    open_regular,
    refuse_link,
    remove_tree,
    rfc3339,
    sweep_leftovers,
)

FileSource = bytes | Callable[[Path], None]
_MAX_STEP = 999_999_999
# ".new" is a checkpoint that is about to take the place of an older one of the same step.
_NAME = re.compile(r"(step|best)-(\d{9})(\.new)?")


@dataclass(frozen=True)
class CheckpointInfo:
    """A checkpoint as its name tells it; nothing of it is verified.

    Attributes:
        name: name of its folder.
        step: steps done.
        path: its folder.
        best: it is kept for its accuracy, apart from the newest ones.
        created: RFC 3339 in UTC, from the time of the folder.
    """

    name: str
    step: int
    path: Path
    best: bool
    created: str


_Infos = list[CheckpointInfo]
_Notes = list[str]
_Failures = list[tuple[CheckpointInfo, CifarTuiError]]


class CheckpointStore:
    """The checkpoints of a run. Saving needs the run's lock; reading does not.

    Args:
        checkpoints_dir: ``<run>/checkpoints``; made with the first checkpoint, and again when deleted.
        keep: how many of the newest `step-*` are kept; 0 for none, so that only the best one is.

    Raises:
        UsageError: a negative `keep`.
    """

    def __init__(self, checkpoints_dir: Path, keep: int = 10) -> None:
        if keep < 0:
            raise UsageError(f"checkpoint_keep is {keep}, expected 0 or more", hint="--checkpoint-keep 10")
        self._folder = checkpoints_dir
        self._keep = keep
        self._run = checkpoints_dir.parent.name

    def save(
        self, step: int, files: Mapping[str, FileSource], manifest: Mapping[str, Any], *, best: bool = False
    ) -> CheckpointInfo | None:
        """Write a checkpoint. When this returns it is on the disk.

        One of the same step and content is kept as it is; of other content, or damaged, it is replaced, and
        there is a good one at every instant. After that the oldest beyond `keep` are removed, and so are
        those of later steps: the training went back, and they belong to a course that is superseded.

        Args:
            step: steps done, 0 to 999,999,999.
            files: by name, the content, or a function that writes it to the path it is given.
            manifest: JSON values for ``manifest.json``; `schema`, `step` and `files` are filled in.
            best: pin it as the best one; the best one before is removed.

        Returns:
            The checkpoint; None where `keep` is 0 and it is not the best.

        Raises:
            UsageError: a step or file name out of range.
            CifarTuiError: it cannot be written; temporary files are removed, older checkpoints untouched.
        """
        _check_arguments(step, files)
        if not best and not self._keep:
            return None
        refuse_link(self._folder.parent)
        refuse_link(self._folder)
        try:
            try:
                info = self._write(step, files, manifest, best)
            except FileNotFoundError:  # the folder was deleted under way
                info = self._write(step, files, manifest, best)
        except OSError as error:
            raise from_os_error(error, f"save checkpoint {step} in", self._folder) from error
        self._prune(info)
        return info

    def list(self) -> list[CheckpointInfo]:
        """All checkpoints by ascending step, by name only; `step-*` before `best-*` of the same step.

        Raises:
            CifarTuiError: the folder cannot be read; a missing one holds none.
        """
        found: dict[tuple[int, bool], CheckpointInfo] = {}
        try:
            with os.scandir(self._folder) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):  # ".new" comes later, and wins
                    match = _NAME.fullmatch(entry.name)
                    if match is None or not entry.is_dir(follow_symlinks=False):
                        continue
                    with contextlib.suppress(FileNotFoundError):  # pruned just now
                        info = self._info(entry.name, match, entry.stat().st_mtime)
                        found[info.step, info.best] = info
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise from_os_error(error, "list", self._folder) from error
        return [found[key] for key in sorted(found)]

    def verify(self, info: CheckpointInfo) -> dict[str, Any]:
        """The manifest of a checkpoint, after every file was compared with it by size and SHA-256.

        Raises:
            DamagedError: says which file, what was found and what was expected; id E-CKPT-VERSION for one of
                a newer version.
            CifarTuiError: it cannot be read.
        """
        title = f'checkpoint {info.step} of run "{self._run}"'
        return manifests.verify_folder(info.path, info.step, title, f"cifar-tui train --resume {self._run}")

    def newest_good(
        self, at: int | None = None, best: bool = False, *, read_only: bool = False
    ) -> tuple[CheckpointInfo, dict[str, Any], _Notes]:
        """The newest checkpoint that verifies.

        Args:
            at: only the one of this step.
            best: only the best ones.
            read_only: leave damaged ones alone; else each that was passed over is renamed ``*.corrupt``.
                Those of a newer version, and those that could not be read, always stay.

        Returns:
            The checkpoint, its manifest, and a note for each that was passed over, which says why.

        Raises:
            NotThereError: there is none, or none of that step.
            DamagedError: that step, or every one, is damaged.
            CifarTuiError: none can be read.
        """
        candidates = [info for info in self.list() if not best or info.best]
        candidates.sort(key=lambda info: (-info.step, info.best))
        if at is not None:
            return self._good_at(at, candidates)
        if not candidates:
            kind = "best checkpoint" if best else "checkpoint"
            raise NotThereError(
                f'run "{self._run}" has no {kind}',
                where=self._folder,
                hint=f"cifar-tui runs show {self._run}",
                id="E-CKPT-MISSING",
            )
        failures: _Failures = []
        for info in candidates:
            try:
                manifest = self.verify(info)
            except CifarTuiError as error:
                failures.append((info, error))
                continue
            notes = [f"{error.message}; using checkpoint {info.step} instead" for _, error in failures]
            if not read_only:
                self._set_aside(failures)
            return info, manifest, notes
        raise self._none_good(failures)

    def supersede(self, step: int) -> int:
        """Remove the `step-*` of steps after `step`, before a training goes on from there.

        Returns:
            How many were removed.

        Raises:
            CifarTuiError: one cannot be removed.
        """
        later = [info for info in self.list() if info.step > step and not info.best]
        try:
            for info in later:
                discard(info.path)
        except OSError as error:
            raise from_os_error(error, "remove a superseded checkpoint in", self._folder) from error
        return len(later)

    def sweep(self) -> int:
        """Finish or remove what a killed process left; needs the run's lock. Returns how much was removed."""
        with contextlib.suppress(OSError):
            for path in self._folder.glob("*.new"):
                if _NAME.fullmatch(path.name):
                    self._settle(path.with_suffix(""))
        return sweep_leftovers(self._folder)

    def _info(self, name: str, match: re.Match[str], modified: float) -> CheckpointInfo:
        return CheckpointInfo(
            name, int(match[2]), self._folder / name, best=match[1] == "best", created=rfc3339(modified)
        )

    def _write(
        self, step: int, files: Mapping[str, FileSource], manifest: Mapping[str, Any], best: bool
    ) -> CheckpointInfo:
        make_folder(self._folder)
        temporary = fresh_folder(self._folder)
        try:
            sealed = _write_files(temporary, step, files, manifest)
            return self._publish(temporary, step, sealed, best)
        finally:
            remove_tree(temporary)  # gone already where it was published
            finished(temporary)

    def _publish(self, temporary: Path, step: int, sealed: bytes, best: bool) -> CheckpointInfo:
        final = self._folder / f"{'best' if best else 'step'}-{step:09d}"
        self._settle(final)
        if not os.path.lexists(final):
            temporary.rename(final)
        elif not self._same(final, step, sealed):
            # Two names, so that at every instant one of them is a good checkpoint of this step.
            temporary.rename(f"{final}.new")
            fsync_folder(self._folder)
            self._settle(final)
        fsync_folder(self._folder)
        return CheckpointInfo(final.name, step, final, best, rfc3339(final.stat().st_mtime))

    def _settle(self, final: Path) -> None:
        """Let ``<final>.new``, where there is one, take the place of `final`."""
        new = Path(f"{final}.new")
        if not os.path.lexists(new):
            return
        if new.is_symlink() or not new.is_dir():
            discard(new)  # none of ours
            return
        if os.path.lexists(final):
            discard(final)
        new.rename(final)
        fsync_folder(self._folder)

    def _same(self, final: Path, step: int, sealed: bytes) -> bool:
        try:
            manifests.verify_folder(final, step, "", None)
            return (final / manifests.NAME).read_bytes() == sealed
        except (CifarTuiError, OSError):
            return False

    def _prune(self, saved: CheckpointInfo) -> None:
        """Remove what is no longer kept. Failure is harmless: the next save tries again."""
        with contextlib.suppress(OSError, CifarTuiError):
            same_kind = [info for info in self.list() if info.best == saved.best]
            older = [info for info in same_kind if info.step < saved.step]
            later = [info for info in same_kind if info.step > saved.step]
            beyond = older if saved.best else older[: max(0, len(older) - (self._keep - 1))]
            for info in [*later, *beyond]:
                discard(info.path)

    def _good_at(self, at: int, candidates: _Infos) -> tuple[CheckpointInfo, dict[str, Any], _Notes]:
        failure: CifarTuiError | None = None
        for info in candidates:
            if info.step == at:
                try:
                    return info, self.verify(info), []
                except CifarTuiError as error:
                    failure = error
        if failure is None:
            steps = sorted({info.step for info in candidates})
            near = min(steps, key=lambda step: abs(step - at), default=None)
            shown = ", ".join(str(step) for step in steps[-10:]) or "none"
            raise NotThereError(
                f'run "{self._run}" has no checkpoint of step {at}; the newest are: {shown}',
                where=self._folder,
                hint="cifar-tui runs list"
                if near is None
                else f"cifar-tui train --resume {self._run} --at {near}",
                id="E-CKPT-MISSING",
            )
        good = self._newest_intact([info for info in candidates if info.step != at])
        if good is not None and isinstance(failure, DamagedError):
            failure.state = f"nothing changed; newest good checkpoint is {good.step}"
            failure.hint = f"cifar-tui train --resume {self._run} --at {good.step}"
        raise failure

    def _newest_intact(self, candidates: _Infos) -> CheckpointInfo | None:
        for info in candidates:
            with contextlib.suppress(CifarTuiError):
                self.verify(info)
                return info
        return None

    def _none_good(self, failures: _Failures) -> CifarTuiError:
        _, newest = failures[0]
        if not isinstance(newest, DamagedError) or newest.id == "E-CKPT-VERSION":
            return newest
        return DamagedError(
            f'run "{self._run}" has no good checkpoint, {len(failures)} tried; the newest: {newest.message}',
            where=self._folder,
            state="nothing changed",
            hint=f"start again in a new run: cifar-tui train --name {self._run}-2",
            id="E-CKPT-DAMAGED",
        )

    def _set_aside(self, failures: _Failures) -> None:
        """Rename damaged checkpoints to ``*.corrupt``: nothing is deleted that a person might still want."""
        for info, error in failures:
            if isinstance(error, DamagedError) and error.id != "E-CKPT-VERSION":
                target = self._folder / f"{info.name}.corrupt"
                number = 2
                while os.path.lexists(target):
                    target = self._folder / f"{info.name}.corrupt-{number}"
                    number += 1
                with contextlib.suppress(OSError):
                    info.path.rename(target)


def _check_arguments(step: int, files: Mapping[str, FileSource]) -> None:
    if not 0 <= step <= _MAX_STEP:
        raise UsageError(f"step {step} of a checkpoint is out of range, expected 0 to {_MAX_STEP:,}")
    for name in files:
        if not manifests.is_file_name(name):
            raise UsageError(f"{name!r} is no file name for a checkpoint, expected a plain name")


def _write_files(
    folder: Path, step: int, files: Mapping[str, FileSource], values: Mapping[str, Any]
) -> bytes:
    """Write and fsync the files, the manifest last, then the folder; returns the manifest's bytes."""
    table = {}
    for name, source in files.items():
        path = folder / name
        if isinstance(source, bytes):
            write_bytes(path, source)
            table[name] = (len(source), hashlib.sha256(source).hexdigest())
        else:
            _call(source, path)
            table[name] = (_secure(path), sha256_file(path))
    sealed = manifests.encode(step, values, table)
    write_bytes(folder / manifests.NAME, sealed)
    fsync_folder(folder)
    return sealed


def _call(source: Callable[[Path], None], path: Path) -> None:
    try:
        source(path)
    except OSError:
        raise
    except Exception as error:
        # Writers in Rust, such as safetensors, say "... (os error 28)" in an exception of their own.
        found = re.search(r"\(os error (\d+)\)", str(error))
        if found is None:
            raise
        number = int(found[1])
        raise OSError(number, os.strerror(number), str(path)) from error


def _secure(path: Path) -> int:
    """Fsync a file that someone else wrote and give it mode 0600; returns its size in bytes."""
    try:
        descriptor = open_regular(path, follow=False)
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise
        raise OSError(errno.EIO, f"{path.name} was not written", str(path)) from None
    try:
        os.fchmod(descriptor, FILE_MODE)
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
