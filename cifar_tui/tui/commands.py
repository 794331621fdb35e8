"""The command palette: every action under the name that footer and help give it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.screen import Screen

from cifar_tui.text import safe_text
from cifar_tui.tui.actions import ACTIONS
from cifar_tui.tui.messages import DownloadRequested
from cifar_tui.tui.widgets.dataset_lines import TITLES
from cifar_tui.tui.widgets.footer import key_text

_HIDDEN = {"app.command_palette"}


class Command(NamedTuple):
    """A line of the palette.

    Attributes:
        name: as in footer and help.
        help: one sentence and the key.
        run: does it.
    """

    name: str
    help: str
    run: Callable[[], Any]


def commands(screen: Screen[Any]) -> list[Command]:
    """All that can be done now: of the focused pane, of the app, and getting a dataset."""
    found = list(_of_pane(screen))
    app = screen.app
    names = getattr(app, "action_name", None)
    for action in ACTIONS:
        binding = action.binding
        if binding.id in _HIDDEN or not hasattr(app, f"action_{binding.action.partition('(')[0]}"):
            continue
        if not app.check_action(binding.action.partition("(")[0], ()):
            continue
        name = names(binding.action, action.name) if names is not None else action.name
        help = f"{action.help}  {key_text(binding)}"
        found.append(Command(name, help, partial(app.run_action, binding.action)))
    for dataset, title in TITLES.items():
        if dataset != "synthetic":
            ask = partial(app.post_message, DownloadRequested(dataset))
            found.append(Command(f"Get {title}", "Download the dataset, or go on with a download.", ask))
    return found


def _of_pane(screen: Screen[Any]) -> Iterator[Command]:
    seen = set()
    for active in screen.active_bindings.values():
        binding, node = active.binding, active.node
        if node is screen.app or node is screen or not active.enabled or not binding.description:
            continue
        if not (binding.show or binding.tooltip) or (id(node), binding.action) in seen:
            continue
        seen.add((id(node), binding.action))
        run = partial(screen.app.run_action, binding.action, node)
        help = f"{binding.tooltip or binding.description}  {key_text(binding)}"
        yield Command(safe_text(binding.description, 60), safe_text(help, 120), run)


class CommandProvider(Provider):
    """What the palette lists."""

    async def discover(self) -> Hits:
        """Everything, before a letter is typed."""
        for command in commands(self.screen):
            yield DiscoveryHit(command.name, command.run, help=command.help)

    async def search(self, query: str) -> Hits:
        """What matches, by name, then by help."""
        matcher = self.matcher(query)
        for command in commands(self.screen):
            score = matcher.match(command.name)
            if score > 0:
                yield Hit(score, matcher.highlight(command.name), command.run, help=command.help)
            elif matcher.match(command.help) > 0.6:
                yield Hit(matcher.match(command.help) / 2, command.name, command.run, help=command.help)
