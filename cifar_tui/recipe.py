"""From preset, file and flags to one checked `RunConfig`, with the origin of every value.

Later layers win: schema default, the optimizer's own default, preset, TOML file, ``--set``, flag. The rules
between fields are the table `RULES`; options that the chosen model, optimizer or schedule does not have are
refused when they were asked for by hand.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cifar_tui import catalog
from cifar_tui.config import OPTIONS, SECTIONS, RunConfig, check_value, find_option, parse_value, repr_short
from cifar_tui.errors import ConfigFileError, UsageError, from_os_error
from cifar_tui.text import safe_text

FILE_LIMIT = 1_000_000
CHOICES = {"model": "models", "optimizer": "optimizers", "schedule": "schedules"}


@dataclass(frozen=True)
class Recipe:
    """A checked config.

    Attributes:
        config: the values.
        origins: for each field where its value came from: "default", "adamw default", "preset seed-fnn",
            "file recipe.toml", "--set" or "flag".
        warnings: legal, but hardly meant.
        preset: name of the preset below it, if any.
    """

    config: RunConfig
    origins: dict[str, str]
    warnings: tuple[str, ...] = ()
    preset: str | None = None


@dataclass(frozen=True)
class Rule:
    """A rule between fields: `wrong` says whether a config breaks it."""

    id: str
    fields: tuple[str, ...]
    level: Literal["error", "warning"]
    wrong: Callable[[RunConfig], bool]
    text: str


RULES: tuple[Rule, ...] = (
    Rule(
        "R-DROPOUT-ONE",
        ("dropout",),
        "error",
        lambda c: c.dropout >= 1.0,
        "dropout 1 drops every activation, so nothing can be learned; use a value below 1",
    ),
    Rule(
        "R-BATCH-NORM-ONE",
        ("norm", "batch_size"),
        "error",
        lambda c: c.batch_size == 1 and "batch" in {c.norm, c.conv_norm},
        "batch normalisation needs at least 2 pictures a batch; use batch_size 2 or more, or norm layer",
    ),
    Rule(
        "R-L2-BATCH-NORM",
        ("l2_reg", "norm"),
        "warning",
        lambda c: c.l2_reg > 0 and "batch" in {c.norm, c.conv_norm},
        "l2_reg with batch normalisation only scales weights that are normalised afterwards; "
        "the original notebook does it too",
    ),
    Rule(
        "R-COARSE",
        ("labels", "dataset"),
        "error",
        lambda c: c.labels == "coarse" and c.dataset != "cifar100",
        "coarse labels exist for cifar100 only",
    ),
    Rule(
        "R-EVERY",
        ("evaluate", "evaluate_every"),
        "error",
        lambda c: c.evaluate in {"steps", "epochs", "seconds"} and c.evaluate_every is None,
        "evaluating every n steps, epochs or seconds needs evaluate_every",
    ),
    Rule(
        "R-EVERY-UNUSED",
        ("evaluate", "evaluate_every"),
        "error",
        lambda c: c.evaluate in {"exponential", "end"} and c.evaluate_every is not None,
        "evaluate_every goes with evaluate steps, epochs or seconds",
    ),
    Rule(
        "R-EVERY-WHOLE",
        ("evaluate", "evaluate_every"),
        "error",
        lambda c: c.evaluate == "steps" and c.evaluate_every is not None and c.evaluate_every % 1 != 0,
        "evaluate_every counts whole steps when evaluate is steps",
    ),
    Rule(
        "R-NESTEROV",
        ("nesterov", "momentum"),
        "error",
        lambda c: c.nesterov and c.momentum == 0,
        "nesterov needs momentum above 0",
    ),
    Rule(
        "R-WARMUP",
        ("warmup_steps", "steps"),
        "error",
        lambda c: c.epochs is None and c.steps > 0 and c.warmup_steps >= c.steps > 0 and c.warmup_steps > 0,
        "warmup_steps must be less than steps",
    ),
    Rule(
        "R-MIN-RATE",
        ("min_learning_rate", "learning_rate"),
        "error",
        lambda c: c.min_learning_rate > c.learning_rate,
        "min_learning_rate must not be above learning_rate",
    ),
    Rule(
        "R-NO-CHECKPOINT",
        ("checkpoint_keep",),
        "warning",
        lambda c: c.checkpoint_keep == 0,
        "checkpoint_keep 0 keeps the best checkpoint only: a stopped run cannot go on from where it was",
    ),
)


@dataclass
class _Layer:
    origin: str
    values: dict[str, Any]
    by_hand: bool = True
    fail: Callable[[str, UsageError], Exception] = field(default=lambda _name, error: error)


def resolve(
    *,
    preset: str | None = None,
    file: Path | None = None,
    sets: Iterable[str] = (),
    flags: Mapping[str, str] | None = None,
    base: Mapping[str, Any] | None = None,
    base_origin: str = "run",
) -> Recipe:
    """One checked recipe from its layers.

    Args:
        preset: name of a preset, below everything else given.
        file: a TOML file; it may name a preset itself, which `preset` overrides.
        sets: ``key=value`` texts.
        flags: text by field name, as typed.
        base: values of an earlier run, in place of defaults and preset.
        base_origin: what to call them.

    Raises:
        UsageError: an unknown name, a bad value or a combination that the rules forbid.
        ConfigFileError: the file cannot be used.
    """
    file_values, file_preset = read_file(file) if file is not None else ({}, None)
    preset = preset or file_preset
    layers = []
    if preset is not None:
        module = catalog.get("presets", preset)
        layers.append(_Layer(f"preset {preset}", dict(module.VALUES), by_hand=False))
    if base is not None:
        layers.append(_Layer(base_origin, dict(base), by_hand=False))
    if file is not None:
        layers.append(_Layer(f"file {file.name}", file_values, fail=lambda n, e: _file_error(file, n, e)))
    layers.append(_Layer("--set", dict(_split_set(text) for text in sets)))
    layers.append(
        _Layer(
            "flag", {find_option(n).name: parse_value(find_option(n), t) for n, t in (flags or {}).items()}
        )
    )
    return _merge(layers, preset)


def _merge(layers: list[_Layer], preset: str | None) -> Recipe:
    values = {name: option.default for name, option in OPTIONS.items()}
    origins = dict.fromkeys(values, "default")
    by_hand: set[str] = set()
    rank = dict.fromkeys(values, -1)
    for number, layer in enumerate(layers):
        for name, value in layer.values.items():
            try:
                values[name] = _checked(name, value)
            except UsageError as error:
                raise layer.fail(name, error) from None
            origins[name], rank[name] = layer.origin, number
            if layer.by_hand:
                by_hand.add(name)
    if rank["steps"] > rank["epochs"]:
        values["epochs"], origins["epochs"] = None, origins["steps"]  # the later layer has the last word
    optimizer = catalog.get("optimizers", values["optimizer"])
    for name, value in optimizer.DEFAULTS.items():
        if origins[name] == "default":
            values[name], origins[name] = value, f"{values['optimizer']} default"
    _refuse_foreign_options(values, by_hand)
    config = RunConfig(**values)
    return Recipe(config, origins, check_rules(config), preset)


def _checked(name: str, value: Any) -> Any:
    option = find_option(name)
    value = check_value(option, value)
    return catalog.check(option.catalog, value) if option.catalog else value


def check_rules(config: RunConfig) -> tuple[str, ...]:
    """The warnings of the rule table.

    Raises:
        UsageError: a rule of level error is broken; its fields and their values are named.
    """
    warnings = []
    for rule in RULES:
        if rule.wrong(config):
            found = ", ".join(f"{name} {getattr(config, name)}" for name in rule.fields)
            if rule.level == "error":
                raise UsageError(f"{found}: {rule.text}", id=rule.id)
            warnings.append(f"{found}: {rule.text}")
    return tuple(warnings)


def _refuse_foreign_options(values: Mapping[str, Any], by_hand: set[str]) -> None:
    for chooser, kind in CHOICES.items():
        owners: dict[str, list[str]] = {}
        for name in catalog.names(kind):
            for option in catalog.get(kind, name).OPTIONS:
                owners.setdefault(option, []).append(name)
        for option in sorted(by_hand & owners.keys()):
            if values[chooser] not in owners[option]:
                raise UsageError(
                    f"{option} is an option of {chooser} {', '.join(owners[option])}; "
                    f"the {chooser} is {values[chooser]}, which does not have it",
                    hint=f"leave {OPTIONS[option].flag} out, or choose --{chooser} {owners[option][0]}",
                    id="E-CONFIG-FOREIGN",
                )


def uses(config: RunConfig, option: str) -> bool:
    """Whether the chosen model, optimizer and schedule make use of an option."""
    for chooser, kind in CHOICES.items():
        modules = {name: catalog.get(kind, name).OPTIONS for name in catalog.names(kind)}
        if any(option in options for options in modules.values()):
            return option in modules[getattr(config, chooser)]
    return True


def _split_set(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(
            f'--set takes key=value, found "{safe_text(text, 80)}"',
            hint="--set learning_rate=1e-3",
            id="E-CONFIG-KEY",
        )
    option = find_option(name.strip())
    return option.name, parse_value(option, value.strip())


def read_file(path: Path) -> tuple[dict[str, Any], str | None]:
    """Values and preset of a TOML file: keys at the top, or in a table named like their section.

    Raises:
        ConfigFileError: not readable, over 1 MB, not TOML, or an unknown key; the line is named.
    """
    text = _read_text(path)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _config_error(path, _line_of_error(str(error)), str(error)) from None
    except (RecursionError, ValueError) as error:
        raise _config_error(path, None, f"cannot be read: {str(error)[:120] or 'nested too deep'}") from None
    preset = document.pop("preset", None)
    if preset is not None and not isinstance(preset, str):
        raise _config_error(path, _line_of(text, "preset"), "preset must be a name in quotes")
    values: dict[str, Any] = {}
    for key, value in document.items():
        if key in SECTIONS and isinstance(value, dict):
            for name, inner in value.items():
                _take(path, text, values, name, inner, section=key)
        else:
            _take(path, text, values, key, value, section=None)
    return values, preset


def _take(path: Path, text: str, values: dict[str, Any], key: str, value: Any, section: str | None) -> None:
    line = _line_of(text, key)
    try:
        option = find_option(key)
    except UsageError as error:
        raise _config_error(path, line, error.message, error.hint) from None
    if section is not None and option.section != section:
        raise _config_error(path, line, f"{option.name} belongs in [{option.section}], found in [{section}]")
    if option.name in values:
        raise _config_error(path, line, f"{option.name} is given twice")
    if isinstance(value, dict | list):
        raise _config_error(path, line, f"{option.name} takes one value, found a {type(value).__name__}")
    values[option.name] = value


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_LIMIT + 1)
    except OSError as error:
        found = from_os_error(error, "read", path)
        raise ConfigFileError(found.message, hint="--config takes a TOML file") from None
    except ValueError as error:  # a NUL in the name
        raise ConfigFileError(f"cannot read {path}: {error}", hint="--config takes a TOML file") from None
    if len(data) > FILE_LIMIT:
        raise _config_error(path, None, f"more than {FILE_LIMIT} bytes: not a recipe")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _config_error(path, line, "not UTF-8 text") from None


def _file_error(path: Path, name: str, error: UsageError) -> ConfigFileError:
    try:
        line = _line_of(_read_text(path), name)
    except ConfigFileError:
        line = None
    return _config_error(path, line, error.message, error.hint)


def _config_error(path: Path, line: int | None, message: str, hint: str | None = None) -> ConfigFileError:
    place = f"{path}:{line}" if line else str(path)
    return ConfigFileError(f"{place}: {message}", hint=hint)


def _line_of(text: str, key: str) -> int | None:
    escaped = re.escape(key)
    found = re.search(
        rf"^[ \t]*[\"']?(?:{escaped}|{escaped.replace('_', '-')})[\"']?[ \t]*[=.]", text, re.MULTILINE
    )
    return text.count("\n", 0, found.start()) + 1 if found else None


def _line_of_error(message: str) -> int | None:
    found = re.search(r"at line ([0-9]+)", message)
    return int(found.group(1)) if found else None


def describe(recipe: Recipe) -> list[tuple[str, str, str]]:
    """Rows (name, value, origin) of every option in use, in the order of the schema."""
    return [
        (name, repr_short(getattr(recipe.config, name)), recipe.origins[name])
        for name in OPTIONS
        if uses(recipe.config, name)
    ]


__all__ = [
    "RULES",
    "Recipe",
    "Rule",
    "check_rules",
    "describe",
    "read_file",
    "resolve",
    "uses",
]
