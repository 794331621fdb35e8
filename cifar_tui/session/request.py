"""What to train, as asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cifar_tui.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """A new run, or one to go on with.

    Attributes:
        data_dir, runs_dir: where datasets and runs are.
        recipe: what a new run trains; None to resume.
        name: id of a new run; None for the first free one.
        title: free text of a new run.
        resume: id of the run to go on with.
        at: checkpoint to go on from; None for the newest good one. Later ones are discarded.
        changes: text by field name that changes the config of a resumed run, as typed.
        sets: the same as ``key=value``.
        file: the same as a TOML file.
        strict: refuse a resume that would not be bit-exact.
        allow_unverified: take well-formed data of unknown origin.
        offline: never download.
        mirrors: where to download from first.
        record: keep a run directory.
        screen: a live screen in this process needs its share of the cores.
    """

    data_dir: Path
    runs_dir: Path
    recipe: Recipe | None = None
    name: str | None = None
    title: str = ""
    resume: str | None = None
    at: int | None = None
    changes: Mapping[str, str] = field(default_factory=dict)
    sets: tuple[str, ...] = ()
    file: Path | None = None
    strict: bool = False
    allow_unverified: bool = False
    offline: bool = False
    mirrors: tuple[str, ...] = ()
    record: bool = True
    screen: bool = False
