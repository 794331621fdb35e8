"""Room 2: the datasets and every picture in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Hide, Resize, Show
from textual.message import Message
from textual.widgets import Input, Static

from cifar_tui.charts.cells import plain
from cifar_tui.datasets.spec import get_spec
from cifar_tui.errors import CifarTuiError
from cifar_tui.tui.data_facts import relabelled
from cifar_tui.tui.screens.rooms import data_text
from cifar_tui.tui.screens.rooms.data_checks import DataChecks
from cifar_tui.tui.screens.rooms.data_picture import PicturePane, augmented, zoomed
from cifar_tui.tui.widgets import dataset_lines as text
from cifar_tui.tui.widgets import dataset_messages as messages
from cifar_tui.tui.widgets.class_list import ClassList
from cifar_tui.tui.widgets.dataset_pane import DatasetPane
from cifar_tui.tui.widgets.recipe_form import RecipeForm
from cifar_tui.tui.widgets.samples_grid import SamplesGrid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cifar_tui.datasets.split import Dataset, Split


class Loaded(Message, bubble=False, namespace="room_data"):
    """From a thread: a dataset, or why there is none."""

    def __init__(self, name: str, dataset: Dataset | None, error: BaseException | None) -> None:
        super().__init__()
        self.name, self.dataset, self.error = name, dataset, error


class RoomData(DataChecks):
    """Datasets and classes at the left, pictures in the middle, the chosen one at the right."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close_index", "Close", id="data.close", tooltip="Back to the pictures"),
        Binding("t", "split", "Split", id="data.split", tooltip="Train or test"),
        Binding("f", "class(1)", "Class", id="data.class", tooltip="Show only the next class"),
        Binding("F", "class(-1)", "Class back", id="data.class_back", show=False),
        Binding("slash", "classes", "Classes", id="data.classes", tooltip="Choose a class from the list"),
        Binding("i", "index", "Go to index", id="data.index", tooltip="Type the number of a picture"),
        Binding("n", "shuffle", "Shuffle", id="data.shuffle", tooltip="Another order, drawn at random"),
        Binding("o", "in_order", "File order", id="data.order", tooltip="As in the files", show=False),
        Binding("l", "labels", "Superclasses", id="data.labels", tooltip="Classes or superclasses"),
        Binding("v", "verify", "Verify", id="data.verify", tooltip="Hash every file again"),
    ]
    HELP_TEXT = (
        "All pictures of the selected dataset as they lie on the disk, by split and class. "
        "What is trained on is these pixels."
    )

    def __init__(self, *, data_dir: Path | None = None, id: str | None = None) -> None:
        super().__init__(data_dir=data_dir, id=id)
        self._dataset: Dataset | None = None
        self._loading = ""
        self._part = "train"
        self._class = -1
        self._coarse = False
        self._order_seed: int | None = None
        self._kept_cursor = 0
        self._entering = False

    def compose(self) -> ComposeResult:
        """The three columns."""
        with Vertical(id="data-left"):
            yield DatasetPane(data_dir=self._data_dir, pictures=False, id="room-dataset-pane")
            yield ClassList(id="data-classes")
            with Vertical(id="data-pixels-pane", classes="pane") as pixels:
                pixels.border_title = "Pixels"
                pixels.border_subtitle = "0 to 255"
                yield Static(id="data-pixels")
        with Vertical(id="data-middle", classes="pane"):
            yield Static(id="data-empty")
            yield SamplesGrid(id="samples")
            yield Input(id="data-index", type="integer", placeholder="index, then enter", compact=True)
        yield PicturePane(id="data-right", classes="pane")

    def on_mount(self) -> None:
        """Say what comes."""
        self.query_one("#data-index").display = False
        self._paint_frame()

    # ---- for the app ----

    def focus_first(self) -> None:
        """Focus what the room is about."""
        self.query_one(SamplesGrid if self.query_one(SamplesGrid).count else DatasetPane).focus()

    # ---- loading ----

    def on_show(self, _event: Show) -> None:
        """The pictures are read when they are looked at."""
        self._entering = True
        self._load(self.query_one(DatasetPane).selected)

    def on_hide(self, _event: Hide) -> None:
        """Let go of the pictures: they are read again in a blink."""
        self._kept_cursor = self.query_one(SamplesGrid).cursor
        self._dataset = None
        self._loading = ""
        self.query_one(SamplesGrid).show(None, None)

    def on_dataset_pane_selected(self, message: messages.Selected) -> None:
        """Another dataset."""
        message.stop()
        self._class, self._kept_cursor, self._entering, self._coarse = -1, 0, False, False
        self._load(message.dataset)

    def on_dataset_pane_status_changed(self, message: messages.StatusChanged) -> None:
        """It may be there now."""
        message.stop()
        self._load(self.query_one(DatasetPane).selected)

    def _load(self, name: str) -> None:
        if not self.display or not self.is_on_screen:
            return
        status = self.query_one(DatasetPane).statuses.get(name)
        if self._loading == name or (self._dataset is not None and self._dataset.name == name):
            return
        self._dataset = None
        self._show_rows()
        if status is None or status.state not in {"ready", "unverified"}:
            self._paint_frame()
            return
        self._loading = name
        self._paint_frame()
        folder = self.folder
        self.run_worker(
            lambda: self._read(name, folder),
            thread=True,
            exclusive=True,
            group="room-data",
            exit_on_error=False,
        )

    def _read(self, name: str, folder: Path) -> None:
        """In a thread: posts a message and touches nothing."""
        from cifar_tui.datasets import store

        try:
            self.post_message(Loaded(name, store.load(name, folder), None))
        except CifarTuiError as error:
            self.post_message(Loaded(name, None, error))

    def on_room_data_loaded(self, message: Loaded) -> None:
        """The pictures are in memory."""
        message.stop()
        if message.name != self._loading:
            return
        self._loading = ""
        self._dataset = message.dataset
        if message.error is not None:
            self.query_one(DatasetPane)._set_error(message.error, sample=True)
        self.query_one(ClassList).fill(self.split, self._class)
        self._show_rows(self._kept_cursor)
        if self._entering and self.screen.focused in {None, self.query_one(DatasetPane)}:
            self.query_one(SamplesGrid).focus()
        self._entering = False

    # ---- what is shown ----

    @property
    def split(self) -> Split | None:
        """The split that is shown."""
        if self._dataset is None:
            return None
        found: Split = getattr(self._dataset, self._part)
        return relabelled(found, get_spec(self._dataset.name).coarse_names) if self._coarse else found

    def _rows(self, split: Split) -> NDArray[np.int64]:
        import numpy as np

        rows = np.arange(len(split)) if self._class < 0 else np.flatnonzero(split.labels == self._class)
        if self._order_seed is not None:
            rows = np.random.default_rng(self._order_seed).permutation(rows)
        return rows.astype(np.int64)

    def _show_rows(self, cursor: int = 0) -> None:
        split = self.split
        grid = self.query_one(SamplesGrid)
        if split is None:
            grid.show(None, None)
        else:
            grid.show(split, self._rows(split), cursor)
        self._paint_frame()
        self.show_pixels(self._dataset, self._part)
        self.refresh_bindings()

    def _paint_frame(self) -> None:
        middle = self.query_one("#data-middle")
        grid, split = self.query_one(SamplesGrid), self.split
        title = text.TITLES[self.query_one(DatasetPane).selected]
        empty = self.query_one("#data-empty", Static)
        grid.display = split is not None
        empty.display = split is None
        if split is None:
            middle.border_title, middle.border_subtitle = Content(f"Samples, {title}"), ""
            pane = self.query_one(DatasetPane)
            said = data_text.empty(pane.selected, pane.statuses.get(pane.selected), bool(self._loading))
            empty.update(said)
            self._paint_picture(None)
            return
        name = "all classes" if self._class < 0 else plain(split.names[self._class])
        order = "shuffled" if self._order_seed is not None else "file order"
        middle.border_title = Content(f"{title}  {self._part}  {name}")
        middle.border_subtitle = Content(f"{grid.cursor + 1:,} of {grid.count:,}, {order}")

    def on_samples_grid_moved(self, message: SamplesGrid.Moved) -> None:
        """Another picture: that under the cursor now, as the message may speak of a split that is gone."""
        message.stop()
        self._paint_frame()
        self._paint_picture(self.query_one(SamplesGrid).index)

    def on_samples_grid_zoomed(self, message: SamplesGrid.Zoomed) -> None:
        """A closer look."""
        message.stop()
        split, dataset, index = self.split, self._dataset, self.query_one(SamplesGrid).index
        if split is None or dataset is None or index is None:
            return
        if message.augmented:
            forms = self.screen.query(RecipeForm)
            recipe = forms.first().recipe if forms else None
            self.app.push_screen(augmented(split, index, recipe.config if recipe else None))
        else:
            self.app.push_screen(zoomed(dataset.name, self._part, split, index))

    def _paint_picture(self, index: int | None) -> None:
        name = self._dataset.name if self._dataset is not None else ""
        self.query_one(PicturePane).show(name, self._part, self.split, index)

    # ---- keys and mouse ----

    def on_class_list_chosen(self, message: ClassList.Chosen) -> None:
        """A class was chosen."""
        message.stop()
        self._class = message.label
        self.remove_class("-classes")
        self._show_rows()
        self.query_one(SamplesGrid).focus()

    def action_split(self) -> None:
        """The other split."""
        self._part = "test" if self._part == "train" else "train"
        self.query_one(ClassList).fill(self.split, self._class)
        self._show_rows()

    def action_classes(self) -> None:
        """To the list of classes, which takes the place of the pictures on a narrow screen."""
        self.add_class("-classes")
        self.query_one(ClassList).focus()

    def action_labels(self) -> None:
        """Classes or superclasses."""
        self._coarse = not self._coarse
        self._class = -1
        self.query_one(ClassList).fill(self.split, self._class)
        self._show_rows()

    def action_class(self, by: int) -> None:
        """Only the next class; after the last one all."""
        split = self.split
        if split is None:
            return
        self._class = (self._class + 1 + by) % (len(split.names) + 1) - 1
        self.query_one(ClassList).highlighted = self._class + 1
        self._show_rows()

    def action_shuffle(self) -> None:
        """Another order."""
        self._order_seed = (self._order_seed or 0) + 1
        self._show_rows()

    def action_in_order(self) -> None:
        """The order of the files."""
        self._order_seed = None
        self._show_rows()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Pictures are needed for most."""
        if action in {"split", "class", "classes", "shuffle", "in_order", "index"}:
            return self._dataset is not None
        if action == "labels":
            return self._dataset is not None and self._dataset.train.coarse_labels is not None
        if action == "verify":
            return self._dataset is not None and self._dataset.path is not None and self._check is None
        if action == "close_index":
            field = self.query("#data-index")
            return self.has_class("-classes") or (bool(field) and field.first().display)
        return super().check_action(action, parameters)

    def action_index(self) -> None:
        """Ask for an index."""
        field = self.query_one("#data-index", Input)
        field.display = True
        field.value = ""
        field.focus()

    def action_close_index(self) -> None:
        """Leave the index field, or the list of classes."""
        self.remove_class("-classes")
        self.query_one("#data-index").display = False
        self.query_one(SamplesGrid).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go to the picture; one of another class shows all classes."""
        event.stop()
        split, grid = self.split, self.query_one(SamplesGrid)
        value = event.value.strip()
        if split is None or not value:
            self.action_close_index()
            return
        index = int(value) if value.isascii() and value.lstrip("+-").isdigit() and len(value) < 12 else -1
        if not 0 <= index < len(split):
            event.input.border_title = ""
            self.query_one("#data-middle").border_subtitle = Content(
                f"no such picture: 0 to {len(split) - 1:,}"
            )
            return
        place = grid.place_of(index)
        if place is None:
            self._class = -1
            self.query_one(ClassList).highlighted = 0
            self._show_rows()
            place = grid.place_of(index)
        grid.move_to(place or 0)
        self.action_close_index()

    def on_resize(self, event: Resize) -> None:
        """Narrow screens drop the side columns."""
        self.set_class(event.size.width < 100, "-narrow")
        self.set_class(event.size.width < 116, "-no-zoom")
