"""What can be chosen: a module in one of the folders below is a choice of that name.

`models/resnet.py` is the model `resnet`, so a new choice is one new file. A module of a catalogue imports
torch only inside its functions, so that choices can be listed without it. File names have underscores where
names have dashes.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType

from cifar_tui.errors import UsageError
from cifar_tui.text import did_you_mean, safe_text

KINDS = {
    "models": "model",
    "optimizers": "optimizer",
    "schedules": "schedule",
    "presets": "preset",
    "datasets": "dataset",
}


@cache
def names(kind: str) -> tuple[str, ...]:
    """The names of a kind of choice: "models", "optimizers", "schedules", "presets" or "datasets"."""
    package = importlib.import_module(f"cifar_tui.{kind}")
    if kind == "datasets":
        return tuple(package.names())
    found = [
        module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_")
    ]
    ordered = sorted(found, key=lambda name: (getattr(_module(kind, name), "RANK", 100), name))
    return tuple(name.replace("_", "-") for name in ordered)


def get(kind: str, name: str) -> ModuleType:
    """The module of a choice.

    Raises:
        UsageError: no such choice; the nearest name and all valid ones are given.
    """
    check(kind, name)
    return _module(kind, name.replace("-", "_"))


def check(kind: str, name: str) -> str:
    """`name`, when it is a choice of `kind`.

    Raises:
        UsageError: it is not.
    """
    if name not in names(kind):
        raise UsageError(
            f'{KINDS[kind]} is "{safe_text(name, 80)}"',
            hint=did_you_mean(name, names(kind)),
            id="E-CONFIG-VALUE",
        )
    return name


def summary(kind: str, name: str) -> str:
    """The first line of a choice's docstring."""
    return (get(kind, name).__doc__ or "").strip().splitlines()[0]


def _module(kind: str, name: str) -> ModuleType:
    return importlib.import_module(f"cifar_tui.{kind}.{name}")
