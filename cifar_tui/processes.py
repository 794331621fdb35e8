"""Processes that this program starts of itself."""

from __future__ import annotations

import os
from pathlib import Path

import cifar_tui


def own_environment() -> dict[str, str]:
    """An environment in which a new interpreter imports this very package, wherever it was found."""
    paths = (str(Path(cifar_tui.__file__).parents[1]), os.environ.get("PYTHONPATH", ""))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
