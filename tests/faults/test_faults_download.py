"""Faults of group A: a download as a whole, and where its bytes come from."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from cifar_tui.datasets import store
from cifar_tui.datasets.download import fetch
from cifar_tui.datasets.sources import shown, sources
from cifar_tui.errors import NotThereError, UnavailableError, UsageError
from tests.faults.conftest import Fetcher
from tests.faults.download_tools import wait_for
from tests.faults.fault_server import FaultServer
from tests.faults.tiny_data import Tiny, pack, tiny, tiny100


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
    from tests.faults.test_faults_pickle import python_members

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
