"""A run of nothing yet, and the store of its checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar_tui.runs.checkpoints import CheckpointStore
from cifar_tui.runs.directory import RunDirectory


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "cnn-a" / "checkpoints", keep=3)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path, {}, name="a", stem="a")
