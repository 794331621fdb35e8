"""What the recipe form holds, without a screen: texts by field, what changed, what is wrong, the recipe.

The verdict is that of the command line: texts go through `config.parse_value`, the whole through
`recipe.resolve`. Bad text is kept until it is replaced. Options that the chosen model, optimizer or schedule
does not have are hidden; their texts are kept, but are no part of the recipe.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cifar_tui import catalog
from cifar_tui.config import OPTIONS, RunConfig, find_option, options_of, parse_value
from cifar_tui.errors import UsageError
from cifar_tui.recipe import CHOICES, RULES, Recipe, Rule, resolve, uses

NO_PRESET = "none"
ESSENTIAL = ("dataset", "model", "steps", "batch_size", "learning_rate")
TITLES = {
    "model": "Architecture",
    "optimisation": "Optimisation",
    "schedule": "Schedule",
    "evaluation": "Evaluation",
    "data": "Data",
    "run": "Run",
}
"""Sections of the schema by title, in the order of the form."""

_LABELS = {
    "l2_reg": "L2 penalty",
    "beta1": "Beta 1",
    "beta2": "Beta 2",
    "num_nodes": "Nodes",
    "conv_norm": "Conv norm",
    "validation_examples": "Validation",
    "min_learning_rate": "Lowest rate",
    "evaluate_every": "Every",
    "evaluate_first": "First at step",
    "evaluate_growth": "Growth",
    "eval_batch_size": "Batch size",
    "eval_train_examples": "Train pictures",
    "checkpoint_keep": "Checkpoints",
    "checkpoint_seconds": "Save every",
    "target_accuracy": "Stop at accuracy",
    "max_seconds": "Stop after",
    "schedule": "Rate schedule",
    "warmup_steps": "Warm-up steps",
}
_PERIODIC = frozenset({"steps", "epochs", "seconds"})


@dataclass(frozen=True)
class Problem:
    """Something said beside a field: a short reason, and the whole error or warning."""

    reason: str
    is_error: bool = True
    error: UsageError | None = None


def label(name: str) -> str:
    """What a field is called on screen."""
    return _LABELS.get(name) or name.replace("_", " ").capitalize()


def number_text(value: float) -> str:
    """The shortest text that reads back as exactly this number: ``1e-4``, ``0.004``, ``20``."""
    text = f"{value:g}"
    if float(text) != value:
        text = repr(value)
    if "e" in text or 0 < abs(value) < 0.001:
        text = f"{Decimal(text):e}".replace("e+", "e")
    return text


def value_text(value: Any, *, grouped: bool = False) -> str:
    """A value as it is typed on the command line; `grouped` puts underscores into large integers."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, int):
        return f"{value:_}" if grouped and abs(value) >= 10_000 else str(value)
    return str(value)


class FormState:
    """The content of a form.

    Attributes:
        preset: name of the preset below, or None for the defaults of the schema.
        recipe: the checked recipe; None while something is wrong.
        problems: what to say beside which field; "" for what belongs to none.
        folders: options that name the folders of data and runs where they are not the usual ones.
        draft: the values as far as they are valid, those of the preset for the others; for estimates.
    """

    def __init__(self) -> None:
        self.preset: str | None = None
        self.recipe: Recipe | None = None
        self.problems: dict[str, Problem] = {}
        self.folders: tuple[str, ...] = ()
        self._texts: dict[str, str] = {}
        self.draft: RunConfig
        self._base: RunConfig
        self._choosers: RunConfig
        self._changed: frozenset[str]
        self._update()

    # ---- reading ----

    @property
    def values(self) -> dict[str, str]:
        """Texts of the fields that differ from the preset and are in use, in the order of the schema."""
        return {name: self._texts[name] for name in OPTIONS if name in self._changed and self.in_use(name)}

    def text(self, name: str) -> str:
        """The text of a field, as typed or from the preset; of "preset", its name."""
        if name == "preset":
            return self.preset or NO_PRESET
        return self._texts.get(name, self.base_text(name))

    def base_text(self, name: str) -> str:
        """The text of a field in the preset, or its default."""
        return value_text(getattr(self._base, name), grouped=True)

    def is_changed(self, name: str) -> bool:
        """Whether a field differs from the preset; another spelling of the same value does not."""
        return name in self._changed

    def in_use(self, name: str) -> bool:
        """Whether the chosen model, optimizer and schedule have an option."""
        return uses(self._choosers, name)

    def is_shown(self, name: str) -> bool:
        """Whether a field matters for what is chosen; a changed one that is in use always shows."""
        if name == "preset":
            return True
        if not self.in_use(name):
            return False
        if name in self._changed or name in self.problems:
            return True
        if name == "labels":
            return self.text("dataset") == "cifar100"
        if name == "evaluate_every":
            return self.text("evaluate") in _PERIODIC
        if name in {"evaluate_first", "evaluate_growth"}:
            return self.text("evaluate") == "exponential"
        return name != "nesterov" or self.text("momentum") not in {"0", "0.0"}

    def changed_in(self, section: str) -> int:
        """How many fields of a group differ from the preset."""
        return sum(name in self.values for name in group_fields(section))

    def wrong_in(self, section: str) -> int:
        """How many fields of a group have an error."""
        return sum(name in self.problems and self.problems[name].is_error for name in group_fields(section))

    def first_error(self) -> tuple[str, Problem] | None:
        """The first field with an error, and the error."""
        for name in ("", *OPTIONS):
            problem = self.problems.get(name)
            if problem is not None and problem.is_error:
                return name, problem
        return None

    def command(self, program: str = "cifar-tui train") -> str:
        """The command line that trains the same, quoted for a shell."""
        words = program.split()
        if self.preset is not None:
            words += ["--preset", self.preset]
        for name, text in self.values.items():
            option = OPTIONS[name]
            with contextlib.suppress(UsageError):  # one spelling for scripts; bad text as it is
                text = value_text(parse_value(option, text))  # noqa: PLW2901
            words += [f"{option.flag}={text}"] if text.startswith("-") else [option.flag, text]
        return shlex.join([*words, *self.folders])

    # ---- changing ----

    def set_text(self, name: str, text: str) -> None:
        """Type a text into a field; "preset" takes the name of another preset.

        Raises:
            UsageError: there is no such preset; nothing changed.
        """
        if name == "preset":
            self.choose_preset(None if text == NO_PRESET else text)
        else:
            self._texts[name] = text
            self._update()

    def reset(self, name: str) -> None:
        """Put a field back to the preset."""
        self._texts.pop(name, None)
        self._update()

    def reset_all(self) -> None:
        """Put every field back to the preset."""
        self._texts.clear()
        self._update()

    def choose_preset(self, preset: str | None) -> None:
        """Put another preset below the changed fields. The model is the preset's: it is what that is about.

        Raises:
            UsageError: there is none of that name; nothing changed.
        """
        if preset is not None:
            catalog.check("presets", preset)
        self.preset = preset
        self._texts.pop("model", None)
        self._update()

    def load(self, preset: str | None, values: Mapping[str, str]) -> None:
        """Take a preset and texts by field name, spelled as on the command line.

        Raises:
            UsageError: an unknown preset or field; nothing changed.
        """
        texts = {find_option(name).name: text for name, text in values.items()}
        if preset is not None:
            catalog.check("presets", preset)
        self.preset, self._texts = preset, texts
        self._update()

    # ---- the verdict ----

    def _update(self) -> None:
        chosen = {name: self._texts[name] for name in CHOICES if self._is_choice(name)}
        self._base = resolve(preset=self.preset).config
        own = {name: getattr(self._base, name) for name in CHOICES}
        if chosen:
            changed = resolve(preset=self.preset, flags=chosen).config
            self._base = changed.model_copy(update=own)
        self._choosers = RunConfig.model_construct(**own | chosen)
        self._changed = frozenset(name for name in self._texts if self._differs(name))
        self.problems = {}
        self.recipe = None
        values, valid = self.values, dict[str, Any]()
        for name, text in values.items():
            try:
                valid[name] = _parse(name, text)
            except UsageError as error:
                self.problems[name] = Problem(_reason(name, error), error=error)
        self.draft = self._base.model_copy(update=own | chosen | valid)
        if self.problems:
            return
        try:
            self.recipe = resolve(preset=self.preset, flags=values)
        except UsageError as error:
            rule = next((rule for rule in RULES if rule.id == error.id), None)
            name = self._home(rule) if rule else ""
            self.problems[name] = Problem(rule.text if rule else error.message, error=error)
            return
        for rule in RULES:
            if rule.level == "warning" and rule.wrong(self.recipe.config) and values.keys() & {*rule.fields}:
                self.problems.setdefault(self._home(rule), Problem(rule.text, is_error=False))

        self._warn_of_small_data(self.recipe.config)

    def _warn_of_small_data(self, config: RunConfig) -> None:
        """What only the data tells: a training would refuse it at its start."""
        from cifar_tui.datasets.spec import get_spec

        pictures = get_spec(config.dataset).train
        left = pictures - config.validation_examples
        if left <= 0:
            text = f"{config.dataset} has only {pictures:,} training pictures"
            self.problems["validation_examples"] = Problem(text, is_error=False)
        elif config.batch_size > left:
            text = f"there are only {left:,} pictures to train on"
            self.problems["batch_size"] = Problem(text, is_error=False)

    def _is_choice(self, name: str) -> bool:
        return self._texts.get(name) in catalog.names(CHOICES[name])

    def _differs(self, name: str) -> bool:
        try:
            return bool(_parse(name, self._texts[name]) != getattr(self._base, name))
        except UsageError:
            return True

    def _home(self, rule: Rule) -> str:
        return next((name for name in rule.fields if name in self._changed), rule.fields[0])


def group_fields(section: str) -> tuple[str, ...]:
    """The fields of a group; those that are rarely needed come last."""
    options = [option for option in options_of(section) if option.name not in ESSENTIAL]
    return tuple(option.name for option in sorted(options, key=lambda option: option.advanced))


def choices(name: str) -> tuple[str, ...]:
    """The words that a choice can be; empty for a field that takes any text."""
    if name == "preset":
        return (*catalog.names("presets"), NO_PRESET)
    option = OPTIONS[name]
    if option.kind == "bool":
        return ("false", "true")
    return catalog.names(option.catalog) if option.catalog else option.choices


def choice_summary(name: str, choice: str) -> str:
    """One line on what a choice is; "" where nothing is known."""
    kind = "presets" if name == "preset" else OPTIONS[name].catalog
    if not kind or choice not in catalog.names(kind):
        return "the defaults of the schema" if name == "preset" else ""
    if kind == "datasets":
        from cifar_tui.datasets.spec import get_spec

        spec = get_spec(choice)
        source = ", drawn by this program" if spec.synthetic else ""
        return f"{spec.title}: {len(spec.names)} classes, {spec.train:,} + {spec.test:,} pictures{source}"
    return catalog.summary(kind, choice)


def explain(name: str) -> str:
    """What a field is: help, range and unit, and its flag."""
    if name == "preset":
        return "Recipe to begin with; the fields below change it. (--preset)"
    option = OPTIONS[name]
    limits = ", ".join(choices(name)) if option.kind in {"choice", "bool"} else option.range
    unit = f" {option.unit}" if option.unit else ""
    absent = ", or none" if option.optional else ""
    return f"{option.help} ({option.flag}{': ' if limits else ''}{limits}{absent}{unit})"


def summary_of(state: FormState, section: str) -> str:
    """A folded group in a few words."""
    text = state.text
    if section == "model":
        known = [f"{text('hidden_layers')} × {text('num_nodes')}"] if state.in_use("num_nodes") else []
        return " · ".join([*known, f"{text('norm')} norm"] if state.in_use("norm") else known)
    if section == "optimisation":
        decay = text("weight_decay") if state.in_use("weight_decay") else "0"
        return text("optimizer") + (f" · decay {decay}" if decay != "0" else "")
    if section == "schedule":
        warm_up = text("warmup_steps")
        return text("schedule") + (f" · warm-up {warm_up}" if warm_up != "0" else "")
    if section == "evaluation":
        kind = text("evaluate")
        return f"every {text('evaluate_every')} {kind}" if kind in _PERIODIC else kind
    if section == "data":
        held = text("validation_examples")
        words = [text("labels")] if state.is_shown("labels") else []
        words += [f"{held} held out"] if held != "0" else []
        words += ["flip"] if text("flip") == "true" else []
        words += [f"{name} {text(name)}" for name in ("crop", "cutout") if text(name) != "0"]
        return " · ".join(words) or "no validation"
    return f"seed {text('seed')} · keep {text('checkpoint_keep')}"


def _parse(name: str, text: str) -> Any:
    option = OPTIONS[name]
    value = parse_value(option, text)
    return catalog.check(option.catalog, value) if option.catalog else value


def _reason(name: str, error: UsageError) -> str:
    option = OPTIONS[name]
    _, found, expected = error.message.partition(", expected ")
    if not found:
        return f"{error.message}; {error.hint}" if error.hint else error.message
    if "in range" not in expected and option.range:
        unit = f" {option.unit}" if option.unit else ""
        return f"expected {expected}, {option.range}{unit}"
    return f"expected {expected}"
