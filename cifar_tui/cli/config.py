"""``cifar-tui config``: settings and folders, and where each value comes from."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from cifar_tui.cli import common
from cifar_tui.errors import ConfigFileError
from cifar_tui.text import safe_text

app = common.new_app(help="Settings and folders, and where each comes from.")

# Name of the setting, and the environment variable that decides it.
_VARIABLES = (
    ("mirror", "CIFAR_TUI_MIRROR"),
    ("no_color", "NO_COLOR"),
)


@app.callback()
def config() -> None:
    """Settings and folders, and where each comes from."""


@app.command(epilog="Example: cifar-tui config show")
def show(
    data_dir: common.DataDir = None, runs_dir: common.RunsDir = None, as_json: common.Json = False
) -> None:
    """Show every setting, and where it comes from.

    That is the default, the settings file, an environment variable or a flag. The file is TOML, and may be
    edited while the app is closed. Exit code 78 where it cannot be used; the app then goes by its defaults.
    """
    found, problem = settings(data_dir, runs_dir)
    if as_json:
        common.print_json({"file": _file(), "problem": problem, "settings": found})
    else:
        rows = [[each["name"], _text(each["value"]), each["origin"]] for each in found]
        colours = {(n, 1): "1" for n, each in enumerate(found) if each["origin"] != "default"}
        print(common.table(("setting", "value", "from"), rows, colours=colours))
    if problem is not None:
        raise ConfigFileError(
            f"the settings file cannot be used: {problem}",
            where=_file(),
            state="the app goes by its defaults",
            hint="mend it, or delete it",
        )


def settings(
    data_dir: str | None = None, runs_dir: str | None = None
) -> tuple[list[dict[str, Any]], str | None]:
    """Every setting as `name`, `value`, `default` and `origin`; and what is wrong with the settings file."""
    from cifar_tui.tui.settings import FOLDER_VARIABLE, Settings, settings_path

    path = settings_path()
    found = [
        _folder("data_dir", str(common.data_dir(data_dir)), data_dir, "CIFAR_TUI_DATA_DIR"),
        _folder("runs_dir", str(common.runs_dir(runs_dir)), runs_dir, "CIFAR_TUI_RUNS_DIR"),
        _folder("config_dir", str(path.parent), None, FOLDER_VARIABLE),
    ]
    for name, variable in _VARIABLES:
        value = os.environ.get(variable) or None
        found.append(_setting(name, value, None, f"environment {variable}" if value else "default"))
    written, problem = _read(path)
    usual, now = Settings(), Settings.load(path)
    for field in dataclasses.fields(Settings):
        value, default = getattr(now, field.name), getattr(usual, field.name)
        origin = "settings file" if field.name in written else "default"
        if field.name in written and value == default and written[field.name] != default:
            origin = "default: that in the file is no valid value"
        found.append(_setting(field.name, value, default, origin))
    known = {field.name for field in dataclasses.fields(Settings)}
    found += [
        _setting(safe_text(name, 60), None, None, "settings file: unknown, ignored")
        for name in written
        if name not in known
    ]
    return found, problem


def _read(path: Any) -> tuple[dict[str, Any], str | None]:
    import tomllib

    try:
        return tomllib.loads(path.read_bytes()[:1_000_000].decode("utf-8")), None
    except FileNotFoundError:
        return {}, None
    except OSError as error:
        return {}, error.strerror or type(error).__name__
    except (ValueError, RecursionError) as error:
        return {}, safe_text(str(error) or type(error).__name__, 200)


def _folder(name: str, value: str, option: str | None, variable: str) -> dict[str, Any]:
    flag = f"flag --{name.replace('_', '-')}"
    from_environment = bool(os.environ.get(variable))
    origin = flag if option is not None else f"environment {variable}" if from_environment else "default"
    return _setting(name, value, None, origin)


def _setting(name: str, value: Any, default: Any, origin: str) -> dict[str, Any]:
    return {"name": name, "value": value, "default": default, "origin": origin}


def _text(value: Any) -> str:
    from cifar_tui.cli.choices import value_text

    if isinstance(value, dict):
        return ", ".join(f"{key}={each}" for key, each in value.items()) or "-"
    if value in ("", None):
        return "-"
    return value_text(value)


def _file() -> str:
    from cifar_tui.tui.settings import settings_path

    return str(settings_path())
