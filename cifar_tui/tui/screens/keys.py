"""Choosing keys: every action with its key; Enter, then the new key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key
from textual.widgets import OptionList, Static

from cifar_tui.text import safe_text
from cifar_tui.tui import keys
from cifar_tui.tui.actions import ACTIONS
from cifar_tui.tui.screens.modal import Modal
from cifar_tui.tui.widgets.picture_views import padded

if TYPE_CHECKING:
    from textual.screen import Screen

    from cifar_tui.tui.settings import Settings


class Entry(NamedTuple):
    """An action: id of its binding, name, usual keys, one sentence."""

    id: str
    name: str
    usual: str
    help: str


def entries(screen: Screen[Any]) -> list[Entry]:
    """The actions of the app, and before them those of what is focused on a screen."""
    found: dict[str, Entry] = {}
    for node, bindings in screen._binding_chain:
        if node is screen.app or node is screen:
            continue
        for _, binding in bindings:
            if binding.id and binding.description:
                usual = binding.key if binding.id not in found else f"{found[binding.id].usual},{binding.key}"
                help = str(binding.tooltip or "")
                found[binding.id] = Entry(binding.id, binding.description, usual, help)
    own = sorted(found.values(), key=lambda entry: entry.name)
    return own + [Entry(f"app.{a.id}", a.name, a.key, a.help) for a in ACTIONS]


class PressKey(Modal[str | None]):
    """Waits for a key; closes with it, with "" for the usual one, or with None."""

    def __init__(self, name: str) -> None:
        super().__init__(classes="dialog")
        self._name = name

    def compose(self) -> ComposeResult:
        """What is waited for."""
        box = Vertical(id="dialog")
        box.border_title = Text(f"A key for {self._name}")
        box.border_subtitle = "backspace the usual one   esc close"
        with box:
            yield Static(Text("Press the key."), classes="lines")

    def on_key(self, event: Key) -> None:
        """Any key."""
        event.stop()
        event.prevent_default()
        self.dismiss({"escape": None, "backspace": ""}.get(event.key, event.key))


class KeysScreen(Modal[None]):
    """The list of actions with their keys.

    Args:
        settings: remembers what is chosen.
        found: the actions.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Close"),
        Binding("backspace,delete", "usual", "Usual key"),
        Binding("ctrl+q", "app.quit", "Quit", show=False),
    ]

    def __init__(self, settings: Settings, found: list[Entry]) -> None:
        super().__init__(classes="dialog")
        self._settings, self._entries = settings, found

    def compose(self) -> ComposeResult:
        """The list, and what the action under the cursor does."""
        box = Vertical(id="keys")
        box.border_title = "Keys"
        box.border_subtitle = "enter another key   backspace the usual one   esc close"
        with box:
            yield OptionList(*(self._line(entry) for entry in self._entries), id="keys-list")
            yield Static(id="keys-help")

    def on_mount(self) -> None:
        """Ready to choose."""
        self.query_one(OptionList).focus()
        self.query_one(OptionList).highlighted = 0

    @property
    def _chosen(self) -> dict[str, str]:
        return {keys.full_id(name): key for name, key in self._settings.keys.items()}

    def _line(self, entry: Entry) -> Content:
        chosen = self._chosen.get(entry.id)
        return Content.assemble(
            padded(entry.name, 26),
            (padded(shown(chosen or entry.usual), 22), "bold $accent"),
            (f"  usually {shown(entry.usual)}" if chosen is not None else "", "$muted"),
        )

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Say what it does."""
        event.stop()
        entry = self._entries[event.option_index]
        text = Content.assemble((entry.help or entry.name, "$foreground"), (f"   {entry.id}", "$muted"))
        self.query_one("#keys-help", Static).update(text)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Another key for it."""
        event.stop()
        place = event.option_index
        self.app.push_screen(
            PressKey(self._entries[place].name), lambda key: None if key is None else self._choose(place, key)
        )

    def action_usual(self) -> None:
        """The usual key again."""
        place = self.query_one(OptionList).highlighted
        if place is not None:
            self._choose(place, "")

    def _choose(self, place: int, key: str) -> None:
        entry, chosen = self._entries[place], self._chosen
        chosen.pop(entry.id, None)
        if key:
            reason = keys.refusal(entry.id, key, chosen)
        else:
            usual = entry.usual.split(",") if entry.id.startswith("app.") else []
            reason = next(
                (f"{shown(each)} is now the key of {other}" for each in usual
                 if (other := keys.owner(each, chosen, without=entry.id))), "",
            )  # fmt: skip
        if reason:
            self.app.notify(f"That cannot be: {reason}", severity="warning", markup=False)
            return
        self._settings.set(keys=chosen | ({entry.id: key} if key else {}))
        getattr(self.app, "use_keys", lambda: None)()
        self.query_one(OptionList).replace_option_prompt_at_index(place, self._line(entry))


def shown(key: str) -> str:
    """Keys as people write them."""
    from textual.keys import format_key

    return " ".join(safe_text(format_key(each.strip()), 20) for each in key.split(","))
