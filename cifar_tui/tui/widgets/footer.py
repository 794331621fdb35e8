"""The line at the bottom: six to eight keys of what is focused, each of which can be clicked.

Where there is too little room for all, Explain and Commands stay longest: from there the rest is found, by
keys and by mouse. Then come two keys of a training and two of what is focused.
"""

from __future__ import annotations

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual import events
from textual.app import RenderResult
from textual.binding import Binding
from textual.geometry import Size
from textual.widget import Widget

from cifar_tui.tui.actions import BY_ID

LIMIT = 8
_SURE = 2  # keys of a training, and of what is focused, that outlast the others
_ORDER = {name: index for index, name in enumerate(BY_ID)}
_LONGEST = {_ORDER["help"]: 1001, _ORDER["command_palette"]: 1000}
_KEYS = {"question_mark": "?", "ctrl+p": "^p", "escape": "esc", "slash": "/", "plus": "+", "minus": "-"}

Entry = tuple[str, str, str]  # the key as it is written, what it does, the key that a click presses


def key_text(binding: Binding) -> str:
    """A key as people write it."""
    key = binding.key_display or binding.key.partition(",")[0]
    return _KEYS.get(key, key.replace("ctrl+", "^"))


def _worths(entries: list[Entry], group: int) -> list[tuple[int, Entry]]:
    """Worth more than the rest; the first ones more than the others of any group."""
    return [
        (100 * (group if place < _SURE else group - 2) - place, entry) for place, entry in enumerate(entries)
    ]


def _width(entries: list[Entry], gap: int) -> int:
    return 1 + sum(cell_len(key) + 1 + cell_len(name) for key, name, _ in entries) + gap * (len(entries) - 1)


class FooterLine(Widget):
    """Keys of the focused pane first, then those of the app; fewer of them where there is less room."""

    DEFAULT_CSS = """
    FooterLine { dock: bottom; height: 1; width: 100%; background: $background; color: $muted; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._text = Text()
        self._spots: list[tuple[int, int, str]] = []  # first and last column of a key, as painted
        self._next_spots: list[tuple[int, int, str]] = []
        self._wanted: tuple[Entry, ...] = ()
        self._worth: tuple[int, ...] = ()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        """One row."""
        return 1

    def on_mount(self) -> None:
        """Follow focus and theme."""
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self.update_keys(force=True))
        self.screen.bindings_updated_signal.subscribe(self, lambda _screen: self.update_keys())

    def on_resize(self, _event: events.Resize) -> None:
        """As many keys as there is room for."""
        self.update_keys(force=True)

    def update_keys(self, *, force: bool = False) -> None:
        """Look again at which keys there are."""
        if not self.is_attached or self.size.width < 1:
            return
        ranked = self._keys()
        wanted = tuple(entry for _, entry in ranked)
        if wanted != self._wanted or force:
            self._wanted, self._worth = wanted, tuple(worth for worth, _ in ranked)
            self._build()
            self.refresh()

    def _keys(self) -> list[tuple[int, Entry]]:
        """The keys in order, each with its worth: the least goes first where there is too little room."""
        own: list[Entry] = []
        general: list[tuple[int, Entry]] = []
        names = getattr(self.app, "action_name", None)
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if not binding.show or not active.enabled:
                continue
            of_app = active.node is self.app
            name = names(binding.action, binding.description) if of_app and names else binding.description
            entry = (key_text(binding), name, binding.key.partition(",")[0])
            if of_app:
                rank = _ORDER.get((binding.id or "").removeprefix("app."), -1)
                if rank >= 0 and rank not in {known for known, _ in general}:
                    general.append((rank, entry))
            elif entry[0] not in {known[0] for known in own}:
                own.append(entry)
        general.sort()
        steering = [entry for rank, entry in general if rank < _ORDER["maximise"]]
        rest = [(_LONGEST.get(rank, -rank), entry) for rank, entry in general if rank >= _ORDER["maximise"]]
        own = own[: max(_SURE, LIMIT - len(steering) - 2)]
        return [*_worths(steering, 4), *_worths(own, 3), *rest]

    def _build(self) -> None:
        variables = self.app.theme_variables
        key_style = Style(color=variables["accent"][:7], bold=True)
        name_style = Style(color=variables["muted"][:7])
        entries = list(zip(self._worth, self._wanted, strict=True))
        width = self.size.width
        gap = 3
        while len(entries) > 1 and _width([entry for _, entry in entries], gap) >= width:
            if gap > 2:
                gap = 2
            else:
                entries.remove(min(entries))
        text, self._next_spots = Text(" ", no_wrap=True, overflow="crop", end=""), []
        for _, (key, name, pressed) in entries:
            begin = text.cell_len
            text.append(key, style=key_style)
            text.append(f" {name}", style=name_style)
            self._next_spots.append((begin, text.cell_len, pressed))
            text.append(" " * gap)
        self._text = text

    def render(self) -> RenderResult:
        """The line; from now on a click means what it shows."""
        self._spots = self._next_spots
        return self._text

    def on_click(self, event: events.Click) -> None:
        """A click on a key presses it."""
        for first, last, key in self._spots:
            if first <= event.x < last:
                self.app.simulate_key(key)
                return
