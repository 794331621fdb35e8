"""The first start in three steps: data, recipe, go. Synthetic pictures need no network."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Button, Static

from cifar_tui.tui.screens.modal import Modal

STEPS = ("Data", "Recipe", "Go")


class Plan(NamedTuple):
    """What to start: texts by field name above a preset.

    `start` is False to look at it in the form first.
    """

    values: dict[str, str]
    preset: str | None
    start: bool = True


class Option(NamedTuple):
    """One line of a step."""

    id: str
    key: str
    text: str
    remark: str


DATA = (
    Option("synthetic", "d", "Synthetic pictures", "built in, no network"),
    Option("cifar10", "g", "CIFAR-10", "10 classes, 170 MB to fetch"),
    Option("cifar100", "h", "CIFAR-100", "100 classes, 169 MB to fetch"),
)
RECIPES = (
    Option("quick", "q", "Quick look", "600 steps, about half a minute"),
    Option("seed-fnn", "f", "The notebook's dense net", "10,000 steps, 48.5% there"),
    Option("seed-cnn", "c", "The notebook's convolutional net", "20,000 steps, 67.1% there"),
)
QUICK = {
    "model": "cnn",
    "hidden_layers": "2",
    "norm": "layer",
    "learning_rate": "1e-3",
    "steps": "600",
    "evaluate_first": "50",
    "evaluate_growth": "1.4",
    "eval_train_examples": "2000",
}


def plan(dataset: str, recipe: str) -> Plan:
    """The form's content for two answers."""
    if recipe == "quick":
        return Plan({"dataset": dataset, **QUICK}, None)
    return Plan({} if dataset == "cifar10" else {"dataset": dataset}, recipe)


class FirstStart(Modal[Plan | None]):
    """Three steps, one key each; closes with what to start, or None.

    Args:
        ready: datasets that are on disk already.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back"),
        Binding("ctrl+c,ctrl+q", "app.quit", "Quit", show=False),
        Binding("up", "app.focus_previous", show=False),
        Binding("down", "app.focus_next", show=False),
    ]

    def __init__(self, ready: frozenset[str] = frozenset()) -> None:
        super().__init__(classes="dialog")
        self._ready = ready
        self._step = 0
        self._dataset = "synthetic"
        self._recipe = "quick"

    def compose(self) -> ComposeResult:
        """The line of steps, and room for the present one."""
        box = Vertical(id="dialog", classes="start")
        box.border_title = "Welcome to cifar-tui"
        box.border_subtitle = "enter choose   esc back"
        with box:
            yield Static(id="steps")
            yield Static(id="question")
            for number in range(3):
                button = Button("", id=f"option-{number}", classes="choice", compact=True)
                button.active_effect_duration = 0  # a click on it while it blinks would be lost
                yield button

    def on_mount(self) -> None:
        """Show the first step."""
        self._show()

    def _options(self) -> tuple[Option, ...]:
        if self._step == 0:
            return tuple(
                option._replace(remark="ready on this disk")
                if option.id in self._ready and option.id != "synthetic"
                else option
                for option in DATA
            )
        if self._step == 1:
            return RECIPES
        return (
            Option("go", "space", "Start training", "loading torch takes seconds"),
            Option("form", "e", "Look at the recipe first", "start with space"),
        )

    def _show(self) -> None:
        parts: list[tuple[str, str]] = []
        for number, name in enumerate(STEPS):
            sign = "✓" if number < self._step else "●" if number == self._step else "○"
            parts += [("  ───────  ", "$muted")] if number else []
            parts.append((f"{sign} {name}", "bold $accent" if number == self._step else "$muted"))
        self.query_one("#steps", Static).update(Content.assemble(*parts))
        asked = (
            "Training needs pictures. Which?",
            "A recipe is a model and how it is trained. Every value can be changed later.",
            f"{self._title(DATA, self._dataset)}, {self._title(RECIPES, self._recipe).lower()}.",
        )
        self.query_one("#question", Static).update(Text(asked[self._step]))
        options = self._options()
        for number in range(3):
            button = self.query_one(f"#option-{number}", Button)
            button.display = number < len(options)
            if number < len(options):
                button.label = self._label(options[number])
        self.query_one("#option-0", Button).focus()

    @staticmethod
    def _title(options: tuple[Option, ...], id: str) -> str:
        return next(option.text for option in options if option.id == id)

    @staticmethod
    def _label(option: Option) -> Text:
        text = Text(f" {option.key:<6}", style="bold")
        text.append(option.text)
        text.append(" " * max(2, 41 - text.cell_len))
        text.append(option.remark, style="dim")
        return text

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """A click, or Enter."""
        event.stop()
        number = int((event.button.id or "option-0")[-1])
        options = self._options()
        if number < len(options):
            self._choose(options[number].id)

    def on_key(self, event: events.Key) -> None:
        """The key of an option."""
        for option in self._options():
            if option.key == event.key:
                event.stop()
                event.prevent_default()
                self._choose(option.id)
                return

    def _choose(self, id: str) -> None:
        if self._step == 0:
            self._dataset = id
        elif self._step == 1:
            self._recipe = id
        else:
            chosen = plan(self._dataset, self._recipe)
            self.dismiss(chosen._replace(start=id == "go"))
            return
        self._step += 1
        self._show()

    def action_back(self) -> None:
        """One step back; from the first one, leave."""
        if self._step == 0:
            self.dismiss(None)
        else:
            self._step -= 1
            self._show()
