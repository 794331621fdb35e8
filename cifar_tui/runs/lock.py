"""One trainer a run: an advisory lock on ``run.lock`` that ends with its process, however that ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from types import TracebackType
from typing import Any, Self

from cifar_tui.errors import LockedError, NotThereError, from_os_error
from cifar_tui.fsio import FILE_MODE, dump_json
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.files import open_regular, parse_object, refuse_link, rfc3339
from cifar_tui.text import safe_text

_INFO_LIMIT = 4096
_PAUSE = 0.01


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

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            LockedError: another holds it; names its process, host and since when.
            NotThereError: the run is not there.
            CifarTuiError: the lock file cannot be made.
        """
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
        info = {"pid": os.getpid(), "host": socket.gethostname(), "since": rfc3339()}
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, dump_json(info).encode("ascii"), 0)

    def renew(self) -> None:
        """Lock anew where the lock file was deleted under the holder; see `acquire` for what it raises."""
        if self._descriptor is None or not self._still_named(self._descriptor):
            self.release()
            self.acquire()

    def release(self) -> None:
        """Let go; harmless where nothing is held. The file stays: removing it would be a race."""
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
    try:
        descriptor = open_regular(run.lock_path, follow=False)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_info(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def _read_info(descriptor: int) -> dict[str, Any]:
    values: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        values = parse_object(os.pread(descriptor, _INFO_LIMIT, 0))
    pid, host, since = values.get("pid"), values.get("host"), values.get("since")
    return {
        "pid": pid if isinstance(pid, int) else None,
        "host": host if isinstance(host, str) else None,
        "since": since if isinstance(since, str) else None,
    }
