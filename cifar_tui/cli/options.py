"""Flags made from the schema: one for every field of `RunConfig`, with the same grammar as everywhere else.

A flag is text; `recipe.resolve` parses it as it parses ``--set``, so that all doors give the same verdict. A
flag that is given twice counts as given last.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from cifar_tui import catalog
from cifar_tui.config import OPTIONS, SECTIONS, Option

_METAVARS = {"int": "N", "float": "X", "bool": "BOOL", "choice": "NAME", "text": "TEXT"}
_TITLES = {
    "data": "Data",
    "model": "Model",
    "optimisation": "Optimisation",
    "schedule": "Schedule",
    "evaluation": "Evaluation",
    "run": "Run",
}
RECIPE_PANEL = "Recipe"


@dataclass(frozen=True)
class Asked:
    """What the command line says about the recipe.

    Attributes:
        preset: name of a preset, or None.
        file: a TOML file, or None.
        sets: ``key=value`` texts.
        flags: text by field name, of the flags that were given.
    """

    preset: str | None = None
    file: Path | None = None
    sets: tuple[str, ...] = ()
    flags: dict[str, str] = field(default_factory=dict)


class SectionedCommand(TyperCommand):
    """A command whose help lists its options under headings."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, grouped by their panel, in the order of the parameters."""
        panels: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                plain = "Arguments" if param.param_type_name == "argument" else "Options"
                panels.setdefault(getattr(param, "rich_help_panel", None) or plain, []).append(record)
        for title, records in panels.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def recipe_options(
    *, preset: bool = True, only: Iterable[str] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the flags of the recipe.

    The function takes a keyword argument `asked`, an `Asked`; what it takes besides comes first in the help.

    Args:
        preset: whether there is ``--preset``.
        only: names of the fields that become flags; None for all. ``--config`` and ``--set`` come with all.
    """
    chosen = [OPTIONS[name] for name in only] if only is not None else in_order()
    extra = _sources(preset, files=only is None) + [_parameter(option) for option in chosen]
    names = [option.name for option in chosen]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        own = [
            parameter
            for name, parameter in inspect.signature(function, eval_str=True).parameters.items()
            if name != "asked"
        ]

        def command(**values: Any) -> Any:
            flags = {name: text for name in names if (text := values.pop(name, None)) is not None}
            file = values.pop("config_file", None)
            asked = Asked(
                preset=values.pop("preset", None),
                file=None if file is None else Path(file),
                sets=tuple(values.pop("set_", None) or ()),
                flags=flags,
            )
            return function(**values, asked=asked)

        command.__name__ = function.__name__
        command.__doc__ = function.__doc__
        command.__module__ = function.__module__
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + extra
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        return command

    return decorate


def in_order() -> list[Option]:
    """All options by section; within one, those that are rarely needed last."""
    return [
        option
        for section in SECTIONS
        for option in sorted(
            (option for option in OPTIONS.values() if option.section == section), key=lambda o: o.advanced
        )
    ]


def help_of(option: Option) -> str:
    """What the help says of an option: what it does, its range, unit and default."""
    facts = [option.range] if option.range else []
    if option.catalog:
        facts = [", ".join(catalog.names(option.catalog))]
    if option.unit:
        facts = [f"{fact} {option.unit}" for fact in facts] or [option.unit]
    own = [catalog.get("optimizers", name).DEFAULTS.get(option.name) for name in catalog.names("optimizers")]
    if any(value is not None for value in own):
        facts.append("default: the optimizer's own")
    else:
        facts.append(f"default: {_shown(option.default)}")
    return f"{option.help} [{'; '.join(facts)}]"


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _parameter(option: Option) -> inspect.Parameter:
    spellings = [option.flag] + ([f"--{option.alias}"] if option.alias else [])
    info = typer.Option(
        *spellings,
        help=help_of(option),
        metavar=_METAVARS[option.kind],
        show_default=False,
        rich_help_panel=_TITLES[option.section],
    )
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[str | None, info],
    )


def _sources(preset: bool, files: bool) -> list[inspect.Parameter]:
    found = []
    if preset:
        text = f"Recipe to begin with [{', '.join(catalog.names('presets'))}]."
        found.append(("preset", Annotated[str | None, _source("--preset", "NAME", text)]))
    if files:
        text = "TOML file with values, over the preset."
        found.append(("config_file", Annotated[str | None, _source("--config", "FILE", text)]))
        text = "Any value, over preset and file; may be repeated. A flag of its own wins over it."
        found.append(("set_", Annotated[list[str] | None, _source("--set", "KEY=VALUE", text)]))
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in found
    ]


def _source(flag: str, metavar: str, text: str) -> Any:
    return typer.Option(flag, metavar=metavar, help=text, show_default=False, rich_help_panel=RECIPE_PANEL)
