"""``cifar-tui data``: what it prints, what it exits with, and how a download behaves."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cifar_tui.cli.transfer_line import TransferLine, line
from cifar_tui.datasets import cifar10, load
from cifar_tui.datasets.transfer import Transfer
from tests.cli.command import Outcome, call
from tests.faults.fault_server import FaultServer, Reply
from tests.faults.tiny_data import Tiny, tiny

Cli = Callable[..., Outcome]
STATUS_KEYS = ["dataset", "state", "train", "test", "classes", "bytes", "path"]


@pytest.fixture
def cli(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    for name in (
        "CIFAR_TUI_MIRROR",
        "CIFAR_TUI_DATA_DIR",
        "http_proxy",
        "HTTP_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    return lambda *words: call(capsys, *words, "--data-dir", tmp_path / "data")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Tiny:
    found = tiny()
    monkeypatch.setattr(cifar10, "SPEC", found.spec)
    return found


@pytest.fixture
def server(small: Tiny) -> Iterator[FaultServer]:
    found = FaultServer()
    found.files[f"/{small.archive.file}"] = small.data
    found.etags[f"/{small.archive.file}"] = '"v1"'
    yield found
    found.close()


def test_status_json_is_the_list_of_the_contract(cli: Cli) -> None:
    found = cli("data", "status", "--json")
    assert found.code == 0
    assert found.err == ""
    assert [list(each) for each in found.json] == [STATUS_KEYS] * 3
    assert found.json[0] == {
        "dataset": "cifar10",
        "state": "missing",
        "train": 0,
        "test": 0,
        "classes": 10,
        "bytes": 0,
        "path": None,
    }
    assert [each["dataset"] for each in found.json] == ["cifar10", "cifar100", "synthetic"]
    assert found.json[2]["state"] == "ready"


def test_status_of_named_datasets_only(cli: Cli) -> None:
    found = cli("data", "status", "cifar100", "synthetic", "cifar100")
    assert [row.split()[0] for row in found.out.splitlines()] == ["dataset", "cifar100", "synthetic"]
    assert "\x1b" not in found.out


def test_status_makes_no_folder(cli: Cli, tmp_path: Path) -> None:
    cli("data", "status")
    assert list(tmp_path.iterdir()) == []


def test_a_download_ends_with_the_status_on_stdout_and_narrates_on_stderr(
    cli: Cli, server: FaultServer, tmp_path: Path
) -> None:
    found = cli("data", "download", "cifar10", "--mirror", server.url, "--json")
    assert found.code == 0, found.err
    assert [(each["dataset"], each["state"]) for each in found.json] == [("cifar10", "ready")]
    assert found.json[0]["path"] == str(tmp_path / "data" / "cifar-10-batches-bin")
    assert "download" in found.err
    assert "\x1b" not in found.err
    assert "\r" not in found.err
    again = cli("data", "download", "cifar10", "--mirror", server.url)
    assert again.code == 0
    assert len(server.requests) == 1


def test_a_local_archive_is_taken_without_traffic(
    cli: Cli, small: Tiny, server: FaultServer, tmp_path: Path
) -> None:
    archive = tmp_path / small.archive.file
    archive.write_bytes(small.data)
    found = cli("data", "download", "cifar10", "--from-file", archive, "--mirror", server.url)
    assert found.code == 0, found.err
    assert "ready" in found.out
    assert server.requests == []
    assert archive.exists()


def test_offline_without_the_data_says_it_is_not_there(cli: Cli, server: FaultServer) -> None:
    found = cli("data", "download", "cifar10", "--offline", "--mirror", server.url, "--json")
    assert found.code == 66
    assert found.out == ""
    assert found.error["exit"] == 66
    assert server.requests == []


def test_one_archive_cannot_be_all_datasets(cli: Cli) -> None:
    found = cli("data", "download", "all", "--from-file", "x.tar.gz")
    assert found.code == 2
    assert "cifar-tui data download cifar10 --from-file x.tar.gz" in found.err


def test_the_synthetic_set_needs_no_download(cli: Cli) -> None:
    found = cli("data", "download", "synthetic")
    assert found.code == 0
    assert "built in" in found.err


def test_an_archive_of_unknown_hash_is_refused_until_it_is_allowed(
    cli: Cli, small: Tiny, server: FaultServer, tmp_path: Path
) -> None:
    server.files[f"/{small.archive.file}"] = tiny(seed=5).data
    archive = tmp_path / small.archive.file
    archive.write_bytes(server.files[f"/{small.archive.file}"])
    refused = cli("data", "download", "cifar10", "--from-file", archive, "--json")
    assert refused.code == 65
    assert refused.out == ""
    found = cli("data", "download", "cifar10", "--mirror", server.url, "--allow-unverified", "--json")
    assert found.code == 0, found.err
    assert found.json[0]["state"] == "unverified"
    assert "unverified" in found.err


def test_ctrl_c_keeps_the_part_and_the_hint_goes_on_from_there(
    cli: Cli, small: Tiny, server: FaultServer, tmp_path: Path
) -> None:
    server.script[f"/{small.archive.file}"] = [Reply(stall_after=2000)]
    threading.Thread(target=_interrupt_when, args=(tmp_path / "data", signal.SIGINT), daemon=True).start()
    began = time.monotonic()
    found = cli("data", "download", "cifar10", "--mirror", server.url)
    assert time.monotonic() - began < 5
    assert found.code == 130
    assert "2,000 bytes" in found.err
    hint = next(row for row in found.err.splitlines() if "hint:" in row).split("hint:")[1].split()
    assert hint[0] == "cifar-tui"
    resumed = cli(*hint[1:])
    assert resumed.code == 0, resumed.err
    assert server.requests[-1].start == 2000


def test_a_download_ended_by_sigterm_exits_with_143(
    cli: Cli, small: Tiny, server: FaultServer, tmp_path: Path
) -> None:
    server.script[f"/{small.archive.file}"] = [Reply(stall_after=2000)]
    before = signal.getsignal(signal.SIGTERM)
    threading.Thread(target=_interrupt_when, args=(tmp_path / "data", signal.SIGTERM), daemon=True).start()
    found = cli("data", "download", "cifar10", "--mirror", server.url, "--json")
    assert found.code == 143
    assert found.error["exit"] == 143
    assert signal.getsignal(signal.SIGTERM) is before


def _interrupt_when(folder: Path, number: signal.Signals) -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        part = next(folder.glob("*.part"), None) if folder.exists() else None
        if part is not None and part.stat().st_size >= 2000:
            break
        time.sleep(0.01)
    os.kill(os.getpid(), number)


def test_verify_exits_with_65_where_a_record_is_damaged(
    cli: Cli, small: Tiny, server: FaultServer, tmp_path: Path
) -> None:
    cli("data", "download", "cifar10", "--mirror", server.url)
    assert cli("data", "verify", "cifar10").code == 0
    file = tmp_path / "data" / "cifar-10-batches-bin" / "data_batch_2.bin"
    content = bytearray(file.read_bytes())
    content[3073 * 4] = 77
    file.write_bytes(content)
    found = cli("data", "verify", "cifar10", "--json")
    assert found.code == 65
    assert found.json[0]["state"] == "damaged"
    assert "data_batch_2.bin" in found.error["message"]


def test_verify_without_names_checks_what_is_there(cli: Cli) -> None:
    found = cli("data", "verify", "--json")
    assert found.code == 0
    assert [each["dataset"] for each in found.json] == ["synthetic"]


def test_verify_of_a_missing_dataset_exits_with_66_and_a_hint(cli: Cli, tmp_path: Path) -> None:
    found = cli("data", "verify", "cifar10")
    assert found.code == 66
    assert f"cifar-tui data download cifar10 --data-dir {tmp_path / 'data'}" in found.err


def test_stats_are_those_of_the_pictures(cli: Cli) -> None:
    kept = load("synthetic", Path())  # held, so that it is drawn once
    found = cli("data", "stats", "synthetic", "--split", "test", "--json").json
    assert found["dataset"] == "synthetic"
    (split,) = found["splits"]
    assert (split["split"], split["count"]) == ("test", 2000)
    assert sum(split["classes"].values()) == 2000
    images = kept.test.images / 255
    assert split["mean"] == pytest.approx(images.mean((0, 1, 2)))
    assert split["std"] == pytest.approx(images.std((0, 1, 2)))


def test_stats_of_a_split_that_is_none(cli: Cli) -> None:
    found = cli("data", "stats", "synthetic", "--split", "validation")
    assert found.code == 2
    assert "train, test" in found.err


def test_coarse_labels_exist_for_cifar100_only(cli: Cli) -> None:
    assert cli("data", "stats", "synthetic", "--labels", "coarse").code == 2


@pytest.mark.parametrize("width", [200, 79, 40, 20, 5])
@pytest.mark.parametrize("phase", ["connect", "download", "verify", "unpack"])
def test_a_progress_line_is_never_wider_than_the_terminal(width: int, phase: str) -> None:
    for done in (0, 1, 999_999, 80_000_000, 170_498_071):
        for total in (170_498_071, None):
            found = line(Transfer(phase, "cifar-10-binary.tar.gz", done, total, 1e7, 8.0, "", 1), width)
            assert len(found) <= width
            assert found.startswith(phase[:width])


def test_the_columns_of_a_progress_line_stay_where_they_are() -> None:
    def at(done: int, rate: float) -> list[int]:
        found = line(Transfer("download", "cifar-10-binary.tar.gz", done, 170_498_071, rate, 8.0, "", 1), 79)
        return [found.index("%"), found.index(" of "), found.index("ETA")]

    assert at(0, 0.0) == at(999_000, 12_345.0) == at(99_000_000, 99.9e6) == at(170_498_071, 1.0)


def test_a_download_shows_percent_amount_rate_and_time_left() -> None:
    found = line(Transfer("download", "a.tar.gz", 50_000_000, 100_000_000, 1e7, 5.0, "", 2), 120)
    for text in (" 50%", "50.0 MB of 100.0 MB", "10.0 MB/s", "ETA  0:05", "try 2", "a.tar.gz"):
        assert text in found


def test_off_a_terminal_there_is_a_line_a_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    shown = TransferLine()
    for percent in range(101):
        shown(Transfer("download", "a.tar.gz", percent, 100, 1.0, 1.0, "", 1))
    shown(Transfer("verify", "a.tar.gz", 0, 100, 0.0, None, "", 1))
    shown.close()
    rows = capsys.readouterr().err.splitlines()
    assert len(rows) == 12
    assert rows[-1].startswith("verify")


def test_on_a_terminal_the_line_is_rewritten_in_place_and_taken_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    shown = TransferLine()
    for done in (10, 50, 100):
        shown(Transfer("download", "a.tar.gz", done, 100, 1.0, 1.0, "", 1))
    shown.note("a mirror\x1b[2J failed")
    shown.close()
    said = capsys.readouterr().err
    frames = said.split("\r")[1:]
    assert len(frames) == 4
    assert all(frame.endswith("\x1b[K") and len(frame) - 3 <= 59 for frame in frames[:3])
    assert frames[3] == "\x1b[Knote: a mirror\\x1b[2J failed\n"
