"""Recipes as TOML files that the command line takes too: `cifar-tui train --config FILE`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar_tui.errors import ConfigFileError, UsageError, from_os_error
from cifar_tui.fsio import replace_bytes
from cifar_tui.text import safe_text

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

FILE_LIMIT = 1_000_000


def path_of(text: str) -> Path:
    """The file of a typed name: ``~`` is the home folder.

    Raises:
        UsageError: no name, or one that no file can have.
    """
    if not text.strip() or "\0" in text:
        raise UsageError("type the name of a file", hint="recipe.toml")
    try:
        return Path(text.strip()).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{safe_text(text, 80)}: {error}") from None


def read_recipe(path: Path) -> tuple[str | None, dict[str, str]]:
    """Preset and texts by field of a file.

    Raises:
        CifarTuiError: the file cannot be used; the line is named.
    """
    from cifar_tui.recipe import read_file, resolve
    from cifar_tui.tui.widgets.form_state import value_text

    resolve(file=path)
    values, preset = read_file(path)
    return preset, {name: value_text(value) for name, value in values.items()}


def write_recipe(path: Path, preset: str | None, values: Mapping[str, str]) -> None:
    """Write preset and values, in tables by section. Comments of a file that is there are kept.

    Args:
        path: the file; its folder must be there.
        preset: name of the preset below, or None.
        values: valid texts by field.

    Raises:
        UsageError: a text is not valid, or has no form in TOML.
        CifarTuiError: it cannot be written; an old file is as it was.
    """
    import tomlkit

    from cifar_tui.config import OPTIONS, parse_value

    document = _old_document(path)
    _clear(document)
    if preset is not None:
        document["preset"] = preset
    for name, text in values.items():
        option = OPTIONS[name]
        value = parse_value(option, text)
        if value is None:
            raise UsageError(f"{name} is none, which a TOML file cannot say", hint=f"reset {name}")
        if not isinstance(document.get(option.section), dict):
            document[option.section] = tomlkit.table()
        table: Any = document[option.section]
        table[name] = value
    try:
        replace_bytes(path, tomlkit.dumps(document).encode("utf-8"))
    except OSError as error:
        raise from_os_error(error, "write", path) from None
    except ValueError as error:
        raise ConfigFileError(f"cannot write {path}: {error}") from None


def _old_document(path: Path) -> TOMLDocument:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        if path.is_file() and path.stat().st_size <= FILE_LIMIT:
            return tomlkit.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TOMLKitError, RecursionError):
        pass  # what cannot be read has no comments to keep
    return tomlkit.document()


def _clear(document: TOMLDocument) -> None:
    """Take out everything but comments."""
    from tomlkit.items import Table

    for key, item in list(document.items()):
        if isinstance(item, Table):
            for inner in list(item):
                del item[inner]
            if not item.as_string().strip():
                del document[key]
        else:
            del document[key]
