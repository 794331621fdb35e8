"""Fixtures of the fault tests: a server that misbehaves, a tiny dataset, and a way to fetch it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests  # noqa: F401 - loaded before the short time limits of these tests start to run

from cifar_tui.datasets.download import Options, fetch_spec
from cifar_tui.datasets.places import DatasetStatus
from cifar_tui.datasets.spec import DatasetSpec
from cifar_tui.datasets.transfer import Timing, Transfer, Watch
from tests.faults.archive_tools import Importer
from tests.faults.fault_server import FaultServer
from tests.faults.tiny_data import Tiny, tiny

FAST = Timing(
    connect_seconds=0.5,
    stall_seconds=0.4,
    backoff_seconds=0.01,
    backoff_limit_seconds=0.02,
    poll_seconds=0.02,
    report_seconds=0.0,
)


@dataclass
class Fetcher:
    """Fetches from a fault server and keeps what was said."""

    server: FaultServer
    root: Path
    small: Tiny
    timing: Timing = FAST
    notes: list[str] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)

    @property
    def path(self) -> str:
        return f"/{self.small.archive.file}"

    @property
    def part(self) -> Path:
        return self.root / f"{self.small.archive.file}.part"

    def __call__(
        self,
        *,
        spec: DatasetSpec | None = None,
        cancelled: Callable[[], bool] | None = None,
        **options: Any,
    ) -> DatasetStatus:
        options.setdefault("mirrors", (self.server.url,))
        watch = Watch(
            self.transfers.append, self.notes.append, cancelled, self.timing, "cifar-tui data download"
        )
        return fetch_spec(spec or self.small.spec, self.root, Options(**options), watch)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "CIFAR_TUI_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    found = FaultServer()
    yield found
    found.close()


@pytest.fixture(scope="session")
def small() -> Tiny:
    return tiny()


@pytest.fixture
def fetcher(server: FaultServer, tmp_path: Path, small: Tiny) -> Fetcher:
    server.files[f"/{small.archive.file}"] = small.data
    server.etags[f"/{small.archive.file}"] = '"v1"'
    return Fetcher(server, tmp_path / "data", small)


@pytest.fixture
def importer(tmp_path: Path, small: Tiny) -> Importer:
    return Importer(tmp_path / "data", small)
