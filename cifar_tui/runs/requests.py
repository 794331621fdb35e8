"""How another process steers a run: small files in the run's folder, taken in order by whoever trains it.

`ask` leaves a request in ``<run>/requests``; an `Inbox` of the process that holds the run's lock takes it.
What became of it is in the run's events: a note, and whatever the request does.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import math
import os
import re
import socket
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cifar_tui.errors import CannotCreateError, NotThereError, StorageError, UsageError, from_os_error
from cifar_tui.fsio import FILE_MODE, FOLDER_MODE, dump_json, leftover_owner, process_alive
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.files import parse_object, read_regular
from cifar_tui.runs.liveness import look
from cifar_tui.text import did_you_mean, safe_text

FOLDER = "requests"
LIMIT = 4096  # bytes of a request
MOST = 200  # requests that may wait
POLL_SECONDS = 0.05
_SCHEMA = 1
_AT_ONCE = 50
_MAX_STEP = 999_999_999
_MAX_RATE = 100
_NAME = re.compile(r"\d{20}-\d{1,10}-\d{1,6}\.json")
_counter = itertools.count()

# The values that each request takes: name, and whether it must be given.
REQUESTS: dict[str, dict[str, bool]] = {
    "pause": {},
    "resume": {},
    "stop": {"evaluate": False},
    "evaluate": {},
    "checkpoint": {},
    "target": {"step": True},
    "learning_rate": {"rate": True},
}


@dataclass(frozen=True)
class Request:
    """A request as it was taken.

    Attributes:
        id: name of its file.
        name: a key of `REQUESTS`; "" where it is refused.
        values: its values, checked.
        refused: why it is no request, in words; "" for a good one.
        pid, host: who asked, as the file says.
    """

    id: str
    name: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    refused: str = ""
    pid: int | None = None
    host: str | None = None

    @property
    def asker(self) -> str:
        """Who asked, in words."""
        who = f"process {self.pid}" if self.pid is not None else "another process"
        return who if self.host in {None, socket.gethostname()} else f"{who} on {safe_text(self.host, 80)}"


def check(name: str, values: Mapping[str, object]) -> dict[str, Any]:
    """The values of a request, checked.

    Args:
        name: "pause", "resume", "stop", "evaluate", "checkpoint", "target" or "learning_rate".
        values: `evaluate` (bool, of stop), `step` (int, of target), `rate` (float, of learning_rate).

    Raises:
        UsageError: an unknown request, or a value that is missing, unknown, or out of range.
    """
    if name not in REQUESTS:
        raise UsageError(f'there is no request "{safe_text(name, 40)}"', hint=did_you_mean(name, REQUESTS))
    known = REQUESTS[name]
    for key in values:
        if key not in known:
            raise UsageError(f'request "{name}" takes no value "{safe_text(key, 40)}"')
    for key, needed in known.items():
        if needed and key not in values:
            raise UsageError(f'request "{name}" needs a value "{key}"')
    return {key: _checked(name, key, value) for key, value in values.items()}


def ask(run: RunDirectory, request: str, **values: object) -> str:
    """Ask the process that trains a run for something; returns at once.

    Args:
        run: the run.
        request: a key of `REQUESTS`.
        values: see `check`.

    Returns:
        The id of the request, for `waiting`.

    Raises:
        UsageError: no such request, or nobody trains the run.
        CannotCreateError: the folder of requests is a link.
        CifarTuiError: the request cannot be written.
    """
    checked = check(request, values)
    found = look(run)
    if not found.live:
        raise UsageError(
            f'run "{run.id}" is not being trained: it is {found.state}',
            state="nothing changed",
            hint=f"cifar-tui runs show {run.id}",
            id="E-RUN-IDLE",
        )
    body = {"schema": _SCHEMA, "request": request, "values": checked, "time": time.time()}
    body |= {"pid": os.getpid(), "host": socket.gethostname()}
    number = next(_counter) % 1_000_000
    name = f"{time.time_ns():020d}-{os.getpid()}-{number}.json"
    try:
        with _folder(run, make=True) as folder:
            if len(os.listdir(folder)) >= MOST:  # noqa: PTH208 - names only
                raise StorageError(
                    f'{MOST} requests to run "{run.id}" wait already; its process does not take them',
                    state="nothing changed",
                    hint=f"cifar-tui watch {run.id} --plain",
                    id="E-RUN-BUSY",
                )
            _write(folder, f".tmp-{os.getpid()}-{number}", name, dump_json(body).encode("ascii"))
    except FileNotFoundError:
        raise NotThereError(
            f'there is no run "{run.id}"', where=run.root, hint="cifar-tui runs list"
        ) from None
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            raise CannotCreateError(
                f"{run.path / FOLDER} is no real folder; a run is written only into real folders",
                state="nothing changed",
                id="E-RUN-LINK",
            ) from None
        raise from_os_error(error, f'leave a request to run "{run.id}" in', run.path / FOLDER) from error
    return name


def waiting(run: RunDirectory, id: str) -> bool:
    """Whether a request was not taken yet."""
    return os.path.lexists(run.path / FOLDER / id)


def wait_taken(run: RunDirectory, id: str, seconds: float) -> bool:
    """Wait until a request is taken, at most this long; whether it was."""
    deadline = time.monotonic() + seconds
    while waiting(run, id):
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


class Inbox:
    """Takes the requests to a run; for the process that holds its lock. No method raises."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._kept: set[str] = set()  # taken, but the file could not be removed

    def sweep(self) -> int:
        """Remove every request: those left from an earlier training mean nothing now. Returns how many."""
        swept = 0
        with contextlib.suppress(OSError), _folder(self._run) as folder:
            for name in os.listdir(folder):  # noqa: PTH208 - names only
                swept += self._remove(folder, name) and not name.startswith(".")
        return swept

    def take(self) -> list[Request]:
        """The requests that came since the last call, in order, and removed; at most 50 of them."""
        taken = []
        with contextlib.suppress(OSError), _folder(self._run) as folder:
            for name in sorted(os.listdir(folder))[: MOST * 2]:  # noqa: PTH208 - names only
                if name in self._kept or self._half_written(folder, name):
                    continue
                request = _read(folder, name)
                if request is None:
                    continue
                if not self._remove(folder, name):
                    self._kept.add(name)
                taken.append(request)
                if len(taken) == _AT_ONCE:
                    break
        return taken

    def _remove(self, folder: int, name: str) -> bool:
        try:
            os.unlink(name, dir_fd=folder)
        except IsADirectoryError:
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=folder)
                return True
            return False
        except OSError:
            return False
        return True

    def _half_written(self, folder: int, name: str) -> bool:
        """Whether it is the temporary name of an asker; those of dead ones are removed."""
        owner = leftover_owner(name)
        if owner is None:
            return False
        if not process_alive(owner):
            self._remove(folder, name)
        return True


def _checked(request: str, key: str, value: object) -> bool | int | float:
    shown = safe_text(value, 40)
    if key == "evaluate":
        if isinstance(value, bool):
            return value
        raise UsageError(f"{request}: {key} is {shown}, expected true or false")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{request}: {key} is {shown}, expected a number")
    if key == "step":
        if isinstance(value, int) and 0 <= value <= _MAX_STEP:
            return value
        raise UsageError(f"{request}: {key} is {shown}, expected a step from 0 to {_MAX_STEP:,}")
    if math.isfinite(value) and 0 < value <= _MAX_RATE:
        return float(value)
    raise UsageError(f"{request}: {key} is {shown}, expected a number above 0, at most {_MAX_RATE}")


@contextlib.contextmanager
def _folder(run: RunDirectory, *, make: bool = False) -> Iterator[int]:
    """A descriptor of the folder of requests; a link in its place is an `OSError`."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    above = os.open(run.path, flags)
    try:
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(FOLDER, FOLDER_MODE, dir_fd=above)
        folder = os.open(FOLDER, flags, dir_fd=above)
    finally:
        os.close(above)
    try:
        yield folder
    finally:
        os.close(folder)


def _write(folder: int, temporary: str, name: str, data: bytes) -> None:
    """A file that is there whole or not at all. Not fsynced: a request does not outlive the training."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, FILE_MODE, dir_fd=folder)
    try:
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise


def _read(folder: int, name: str) -> Request | None:
    """The request in a file; None where it vanished."""
    if not _NAME.fullmatch(name):
        return Request(name, refused=f"{safe_text(name, 60)} is no name of a request")
    try:
        owner = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(owner.st_mode):
            return Request(name, refused="it is no regular file")
        if owner.st_uid not in {os.geteuid(), 0}:
            return Request(name, refused=f"it belongs to user {owner.st_uid}")
        values = parse_object(read_regular(name, LIMIT, follow=False, dir_fd=folder))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Request(name, refused=f"it cannot be read: {safe_text(reason, 200)}")
    pid, host = values.get("pid"), values.get("host")
    who: dict[str, Any] = {
        "pid": pid if isinstance(pid, int) and not isinstance(pid, bool) else None,
        "host": host if isinstance(host, str) else None,
    }
    try:
        if values.get("schema") != _SCHEMA:
            raise UsageError(f"its schema is {safe_text(values.get('schema'), 40)}, expected {_SCHEMA}")
        request, given = values.get("request"), values.get("values")
        if not isinstance(request, str) or not isinstance(given, dict):
            raise UsageError("it names no request")
        return Request(name, request, check(request, given), **who)
    except UsageError as error:
        return Request(name, refused=error.message, **who)
