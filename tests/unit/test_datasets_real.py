"""The whole CIFAR archives: from CIFAR_TUI_TEST_ARCHIVES, else a folder ``shared`` beside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cifar_tui.datasets import store
from cifar_tui.datasets.download import fetch

pytestmark = pytest.mark.real_data


def archives() -> Path:
    given = os.environ.get("CIFAR_TUI_TEST_ARCHIVES")
    return Path(given) if given else Path(__file__).parents[3] / "shared"


def needed(name: str) -> Path:
    path = archives() / name
    if not path.exists():
        pytest.skip(f"{path} is not there; set CIFAR_TUI_TEST_ARCHIVES")
    return path


@pytest.fixture(
    scope="module", params=[("cifar10", "cifar-10-binary.tar.gz"), ("cifar100", "cifar-100-binary.tar.gz")]
)
def imported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    name, file = request.param
    root = tmp_path_factory.mktemp(name)
    fetch(name, root, from_file=needed(file), allow_unverified=True, offline=True)
    return name, root


@pytest.mark.slow
def test_a_whole_archive_gives_every_picture_equally_often(imported: tuple[str, Path]) -> None:
    name, root = imported
    dataset = store.load(name, root)
    assert dataset.train.images.shape == (50_000, 32, 32, 3)
    assert dataset.test.images.shape == (10_000, 32, 32, 3)
    assert len(set(np.bincount(dataset.train.labels).tolist())) == 1
    assert store.status(name, root).bytes > 184_000_000


@pytest.mark.slow
def test_a_whole_dataset_loads_within_a_second_when_warm(imported: tuple[str, Path]) -> None:
    name, root = imported
    code = f"""
import time
from pathlib import Path
from cifar_tui.datasets import load
best = 99.0
for _ in range(3):
    started = time.perf_counter()
    load({name!r}, Path({str(root)!r}))
    best = min(best, time.perf_counter() - started)
print(best)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(found.stdout) < 1.0


def test_an_unpacked_folder_is_used_in_place(tmp_path: Path) -> None:
    source = needed("cifar-10-batches-bin")
    (tmp_path / source.name).symlink_to(source)
    started = time.monotonic()
    status = store.status("cifar10", tmp_path)
    assert status.state in {"ready", "unverified"}
    assert (status.train, status.test, status.classes) == (50_000, 10_000, 10)
    assert time.monotonic() - started < 0.5
