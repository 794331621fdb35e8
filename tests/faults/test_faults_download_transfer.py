"""Faults of group A: transfers that are slow, cut, longer or other than promised."""

from __future__ import annotations

import gzip
import time

import pytest

from cifar_tui.datasets import attempt, body
from cifar_tui.datasets.transfer import Meter, Timing
from cifar_tui.errors import DamagedError, InterruptedBySignal
from tests.faults.conftest import Fetcher
from tests.faults.download_tools import CUT, cancel_when, quick
from tests.faults.fault_server import Reply, Request


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
