"""Imports archives into a data folder of its own."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

from cifar_tui.datasets.download import Options, fetch_spec
from cifar_tui.datasets.spec import DatasetSpec
from cifar_tui.datasets.transfer import Watch
from cifar_tui.errors import DamagedError
from tests.faults.tiny_data import Tiny, entry

FOLDER = "cifar-10-batches-bin"


class Importer:
    """Imports archive bytes as unofficial data and keeps the notes."""

    def __init__(self, root: Path, small: Tiny) -> None:
        self.root = root
        self.small = small
        self.notes: list[str] = []

    def __call__(self, data: bytes, *, allow_unverified: bool = True, spec: DatasetSpec | None = None) -> Any:
        path = self.root.parent / "archive.tar.gz"
        path.write_bytes(data)
        options = Options(from_file=path, allow_unverified=allow_unverified)
        return fetch_spec(spec or self.small.spec, self.root, options, Watch(note=self.notes.append))

    def refused(self, data: bytes, said: str) -> DamagedError:
        """The error for data that must be refused; nothing may be left in the data folder."""
        before = outside(self.root)
        with pytest.raises(DamagedError, match=said) as caught:
            self(data)
        assert caught.value.exit_code == 65
        assert [entry.name for entry in self.root.iterdir()] == [".download-cifar10.lock"]
        assert outside(self.root) - before <= {"archive.tar.gz"}
        return caught.value


def outside(root: Path) -> set[str]:
    """What lies beside the data folder."""
    return {entry.name for entry in root.parent.iterdir() if entry != root}


def entries(small: Tiny) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [entry(f"{FOLDER}/{name}", content) for name, content in small.members.items()]
