"""What a recipe costs: parameters, FLOPs, memory, and time at the rate of earlier runs or a probe."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.content import Content
from textual.widget import Widget

from cifar_tui.text import human_bytes, human_count, human_seconds

if TYPE_CHECKING:
    from textual.geometry import Size

    from cifar_tui.config import RunConfig
    from cifar_tui.tui.live import LiveRun

RUN_LIMIT = 60
TAIL_BYTES = 1 << 16
RUNS_OF_A_RATE = 5  # the median of as many of the newest runs
_KEY = ("model", "hidden_layers", "num_nodes", "norm", "conv_norm", "batch_size", "threads", "engine")
PROBE = "probe"
UNKNOWN_TIME = "time unknown"
ESTIMATE_KEY = "^g"


@dataclass(frozen=True)
class Rate:
    """Steps per second that a training reached.

    Attributes:
        key: values of the fields that decide it.
        device: the device it ran on, such as "cpu" or "cuda:0".
        steps_per_second: the rate.
        source: "run" or "probe".
    """

    key: tuple[Any, ...]
    device: str
    steps_per_second: float
    source: str = "run"


@dataclass(frozen=True)
class Cost:
    """The cost of a recipe.

    Attributes:
        parameters: trained numbers.
        flops: of the forward pass for one picture.
        steps: to the end.
        memory: bytes about needed; None while not known.
        available: bytes free on this machine; None while not known.
        steps_per_second: of the runs like it, or of a probe; None where there is neither.
        limit: seconds after which the recipe stops.
        source: where the rate comes from, such as "3 runs here"; "" without one.
        doing: what is done just now to find the rate; "" for nothing.
    """

    parameters: int
    flops: int
    steps: int
    memory: int | None = None
    available: int | None = None
    steps_per_second: float | None = None
    limit: float | None = None
    source: str = ""
    doing: str = ""

    @property
    def seconds(self) -> float | None:
        """Time of the steps; None where the rate is not known."""
        if not self.steps_per_second:
            return None
        needed = self.steps / self.steps_per_second
        return needed if self.limit is None else min(needed, self.limit)

    @property
    def too_large(self) -> bool:
        """Whether this machine has not the memory."""
        return self.memory is not None and self.available is not None and self.memory > self.available


class CostModel:
    """Computes costs. What takes time to find out comes later, from a thread, by `set_slow_facts`.

    Attributes:
        rates: newest first.
    """

    def __init__(self) -> None:
        self.rates: list[Rate] = []
        self._memory: Callable[[RunConfig, int], int] | None = None
        self._available: int | None = None

    def cost(self, config: RunConfig, doing: str = "") -> Cost:
        """The cost of a config, while something is done to find its rate or not."""
        from cifar_tui import catalog
        from cifar_tui.datasets.spec import get_spec
        from cifar_tui.models._layers import total_flops, total_parameters

        classes = len(get_spec(config.dataset).class_names(config.labels))
        layers = catalog.get("models", config.model).layers(config, classes)
        rate, source = self.rate(config)
        return Cost(
            total_parameters(layers),
            total_flops(layers),
            total_steps(config),
            self._memory(config, classes) if self._memory else None,
            self._available,
            rate,
            config.max_seconds,
            source,
            doing,
        )

    def add_live(self, live: LiveRun) -> None:
        """Take in the rate of the training that runs now."""
        if live.config is not None and live.progress is not None and live.progress.steps_per_second > 0:
            self.rates.insert(0, _rate(live.config, live.device, live.progress.steps_per_second))

    def add_probe(self, config: RunConfig, device: str, steps_per_second: float) -> None:
        """Take in what a probe of a config found; the newest figure counts."""
        key = key_of(config)
        kept = [known for known in self.rates if known.source != PROBE or known.key != key]
        self.rates = [Rate(key, device, steps_per_second, PROBE), *kept]

    def set_slow_facts(self, facts: SlowFacts) -> None:
        """Take in what `find_slow_facts` found."""
        self._memory, self._available = facts.memory, facts.available
        self.rates += facts.rates

    def rate(self, config: RunConfig) -> tuple[float | None, str]:
        """Steps per second of a config, and where that comes from: "probe", or "3 runs here"."""
        key = key_of(config)
        found = [rate for rate in self.rates if rate.key == key and _is_on(rate.device, config.device)]
        if not found:
            return None, ""
        if found[0].source == PROBE:
            return found[0].steps_per_second, PROBE
        runs = [rate.steps_per_second for rate in found if rate.source != PROBE][:RUNS_OF_A_RATE]
        return statistics.median(runs), f"{len(runs)} run{'s' if len(runs) > 1 else ''} here"


def key_of(config: RunConfig) -> tuple[Any, ...]:
    """What decides the rate of a config, but for its device."""
    return tuple(getattr(config, name) for name in _KEY)


def _is_on(device: str, wanted: str) -> bool:
    return wanted in {"auto", device} or device.startswith(f"{wanted}:")


@dataclass(frozen=True)
class SlowFacts:
    """What is not known at once: how to tell memory, what is free, and rates of recorded runs."""

    memory: Callable[[RunConfig, int], int]
    available: int
    rates: list[Rate]


def find_slow_facts(runs_dir: Path | None) -> SlowFacts:
    """For a thread: takes a good part of a second. Runs that cannot be read are left out."""
    import psutil

    from cifar_tui.session.prepare import memory_needed

    memory = psutil.virtual_memory()
    rates = list(recorded_rates(runs_dir, memory.total)) if runs_dir is not None else []
    return SlowFacts(memory_needed, int(memory.available), rates)


def recorded_rates(runs_dir: Path, total_memory: int) -> Iterator[Rate]:
    """Rates of the newest `RUN_LIMIT` runs of this machine, newest first.

    A run on a CPU counts when its machine had as much memory as this one.
    """
    from cifar_tui.errors import CifarTuiError
    from cifar_tui.runs.directory import iterate_runs

    try:
        runs = sorted(iterate_runs(runs_dir), key=lambda run: _modified(run.events_path), reverse=True)
    except CifarTuiError:
        return
    for run in runs[:RUN_LIMIT]:
        try:
            meta = run.meta()
        except CifarTuiError:
            continue
        config, device = meta.get("config"), meta.get("device")
        if not isinstance(config, dict) or not isinstance(device, dict):
            continue
        if device.get("device") == "cpu" and device.get("memory") != total_memory:
            continue
        steps_per_second = _last_rate(run.events_path)
        if steps_per_second > 0:
            yield _rate(config, device, steps_per_second)


def total_steps(config: RunConfig) -> int:
    """The step at which a training of this config is done."""
    from cifar_tui.datasets.spec import get_spec
    from cifar_tui.engine.schedule import target_step

    pictures = get_spec(config.dataset).train - config.validation_examples
    return target_step(config, max(1, pictures // config.batch_size))


def _rate(config: Mapping[str, Any], device: Mapping[str, Any], steps_per_second: float) -> Rate:
    return Rate(
        tuple(config.get(name) for name in _KEY), str(device.get("device") or ""), float(steps_per_second)
    )


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _last_rate(path: Path) -> float:
    from cifar_tui.events import Progress, RunEnded
    from cifar_tui.runs.files import open_regular
    from cifar_tui.runs.reader import parse_line

    try:
        with os.fdopen(open_regular(path), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            lines = file.read(TAIL_BYTES).split(b"\n")
    except OSError:
        return 0.0
    for line in reversed(lines):
        event = parse_line(line) if line.startswith(b'{"event": ') else None
        if isinstance(event, Progress | RunEnded) and event.steps_per_second > 0:
            return event.steps_per_second
    return 0.0


class CostLine(Widget):
    """Two lines, or one where there is room: size of the model at the left, memory and time at the right."""

    ALLOW_SELECT = False
    WIDE = 66

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._cost: Cost | None = None

    def show(self, cost: Cost) -> None:
        """Show a cost."""
        if cost == self._cost:
            return
        self._cost = cost
        self.tooltip = describe(cost)
        self.refresh()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        """One line or two."""
        return 1 if width >= self.WIDE else 2

    def render(self) -> Content:
        """The lines."""
        width, cost = self.size.width, self._cost
        if cost is None:
            return Content("")
        if width >= self.WIDE:
            left = [*_size_parts(cost), (" · ", "$muted"), *_memory_parts(cost)]
            return _spread(left, _time_parts(cost, width - _length(left) - 2), width)
        size, memory = _size_parts(cost), _memory_parts(cost)
        return Content("\n").join(
            [
                _spread(size[:2], size[3:], width),
                _spread(memory, _time_parts(cost, width - _length(memory) - 1), width),
            ]
        )


def describe(cost: Cost) -> str:
    """The cost in sentences, for the tooltip."""
    lines = [f"{cost.parameters:,} trained numbers; {cost.flops:,} FLOPs for one picture forward."]
    if cost.memory is not None and cost.available is not None:
        lines.append(f"Needs about {human_bytes(cost.memory)} of {human_bytes(cost.available)} free memory.")
    if cost.steps_per_second:
        lines.append(
            f"{cost.steps:,} steps at {cost.steps_per_second:.1f} a second, from {_article(cost.source)} "
            "with this model and batch size; evaluations are not counted."
        )
    else:
        lines.append("Time unknown: no run of this model and batch size here.")
    lines.append(f"Click or {ESTIMATE_KEY}: time a few steps on this device.")
    return "\n".join(lines)


def _article(source: str) -> str:
    return f"a {source}" if source == PROBE else source


_Parts = list[tuple[str, str]]


def _size_parts(cost: Cost) -> _Parts:
    flops = f"{human_count(cost.flops)} FLOPs"
    return [(f"{cost.parameters:,}", ""), (" parameters", "$muted"), (" · ", "$muted"), (flops, "$muted")]


def _memory_parts(cost: Cost) -> _Parts:
    if cost.memory is None:
        return [("memory …", "$muted")]
    text = human_bytes(cost.memory)
    return [(f"{text}, too much", "bold $bad")] if cost.too_large else [(text, "$muted")]


def _time_parts(cost: Cost, room: int) -> _Parts:
    if cost.doing:
        return [(cost.doing if len(cost.doing) <= room else "…", "$accent")]
    if cost.seconds is not None:
        time = human_seconds(cost.seconds)
        left = room - len(f"about {time}")
        sources = (f" from {_article(cost.source)}", f" · {cost.source.removesuffix(' here')}", "")
        source = next(text for text in sources if len(text) <= max(0, left))
        return [("about ", "$muted"), (time, "bold"), (source, "$muted")]
    if cost.steps == 0:
        return [("evaluation only", "$muted")]
    if room >= len(f"{UNKNOWN_TIME}  {ESTIMATE_KEY} estimate"):
        return [(f"{UNKNOWN_TIME}  ", "$muted"), (ESTIMATE_KEY, "bold $accent"), (" estimate", "$muted")]
    return [(UNKNOWN_TIME if len(UNKNOWN_TIME) <= room else "time ?", "$muted")]


def _length(parts: _Parts) -> int:
    return sum(len(text) for text, _ in parts)


def _spread(left: _Parts, right: _Parts, width: int) -> Content:
    gap = " " * max(1, width - _length(left) - _length(right))
    return Content.assemble(*left, gap, *right)
