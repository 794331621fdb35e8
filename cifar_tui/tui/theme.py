"""Colours of the app: dark and light, each also with a palette for colour-blind eyes.

Style sheets use `$accent`, `$train`, `$test`, `$validation`, `$good`, `$warning`, `$bad`, `$muted`, `$ghost`,
`$panel` (panes), `$field` (what can be edited or pressed), `$axis`, `$grid` and `$foreground`. Train and test
have the colours of the charts and are used for nothing else.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal

from textual.theme import Theme

if TYPE_CHECKING:
    from textual.app import App

RGB = tuple[int, int, int]
_LEAST = 3.0  # contrast of large text in WCAG 2.2

DARK, LIGHT = "cifar-dark", "cifar-light"
DARK_BLIND, LIGHT_BLIND = "cifar-dark-blind", "cifar-light-blind"
NAMES = (DARK, LIGHT, DARK_BLIND, LIGHT_BLIND)

_SCREEN = {
    True: {
        "background": "#0e1116",
        "panel": "#151a21",
        "field": "#1e2630",
        "axis": "#2b3440",
        "grid": "#212932",
        "foreground": "#d7dde5",
        "muted": "#7d8896",
        "ghost": "#6b7583",
        "accent": "#7aa2f7",
        "good": "#3fb68b",
        "warning": "#e0af68",
        "bad": "#e06c75",
    },
    False: {
        "background": "#eef1f5",
        "panel": "#fbfcfd",
        "field": "#e3e8ee",
        "axis": "#c3ccd6",
        "grid": "#e3e8ee",
        "foreground": "#1c242d",
        "muted": "#5d6875",
        "ghost": "#8a95a1",
        "accent": "#2a5bd0",
        "good": "#1b7f5c",
        "warning": "#8a5a00",
        "bad": "#b8323f",
    },
}
USUAL = _SCREEN[True]
"""Colours by name for where a theme of another app's making lacks them."""
# Green and red are what most colour-blind eyes confuse: bluish green and vermilion of Okabe and Ito (2008),
# lighter or darker for contrast.
_BLIND = {
    True: {"good": "#2bb58d", "bad": "#e8743b"},
    False: {"good": "#00674a", "bad": "#b03c00"},
}
# The same as in `charts.colours`, which this module does not import so that the first paint comes early.
LINES = {
    ("default", True): {"train": "#4aa8ff", "test": "#ff9f43", "validation": "#3fb68b"},
    ("default", False): {"train": "#0a63b8", "test": "#a85500", "validation": "#1b7f5c"},
    ("colour-blind", True): {"train": "#56b4e9", "test": "#e69f00", "validation": "#cc79a7"},
    ("colour-blind", False): {"train": "#0072b2", "test": "#a85500", "validation": "#a3477b"},
}


def palette(theme: str) -> Literal["default", "colour-blind"]:
    """The palette of the charts that goes with a theme."""
    return "colour-blind" if theme.endswith("-blind") else "default"


def other_light(theme: str) -> str:
    """The light theme of a dark one, and the other way round."""
    blind = theme.endswith("-blind")
    if theme.startswith(LIGHT):
        return DARK_BLIND if blind else DARK
    return LIGHT_BLIND if blind else LIGHT


def other_palette(theme: str) -> str:
    """The same brightness with the other palette."""
    return theme.removesuffix("-blind") if theme.endswith("-blind") else f"{theme}-blind"


def build(name: str) -> Theme:
    """The Textual theme of a name in `NAMES`."""
    dark = name.startswith(DARK)
    blind = palette(name) == "colour-blind"
    screen = _SCREEN[dark] | (_BLIND[dark] if blind else {})
    lines = LINES[palette(name), dark]
    own = {key: screen[key] for key in ("field", "axis", "grid", "muted", "ghost", "good", "bad")} | lines
    return Theme(
        name=name,
        dark=dark,
        primary=screen["accent"],
        secondary=screen["muted"],
        accent=screen["accent"],
        warning=screen["warning"],
        error=screen["bad"],
        success=screen["good"],
        foreground=screen["foreground"],
        background=screen["background"],
        surface=screen["field"],
        panel=screen["panel"],
        variables=own
        | {
            "border": screen["accent"],
            "border-blurred": screen["axis"],
            "block-cursor-background": screen["accent"],
            "block-cursor-foreground": screen["background"],
            "block-cursor-text-style": "bold",
            "input-selection-background": f"{screen['accent']} 35%",
            "scrollbar": screen["axis"],
            "scrollbar-hover": screen["muted"],
            "scrollbar-active": screen["accent"],
            "scrollbar-background": screen["panel"],
            "scrollbar-background-hover": screen["panel"],
            "scrollbar-background-active": screen["panel"],
            "scrollbar-corner-color": screen["panel"],
        },
    )


def colours_now(app: App[Any]) -> tuple[str, ...]:
    """The colours in use, for what is kept as long as they are the same.

    They are not those of ``app.theme`` for a moment: the colours of a new theme come after its name.
    """
    return tuple(app.theme_variables.get(name, "") for name in USUAL)


def channels(code: str) -> RGB:
    """Red, green and blue of ``#rrggbb``, 0 to 255."""
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def mix(low: RGB, high: RGB, share: float) -> RGB:
    """A colour between two: the first at a share of 0, the second at 1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(low, high, strict=True))
    return red, green, blue


@functools.lru_cache(maxsize=1024)  # a matrix has hundreds of cells of few shades
def _luminance(colour: RGB) -> float:
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (channel / 255 for channel in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: RGB, other: RGB) -> float:
    """The contrast of two colours by WCAG 2.2: 1 for the same, 21 for black and white."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def text_is_read(back: RGB, text: RGB, screen: RGB) -> bool:
    """Whether text in its own colour is read on a shade; else the colour of the screen is read better there.

    Light text on a middling shade is read more easily than dark text of the same contrast, so it is given
    up only below a contrast of 3.
    """
    own = contrast(back, text)
    return own >= _LEAST or own >= contrast(back, screen)
