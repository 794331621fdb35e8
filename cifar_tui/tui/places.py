"""Where the app's data and runs are: what it was started with, else the usual folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.app import App


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
