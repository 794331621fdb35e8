"""What a training says about itself: a closed set of frozen events, and their JSON form.

Console, JSON output, live screen, report and comparison are folds over these events, and a run's
``events.jsonl`` holds them one a line. Standard library only.

Names of the metrics, with the short names of the original notebook in brackets: `loss` is the batch loss
[loss], `moving_loss` and `moving_accuracy` are exponential moving averages with weight 0.01 [~loss, ~acc],
`mean_loss` and `mean_accuracy` are means since step 0 [#loss, #acc]. Losses are in nats, accuracies are
fractions in [0, 1].
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

PhaseName = Literal["import", "data", "build", "compile", "train", "evaluate", "save"]
RunState = Literal["done", "stopped", "diverged", "failed", "interrupted"]
Level = Literal["info", "warning", "error"]
CheckpointReason = Literal["interval", "end", "signal", "demand", "best", "initial", "diverged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What every event carries.

    Attributes:
        time: seconds since the Unix epoch. For people only: order goes by position and step.
    """

    kind: ClassVar[str] = ""
    time: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """A training begins, or goes on after a stop.

    Attributes:
        run: id of the run, "" where nothing is recorded.
        step: steps done before; 0 for a new run. Records of later steps are superseded by what follows.
        target: step at which the run is done.
        steps_per_epoch: full batches in one pass over the training split.
        config: the complete `RunConfig` as JSON values.
        device: banner fields: `device`, `name`, `threads`, `precision`, `torch`.
        dataset: `name`, `title`, `state`, `fingerprint`, `train`, `test`, `validation`, `classes`, `names`.
        parameters: trained numbers in the model.
        differences: what makes this resume not bit-exact, in words; empty when nothing does.
    """

    kind: ClassVar[str] = "run_started"
    run: str
    step: int
    target: int
    steps_per_epoch: int
    config: dict[str, Any]
    device: dict[str, Any]
    dataset: dict[str, Any]
    parameters: int
    differences: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase(Event):
    """What the training is busy with.

    Attributes:
        phase: the name of the phase.
        step: steps done.
        text: what exactly, for people.
        done, total: amount of work, in `unit`; total 0 where it is not known.
        unit: "bytes", "images" or "".
        rate: units per second; 0 where it is not known.
    """

    kind: ClassVar[str] = "phase"
    phase: PhaseName
    step: int = 0
    text: str = ""
    done: int = 0
    total: int = 0
    unit: str = ""
    rate: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Event):
    """Where the training is; at most twenty a second.

    Attributes:
        step, target: steps done, and the step at which the run is done.
        epoch: passes over the training split, with a fraction.
        loss, loss_min, loss_max: mean, least and greatest batch loss since the event before.
        moving_loss, moving_accuracy, mean_loss, mean_accuracy: see the module.
        learning_rate: as read from the optimizer.
        steps_per_second: over the last seconds of training; evaluation and saving are left out.
        images_per_second: the same in pictures.
        seconds: time spent in training steps so far, resumed parts included.
        seconds_left: expected time to the target, evaluations included; None when it is not known.
        paused: training waits for a resume.
    """

    kind: ClassVar[str] = "progress"
    step: int
    target: int
    epoch: float
    loss: float | None
    loss_min: float | None
    loss_max: float | None
    moving_loss: float | None
    moving_accuracy: float | None
    mean_loss: float | None
    mean_accuracy: float | None
    learning_rate: float
    steps_per_second: float
    images_per_second: float
    seconds: float
    seconds_left: float | None = None
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation(Event):
    """A split was evaluated.

    Attributes:
        step: steps done.
        epoch: passes over the training split, with a fraction.
        split: "train", "test" or "validation".
        examples: pictures evaluated; fewer than the split has where only its first part was used.
        loss: mean cross-entropy in nats, without regularisation.
        accuracy, top5: fractions.
        confusion: counts, true class by row, predicted class by column.
        penalty: the L2 penalty at this step, in nats; the notebook's mean loss is `loss + penalty`.
        seconds: time it took.
        final: it ends the training, on the whole split.
    """

    kind: ClassVar[str] = "evaluation"
    step: int
    epoch: float
    split: str
    examples: int
    loss: float | None
    accuracy: float
    top5: float
    confusion: list[list[int]]
    seconds: float
    penalty: float = 0.0
    final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint(Event):
    """A checkpoint is safe on disk.

    Attributes:
        step: steps done.
        name: its folder under ``checkpoints``.
        reason: why it was written.
        bytes: size of its files.
        seconds: time it took.
        median_step_us: median time of a training step, in microseconds.
    """

    kind: ClassVar[str] = "checkpoint"
    step: int
    name: str
    reason: CheckpointReason
    bytes: int
    seconds: float
    median_step_us: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Event):
    """Something worth telling: a fall-back, trouble with the disk, divergence.

    Attributes:
        level: "info", "warning" or "error".
        id: a stable id, such as ``W-DATA-UNVERIFIED``.
        text: one sentence.
        step: steps done.
        values: the same for programs, where there is more than the sentence: `threads`, `before`, `cause` and
            `rates` of ``I-THREADS`` and ``W-THREADS``.
    """

    kind: ClassVar[str] = "note"
    level: Level
    id: str
    text: str
    step: int = 0
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(Event):
    """The one last word of a training.

    Attributes:
        run: id of the run.
        state: how it ended.
        step: steps done.
        seconds: time spent in training steps, resumed parts included.
        steps_per_second: steps by training time, of this session.
        median_step_us, p95_step_us: time of a step in microseconds, of this session; None without a step.
        train, test, validation: `{"loss", "accuracy", "top5"}` of the last evaluation, or None.
        best: `{"step", "split", "accuracy"}` of the best evaluation.
        reason: in words, why it ended.
        exit: exit code of a command that ran it.
    """

    kind: ClassVar[str] = "run_ended"
    run: str
    state: RunState
    step: int
    seconds: float
    steps_per_second: float
    median_step_us: float | None
    train: dict[str, Any] | None
    test: dict[str, Any] | None
    validation: dict[str, Any] | None = None
    p95_step_us: float | None = None
    best: dict[str, Any] | None = None
    reason: str = ""
    exit: int = 0


EVENTS: dict[str, type[Event]] = {
    event.kind: event for event in (RunStarted, Phase, Progress, Evaluation, Checkpoint, Note, RunEnded)
}


def to_json(event: Event) -> dict[str, Any]:
    """An event as JSON values, ``{"event": kind, ...}``. NaN and infinities become null."""
    values: dict[str, Any] = {"event": event.kind}
    for name in _field_names(type(event)):
        values[name] = _strict(getattr(event, name))
    return values


def from_json(values: object) -> Event:
    """The event that `to_json` wrote. Fields it does not know are left out.

    Raises:
        ValueError: no event of the closed set, or a field is missing or of the wrong type.
    """
    if not isinstance(values, dict):
        raise ValueError(f"an event is an object, found {type(values).__name__}")
    kind = values.get("event")
    event_type = EVENTS.get(kind) if isinstance(kind, str) else None
    if event_type is None:
        raise ValueError(f"unknown event {str(kind)[:40]!r}")
    known = {}
    for name, fits in _field_checks(event_type).items():
        if name in values:
            value = known[name] = values[name]
            if not fits(value):
                raise ValueError(f"{kind}.{name} is {str(value)[:40]!r}")
    try:
        return event_type(**known)
    except TypeError as error:
        raise ValueError(f"{kind}: {error}") from None


def _strict(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return value


_Check = Callable[[Any], bool]
_INTEGERS = 1 << 63  # what fits into 64 bits
_names_cache: dict[type, tuple[str, ...]] = {}
_checks_cache: dict[type, dict[str, _Check]] = {}


def _field_names(event_type: type[Event]) -> tuple[str, ...]:
    if event_type not in _names_cache:
        _names_cache[event_type] = tuple(f.name for f in dataclasses.fields(event_type))
    return _names_cache[event_type]


def _field_checks(event_type: type[Event]) -> dict[str, _Check]:
    if event_type not in _checks_cache:
        hints = typing.get_type_hints(event_type)
        _checks_cache[event_type] = {name: _check_of(hints[name]) for name in _field_names(event_type)}
    return _checks_cache[event_type]


def _check_of(hint: Any) -> _Check:
    """Whether a JSON value fits a type, as a function: a list of runs asks this a million times."""
    origin = typing.get_origin(hint)
    if origin in {types.UnionType, typing.Union}:
        one, *others = (_check_of(option) for option in typing.get_args(hint) if option is not types.NoneType)
        assert not others, "a field is of one type, or null"
        return lambda value: value is None or one(value)
    if origin is Literal:
        choices = typing.get_args(hint)
        return lambda value: value in choices
    if origin is list:
        (item,) = typing.get_args(hint)
        if item is int:
            return _is_integers
        fits = (lambda _: True) if item is Any else _check_of(item)
        return lambda value: isinstance(value, list) and all(map(fits, value))
    known: dict[Any, _Check] = {float: _is_number, int: _is_integer}
    return known.get(hint, lambda value: isinstance(value, origin or hint))


def _is_number(value: Any) -> bool:
    return (type(value) is float or type(value) is int) and abs(value) < 1e308


def _is_integer(value: Any) -> bool:
    return type(value) is int and -_INTEGERS < value < _INTEGERS


def _is_integers(value: Any) -> bool:
    """A list of integers, such as a row of confusion counts, without a call for each."""
    if not isinstance(value, list) or not value:
        return isinstance(value, list)
    return set(map(type, value)) == {int} and min(value) > -_INTEGERS and max(value) < _INTEGERS
