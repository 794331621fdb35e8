"""What the tests of checkpoints share."""

from __future__ import annotations

from pathlib import Path

from cifar_tui.runs.checkpoints import CheckpointInfo, CheckpointStore

DEAD_PID = 2**22 + 7


MANIFEST = {"epoch": 1.5, "config_sha256": "ab", "nan": float("nan")}


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content(step: int) -> dict[str, bytes]:
    return {"model.safetensors": b"model %d" % step * 5, "optimizer.safetensors": b"opt %d" % step}


def save(store: CheckpointStore, step: int, best: bool = False) -> CheckpointInfo:
    info = store.save(step, content(step), MANIFEST, best=best)
    assert info is not None
    return info


def names(store: CheckpointStore) -> list[str]:
    return [info.name for info in store.list()]


def visible(store: CheckpointStore) -> list[str]:
    return sorted(names_in(store._folder))


def flip(path: Path, position: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)
