"""``cifar-tui optimizers`` and ``cifar-tui presets``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cifar_tui.cli import common

if TYPE_CHECKING:
    from cifar_tui.recipe import Recipe

optimizers = common.new_app()
presets = common.new_app(help="Presets: recipes with a name.", invoke_without_command=True)


@optimizers.command(epilog="Example: cifar-tui optimizers")
def list_optimizers(as_json: common.Json = False) -> None:
    """List the optimizers, with their options and defaults."""
    from cifar_tui import catalog
    from cifar_tui.config import OPTIONS

    found: list[dict[str, Any]] = []
    for name in catalog.names("optimizers"):
        module = catalog.get("optimizers", name)
        mine = ["learning_rate", *(option for option in OPTIONS if option in module.OPTIONS)]
        defaults = {option: module.DEFAULTS.get(option, OPTIONS[option].default) for option in mine}
        found.append({"name": name, "summary": catalog.summary("optimizers", name), "options": defaults})
    if as_json:
        common.print_json(found)
        return
    for each in found:
        print(f"{common.paint(each['name'], '1')}: {each['summary']}")
        rows = [
            [OPTIONS[option].flag, value_text(value), OPTIONS[option].help]
            for option, value in each["options"].items()
        ]
        width = max(len(row[0]) for row in rows)
        for flag, value, text in rows:
            print(f"  {flag:<{width}}  {value:<8}  {text}")
        if each is not found[-1]:
            print()


@presets.callback(epilog="Example: cifar-tui presets")
def list_presets(ctx: typer.Context, as_json: common.Json = False) -> None:
    """List the presets."""
    if ctx.invoked_subcommand is not None:
        return
    from cifar_tui import catalog

    found = [_preset(name) for name in catalog.names("presets")]
    if as_json:
        common.print_json(found)
        return
    rows = [
        [
            each["name"],
            each["config"]["dataset"],
            each["config"]["model"],
            f"{each['config']['steps']:,}",
            each["summary"],
        ]
        for each in found
    ]
    print(common.table(("preset", "dataset", "model", "steps", "what it is"), rows, right=(3,)))


@presets.command("show", epilog="Example: cifar-tui presets show seed-cnn")
def show_preset(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A preset, see: cifar-tui presets.")],
    as_json: common.Json = False,
) -> None:
    """Show every value of a preset."""
    found = _preset(name)
    if as_json:
        common.print_json(found)
        return
    from cifar_tui.config import OPTIONS
    from cifar_tui.recipe import uses

    recipe = _recipe(name)
    rows = [
        [field, value_text(found["config"][field]), OPTIONS[field].unit, recipe.origins[field]]
        for field in OPTIONS
        if uses(recipe.config, field)
    ]
    colours = {(number, 1): "1" for number, row in enumerate(rows) if row[3].startswith("preset")}
    print(common.paint(f"{name}: {found['summary']}", "1"))
    print()
    print(common.table(("option", "value", "unit", "from"), rows, colours=colours))
    print()
    print(f"train it:  cifar-tui train --preset {name}")
    print(f"the same:  {found['command']}")
    for warning in recipe.warnings:
        common.say(f"note: {warning}")


def value_text(value: Any) -> str:
    """A value of an option as it is typed."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _recipe(name: str) -> Recipe:
    from cifar_tui.recipe import resolve

    return resolve(preset=name)


def _preset(name: str) -> dict[str, Any]:
    from cifar_tui import catalog
    from cifar_tui.config import OPTIONS

    module = catalog.get("presets", name)
    recipe = _recipe(name)
    flags = " ".join(f"{OPTIONS[field].flag} {value_text(value)}" for field, value in module.VALUES.items())
    return {
        "name": name,
        "summary": catalog.summary("presets", name),
        "values": dict(module.VALUES),
        "config": recipe.config.model_dump(),
        "origins": dict(recipe.origins),
        "command": f"cifar-tui train {flags}",
        "reference": getattr(module, "REFERENCE", None),
    }
