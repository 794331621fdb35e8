"""Faults of group A: disks, folders, other processes, and stops half way."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cifar_tui.datasets import body, store
from cifar_tui.datasets import part as parts
from cifar_tui.datasets.download import Options, fetch_spec
from cifar_tui.datasets.locking import fetch_lock
from cifar_tui.datasets.transfer import Transfer, Watch
from cifar_tui.errors import (
    AccessError,
    CannotCreateError,
    InterruptedBySignal,
    LockedError,
    NotThereError,
    StorageError,
)
from tests.faults.conftest import FAST, Fetcher
from tests.faults.download_tools import CUT, cancel_when, quick, wait_for
from tests.faults.fault_server import Reply
from tests.faults.tiny_data import tiny


def test_fault_015_space_is_checked_before_any_traffic(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(fetcher.root.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(StorageError) as caught:
        fetcher()
    assert caught.value.exit_code == 74
    assert "1.0 kB free" in caught.value.message
    assert "needs" in caught.value.message
    assert fetcher.server.requests == []


def test_fault_015_a_disk_that_fills_up_keeps_the_part(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, written = parts.write_all, []

    def full(descriptor: int, data: bytes) -> None:
        if sum(written) > CUT:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(len(data))
        real(descriptor, data)

    monkeypatch.setattr(body, "write_all", full)
    with pytest.raises(StorageError) as caught:
        fetcher()
    assert "free" in caught.value.message
    assert "needed" in caught.value.message
    assert f"{sum(written):,} bytes" in str(caught.value.state)
    monkeypatch.undo()
    assert fetcher().state == "ready"
    assert fetcher.server.requests[-1].start == sum(written)


def test_fault_015_a_disk_that_fills_up_while_unpacking_leaves_nothing_half(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError):
        fetcher()
    monkeypatch.undo()
    assert not list(fetcher.root.glob(".tmp-*"))
    assert store.status_of(fetcher.small.spec, fetcher.root).state == "missing"


def test_fault_016_a_data_folder_that_is_a_file_is_said_before_any_traffic(fetcher: Fetcher) -> None:
    fetcher.root.write_text("a file")
    with pytest.raises(CannotCreateError) as caught:
        fetcher()
    assert caught.value.exit_code == 73
    assert str(fetcher.root) in caught.value.message
    assert fetcher.server.requests == []


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [(errno.EACCES, AccessError, 77), (errno.EROFS, CannotCreateError, 73)],
)
def test_fault_016_a_folder_that_cannot_be_written_is_said_before_any_traffic(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, number: int, kind: type, code: int
) -> None:
    real = os.open

    def refuse(path: str | Path, flags: int, *rest: int, **more: int) -> int:
        if flags & os.O_CREAT:
            raise OSError(number, os.strerror(number))
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(kind) as caught:
        fetcher()
    assert caught.value.exit_code == code
    assert fetcher.server.requests == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_fault_016_a_read_only_folder_is_a_permission_error(fetcher: Fetcher) -> None:
    fetcher.root.mkdir(mode=0o500)
    with pytest.raises(AccessError):
        fetcher()


def hold_lock(root: Path, ready: threading.Event, release: threading.Event) -> None:
    with fetch_lock(root, "cifar10", Watch(), no_wait=True, waiting=lambda: None):
        ready.set()
        release.wait(10)


def test_fault_017_a_second_fetch_waits_shows_progress_and_then_needs_no_traffic(fetcher: Fetcher) -> None:
    fetcher.server.script[fetcher.path] = [Reply(chunk=20_000, pause=0.03)]
    other = Fetcher(fetcher.server, fetcher.root, fetcher.small)
    results: list[str] = []
    first = threading.Thread(target=lambda: results.append(fetcher().state))
    first.start()
    while not fetcher.server.requests:
        time.sleep(0.01)
    results.append(other().state)
    first.join()
    assert results == ["ready", "ready"]
    assert len(fetcher.server.requests) == 1
    waits = [transfer for transfer in other.transfers if transfer.phase == "wait"]
    assert max(transfer.done for transfer in waits) > 0
    assert any("waiting" in note for note in other.notes)


def test_fault_017_no_wait_says_that_another_process_is_at_it(fetcher: Fetcher) -> None:
    fetcher.root.mkdir()
    ready, release = threading.Event(), threading.Event()
    holder = threading.Thread(target=hold_lock, args=(fetcher.root, ready, release))
    holder.start()
    ready.wait(5)
    try:
        with pytest.raises(LockedError) as caught:
            fetcher(no_wait=True)
    finally:
        release.set()
        holder.join()
    assert caught.value.exit_code == 75
    assert fetcher.server.requests == []


def test_fault_017_waiting_stops_within_200_ms(fetcher: Fetcher) -> None:
    fetcher.root.mkdir()
    ready, release = threading.Event(), threading.Event()
    holder = threading.Thread(target=hold_lock, args=(fetcher.root, ready, release))
    holder.start()
    ready.wait(5)
    cancelled, since = cancel_when(lambda: bool(fetcher.transfers))
    try:
        with pytest.raises(InterruptedBySignal):
            fetcher(cancelled=cancelled)
        assert time.monotonic() - since[0] < quick()
    finally:
        release.set()
        holder.join()


CHILD = """
import sys
from pathlib import Path
from cifar_tui.datasets.download import Options, fetch_spec
from cifar_tui.datasets.transfer import Watch
from tests.faults.tiny_data import tiny
print("up", flush=True)
fetch_spec(tiny().spec, Path(sys.argv[2]), Options(mirrors=(sys.argv[1],)), Watch())
"""


def start_child(fetcher: Fetcher) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "no_proxy": "127.0.0.1"}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, fetcher.server.url, str(fetcher.root)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_fault_018_a_killed_download_goes_on_at_the_next_start(fetcher: Fetcher) -> None:
    fetcher.server.script[fetcher.path] = [Reply(chunk=8_000, pause=0.02)]
    child = start_child(fetcher)
    wait_for(lambda: fetcher.part.exists() and fetcher.part.stat().st_size > 40_000)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    kept = fetcher.part.stat().st_size
    assert store.status_of(fetcher.small.spec, fetcher.root).state == "missing"
    assert fetcher().state == "ready"
    assert fetcher.server.requests[1].start == kept
    assert fetcher.server.requests[0].sent - kept <= 1 << 20


def test_fault_018_a_part_with_wrong_bytes_costs_one_more_download(fetcher: Fetcher) -> None:
    fetcher.root.mkdir()
    fetcher.part.write_bytes(b"\x1f\x8b" + bytes(CUT))
    assert fetcher().state == "ready"
    assert [request.start for request in fetcher.server.requests] == [CUT + 2, 0]


def test_fault_019_a_stop_keeps_the_part_and_says_how_to_go_on(fetcher: Fetcher) -> None:
    fetcher.server.script[fetcher.path] = [Reply(stall_after=CUT)]
    fetcher.timing = replace(FAST, stall_seconds=30)
    cancelled, since = cancel_when(lambda: any(t.done == CUT for t in fetcher.transfers))
    with pytest.raises(InterruptedBySignal) as caught:
        fetcher(cancelled=cancelled)
    assert time.monotonic() - since[0] < quick()
    assert caught.value.exit_code == 130
    assert fetcher.part.read_bytes() == fetcher.small.data[:CUT]
    assert "100,000 bytes" in str(caught.value.state)
    assert "cifar-tui data download" in str(caught.value.hint)


@pytest.mark.parametrize("stage", ["connect", "back-off"])
def test_fault_019_a_stop_is_quick_at_every_stage(fetcher: Fetcher, stage: str) -> None:
    fetcher.timing = replace(
        FAST, stall_seconds=30, connect_seconds=30, backoff_seconds=30, backoff_limit_seconds=30
    )
    reply = Reply(stall_before=True) if stage == "connect" else Reply(status=503)
    fetcher.server.always[fetcher.path] = reply
    started = time.monotonic()
    cancelled, since = cancel_when(lambda: bool(fetcher.server.requests) and time.monotonic() - started > 0.2)
    with pytest.raises(InterruptedBySignal):
        fetcher(cancelled=cancelled)
    assert time.monotonic() - since[0] < quick()


def test_fault_019_a_stop_while_unpacking_leaves_the_archive_for_next_time(fetcher: Fetcher) -> None:
    cancelled, _ = cancel_when(lambda: any(t.phase == "unpack" for t in fetcher.transfers))
    with pytest.raises(InterruptedBySignal):
        fetcher(cancelled=cancelled)
    assert not list(fetcher.root.glob(".tmp-*"))
    fetcher.transfers.clear()
    assert fetcher().state == "ready"
    assert len(fetcher.server.requests) == 1


def test_fault_019_ctrl_c_is_one_clear_error(fetcher: Fetcher) -> None:
    def press(transfer: Transfer) -> None:
        if transfer.phase == "download":
            raise KeyboardInterrupt

    with pytest.raises(InterruptedBySignal) as caught:
        fetch_spec(
            fetcher.small.spec,
            fetcher.root,
            Options(mirrors=(fetcher.server.url,)),
            Watch(press, timing=FAST),
        )
    assert caught.value.exit_code == 130
    assert fetcher.part.stat().st_size > 0


def test_fault_020_data_that_is_there_needs_no_traffic(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetcher()
    fetcher.server.requests.clear()

    def no_network(*_: object) -> None:
        raise AssertionError("a socket was opened")

    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "connect", no_network)
        assert fetcher().state == "ready"
        assert fetcher(offline=True).state == "ready"
    assert fetcher.server.requests == []


def test_fault_020_offline_without_data_is_said_clearly_and_makes_no_traffic(fetcher: Fetcher) -> None:
    with pytest.raises(NotThereError) as caught:
        fetcher(offline=True)
    assert caught.value.exit_code == 66
    assert "offline" in caught.value.message
    assert fetcher.server.requests == []
    assert not fetcher.root.exists()


def test_fault_021_a_part_of_another_version_is_replaced(fetcher: Fetcher) -> None:
    fetcher.server.script[fetcher.path] = [Reply(body=b"\x1f\x8b" + bytes(CUT), headers={"ETag": '"old"'})]
    fetcher.server.always[fetcher.path] = Reply()
    assert fetcher().state == "ready"
    assert fetcher.server.requests[1].headers["if-range"] == '"old"'
    assert fetcher.server.requests[1].sent == len(fetcher.small.data)


def test_fault_021_without_a_pinned_hash_two_addresses_are_never_mixed(fetcher: Fetcher) -> None:
    fetcher.server.files["/b" + fetcher.path] = tiny(seed=3).data
    fetcher.server.always[fetcher.path] = Reply(cut_after=1000)
    url = fetcher.server.url
    assert fetcher(mirrors=(url, f"{url}/b"), allow_unverified=True).state == "unverified"
    first_of_b = next(r for r in fetcher.server.requests if r.path.startswith("/b"))
    assert first_of_b.start == 0


def test_fault_023_a_read_that_fails_once_is_tried_again(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cifar_tui.datasets import folder as folders

    fetcher()
    real, failures = folders._read_once, [OSError(errno.EIO, "Input/output error")]

    def flaky(path: Path, expected: int | None) -> object:
        if failures:
            raise failures.pop()
        return real(path, expected)

    monkeypatch.setattr(folders, "_read_once", flaky)
    assert store.verify_spec(fetcher.small.spec, fetcher.root, Watch()).state == "ready"

    def broken(path: Path, expected: int | None) -> object:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(folders, "_read_once", broken)
    with pytest.raises(StorageError, match=r"data_batch_1\.bin"):
        store.verify_spec(fetcher.small.spec, fetcher.root, Watch())
