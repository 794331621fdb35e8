"""Keys that the user chose: ``[keys]`` of the settings, as id of an action and its keys.

::

    [keys]
    pause = "p"
    "runs.delete" = "ctrl+d"

An id without a dot is one of the app's actions. What cannot be used is left out and told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from cifar_tui.text import did_you_mean, safe_text
from cifar_tui.tui.actions import ACTIONS, BY_ID

RESERVED = frozenset(
    {"escape", "enter", "tab", "shift+tab", "up", "down", "left", "right", "ctrl+c", "ctrl+q", "ctrl+z"}
)
_ID = re.compile(r"[a-z_]+\.[a-z_0-9]+")
_KEY = re.compile(r"[^\s,]{1,40}")
_ALWAYS = {"app.quit": "ctrl+q"}  # a way out that nobody can lose


def plain(key: str) -> str:
    """A key as Textual names it: ``question_mark`` for ``?``."""
    from textual.keys import _character_to_key

    return _character_to_key(key) if len(key) == 1 else key


def full_id(name: str) -> str:
    """The id of a binding: ``app.pause`` for ``pause``."""
    return name if "." in name else f"app.{name}"


def owner(key: str, chosen: Mapping[str, str], *, without: str = "") -> str:
    """The name of the app's action that has a key, "" for none.

    Args:
        key: the key.
        chosen: chosen keys by full id.
        without: full id of an action that does not count.
    """
    for action in ACTIONS:
        id = f"app.{action.id}"
        keys = chosen.get(id, action.key).split(",")
        if id != without and plain(key) in {plain(each.strip()) for each in keys}:
            return action.name
    return ""


def refusal(id: str, key: str, chosen: Mapping[str, str]) -> str:
    """Why an action cannot have a key, in words; "" where it can."""
    if not _KEY.fullmatch(key):
        return f'"{safe_text(key, 40)}" is no key'
    if plain(key) in RESERVED:
        return f"{safe_text(key, 40)} moves or leaves, and cannot do anything else"
    other = owner(key, chosen, without=id) if id.startswith("app.") else ""
    return f"{safe_text(key, 40)} is the key of {other}" if other else ""


def keymap(chosen: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The keymap for Textual, and what is wrong with the rest.

    Args:
        chosen: keys, separated by commas, by id of an action.
    """
    wanted = {full_id(name): keys for name, keys in chosen.items()}
    found: dict[str, str] = {}
    problems: list[str] = []
    for id, keys in wanted.items():
        name = id.removeprefix("app.")
        if id.startswith("app.") and name not in BY_ID:
            problems.append(f'no action "{safe_text(name, 40)}"; {did_you_mean(name, BY_ID)}'[:160])
            continue
        if not _ID.fullmatch(id):
            problems.append(f'"{safe_text(id, 40)}" is no name of an action')
            continue
        parts = [part.strip() for part in keys.split(",")]
        reasons = [reason for part in parts if (reason := refusal(id, part, wanted))]
        if reasons:
            problems.append(f"{safe_text(name, 40)}: {reasons[0]}")
            continue
        found[id] = ",".join([*(plain(part) for part in parts), *filter(None, [_ALWAYS.get(id, "")])])
    return found, problems
