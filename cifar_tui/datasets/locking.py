"""One process fetches a dataset at a time."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cifar_tui import fsio
from cifar_tui.datasets.transfer import Watch
from cifar_tui.errors import LockedError, from_os_error


@contextmanager
def fetch_lock(
    root: Path, name: str, watch: Watch, *, no_wait: bool, waiting: Callable[[], None]
) -> Iterator[None]:
    """Hold the lock of a dataset; wait for the process that has it.

    The kernel releases the lock when its holder dies, so no lock is ever stale.

    Args:
        root: the folder that holds the datasets.
        name: the dataset.
        watch: asked whether to stop waiting.
        no_wait: raise instead of waiting.
        waiting: called once in each poll while another process holds the lock.

    Raises:
        LockedError: `no_wait` and another process holds it.
        CifarTuiError: the lock file cannot be made in `root`: no permission, read-only, disk full.
    """
    import fcntl

    path = root / f".download-{name}.lock"
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags, fsio.FILE_MODE)
    except OSError as error:
        raise from_os_error(error, "write to", root, hint="cifar-tui --data-dir FOLDER") from error
    try:
        told = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                    raise from_os_error(error, "lock", path) from error
            if no_wait:
                raise LockedError(
                    f"another process is fetching {name} into {root}",
                    state="nothing was changed",
                    hint="run the same command again later, or without --no-wait",
                )
            if not told:
                watch.note(f"another process is fetching {name}; waiting for it")
                told = True
            waiting()
            watch.wait(watch.timing.poll_seconds)
        yield
    finally:
        os.close(descriptor)
