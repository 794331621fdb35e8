"""The one schema of hyper-parameters: every option of a training, its range, unit and help.

Flags of the command line, fields of the form, keys of a TOML file, `run.json` and the trainer all read this.
A field that names a choice (`model`, `optimizer`, ...) is checked against the catalogue in `recipe`, since a
choice is a file in a folder. Values written as text follow one grammar, see `parse_value`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict

from cifar_tui.errors import UsageError
from cifar_tui.schema import option as _option
from cifar_tui.text import did_you_mean, safe_text

SECTIONS = ("data", "model", "optimisation", "schedule", "evaluation", "run")
ECHO_LIMIT = 80


class RunConfig(BaseModel):
    """All hyper-parameters of one training; frozen. Defaults are those of the original notebook's flags."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=()
    )

    dataset: str = _option("cifar10", "data", "Pictures to train on.", catalog="datasets")
    labels: Literal["fine", "coarse"] = _option(
        "fine", "data", "Label set of CIFAR-100: 100 fine classes or 20 coarse ones."
    )
    validation_examples: int = _option(
        0,
        "data",
        "Training pictures held out to choose the best checkpoint by; 0 for none.",
        unit="images",
        ge=0,
        le=40_000,
    )
    flip: bool = _option(False, "data", "Mirror training pictures left to right, every other one by chance.")
    crop: int = _option(
        0, "data", "Shift training pictures by up to this much each way.", unit="pixels", ge=0, le=16
    )
    cutout: int = _option(
        0,
        "data",
        "Side of a grey square somewhere on each training picture; 0 for none.",
        unit="pixels",
        ge=0,
        le=32,
        advanced=True,
    )

    model: str = _option("fnn", "model", "Network to train.", catalog="models")
    hidden_layers: int = _option(
        8, "model", "Dense hidden layers, stacked with residual connections.", unit="layers", ge=1, le=1000
    )
    num_nodes: int = _option(128, "model", "Width of the dense hidden layers.", unit="nodes", ge=1, le=65_536)
    norm: Literal["layer", "batch", "none"] = _option("layer", "model", "Normalisation after each layer.")
    conv_norm: Literal["same", "layer", "batch", "none"] = _option(
        "same", "model", "Normalisation after convolutions; same: as norm.", advanced=True
    )
    dropout: float = _option(0.0, "model", "Share of activations dropped in hidden layers.", ge=0.0, le=1.0)
    l2_reg: float = _option(
        0.0,
        "model",
        "L2 penalty on kernels and gains, in the loss. Works badly with batch normalisation.",
        ge=0.0,
        le=100.0,
    )

    optimizer: str = _option(
        "adamw", "optimisation", "Rule that turns gradients into steps.", catalog="optimizers"
    )
    learning_rate: float = _option(1e-4, "optimisation", "Step size at its highest.", gt=0.0, le=100.0)
    batch_size: int = _option(
        50,
        "optimisation",
        "Pictures a step. What remains of an epoch after the last full batch is left out.",
        unit="images",
        alias="batch",
        ge=1,
        le=50_000,
    )
    weight_decay: float = _option(
        0.0, "optimisation", "Decay of the weights, decoupled from the gradient in adamw.", ge=0.0, le=10.0
    )
    momentum: float = _option(0.0, "optimisation", "Share of the last step kept.", ge=0.0, le=0.9999)
    nesterov: bool = _option(False, "optimisation", "Look ahead along the momentum.", advanced=True)
    beta1: float = _option(
        0.9, "optimisation", "Decay of the gradient's mean.", ge=0.0, le=0.999999, advanced=True
    )
    beta2: float = _option(
        0.999, "optimisation", "Decay of the gradient's square.", ge=0.0, le=0.99999999, advanced=True
    )
    epsilon: float = _option(1e-7, "optimisation", "Floor of the denominator.", gt=0.0, le=1.0, advanced=True)

    steps: int = _option(
        2000, "schedule", "Steps to train for; 0 only evaluates.", unit="steps", ge=0, le=10**9
    )
    epochs: float | None = _option(
        None, "schedule", "Passes over the training pictures; replaces steps.", unit="epochs", gt=0.0, le=1e6
    )
    max_seconds: float | None = _option(
        None, "schedule", "Stop after this much time in training steps.", unit="s", gt=0.0, le=1e8
    )
    target_accuracy: float | None = _option(
        None,
        "schedule",
        "Stop once the evaluated accuracy reaches this (validation split, else test).",
        gt=0.0,
        le=1.0,
    )
    schedule: str = _option(
        "constant", "schedule", "Course of the learning rate over the steps.", catalog="schedules"
    )
    warmup_steps: int = _option(
        0, "schedule", "Steps over which the learning rate rises from zero.", unit="steps", ge=0, le=10**9
    )
    min_learning_rate: float = _option(
        0.0, "schedule", "Learning rate at the end of a cosine.", ge=0.0, le=100.0, advanced=True
    )

    evaluate: Literal["exponential", "steps", "epochs", "seconds", "end"] = _option(
        "exponential",
        "evaluation",
        "When to evaluate: at steps that grow apart, every n steps, epochs or seconds, or only at the end.",
    )
    evaluate_every: float | None = _option(
        None, "evaluation", "The n of every n steps, epochs or seconds.", gt=0.0, le=1e9
    )
    evaluate_first: int = _option(
        100,
        "evaluation",
        "First step of the exponential evaluations.",
        unit="steps",
        ge=1,
        le=10**9,
        advanced=True,
    )
    evaluate_growth: float = _option(
        1.35,
        "evaluation",
        "Each gap between exponential evaluations is this much longer.",
        ge=1.0,
        le=100.0,
        advanced=True,
    )
    eval_batch_size: int = _option(
        2000, "evaluation", "Pictures a batch of evaluation.", unit="images", ge=1, le=60_000
    )
    eval_train_examples: int = _option(
        1_000,
        "evaluation",
        "Training pictures evaluated under way; the last evaluation takes all of them.",
        unit="images",
        ge=1,
        le=60_000,
        advanced=True,
    )

    seed: int = _option(
        0, "run", "Where all randomness comes from: weights, order, dropout.", ge=0, le=2**31 - 1
    )
    device: str = _option("auto", "run", "auto, cpu, cuda, cuda:1 or mps. Asked for and absent is an error.")
    threads: int = _option(
        0,
        "run",
        "CPU threads of the engine; 0 or auto: measured, and again when the rate collapses.",
        unit="threads",
        ge=0,
        le=1024,
        advanced=True,
    )
    engine: Literal["auto", "eager", "compiled", "graph", "graph+compiled", "fused", "native"] = _option(
        "auto",
        "run",
        "How steps are run; auto: the fastest that can. fused is for the CPU, graph for CUDA.",
        advanced=True,
    )
    checkpoint_keep: int = _option(
        10, "run", "Newest checkpoints kept, the best one apart.", ge=0, le=100_000
    )
    checkpoint_seconds: float = _option(
        60.0, "run", "Time between checkpoints.", unit="s", gt=0.0, le=1e7, advanced=True
    )


@dataclass(frozen=True)
class Option:
    """What the schema says of one field, for flags, forms and help.

    Attributes:
        name: the field, such as ``learning_rate``.
        kind: "int", "float", "bool", "choice" or "text".
        choices: valid words of a choice of the schema; empty where the catalogue lists them.
        catalog: kind of catalogue the choices come from, or "".
        optional: the value may be absent.
    """

    name: str
    kind: Literal["int", "float", "bool", "choice", "text"]
    default: Any
    section: str
    help: str
    unit: str
    choices: tuple[str, ...]
    catalog: str
    alias: str
    optional: bool
    advanced: bool
    ge: float | None
    gt: float | None
    le: float | None

    @property
    def flag(self) -> str:
        """The spelling on the command line, such as ``--learning-rate``."""
        return "--" + self.name.replace("_", "-")

    @property
    def range(self) -> str:
        """The range for people: ``1 to 1000``, ``above 0, at most 100``, or the valid words."""
        if self.choices:
            return ", ".join(self.choices)
        if self.kind == "bool":
            return "true or false"
        if self.gt is not None and self.le is not None:
            return f"above {_plain(self.gt)}, at most {_plain(self.le)}"
        if self.ge is not None and self.le is not None:
            return f"{_plain(self.ge)} to {_plain(self.le)}"
        return ""


def _plain(number: float) -> str:
    return (
        f"{number:,.0f}".replace(",", "_")
        if abs(number) >= 10_000 and number == int(number)
        else f"{number:.10g}"
    )


_EXTRA = ("section", "unit", "catalog", "alias", "advanced", "ge", "gt", "le")


def _read_options() -> dict[str, Option]:
    options = {}
    for name, field in RunConfig.model_fields.items():
        extra: Any = field.json_schema_extra
        annotation: Any = field.annotation
        arguments = get_args(annotation)
        optional = type(None) in arguments
        if optional:
            annotation = next(a for a in arguments if a is not type(None))
        choices = tuple(get_args(annotation)) if get_origin(annotation) is Literal else ()
        kind: Any = (
            "choice"
            if choices or extra["catalog"]
            else {int: "int", float: "float", bool: "bool"}.get(annotation, "text")
        )
        facts = {key: extra[key] for key in _EXTRA}
        options[name] = Option(
            name=name,
            kind=kind,
            default=field.default,
            help=field.description or "",
            choices=choices,
            optional=optional,
            **facts,
        )
    return options


OPTIONS: dict[str, Option] = _read_options()


def options_of(section: str) -> Iterator[Option]:
    """The options of one section, in the order of the schema."""
    return (option for option in OPTIONS.values() if option.section == section)


def find_option(name: str) -> Option:
    """The option of this name, its alias, or either with dashes.

    Raises:
        UsageError: no such option; the nearest name is offered.
    """
    plain = name.replace("-", "_")
    for option in OPTIONS.values():
        if plain in {option.name, option.alias} and plain:
            return option
    raise UsageError(
        f'unknown option "{safe_text(name, ECHO_LIMIT)}"',
        hint=did_you_mean(plain, OPTIONS),
        id="E-CONFIG-KEY",
    )


_INTEGER = re.compile(r"(?!.{101})[+-]?[0-9]+(?:_[0-9]+)*\Z", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:[0-9]+(?:_[0-9]+)*\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?\Z", re.ASCII)
_DEVICE = re.compile(r"(?:auto|cpu|mps|cuda(?::[0-9]{1,3})?)\Z", re.ASCII)
_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


def parse_value(option: Option, text: str) -> Any:
    """The value that `text` stands for; the same grammar for flags, ``--set`` and form fields.

    Integers are ASCII digits with an optional sign, and single underscores between digits (``20_000``).
    Numbers may have a fraction and an exponent (``1e-4``). Spaces, other digits, hexadecimals, NaN and
    infinities are not numbers. Booleans are true/false, yes/no, on/off. The word ``none`` unsets an option
    that may be absent; ``auto`` threads are 0.

    Raises:
        UsageError: the text does not follow the grammar, or the value is out of range.
    """
    if option.optional and text == "none":
        return None
    value: Any = text
    if option.kind == "int" and (option.name, text) != ("threads", "auto"):
        value = int(text) if _INTEGER.match(text) else _refuse(option, text, "an integer")
    elif option.kind == "float":
        value = float(text) if len(text) <= 100 and _FLOAT.match(text) else _refuse(option, text, "a number")
    elif option.kind == "bool":
        folded = text[:10].lower()
        value = folded in _TRUE if folded in _TRUE | _FALSE else _refuse(option, text, "true or false")
    return check_value(option, value)


def check_value(option: Option, value: Any) -> Any:
    """`value`, with the type of the option, when it is in range; integers count as numbers.

    Raises:
        UsageError: wrong type, out of range, or not one of the choices; the field and its range are named.
    """
    if (value is None and option.optional) or (option.name, value) == ("threads", "auto"):
        return None if value is None else 0
    expected: Any = {"int": int, "float": (int, float), "bool": bool, "choice": str, "text": str}[option.kind]
    if not isinstance(value, expected) or (option.kind in {"int", "float"} and isinstance(value, bool)):
        names = {"int": "an integer", "float": "a number", "bool": "true or false"}
        _refuse(option, value, names.get(option.kind, "a word"))
    if option.name == "device" and not _DEVICE.match(value):
        raise UsageError(
            f'device is "{safe_text(value, ECHO_LIMIT)}"',
            hint=did_you_mean(value, ["auto", "cpu", "cuda", "cuda:0", "mps"]),
            id="E-CONFIG-VALUE",
        )
    if option.choices and value not in option.choices:
        raise UsageError(
            f'{option.name} is "{safe_text(value, ECHO_LIMIT)}"',
            hint=did_you_mean(str(value), option.choices),
            id="E-CONFIG-VALUE",
        )
    if option.kind in {"int", "float"} and not _in_range(option, value):
        _refuse(option, value, f"a value in range: {option.range}")
    return float(value) if option.kind == "float" else value


def _in_range(option: Option, value: float) -> bool:
    try:
        number = float(value)
    except OverflowError:
        return False
    return (
        not math.isnan(number)
        and (option.ge is None or number >= option.ge)
        and (option.gt is None or number > option.gt)
        and (option.le is None or number <= option.le)
    )


def _refuse(option: Option, found: object, expected: str) -> Any:
    shown = safe_text(found if isinstance(found, str) else repr_short(found), ECHO_LIMIT)
    unit = f" ({option.unit})" if option.unit else ""
    hint = f"{option.flag} takes {option.range}{unit}: {option.help}" if option.range else option.help
    raise UsageError(f'{option.name} is "{shown}", expected {expected}', hint=hint, id="E-CONFIG-VALUE")


def repr_short(value: object) -> str:
    """A short form of any value; an integer too long to print is described."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 300:
        return f"an integer of about {int(value.bit_length() * 0.30103)} digits"
    return str(value)
