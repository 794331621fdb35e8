"""Where the app's data and runs are: what it was started with, else the usual folders."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.app import App

    from cifar_tui.tui.runs_data import RunsReader

MANY_RUNS = 1000  # from which a process of its own is worth its start


def data_folder(app: App[Any]) -> Path:
    """The folder of the datasets: the app's `data_dir`, else the usual one."""
    from cifar_tui.datasets.places import data_dir

    found = getattr(app, "data_dir", None)
    return found if isinstance(found, Path) else data_dir(None)


def runs_folder(app: App[Any]) -> Path:
    """The folder of the runs: the app's `runs_dir`, else the usual one."""
    from cifar_tui.runs.directory import runs_dir

    found = getattr(app, "runs_dir", None)
    return found if isinstance(found, Path) else runs_dir(None)


def has_many_runs(folder: Path) -> bool:
    """Whether a folder has so many runs that a process of its own should read them, see `runs.listing`."""
    try:
        with os.scandir(folder) as entries:
            return sum(1 for _ in itertools.islice(entries, MANY_RUNS)) == MANY_RUNS
    except OSError:
        return False


def runs_reader(app: App[Any], folder: Path) -> RunsReader:
    """The reader of a folder's runs: the app's, which has read ahead, where it is for this folder."""
    from cifar_tui.tui.runs_data import RunsReader

    found = getattr(app, "runs_reader", None)
    return found if isinstance(found, RunsReader) and found.folder == folder else RunsReader(folder)


def folder_words(app: App[Any]) -> tuple[str, ...]:
    """What a command line needs to work in the folders of this app; empty where they are the usual ones."""
    from cifar_tui.datasets.places import data_dir
    from cifar_tui.runs.directory import runs_dir

    words: list[str] = []
    for flag, name, usual in (("--data-dir", "data_dir", data_dir), ("--runs-dir", "runs_dir", runs_dir)):
        found = getattr(app, name, None)
        if isinstance(found, Path) and found != usual(None):
            words += [flag, str(found)]
    return tuple(words)
