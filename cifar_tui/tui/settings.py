"""What the app remembers between two starts: one small TOML file that a user may edit.

A missing file, a damaged one, unknown keys and values of the wrong type all mean defaults: the app never
fails over its settings. Comments and unknown keys are kept when it is written again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER_VARIABLE = "CIFAR_TUI_CONFIG_DIR"
_LIMIT = 1_000_000


def settings_path() -> Path:
    """The file: in ``CIFAR_TUI_CONFIG_DIR``, else in the user's configuration folder."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder:
        return Path(folder) / "settings.toml"
    import platformdirs

    return Path(platformdirs.user_config_dir("cifar-tui", appauthor=False)) / "settings.toml"


@dataclass
class Settings:
    """Remembered choices; `set` changes some, `save` writes them.

    Attributes:
        theme: name of the theme.
        seen_start: the first start was gone through.
        preset: preset of the form; "" for none.
        form: text by field name, as in the form.
        folds: "open" or "folded" by group of the form that the user turned; "NAME.more" for what is folded
            within a group.
        left_width: columns of the left column on the dashboard; 0 for the usual width.
        dataset_height, chart_height, report_height: rows of those panes; 0 for the usual height.
        log_x: the charts have a logarithmic x axis.
        smoothing: weight of the past in the smoothed curve, in [0, 1).
        x_axis: "step", "epoch" or "time".
        marker: "auto", "braille", "block" or "ascii".
        chart_pair: "main" (loss and accuracy) or "rates" (rate and learning rate).
        runs_sort: column by which runs are sorted, with "-" before it for the greatest first.
        runs_filter: words by which runs are filtered.
        runs_marks: ids of the marked runs, with a space between.
        dataset: the dataset chosen last.
        reduced_motion: nothing glides or fades.
        keys: other keys than the usual ones, by action, see `tui.keys`.
        extra: whatever else a pane remembers, text by key.
    """

    theme: str = "cifar-dark"
    seen_start: bool = False
    preset: str = ""
    form: dict[str, str] = field(default_factory=dict)
    folds: dict[str, str] = field(default_factory=dict)
    left_width: int = 0
    dataset_height: int = 0
    chart_height: int = 0
    report_height: int = 0
    log_x: bool = False
    smoothing: float = 0.6
    x_axis: str = "step"
    marker: str = "auto"
    chart_pair: str = "main"
    runs_sort: str = ""
    runs_filter: str = ""
    runs_marks: str = ""
    dataset: str = ""
    reduced_motion: bool = False
    keys: dict[str, str] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.path: Path | None = None
        self._changes = self._written = 0  # how many there were, and how many of them are in the file
        self._saving = threading.Lock()

    @property
    def dirty(self) -> bool:
        """Whether there is something to write."""
        return self._changes != self._written

    @classmethod
    def load(cls, path: Path | None = None) -> Settings:
        """The settings in a file; defaults for what is missing or unusable."""
        settings = cls()
        settings.path = path
        with contextlib.suppress(OSError, ValueError, RuntimeError, RecursionError):
            settings.path = path or settings_path()
            with settings.path.open("rb") as file:
                text = file.read(_LIMIT)
            import tomllib

            settings._take(tomllib.loads(text.decode("utf-8")))
        return settings

    def set(self, **changes: Any) -> None:
        """Change some; written at the next `save`."""
        for name, value in changes.items():
            if not hasattr(self, name):
                raise AttributeError(f"there is no setting {name!r}")
            if getattr(self, name) != value:
                setattr(self, name, value)
                self._changes += 1

    def save(self) -> bool:
        """Write them where they changed; whether the file is up to date. A disk that fails is no error.

        From any thread. What is changed meanwhile is written by the next call.
        """
        with self._saving:
            if self.dirty and self.path is not None:
                changes = self._changes
                if self._write(self.path):
                    self._written = changes
            return not self.dirty

    def _write(self, path: Path) -> bool:
        import tomlkit

        from cifar_tui.fsio import make_folder, replace_bytes

        document = tomlkit.document()
        with contextlib.suppress(OSError, ValueError, RecursionError):
            document = tomlkit.parse(path.read_bytes()[:_LIMIT].decode("utf-8"))
        for entry in dataclasses.fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, dict):
                document[entry.name] = dict(value)
            elif document.get(entry.name) != value:
                document[entry.name] = value
        try:
            make_folder(path.parent)
            replace_bytes(path, tomlkit.dumps(document).encode("utf-8", "replace"))
        except OSError:
            return False
        return True

    def _take(self, values: dict[str, Any]) -> None:
        for entry in dataclasses.fields(self):
            value, usual = values.get(entry.name), getattr(self, entry.name)
            if isinstance(usual, dict):
                if isinstance(value, dict):
                    pairs = {str(key): text for key, text in _flat(value) if isinstance(text, str)}
                    setattr(self, entry.name, pairs)
            elif isinstance(usual, bool) or not isinstance(usual, float):
                if type(value) is type(usual):
                    setattr(self, entry.name, value)
            elif isinstance(value, int | float) and not isinstance(value, bool):
                setattr(self, entry.name, float(value))
        self.left_width = _clamp(self.left_width, 400)
        self.dataset_height = _clamp(self.dataset_height, 200)
        self.chart_height = _clamp(self.chart_height, 200)
        self.report_height = _clamp(self.report_height, 200)
        self.smoothing = min(0.99, self.smoothing) if self.smoothing >= 0 else 0.6


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """``a.b = 1`` is a table in TOML; here it is a key with a dot."""
    for key, value in values.items():
        if isinstance(value, dict) and prefix.count(".") < 2:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _clamp(value: int, most: int) -> int:
    return value if 0 <= value <= most else 0
