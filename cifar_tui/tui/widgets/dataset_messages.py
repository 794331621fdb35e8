"""Messages of the dataset pane."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from cifar_tui.datasets.places import DatasetStatus
    from cifar_tui.tui.widgets.dataset_reader import Look
    from cifar_tui.tui.widgets.dataset_reader import Samples as Found


class Selected(Message, namespace="dataset_pane"):
    """Another dataset was selected."""

    def __init__(self, dataset: str) -> None:
        super().__init__()
        self.dataset = dataset


class StatusChanged(Message, namespace="dataset_pane"):
    """The states were read again: dataset name -> `DatasetStatus`."""

    def __init__(self, found: dict[str, DatasetStatus]) -> None:
        super().__init__()
        self.found = found


class Looked(Message, bubble=False, namespace="dataset_pane"):
    """From a thread: what is on disk."""

    def __init__(self, found: Look) -> None:
        super().__init__()
        self.found = found


class Sampled(Message, bubble=False, namespace="dataset_pane"):
    """From a thread: pictures, or why there are none."""

    def __init__(self, samples: Found) -> None:
        super().__init__()
        self.samples = samples
