"""One trainer a run: an advisory lock on ``run.lock`` that ends with its process, however that ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from cifar_tui.errors import LockedError, NotThereError, from_os_error
from cifar_tui.fsio import FILE_MODE, dump_json
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.files import open_regular, parse_object, refuse_link, rfc3339
from cifar_tui.text import safe_text

_INFO_LIMIT = 4096
_INFO_SIZE = 512  # padded, so that a change is one write of the same length
_PAUSE = 0.01


@dataclass(frozen=True)
class LockInfo:
    """What the lock file of a run says; each but `held` and `age` is None where it is not known.

    Attributes:
        held: a process of this machine holds the lock. A file system that machines share may not tell of
            holders on the others: there only the heartbeat does.
        pid, host: of the holder; of the last one where it died while it held the lock.
        since: when it took the lock, RFC 3339 in UTC.
        started: tells apart two processes that have the same id, see `process_started`.
        doing: what it does, in one word: "starting", "training", "paused", "evaluating" or "saving".
        age: seconds since the last heartbeat, at least 0.
    """

    held: bool = False
    pid: int | None = None
    host: str | None = None
    since: str | None = None
    started: str | None = None
    doing: str | None = None
    age: float = float("inf")


class RunLock:
    """The right to write into a run, held from `acquire` (or ``with``) to `release`.

    `flock` belongs to the open file: it also keeps two threads of one process apart.

    Args:
        run: the run.
        patience: seconds to try before giving up. `holder` takes a shared lock for an instant, and that must
            not turn a trainer away.
    """

    def __init__(self, run: RunDirectory, *, patience: float = 0.25) -> None:
        self._run = run
        self._patience = patience
        self._descriptor: int | None = None
        self._mutex = threading.RLock()  # the heartbeat comes from another thread
        self._info: dict[str, Any] = {}

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            LockedError: another holds it; names its process, host and since when.
            NotThereError: the run is not there.
            CifarTuiError: the lock file cannot be made.
        """
        with self._mutex:
            self._acquire()

    def _acquire(self) -> None:
        if self._descriptor is not None:
            raise LockedError(f'run "{self._run.id}" is already locked by this object')
        refuse_link(self._run.path)
        deadline = time.monotonic() + self._patience
        try:
            while (descriptor := self._attempt()) is None:
                if time.monotonic() >= deadline:
                    raise self._refused()
                time.sleep(_PAUSE)
        except FileNotFoundError:
            raise NotThereError(
                f'there is no run "{self._run.id}"', where=self._run.root, hint="cifar-tui runs list"
            ) from None
        except OSError as error:
            raise from_os_error(error, "lock", self._run.lock_path) from error
        self._descriptor = descriptor
        self._info = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": rfc3339(),
            "started": process_started(os.getpid()),
            "doing": "starting",
        }
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(descriptor, 0)
            self._write_info(descriptor)

    def beat(self, doing: str) -> None:
        """Show that the holder lives, and what it does; once a second, from any thread.

        The time of the lock file is the heartbeat. Where nothing is held nothing happens.
        """
        with self._mutex, contextlib.suppress(OSError):
            if self._descriptor is None:
                return
            if doing != self._info.get("doing"):
                self._info["doing"] = doing
                self._write_info(self._descriptor)
            os.utime(self._descriptor)

    def renew(self) -> None:
        """Lock anew where the lock file was deleted under the holder; see `acquire` for what it raises."""
        with self._mutex:
            if self._descriptor is None or not self._still_named(self._descriptor):
                self.release()
                self._acquire()

    def release(self) -> None:
        """Let go; harmless where nothing is held. The file stays: removing it would be a race."""
        with self._mutex:
            if self._descriptor is None:
                return
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, 0)
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)  # a forked child may share the open file
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def _attempt(self) -> int | None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(self._run.lock_path, flags, FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._still_named(descriptor):
                return descriptor
        except BlockingIOError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def _write_info(self, descriptor: int) -> None:
        os.pwrite(descriptor, dump_json(self._info).encode("ascii").ljust(_INFO_SIZE), 0)

    def _still_named(self, descriptor: int) -> bool:
        try:
            named = self._run.lock_path.lstat()
        except FileNotFoundError:
            return False
        mine = os.fstat(descriptor)
        return (named.st_dev, named.st_ino) == (mine.st_dev, mine.st_ino)

    def _refused(self) -> LockedError:
        found = holder(self._run) or {}
        return LockedError(
            f'run "{self._run.id}" is in use by process {found.get("pid") or "unknown"} on '
            f"{safe_text(found.get('host') or 'an unknown host', 80)} since "
            f"{safe_text(found.get('since') or 'an unknown time', 40)}",
            where=self._run.lock_path,
            state="nothing changed",
            hint=f"cifar-tui watch {self._run.id}",
            id="E-RUN-LOCKED",
        )


def holder(run: RunDirectory) -> dict[str, Any] | None:
    """Who holds the lock of a run now, else None. Changes nothing.

    Returns:
        `pid`, `host` and `since`, each None where it is not known.
    """
    found = read_lock(run)
    return {"pid": found.pid, "host": found.host, "since": found.since} if found.held else None


def read_lock(run: RunDirectory) -> LockInfo:
    """What the lock file says, held or not; nothing where there is none. Changes nothing."""
    try:
        descriptor = open_regular(run.lock_path, follow=False)
    except OSError:
        return LockInfo()
    held = False
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            held = True
        return _read_info(descriptor, held)
    except OSError:
        return LockInfo(held)
    finally:
        os.close(descriptor)


def process_started(pid: int) -> str | None:
    """When a process of this machine began, in a form that only serves to compare; None for no process."""
    found = process_status(pid)
    return None if found is None else found[1]


def process_status(pid: int) -> tuple[str, str] | None:
    """The state of a process of this machine as one letter ("T" for stopped), and when it began."""
    if os.path.exists("/proc/self/stat"):  # noqa: PTH110 - asked often
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
                fields = file.read(4096).rpartition(b")")[2].split()
            return fields[0].decode("ascii"), fields[19].decode("ascii")  # ticks since the machine began
        except (OSError, IndexError, UnicodeDecodeError):
            return None
    import psutil

    try:
        process = psutil.Process(pid)
        state = "T" if process.status() == psutil.STATUS_STOPPED else "S"
        return state, f"{process.create_time():.1f}"
    except psutil.Error:
        return None


def _read_info(descriptor: int, held: bool) -> LockInfo:
    values: dict[str, Any] = {}
    for _attempt in range(2):  # it may be written just now
        with contextlib.suppress(OSError, ValueError):
            values = parse_object(os.pread(descriptor, _INFO_LIMIT, 0))
            break
    pid = values.get("pid")
    text = {
        name: value if isinstance(value := values.get(name), str) else None
        for name in ("host", "since", "started", "doing")
    }
    age = max(0.0, time.time() - os.fstat(descriptor).st_mtime)
    number = pid if isinstance(pid, int) and not isinstance(pid, bool) and 0 < pid < 1 << 31 else None
    return LockInfo(held, number, **text, age=age)
