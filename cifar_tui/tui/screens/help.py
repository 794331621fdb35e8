"""What `?` opens: the focused thing explained, its keys, and a glossary of every number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.events import Click, Resize
from textual.widgets import Input, Static

from cifar_tui.text import safe_text
from cifar_tui.tui import glossary
from cifar_tui.tui.actions import ACTIONS
from cifar_tui.tui.messages import CopyRequested
from cifar_tui.tui.screens.modal import Modal
from cifar_tui.tui.widgets.footer import key_text
from cifar_tui.tui.widgets.lines import stack

if TYPE_CHECKING:
    from textual.binding import ActiveBinding
    from textual.screen import Screen
    from textual.widget import Widget

# Class -> title, part of the glossary, and what it is, for widgets without a HELP_TEXT of their own.
PANES: dict[str, tuple[str, str, str]] = {
    "DatasetPane": ("Dataset", "dataset", ""),
    "SamplesGrid": ("Samples", "dataset", ""),
    "RoomData": ("Data", "dataset", ""),
    "RecipeForm": (
        "Recipe",
        "recipe",
        "What is trained and how. Each field is checked as you type, by the same rules as the commands; a "
        "bad text stays, with the reason below it. A changed field has a dot and says what it was.",
    ),
    "ChartPane": (
        "Chart",
        "chart",
        "Curves of the open run. The train line is a moving average over a faint band of the raw values; "
        "dots are evaluations. The dotted line is what the original notebook published.",
    ),
    "ReportPane": (
        "Report",
        "report",
        "Numbers of the open run: moving ones while it trains, then loss, accuracy and top-5 on each split, "
        "the worst classes and the pairs that are confused most.",
    ),
    "ConfusionMatrix": ("Confusion matrix", "report", ""),
    "RoomReport": ("Report", "report", ""),
    "RunsTable": ("Runs", "runs", ""),
    "RoomRuns": ("Runs", "runs", ""),
    "RoomMachine": ("Log and machine", "machine", ""),
}
_GENERAL = (
    "Train a model on CIFAR and watch it: choose data and a recipe at the left, press space, and the curves "
    "and the report fill in."
)
_SKIPPED = {"tab", "shift+tab", "ctrl+c", "ctrl+z"}
_KEY_WIDTH = 11


@dataclass(frozen=True)
class Topic:
    """What is explained.

    Attributes:
        title: of the focused thing.
        pane: part of the glossary that comes first; "" for none.
        texts: paragraphs.
        keys: (key, what it does) of the focused thing.
        everywhere: the same of the app.
    """

    title: str
    pane: str
    texts: tuple[str, ...]
    keys: tuple[tuple[str, str], ...]
    everywhere: tuple[tuple[str, str], ...]


def topic_of(screen: Screen[Any]) -> Topic:
    """The topic of what is focused on a screen."""
    focused: Widget | None = screen.focused
    title, pane, texts = "cifar-tui", "", [_GENERAL]
    tip = ""
    for node in focused.ancestors_with_self if focused is not None else ():
        tooltip = getattr(node, "tooltip", None)
        if not tip and isinstance(tooltip, str | Content):
            tip = str(tooltip)
        known = PANES.get(type(node).__name__)
        if known is not None:
            title, pane, text = known
            text = text or str(getattr(node, "HELP_TEXT", ""))
            if pane == "chart":
                title = f"{str(getattr(node, 'kind', 'chart')).replace('_', ' ').capitalize()} chart"
            texts = [part for part in (tip, text) if part]
            break
    own, general = _keys(screen)
    return Topic(safe_text(title, 60), pane, tuple(texts), own, general)


def _keys(screen: Screen[Any]) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    by_action: dict[tuple[object, str], list[ActiveBinding]] = {}
    for active in screen.active_bindings.values():
        if active.enabled and active.binding.description and active.binding.key not in _SKIPPED:
            by_action.setdefault((active.node, active.binding.action), []).append(active)
    own, general = [], []
    names = getattr(screen.app, "action_name", None)
    for (node, _), found in by_action.items():
        keys = " ".join(dict.fromkeys(key_text(active.binding) for active in found))
        binding = found[0].binding
        of_app = node is screen.app
        name = (
            names(binding.action, binding.description)
            if of_app and names is not None
            else binding.description
        )
        entry = (_KEY_NAMES.get(keys, keys), name)
        if node is screen.app:
            general.append(entry)
        elif binding.show or binding.id:
            own.append(entry)
    order = {action.name: place for place, action in enumerate(ACTIONS)}
    general.sort(key=lambda entry: order.get(entry[1], len(order)))
    return tuple(own), tuple(general)


_KEY_NAMES = {"left_square_bracket": "[", "right_square_bracket": "]", "pageup": "pgup", "pagedown": "pgdn"}


class SearchField(Input):
    """The search; a question mark is no letter while nothing was typed."""

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Whether a key is text."""
        if key == "question_mark" and not self.value:
            return False
        return super().check_consume_key(key, character)


class HelpScreen(Modal[None]):
    """The focused thing, its keys, and the glossary; typing searches."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", id="help.close"),
        Binding("question_mark,f1", "close_untouched", "Close", show=False, priority=True),
        Binding("up", "scroll(-1)", "Up", id="help.up", show=False),
        Binding("down", "scroll(1)", "Down", id="help.down", show=False),
        Binding("pageup", "scroll(-10)", "Page up", id="help.page_up", show=False),
        Binding("pagedown", "scroll(10)", "Page down", id="help.page_down", show=False),
        Binding("ctrl+y", "copy", "Copy", id="help.copy"),
    ]

    def __init__(self, topic: Topic | None = None) -> None:
        super().__init__()
        self._topic = topic
        self._found: list[glossary.Term] = []

    def compose(self) -> ComposeResult:
        """Text at the left, keys at the right, the search below."""
        with Vertical(id="help"):
            with Horizontal(id="help-body"):
                with VerticalScroll(id="help-left", can_focus=False):
                    yield Static(id="help-about")
                    yield Static(id="help-terms")
                with VerticalScroll(id="help-right", can_focus=False):
                    yield Static(id="help-keys")
            yield SearchField(id="help-search", placeholder="type to search the glossary", compact=True)

    def on_mount(self) -> None:
        """Explain what has the focus below."""
        if self._topic is None:
            below = self.app.screen_stack[-2] if len(self.app.screen_stack) > 1 else self
            self._topic = topic_of(below)
        box = self.query_one("#help")
        box.border_title = Content(f"Explain: {self._topic.title}")
        box.border_subtitle = f"{len(glossary.TERMS)} words   up down scroll   ctrl+y copy   esc close"
        self.query_one("#help-keys", Static).update(self._keys())
        self._search("")
        self.query_one("#help-search").focus()

    def _keys(self) -> Content:
        assert self._topic is not None
        lines: list[Content] = []
        for heading, keys in (("Keys here", self._topic.keys), ("Everywhere", self._topic.everywhere)):
            if not keys:
                continue
            if lines:
                lines.append(Content(""))
            lines.append(Content.assemble((heading, "bold $foreground")))
            for key, name in keys:
                lines.append(
                    Content.assemble(
                        (f"{key:<{_KEY_WIDTH}} ", "bold $accent"), (safe_text(name, 40), "$muted")
                    )
                )
        return stack(lines)

    def _search(self, words: str) -> None:
        assert self._topic is not None
        about = self.query_one("#help-about", Static)
        about.display = not words
        paragraphs = [Content.assemble((safe_text(text, 600), "$foreground")) for text in self._topic.texts]
        about.update(Content("\n\n").join(paragraphs))
        self._found = glossary.search(words, self._topic.pane)
        terms = self.query_one("#help-terms", Static)
        if not self._found:
            terms.update(
                Content.assemble(
                    (f'No word "{safe_text(words, 40)}".  ', "$muted"), ("esc", "bold $accent"), " close"
                )
            )
            return
        lines: list[Content] = []
        here = [term for term in self._found if self._topic.pane in term.panes]
        split = len(here) if self._topic.pane and not words and here else 0
        for place, term in enumerate(self._found):
            if not words and place in {0, split}:
                heading = (
                    "Numbers here" if split and place == 0 else "All other words" if split else "Glossary"
                )
                lines.append(Content.assemble((heading, "bold $accent")))
            lines += [_term(term), Content("")]
        terms.update(stack(lines))
        self.query_one("#help-left").scroll_home(animate=False)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search as it is typed."""
        event.stop()
        if self._topic is not None:
            self._search(event.value.strip())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter closes."""
        event.stop()
        self.action_close()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A second question mark closes; in a search it is a letter."""
        if action == "close_untouched":
            return bool(self.query("#help-search")) and not self.query_one("#help-search", Input).value
        return super().check_action(action, parameters)

    def action_close_untouched(self) -> None:
        """Close where nothing was searched for."""
        self.dismiss()

    def on_click(self, event: Click) -> None:
        """A click beside the box closes it."""
        if event.widget is self:
            self.action_close()

    def action_close(self) -> None:
        """Close, or first empty the search."""
        field = self.query_one("#help-search", Input)
        if field.value:
            field.value = ""
        else:
            self.dismiss()

    def action_scroll(self, lines: int) -> None:
        """Scroll the text, and the keys where there are more than fit."""
        for name in ("#help-left", "#help-right"):
            self.query_one(name).scroll_relative(y=lines, animate=False)

    def action_copy(self) -> None:
        """The words that were found, as text."""
        lines = [f"{term.name}: {term.text}" for term in self._found]
        self.app.post_message(CopyRequested("\n".join(lines) + "\n", "glossary"))

    def on_resize(self, event: Resize) -> None:
        """Small screens have the keys below the text."""
        self.set_class(event.size.width < 76, "-narrow")


def _term(term: glossary.Term) -> Content:
    short = f"  {term.short}" if term.short and term.short != term.name else ""
    unit = f"  [{term.unit}]" if term.unit else ""
    return Content.assemble(
        (term.name, "bold $foreground"), (short, "$accent"), (unit, "$muted"), (f"\n{term.text}", "$muted")
    )
