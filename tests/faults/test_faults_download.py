"""Faults of group A: everything that can go wrong while a dataset is downloaded."""

from __future__ import annotations

import errno
import gzip
import hashlib
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cifar_tui.datasets import attempt, body, store
from cifar_tui.datasets import part as parts
from cifar_tui.datasets.download import Options, fetch, fetch_spec
from cifar_tui.datasets.locking import fetch_lock
from cifar_tui.datasets.sources import shown, sources
from cifar_tui.datasets.transfer import Meter, Timing, Transfer, Watch
from cifar_tui.errors import (
    AccessError,
    CannotCreateError,
    DamagedError,
    InterruptedBySignal,
    LockedError,
    NotThereError,
    ProtocolError,
    StorageError,
    UnavailableError,
    UsageError,
)
from tests.faults.conftest import FAST, Fetcher
from tests.faults.fault_server import FaultServer, Reply, Request
from tests.faults.tiny_data import Tiny, pack, tiny, tiny100

CUT = 100_000


def quick() -> float:
    """Seconds in which a stop must come: 200 ms, and more only where the machine is overloaded."""
    return 0.2 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def cancel_when(condition: Callable[[], bool]) -> tuple[Callable[[], bool], list[float]]:
    """A cancel function that turns true with the condition, and the time when it did."""
    since: list[float] = []

    def cancelled() -> bool:
        if not since and condition():
            since.append(time.monotonic())
        return bool(since)

    return cancelled, since


def test_a_download_ends_ready_with_no_leftovers(fetcher: Fetcher) -> None:
    status = fetcher()
    assert (status.state, status.train, status.test) == ("ready", 100, 20)
    left = sorted(entry.name for entry in fetcher.root.iterdir())
    assert left == [".download-cifar10.lock", "cifar-10-batches-bin"]
    dataset = store.load_spec(fetcher.small.spec, fetcher.root)
    assert dataset.state == "ready"
    assert dataset.train.images[0, 0, 0, 0] == fetcher.small.members["data_batch_1.bin"][1]
    assert {transfer.phase for transfer in fetcher.transfers} >= {"connect", "download", "verify", "unpack"}
    assert fetcher.transfers[-1].done == fetcher.transfers[-1].total


def test_files_and_folders_are_private(fetcher: Fetcher) -> None:
    before = os.umask(0)
    try:
        folder = fetcher().path
    finally:
        os.umask(before)
    assert folder is not None
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {entry.stat().st_mode & 0o777 for entry in folder.iterdir()} == {0o600}


def test_fault_001_a_cut_download_resumes_where_it_stopped(fetcher: Fetcher) -> None:
    fetcher.server.script[fetcher.path] = [Reply(cut_after=CUT), Reply(cut_after=CUT)]
    assert fetcher().state == "ready"
    assert [request.start for request in fetcher.server.requests] == [0, CUT, 2 * CUT]
    assert sum(request.sent for request in fetcher.server.requests) == len(fetcher.small.data)
    assert fetcher.server.requests[1].headers["if-range"] == '"v1"'


def test_fault_001_a_server_that_always_cuts_ends_after_five_tries_with_the_part_kept(
    fetcher: Fetcher,
) -> None:
    fetcher.server.always[fetcher.path] = Reply(cut_after=1000)
    with pytest.raises(UnavailableError) as caught:
        fetcher()
    size = len(fetcher.small.data)
    assert f"short by {size - 5000:,} of {size:,} bytes" in caught.value.message
    assert "after 5 tries" in caught.value.message
    assert caught.value.exit_code == 69
    assert fetcher.part.read_bytes() == fetcher.small.data[:5000]
    assert "5,000 bytes" in str(caught.value.state)
    del fetcher.server.always[fetcher.path]
    fetcher.server.requests.clear()
    assert fetcher().state == "ready"
    assert fetcher.server.requests[0].start == 5000


@pytest.mark.parametrize("cut", [0, 1, 2, 5, 511, 65_535, 65_536, 65_537, 200_000])
def test_fault_001_any_cut_point_is_resumed_exactly(fetcher: Fetcher, cut: int) -> None:
    fetcher.server.script[fetcher.path] = [Reply(cut_after=cut)]
    assert fetcher().state == "ready"
    assert fetcher.server.requests[1].start == (cut if cut >= 2 else 0)  # two bytes tell a gzip file


def test_fault_002_a_wrong_hash_is_quarantined_tried_once_more_and_then_refused(fetcher: Fetcher) -> None:
    good = fetcher.small.data
    bad = good[:5000] + bytes([good[5000] ^ 1]) + good[5001:]
    fetcher.server.files[fetcher.path] = bad
    with pytest.raises(DamagedError) as caught:
        fetcher()
    digest = hashlib.sha256(bad).hexdigest()
    assert (caught.value.exit_code, caught.value.id) == (65, "E-DATA-HASH")
    assert digest in caught.value.message
    assert fetcher.small.sha256 in caught.value.message
    assert fetcher.server.paths().count(fetcher.path) == 2
    assert [request.start for request in fetcher.server.requests[:2]] == [0, 0]
    assert (fetcher.root / f"{fetcher.small.archive.file}.bad-{digest[:8]}").read_bytes() == bad
    assert store.status_of(fetcher.small.spec, fetcher.root).state == "missing"
    assert f".bad-{digest[:8]}" in str(caught.value.state)
    assert "--allow-unverified" in str(caught.value.hint)


def test_fault_002_a_hash_that_is_right_the_second_time_is_taken(fetcher: Fetcher) -> None:
    bad = bytes(len(fetcher.small.data) - 2)
    fetcher.server.script[fetcher.path] = [Reply(body=b"\x1f\x8b" + bad)]
    assert fetcher().state == "ready"


def test_fault_002_the_next_mirror_is_tried_after_a_wrong_hash(fetcher: Fetcher) -> None:
    bad = b"\x1f\x8b" + bytes(len(fetcher.small.data) - 2)
    fetcher.server.files[f"/bad{fetcher.path}"] = bad
    assert fetcher(mirrors=(f"{fetcher.server.url}/bad/", fetcher.server.url)).state == "ready"


def test_fault_002_an_unofficial_archive_is_taken_at_once_when_allowed(fetcher: Fetcher) -> None:
    other = tiny(seed=7)
    fetcher.server.files[fetcher.path] = other.data
    status = fetcher(allow_unverified=True)
    assert (status.state, status.accepted) == ("unverified", True)
    assert len(fetcher.server.requests) == 1
    assert any("not the official" in note for note in fetcher.notes)
    assert store.load_spec(fetcher.small.spec, fetcher.root).state == "unverified"
    assert fetcher().state == "unverified"  # accepted once: no second download
    assert len(fetcher.server.requests) == 1


@pytest.mark.parametrize("status", [404, 410, 403])
def test_fault_003_a_missing_file_is_not_retried_and_each_address_is_named(
    fetcher: Fetcher, status: int
) -> None:
    fetcher.server.always["/one" + fetcher.path] = Reply(status=status)
    fetcher.server.always["/two" + fetcher.path] = Reply(status=404)
    url = fetcher.server.url
    with pytest.raises(UnavailableError) as caught:
        fetcher(mirrors=(f"{url}/one", f"{url}/two"))
    assert f"{url}/one{fetcher.path}: HTTP {status}" in caught.value.message
    assert f"{url}/two{fetcher.path}: HTTP 404" in caught.value.message
    assert fetcher.server.paths().count("/one" + fetcher.path) == 1


def test_fault_003_the_next_mirror_is_used(fetcher: Fetcher) -> None:
    assert fetcher(mirrors=(f"{fetcher.server.url}/none", fetcher.server.url)).state == "ready"


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_fault_004_a_server_error_is_retried_and_its_body_never_kept(fetcher: Fetcher, status: int) -> None:
    fetcher.server.script[fetcher.path] = [
        Reply(cut_after=CUT),
        Reply(status=status, body=b"<html>busy</html>"),
    ]
    sizes: list[int] = []
    fetcher.server.on_request = lambda _: sizes.append(
        fetcher.part.stat().st_size if fetcher.part.exists() else 0
    )
    assert fetcher().state == "ready"
    assert sizes == [0, CUT, CUT]


def test_fault_004_retry_after_is_honoured(fetcher: Fetcher) -> None:
    fetcher.server.script[fetcher.path] = [Reply(status=503, headers={"Retry-After": "1"})]
    started = time.monotonic()
    assert fetcher().state == "ready"
    assert time.monotonic() - started >= 1


def test_fault_004_a_retry_after_beyond_a_minute_means_the_next_address(fetcher: Fetcher) -> None:
    fetcher.server.always["/slow" + fetcher.path] = Reply(status=503, headers={"Retry-After": "3600"})
    assert fetcher(mirrors=(f"{fetcher.server.url}/slow", fetcher.server.url)).state == "ready"
    assert any("asks to wait 3600 s" in note for note in fetcher.notes)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(
            body=b"<!DOCTYPE html><html>log in</html>", headers={"Content-Type": "text/html; charset=utf-8"}
        ),
        Reply(body=b"  <html>log in</html>"),
        Reply(body=b"<"),
    ],
)
def test_fault_005_a_web_page_is_refused_before_hashing(fetcher: Fetcher, reply: Reply) -> None:
    fetcher.server.always[fetcher.path] = reply
    with pytest.raises(UnavailableError, match="sent a web page"):
        fetcher()
    assert fetcher.server.paths().count(fetcher.path) == 1
    assert not any(transfer.phase == "verify" for transfer in fetcher.transfers)


@pytest.mark.parametrize("content", [b"PK\x03\x04zip", b"", b"\x1f", b"\x1b]0;title\x07"])
def test_fault_005_what_is_no_gzip_is_refused_and_shown_safely(fetcher: Fetcher, content: bytes) -> None:
    fetcher.server.always[fetcher.path] = Reply(body=content)
    with pytest.raises(UnavailableError) as caught:
        fetcher(allow_unverified=True)
    assert "\x1b" not in caught.value.message
    assert store.status_of(fetcher.small.spec, fetcher.root).state == "missing"


def test_fault_006_redirects_are_followed(fetcher: Fetcher) -> None:
    for hop in range(5):
        target = f"/hop{hop + 1}" if hop < 4 else fetcher.path
        fetcher.server.always[f"/hop{hop}"] = Reply(status=302, headers={"Location": target})
    fetcher.server.always["/start.tar.gz"] = Reply(status=301, headers={"Location": "/hop1"})
    assert fetcher(mirrors=(f"{fetcher.server.url}/start.tar.gz",)).state == "ready"


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("/x.tar.gz", "in a loop"),
        ("file:///etc/passwd", "only http and https"),
        ("ftp://127.0.0.1/x", "only http and https"),
        ("http://[::1", "cannot be read"),
        ("/more", "more than 5 times"),
    ],
)
def test_fault_006_bad_redirects_are_refused(fetcher: Fetcher, location: str, said: str) -> None:
    fetcher.server.always["/x.tar.gz"] = Reply(status=302, headers={"Location": location})
    for hop in range(9):
        here = "/more" + "x" * hop
        fetcher.server.always[here] = Reply(status=302, headers={"Location": here + "x"})
    with pytest.raises(ProtocolError, match=said) as caught:
        fetcher(mirrors=(f"{fetcher.server.url}/x.tar.gz",))
    assert caught.value.exit_code == 76


def test_fault_006_leaving_tls_is_allowed_only_for_a_pinned_hash(tmp_path: Path) -> None:
    notes: list[str] = []
    url, target = "https://example.org/a", "http://example.org/b"
    pinned = attempt.Downloader(tmp_path, Watch(note=notes.append), strict=True)
    assert pinned._hop(url, target, {url}) == target
    assert "without TLS" in notes[0]
    unpinned = attempt.Downloader(tmp_path, Watch(), strict=False)
    with pytest.raises(body.SourceError, match="from https"):
        unpinned._hop(url, target, {url})


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_fault_007_a_refused_connection_names_host_and_cause(fetcher: Fetcher) -> None:
    port = closed_port()
    with pytest.raises(UnavailableError) as caught:
        fetcher(mirrors=(f"http://127.0.0.1:{port}",))
    assert f"127.0.0.1:{port}" in caught.value.message
    assert "refused" in caught.value.message.lower()
    assert len(caught.value.block().splitlines()) <= 6


def test_fault_007_a_name_that_does_not_resolve_is_said_in_one_line(fetcher: Fetcher) -> None:
    with pytest.raises(UnavailableError, match=r"no-such-host\.invalid"):
        fetcher(mirrors=("http://no-such-host.invalid",))


def test_fault_007_tls_to_a_server_without_it_fails_and_is_not_retried(fetcher: Fetcher) -> None:
    with pytest.raises(UnavailableError, match="TLS failed"):
        fetcher(mirrors=(fetcher.server.url.replace("http:", "https:"),))


def test_fault_007_a_bad_proxy_is_named(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(UnavailableError, match="proxy"):
        fetcher(mirrors=("http://cifar.example",))


def test_a_proxy_from_the_environment_is_used(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", fetcher.server.url)
    monkeypatch.setenv("no_proxy", "")
    address = f"http://cifar.example{fetcher.path}"
    fetcher.server.files[address] = fetcher.small.data  # a proxy is asked for the whole address
    assert fetcher(mirrors=("http://cifar.example",)).state == "ready"
    assert fetcher.server.paths() == [address]


def test_fault_008_a_slow_server_is_waited_for_with_rate_and_time_left(fetcher: Fetcher) -> None:
    fetcher.server.script[fetcher.path] = [Reply(chunk=20_000, pause=0.06)]  # longer than the stall window
    assert fetcher().state == "ready"
    assert len(fetcher.server.requests) == 1
    shown_rates = [t for t in fetcher.transfers if t.phase == "download" and t.rate > 0]
    assert shown_rates
    assert all(t.eta_seconds is not None and t.eta_seconds >= 0 for t in shown_rates)


def test_fault_008_a_slow_download_stops_within_200_ms(fetcher: Fetcher) -> None:
    fetcher.server.script[fetcher.path] = [Reply(chunk=1000, pause=0.05)]
    cancelled, since = cancel_when(lambda: any(t.phase == "download" for t in fetcher.transfers))
    with pytest.raises(InterruptedBySignal):
        fetcher(cancelled=cancelled)
    assert time.monotonic() - since[0] < quick()


def test_fault_009_a_stall_reconnects_and_resumes(fetcher: Fetcher) -> None:
    fetcher.server.script[fetcher.path] = [Reply(stall_after=CUT)]
    assert fetcher().state == "ready"
    assert fetcher.server.requests[1].start == CUT
    assert any("stalled" in note for note in fetcher.notes)


def test_fault_009_a_dribble_is_a_stall(fetcher: Fetcher) -> None:
    fetcher.server.script[fetcher.path] = [Reply(chunk=1, pause=0.02)]
    assert fetcher().state == "ready"
    assert 0 < fetcher.server.requests[1].start < 200
    assert any("stalled" in note for note in fetcher.notes)


def test_fault_009_a_server_that_never_answers_is_a_stall(fetcher: Fetcher) -> None:
    fetcher.server.script[fetcher.path] = [Reply(stall_before=True)]
    assert fetcher().state == "ready"


def test_fault_009_the_limit_is_one_kilobyte_a_second_over_thirty_seconds() -> None:
    now = [0.0]
    for rate, stalls in ((1100, False), (900, True)):
        meter = Meter(Timing(), lambda: now[0])
        for _ in range(40):
            now[0] += 1
            meter.add(rate)
        assert meter.stalled() is stalls
    meter = Meter(Timing(), lambda: now[0])
    meter.add(10_000_000)
    now[0] += 29
    assert not meter.stalled()
    now[0] += 2
    assert meter.stalled()


def test_fault_010_a_reset_resumes_from_the_last_byte(fetcher: Fetcher) -> None:
    fetcher.server.script[fetcher.path] = [Reply(reset_after=CUT)]
    assert fetcher().state == "ready"
    start = fetcher.server.requests[1].start
    assert 0 < start <= CUT
    assert fetcher.server.requests[1].headers["range"] == f"bytes={start}-"
    assert fetcher.server.requests[1].headers["if-range"] == '"v1"'


def test_fault_011_a_server_without_ranges_sends_the_whole_file_again(fetcher: Fetcher) -> None:
    fetcher.server.script[fetcher.path] = [Reply(cut_after=CUT), Reply(ignore_range=True)]
    assert fetcher().state == "ready"
    assert fetcher.server.requests[1].start == CUT
    assert fetcher.server.requests[1].sent == len(fetcher.small.data)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": "bytes 0-5/6"},
        {"Content-Range": "bytes nonsense"},
        {"Content-Range": ""},
        {"ETag": '"other"'},
    ],
)
def test_fault_012_a_wrong_range_or_version_starts_over(fetcher: Fetcher, headers: dict[str, str]) -> None:
    fetcher.server.script[fetcher.path] = [Reply(cut_after=CUT), Reply(headers=headers, ignore_if_range=True)]
    assert fetcher().state == "ready"
    assert [request.start for request in fetcher.server.requests] == [0, CUT, 0]


def test_fault_012_a_changed_file_is_sent_whole_by_if_range(fetcher: Fetcher) -> None:
    fetcher.server.script[fetcher.path] = [Reply(cut_after=CUT)]

    def change(request: Request) -> None:
        if request.start:
            fetcher.server.etags[fetcher.path] = '"v2"'

    fetcher.server.on_request = change
    assert fetcher().state == "ready"


def test_fault_012_416_with_a_complete_part_is_verified_without_more_traffic(fetcher: Fetcher) -> None:
    pins = {fetcher.small.archive.file: fetcher.small.sha256}  # a pinned hash without a pinned size
    fetcher.root.mkdir()
    fetcher.part.write_bytes(fetcher.small.data)
    assert fetcher(pins=pins).state == "ready"
    assert [request.sent for request in fetcher.server.requests] == [0]


def test_fault_012_416_with_a_wrong_part_starts_over(fetcher: Fetcher) -> None:
    pins = {fetcher.small.archive.file: fetcher.small.sha256}
    fetcher.root.mkdir()
    fetcher.part.write_bytes(fetcher.small.data + b"more")
    assert fetcher(pins=pins).state == "ready"
    assert [request.start for request in fetcher.server.requests] == [len(fetcher.small.data) + 4, 0]


@pytest.mark.parametrize("length", ["10", "99999999", "", "-5", "junk"])
def test_fault_013_the_pinned_size_decides_not_the_content_length(fetcher: Fetcher, length: str) -> None:
    fetcher.server.script[fetcher.path] = [Reply(headers={"Content-Length": length})]
    assert fetcher().state == "ready"


def test_fault_013_chunked_answers_are_read(fetcher: Fetcher) -> None:
    fetcher.server.script[fetcher.path] = [
        Reply(chunked=True, headers={"Content-Length": "12"}, cut_after=CUT),
        Reply(chunked=True),
    ]
    assert fetcher().state == "ready"


def test_fault_013_never_more_than_one_byte_over_the_pinned_size(fetcher: Fetcher) -> None:
    size = len(fetcher.small.data)
    fetcher.server.always[fetcher.path] = Reply(body=fetcher.small.data + bytes(3_000_000))
    sizes: list[int] = []
    with pytest.raises(DamagedError, match="longer than the official") as caught:
        fetcher()
    sizes = [transfer.done for transfer in fetcher.transfers if transfer.phase == "download"]
    assert max(sizes) == size + 1
    assert fetcher.small.sha256 in caught.value.message
    assert caught.value.exit_code == 65


def test_fault_013_an_unpinned_archive_stops_at_the_cap(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "MAX_ARCHIVE_BYTES", 50_000)
    monkeypatch.setattr(body, "MAX_ARCHIVE_BYTES", 50_000)
    with pytest.raises(DamagedError, match="more than 50,000 bytes"):
        fetcher(allow_unverified=True)


def test_fault_014_identity_is_asked_for_and_a_proxys_gzip_is_undone(fetcher: Fetcher) -> None:
    wrapped = gzip.compress(fetcher.small.data, 1)
    fetcher.server.script[fetcher.path] = [Reply(body=wrapped, headers={"Content-Encoding": "gzip"})]
    assert fetcher().state == "ready"
    assert fetcher.server.requests[0].headers["accept-encoding"] == "identity"
    assert len(fetcher.server.requests) == 1


def test_fault_014_a_gzip_label_on_the_archive_itself_changes_nothing(fetcher: Fetcher) -> None:
    fetcher.server.script[fetcher.path] = [Reply(headers={"Content-Encoding": "x-gzip"})]
    assert fetcher().state == "ready"
    assert len(fetcher.server.requests) == 1


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


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.005)


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


def test_mirrors_come_before_the_official_address_and_binary_before_python(small: Tiny) -> None:
    from cifar_tui.datasets.cifar10 import SPEC

    found = [source.url for source in sources(SPEC, ("http://a/x/", "http://b/y/my-copy.tar.gz"))]
    assert found[:4] == [
        "http://a/x/cifar-10-binary.tar.gz",
        "http://a/x/cifar-10-python.tar.gz",
        "http://b/y/my-copy.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    ]
    assert all(url.startswith("https://") for url in found[3:])


def test_the_mirror_of_the_environment_is_used_when_none_is_given(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIFAR_TUI_MIRROR", fetcher.server.url + "/")
    assert fetcher(mirrors=()).state == "ready"


@pytest.mark.parametrize(
    "mirror", ["ftp://x/y", "example.org", "file:///etc", "http://", "http://[", "http://a b/"]
)
def test_a_mirror_that_is_no_address_is_a_usage_error(fetcher: Fetcher, mirror: str) -> None:
    with pytest.raises(UsageError):
        fetcher(mirrors=(mirror,))
    assert fetcher.server.requests == []


def test_fault_104_passwords_and_queries_never_reach_a_message(fetcher: Fetcher) -> None:
    address = fetcher.server.url.replace("http://", "http://me:secret@") + "/none?token=hidden"
    with pytest.raises(UnavailableError) as caught:
        fetcher(mirrors=(address,))
    told = caught.value.block() + str(caught.value.to_json()) + "".join(fetcher.notes)
    told += "".join(transfer.url for transfer in fetcher.transfers)
    assert "secret" not in told
    assert "hidden" not in told
    assert fetcher.server.requests[0].headers["authorization"].startswith("Basic ")
    assert shown("http://u:p@h:1/a?q#f") == "http://h:1/a"


def test_a_local_archive_is_imported_and_kept(fetcher: Fetcher, tmp_path: Path) -> None:
    archive = tmp_path / "copy.tar.gz"
    archive.write_bytes(fetcher.small.data)
    assert fetcher(from_file=archive, offline=True).state == "ready"
    assert archive.read_bytes() == fetcher.small.data
    assert fetcher.server.requests == []


def test_a_local_archive_that_is_not_there_or_a_folder(fetcher: Fetcher, tmp_path: Path) -> None:
    with pytest.raises(NotThereError):
        fetcher(from_file=tmp_path / "none.tar.gz")
    with pytest.raises(UsageError):
        fetcher(from_file=tmp_path)


def test_a_pin_makes_a_test_archive_official(fetcher: Fetcher) -> None:
    other = tiny(seed=5)
    fetcher.server.files[fetcher.path] = other.data
    assert fetcher(pins={other.archive.file: other.sha256}).state == "ready"


def test_the_python_archive_is_tried_on_a_mirror_that_lacks_the_binary_one(fetcher: Fetcher) -> None:
    from tests.faults.test_faults_archive import python_members

    spec = fetcher.small.spec
    data = pack("cifar-10-batches-py", python_members(spec))
    fetcher.server.files = {"/cifar-10-python.tar.gz": data}
    python = replace(spec.archives[1], bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    spec = replace(spec, archives=(spec.archives[0], python))
    assert fetcher(spec=spec).state == "ready"
    assert len(store.load_spec(spec, fetcher.root).train) == 100


def test_the_public_function_fetches_by_name_and_returns_the_synthetic_set_at_once(tmp_path: Path) -> None:
    assert fetch("synthetic", tmp_path / "none").state == "ready"
    assert not (tmp_path / "none").exists()
    with pytest.raises(UsageError, match="cifar1O"):
        fetch("cifar1O", tmp_path)


def test_a_download_of_cifar100_keeps_both_kinds_of_labels(server: FaultServer, tmp_path: Path) -> None:
    small = tiny100()
    server.files[f"/{small.archive.file}"] = small.data
    fetcher = Fetcher(server, tmp_path / "data", small)
    assert fetcher().state == "ready"
    dataset = store.load_spec(small.spec, fetcher.root, labels="coarse")
    assert dataset.num_classes == 20
    assert dataset.train.fine_labels is not None
    assert list(dataset.train.labels) == [
        small.spec.fine_to_coarse[fine] for fine in dataset.train.fine_labels
    ]


def test_no_helper_thread_outlives_a_finished_download(fetcher: Fetcher) -> None:
    fetcher()
    wait_for(lambda: not any(thread.name == "cifar-tui-download" for thread in threading.enumerate()), 2)
    assert multiprocessing.active_children() == []
