"""The part of the dataset pane that chooses one of the datasets, and remembers it for the next start."""

from __future__ import annotations

from textual.containers import Vertical
from textual.events import Click

from cifar_tui.tui.widgets.dataset_lines import DATASETS
from cifar_tui.tui.widgets.dataset_row import DatasetRow


class DatasetChoice(Vertical):
    """Rows of datasets, one of them selected: by the user, which is remembered, or to follow a training."""

    _selected = DATASETS[0]

    @property
    def selected(self) -> str:
        """Name of the selected dataset."""
        return self._selected

    def select(self, dataset: str) -> None:
        """Show a dataset."""
        raise NotImplementedError

    def recall(self) -> None:
        """Begin with what the user chose last."""
        settings = getattr(self.app, "settings", None)
        if settings is not None and settings.dataset in DATASETS:
            self._selected = settings.dataset

    def choose(self, dataset: str) -> None:
        """Show what the user asks for, and begin with it the next time."""
        self.select(dataset)
        settings = getattr(self.app, "settings", None)
        if settings is not None and dataset in DATASETS:
            settings.set(dataset=dataset)

    def on_click(self, event: Click) -> None:
        """A click on a row selects it."""
        for node in event.widget.ancestors_with_self if event.widget is not None else ():
            if isinstance(node, DatasetRow):
                self.choose(node.dataset)

    def action_move(self, by: int) -> None:
        """Select the dataset above or below."""
        place = DATASETS.index(self._selected) + by
        if 0 <= place < len(DATASETS):
            self.choose(DATASETS[place])
