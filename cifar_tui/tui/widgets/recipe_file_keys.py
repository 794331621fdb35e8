"""The keys of the recipe form that load and save a TOML file. Loads no schema before they are pressed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.widget import Widget

from cifar_tui.errors import UsageError
from cifar_tui.text import safe_text

if TYPE_CHECKING:
    from cifar_tui.tui.widgets.form_state import FormState


class RecipeFileKeys(Widget):
    """Part of `RecipeForm`."""

    _file = "recipe.toml"

    @property
    def state(self) -> FormState:
        """What the form holds."""
        raise NotImplementedError

    def load(self, preset: str | None = None, values: Mapping[str, str] | None = None) -> None:
        """Show a preset and texts by field."""
        raise NotImplementedError

    def action_load_file(self) -> None:
        """Ask for a TOML file, and show what is in it."""
        self._ask_path("Load a recipe", "Load", self._load_file, ask=False)

    def action_save_file(self) -> None:
        """Ask for a name, and write preset and changed values as TOML."""
        self._ask_path("Save the recipe", "Save", self._save_file, ask=True)

    def _ask_path(self, title: str, verb: str, act: Any, *, ask: bool) -> None:
        from cifar_tui.tui.widgets.recipe_dialog import PathDialog

        self.app.push_screen(PathDialog(title, verb, self._file, act, ask=ask))

    def _load_file(self, path: Path) -> None:
        from cifar_tui.tui.widgets.recipe_files import read_recipe

        preset, values = read_recipe(path)
        self._file = str(path)
        self.load(preset, values)
        self.notify(f"loaded {safe_text(path, 200)}", markup=False)

    def _save_file(self, path: Path) -> None:
        from cifar_tui.tui.widgets.recipe_files import write_recipe

        wrong = self.state.first_error()
        if wrong is not None:
            raise UsageError(f"{wrong[0]}: {wrong[1].reason}", hint="correct the field, then save")
        write_recipe(path, self.state.preset, self.state.values)
        self._file = str(path)
        self.notify(f"saved {safe_text(path, 200)}", markup=False)
