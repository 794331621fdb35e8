"""Where data lies, and what is there in one line per dataset. Standard library only."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifar_tui.errors import CannotCreateError, UsageError
from cifar_tui.text import safe_text

ENVIRONMENT = "CIFAR_TUI_DATA_DIR"


@dataclass(frozen=True)
class DatasetStatus:
    """What is on disk of one dataset."""

    dataset: str
    state: str
    """``ready``, ``missing``, ``damaged`` or ``unverified``."""
    train: int
    """Training pictures that can be loaded; 0 where the set is missing or damaged."""
    test: int
    classes: int
    """Number of (fine) classes."""
    bytes: int
    """Size of the folder's data files."""
    path: Path | None
    """The folder, or None where there is none."""
    detail: str
    """Why it has this state, for people."""
    accepted: bool = False
    """Whether unverified data was accepted once, so that it is loaded without asking again."""

    def to_json(self) -> dict[str, Any]:
        """The fields that scripts read; a path that is not UTF-8 keeps its bytes as lone surrogates."""
        return {
            "dataset": self.dataset,
            "state": self.state,
            "train": self.train,
            "test": self.test,
            "classes": self.classes,
            "bytes": self.bytes,
            "path": None if self.path is None else str(self.path),
        }


def data_dir(option: Path | str | None = None) -> Path:
    """The folder that holds the datasets.

    Args:
        option: the value of ``--data-dir``; None or empty for the environment variable
        ``CIFAR_TUI_DATA_DIR``, else
            the user's data folder.

    Returns:
        A path with the tilde expanded. Nothing is made or looked at.

    Raises:
        UsageError: the path holds a NUL.
        CannotCreateError: there is no home folder to expand the tilde with.
    """
    text = str(option) if option else os.environ.get(ENVIRONMENT, "")
    if "\0" in text:
        raise UsageError(f"the data folder {safe_text(text, 80)} holds a NUL character")
    try:
        return Path(text).expanduser() if text else _user_folder()
    except RuntimeError as error:
        raise CannotCreateError(
            f"there is no home folder to expand {safe_text(text or '~', 80)} with",
            hint="cifar-tui --data-dir FOLDER",
        ) from error


def _user_folder() -> Path:
    import platformdirs

    relative = not os.environ.get("XDG_DATA_HOME", "/").startswith("/")
    if relative:  # the XDG specification: a relative path is invalid and must be ignored
        return Path.home() / ".local" / "share" / "cifar-tui" / "data"
    return Path(platformdirs.user_data_dir("cifar-tui", appauthor=False)) / "data"


def command(text: str, folder: Path) -> str:
    """A command for a hint, with ``--data-dir`` where the folder is not the one the command would use."""
    try:
        usual = data_dir(None) == folder
    except CannotCreateError:
        usual = False
    return (
        f"cifar-tui {text}" if usual else f"cifar-tui {text} --data-dir {safe_text(shlex.quote(str(folder)))}"
    )
