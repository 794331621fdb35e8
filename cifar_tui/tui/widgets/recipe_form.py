"""The recipe: a form made from the schema, with its verdict, its cost and its command line always in sight.

The schema and the catalogue are imported after the first paint: they take as long as Textual's own start.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message

from cifar_tui.errors import UsageError
from cifar_tui.text import safe_text
from cifar_tui.tui.frames import Framed
from cifar_tui.tui.messages import CopyRequested, FormChanged, StartRequested
from cifar_tui.tui.places import folder_words
from cifar_tui.tui.widgets.cost import CostLine, CostModel, SlowFacts, find_slow_facts
from cifar_tui.tui.widgets.estimate import Estimated, Estimator
from cifar_tui.tui.widgets.field_list import FieldList
from cifar_tui.tui.widgets.fields import (
    ChoiceEditor,
    Edited,
    ResetField,
    TextEditor,
)
from cifar_tui.tui.widgets.recipe_controls import KeyButton
from cifar_tui.tui.widgets.recipe_file_keys import RecipeFileKeys
from cifar_tui.tui.widgets.recipe_foot import CommandLine, RecipeFoot

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult

    from cifar_tui.recipe import Recipe
    from cifar_tui.tui.live import LiveRun
    from cifar_tui.tui.settings import Settings
    from cifar_tui.tui.widgets.form_state import FormState

LOW, ROOMY = 12, 26
_COPY_LINK = "[@click=copy][b $accent]^y[/] copy command[/]"
_RESET_LINK = "[@click=reset_all][b $accent]^n[/] reset all[/]"


# The letters are for when no text is edited; the others work always, so they are what is shown.
_KEYS = (
    ("y", "y", "copy", "Copy command", "copy", "Copy the cifar-tui train command that does the same"),
    ("r", "r", "reset_field", "Reset field", "reset", "Give the field the value of the preset again"),
    ("R", "n", "reset_all", "Reset all", "reset_all", "Give every field the value of the preset again"),
    ("o", "o", "load_file", "Load TOML", "load", "Read a recipe from a TOML file"),
    ("w", "t", "save_file", "Save TOML", "save", "Write the recipe to a TOML file"),
)


class RecipeForm(RecipeFileKeys, Framed, Vertical):
    """All hyper-parameters as a form. See `FormState` for what it holds.

    Posts `FormChanged` at every change, `StartRequested` and `CopyRequested` on demand.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "start", "Start", show=False, id="recipe.start"),
        *(
            Binding(
                f"{letter},ctrl+{key}", action, name, key_display=f"^{key}", id=f"recipe.{id}", tooltip=tip
            )
            for letter, key, action, name, id, tip in _KEYS
        ),
    ]

    class _FactsFound(Message):
        def __init__(self, facts: SlowFacts) -> None:
            super().__init__()
            self.facts = facts

    def __init__(self, settings: Settings | None = None, *, id: str | None = "recipe") -> None:
        super().__init__(id=id)
        self.border_title = "Recipe"
        self._settings = settings
        self._costs = CostModel()
        self._estimator = Estimator(self, self._costs, self._show_foot)
        self._known_state: FormState | None = None
        self._is_built = False
        self._enabled = True
        self._shown_live: tuple[bool, bool] = (False, False)

    # ---- what others ask of it ----

    @property
    def state(self) -> FormState:
        """What the form holds."""
        if self._known_state is None:
            from cifar_tui.tui.widgets.form_state import FormState

            self._known_state = FormState()
            if self._settings is not None:
                self._load(self._settings.preset or None, self._settings.form)
        return self._known_state

    @property
    def values(self) -> dict[str, str]:
        """Texts by field of what differs from the preset."""
        return self.state.values

    @property
    def preset(self) -> str | None:
        """Name of the preset, or None for the defaults of the schema."""
        return self.state.preset

    @property
    def recipe(self) -> Recipe | None:
        """The checked recipe; None while something is wrong."""
        return self.state.recipe

    def load(self, preset: str | None = None, values: Mapping[str, str] | None = None) -> None:
        """Show a preset and texts by field. Unknown names are left out, and said."""
        self._load(preset, values or {})
        self._after_change()

    def _load(self, preset: str | None, values: Mapping[str, str]) -> None:
        from cifar_tui.config import OPTIONS

        try:
            self.state.load(preset, values)
        except UsageError as error:
            from cifar_tui import catalog

            known = {name: text for name, text in values.items() if name.replace("-", "_") in OPTIONS}
            self.state.load(preset if preset in catalog.names("presets") else None, known)
            if self.is_mounted:
                self.notify(safe_text(error.message), severity="warning", markup=False)

    def estimate(self) -> None:
        """Time a few steps of the recipe on this device, in a thread."""
        if self.state.recipe is None:
            self.notify("The recipe has a value that is not valid", severity="warning", markup=False)
        else:
            self._estimator.ask(self.state.recipe.config)

    def on_estimated(self, event: Estimated) -> None:
        """A probe ended."""
        event.stop()
        self._estimator.take(event)
        self._estimator.consider(self.state.recipe)

    def on_unmount(self) -> None:
        """Let no thread hold up the end."""
        self._estimator.cancel()

    def focus_first(self) -> None:
        """Focus the first field; while the form is read-only, the first button."""
        if self._is_built and not self._enabled:
            self._focus_button()
        elif self._is_built:
            self.query_one("#preset", ChoiceEditor).focus()
        else:
            self.call_later(self.call_after_refresh, self.focus_first)

    def set_enabled(self, enabled: bool) -> None:
        """Let the fields be edited, or only read."""
        if enabled == self._enabled:
            return
        self._enabled = enabled
        focused = self.screen.focused if self.is_mounted else None
        was_editing = isinstance(focused, TextEditor | ChoiceEditor) and self in focused.ancestors
        self.query_one(FieldList).set_enabled(enabled)
        if was_editing and not enabled:
            self.call_later(self._focus_button)
        self._show_subtitle()

    def _focus_button(self) -> None:
        for button in self.query(KeyButton):
            if button.display:
                button.focus()
                return

    def show_live(self, live: LiveRun, kinds: frozenset[str]) -> None:
        """Follow a training: fields are read-only while it runs, its rate tells the time of the next one."""
        trains = live.is_live and not live.watched
        shown = (trains, live.status == "paused")
        if shown != self._shown_live and self._is_built:
            self._shown_live = shown
            self.set_enabled(not trains)
            self.call_later(self.query_one(RecipeFoot).show_running, *shown)
        if live.is_live:
            self._estimator.cancel()
        if "run_ended" in kinds and not live.recorded:
            self._costs.add_live(live)
            self._show_foot()

    # ---- building ----

    def compose(self) -> ComposeResult:
        """Two empty parts; the rows come after the first paint."""
        yield FieldList(self._settings, id="recipe-fields")
        yield RecipeFoot(id="recipe-foot")

    def on_mount(self) -> None:
        """Build the rows once the screen was painted."""
        self.call_after_refresh(self.build)

    async def build(self) -> None:
        """Make the rows that are in sight. The others are made when their group is unfolded."""
        if self._is_built or not self.is_attached:
            return
        self.state.folders = folder_words(self.app)
        usually_open = frozenset({"model"} if self.size.height >= ROOMY else ())
        await self.query_one(FieldList).build(self.state, usually_open)
        self._is_built = True
        self._after_change()
        if self.app.is_running:
            self._find_facts(getattr(self.app, "runs_dir", None))

    @work(thread=True, group="recipe-facts", exclusive=True, exit_on_error=False)
    def _find_facts(self, runs_dir: Path | None) -> None:
        self.post_message(self._FactsFound(find_slow_facts(runs_dir)))

    def on_recipe_form__facts_found(self, event: _FactsFound) -> None:
        """Memory and rates are known now."""
        event.stop()
        self._costs.set_slow_facts(event.facts)
        self._show_foot()

    # ---- showing ----

    def _after_change(self) -> None:
        if self._settings is not None:
            self._settings.set(preset=self.state.preset or "", form=self.state.values)
        if self._is_built:
            self.query_one(FieldList).show()
            self._show_foot()
            self._estimator.consider(self.state.recipe)
            self._show_subtitle()
            self.refresh_bindings()
            self.post_message(FormChanged(self.state.recipe))

    def _show_foot(self) -> None:
        if self._is_built:
            cost = self._costs.cost(self.state.draft, self._estimator.doing)
            self.query_one(RecipeFoot).show(self.state, cost)

    def _show_subtitle(self) -> None:
        if not self._enabled:
            self.border_subtitle = "read only while training"
        elif self.state.values:
            self.border_subtitle = f"{_RESET_LINK}   {_COPY_LINK}"
        else:
            self.border_subtitle = _COPY_LINK

    def on_resize(self, event: events.Resize) -> None:
        """On low screens only the fields and the buttons."""
        self.set_class(event.size.height < LOW, "-low")
        self.set_class(event.size.height >= ROOMY, "-roomy")

    # ---- what the user does ----

    @on(Edited)
    def _edited(self, event: Edited) -> None:
        event.stop()
        row = self.query_one(FieldList).row(event.name)
        if row is not None and isinstance(row.editor, TextEditor) and row.editor.value != event.text:
            return  # typed further since; showing this text would undo that, and the newer one follows
        self.state.set_text(event.name, event.text)
        self._after_change()

    @on(ResetField)
    def _reset(self, event: ResetField) -> None:
        event.stop()
        self.state.reset(event.name)
        self._after_change()

    @on(KeyButton.Pressed)
    async def _pressed(self, event: KeyButton.Pressed) -> None:
        event.stop()
        await self.run_action(event.button.action)

    async def on_click(self, event: events.Click) -> None:
        """A click on the command line copies it, one on what is wrong goes to the field."""
        if isinstance(event.widget, CostLine) and self._enabled:
            self.estimate()
        if isinstance(event.widget, CommandLine):
            if self.state.first_error() is None:
                self.action_copy()
            else:
                await self.show_error()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Nothing can be changed while a training runs, and only what was changed can be reset."""
        state = self._known_state
        if action == "reset_all":
            return self._enabled and state is not None and bool(state.values)
        if action == "reset_field":
            name = self._focused_field()
            return self._enabled and state is not None and state.is_changed(name)
        return self._enabled or action not in {"start", "load_file"}

    def _focused_field(self) -> str:
        focused = self.screen.focused if self.is_attached else None
        return focused.field if isinstance(focused, TextEditor | ChoiceEditor) else ""

    async def action_start(self) -> None:
        """Train this recipe; while something is wrong, go there instead."""
        if self.state.recipe is None:
            await self.show_error()
        else:
            self.post_message(StartRequested(self.state.values, self.state.preset))

    async def show_error(self) -> None:
        """Unfold and focus the first field that is wrong."""
        wrong = self.state.first_error()
        if wrong is None:
            return
        name, problem = wrong
        self.notify(
            safe_text(problem.reason, 300), title="The recipe is not valid", severity="error", markup=False
        )
        if name:
            await self.query_one(FieldList).reveal(name)

    def action_copy(self) -> None:
        """Copy the command line that trains the same."""
        self.post_message(CopyRequested(self.state.command(), "command"))

    def action_reset_field(self) -> None:
        """Put the focused field back to the preset."""
        self.state.reset(self._focused_field())
        self._after_change()

    def action_reset_all(self) -> None:
        """Put every field back to the preset."""
        self.state.reset_all()
        self._after_change()


__all__ = ["RecipeForm"]
