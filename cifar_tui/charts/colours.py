"""The colours of every line and sign in a chart, for dark and light screens and for colour-blind eyes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

RGB = tuple[int, int, int]
Palette = Literal["default", "colour-blind"]

PALETTES: tuple[Palette, ...] = ("default", "colour-blind")


def rgb(code: str) -> RGB:
    """A colour from ``#rrggbb``."""
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def _table(codes: Mapping[str, str]) -> Mapping[str, RGB]:
    return MappingProxyType({name: rgb(code) for name, code in codes.items()})


_DARK = {
    "train": "#4aa8ff",
    "test": "#ff9f43",
    "validation": "#3fb68b",
    "batch": "#3a6a9c",
    "ghost": "#6b7583",
    "accent": "#7aa2f7",
    "bad": "#e06c75",
    "text": "#d7dde5",
    "muted": "#7d8896",
    "axis": "#3d4855",
    "grid": "#29323d",
}
_LIGHT = {
    "train": "#0a63b8",
    "test": "#a85500",
    "validation": "#1b7f5c",
    "batch": "#7fa9d4",
    "ghost": "#8a95a1",
    "accent": "#2a5bd0",
    "bad": "#b8323f",
    "text": "#1c242d",
    "muted": "#5d6875",
    "axis": "#b3bdc8",
    "grid": "#dde3ea",
}
# Okabe and Ito, "Color Universal Design" (2008): told apart with every common form of colour blindness.
_BLIND_DARK = _DARK | {
    "train": "#56b4e9",
    "test": "#e69f00",
    "validation": "#cc79a7",
    "batch": "#3b7398",
    "bad": "#f0e442",
}
_BLIND_LIGHT = _LIGHT | {
    "train": "#0072b2",
    "test": "#a85500",
    "validation": "#a3477b",
    "batch": "#7fb3d0",
    "bad": "#8a3500",
}

ROLE_COLOURS: Mapping[str, RGB] = _table(_DARK)
"""Role -> truecolour RGB on a dark screen, default palette. The same train and test colours everywhere."""

_TABLES: Mapping[tuple[str, bool], Mapping[str, RGB]] = {
    ("default", True): ROLE_COLOURS,
    ("default", False): _table(_LIGHT),
    ("colour-blind", True): _table(_BLIND_DARK),
    ("colour-blind", False): _table(_BLIND_LIGHT),
}
_OTHERS: Mapping[bool, Sequence[RGB]] = {
    True: [rgb(code) for code in ("#c3a6ff", "#e6d85c", "#4fd6be", "#f58fb0", "#9fd356", "#b9a48c")],
    False: [rgb(code) for code in ("#7048c8", "#7a6a00", "#0f7c6b", "#b03068", "#4a7a12", "#75583a")],
}


def role_colour(role: str, palette: Palette = "default", dark: bool = True) -> RGB:
    """The colour of one role.

    Args:
        role: a key of `ROLE_COLOURS`, or ``other:<n>`` with n >= 0 for the n-th marked run.
        palette: one of `PALETTES`.
        dark: whether the background is dark.

    Raises:
        ValueError: when the role is not known.
    """
    if role.startswith("other:") and role[6:].isascii() and role[6:].isdigit():
        others = _OTHERS[dark]
        return others[int(role[6:8]) % len(others)] if len(role) < 9 else others[0]
    table = _TABLES[palette, dark]
    if role not in table:
        raise ValueError(f"chart role is {role[:40]!r}, expected one of {', '.join(table)} or other:<n>")
    return table[role]
