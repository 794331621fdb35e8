"""The CIFAR library: fetch, check and load CIFAR-10, CIFAR-100 and a synthetic set. Numpy only.

It can be used alone::

    from cifar_tui.datasets import data_dir, fetch, load

    fetch("cifar10", data_dir(None))
    dataset = load("cifar10", data_dir(None))

Importing this package loads no numpy: each name is looked up in its own module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cifar_tui.datasets.download import fetch
    from cifar_tui.datasets.places import DatasetStatus, data_dir
    from cifar_tui.datasets.spec import DatasetSpec, get_spec
    from cifar_tui.datasets.split import Batch, Dataset, Split, epoch_order
    from cifar_tui.datasets.store import load, reset_cache, status, verify
    from cifar_tui.datasets.summary import SplitStatistics, statistics
    from cifar_tui.datasets.transfer import Timing, Transfer

_HOMES = {
    "Batch": "split",
    "Dataset": "split",
    "DatasetSpec": "spec",
    "DatasetStatus": "places",
    "Split": "split",
    "SplitStatistics": "summary",
    "Timing": "transfer",
    "Transfer": "transfer",
    "data_dir": "places",
    "epoch_order": "split",
    "fetch": "download",
    "get_spec": "spec",
    "load": "store",
    "reset_cache": "store",
    "statistics": "summary",
    "status": "store",
    "verify": "store",
}

__all__ = [
    "Batch",
    "Dataset",
    "DatasetSpec",
    "DatasetStatus",
    "Split",
    "SplitStatistics",
    "Timing",
    "Transfer",
    "data_dir",
    "epoch_order",
    "fetch",
    "get_spec",
    "load",
    "names",
    "reset_cache",
    "statistics",
    "status",
    "verify",
]


def names() -> tuple[str, ...]:
    """The datasets there are, in the order to show them."""
    return ("cifar10", "cifar100", "synthetic")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
