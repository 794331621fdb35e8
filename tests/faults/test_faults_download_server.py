"""Faults of group A: servers and addresses that answer wrongly or not at all."""

from __future__ import annotations

import hashlib
import socket
import time
from pathlib import Path

import pytest

from cifar_tui.datasets import attempt, body, store
from cifar_tui.datasets.transfer import Watch
from cifar_tui.errors import DamagedError, ProtocolError, UnavailableError
from tests.faults.conftest import Fetcher
from tests.faults.download_tools import CUT
from tests.faults.fault_server import Reply
from tests.faults.tiny_data import tiny


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
