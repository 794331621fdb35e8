"""Where the time of a step goes: a trace of a few steps of each loop, and what it says.

The trace is torch's own, with one named range around each loop. Parts of a step are told from the order of
its operations, so that they are the same for autograd and for hand-written steps: pictures are fetched, then
comes the forward pass up to the loss, then the backward pass, then the metrics, then the optimizer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cifar_tui import fsio
from cifar_tui.bench.windows import Loop
from cifar_tui.errors import from_os_error

PARTS = ("feed", "forward", "backward", "metrics", "optimizer", "between")
STEPS = 8  # of each loop
COSTLIEST = 10
_LABEL = "loop "
_OPERATIONS = ("aten::", "autograd::", "Optimizer.", "enumerate(")
_FEED = {"aten::index_select", "aten::index"}
_FORWARD = {
    "aten::linear",
    "aten::addmm",
    "aten::mm",
    "aten::matmul",
    "aten::conv2d",
    "aten::convolution",
    "aten::mkldnn_convolution",
    "aten::flatten",
}
_LOSS = {"aten::cross_entropy_loss", "aten::nll_loss", "aten::nll_loss_nd", "aten::nll_loss_forward"}
_METRICS = {"aten::argmax", "aten::item", "aten::max"}


def profile(loops: Mapping[str, Loop], *, cuda: bool, file: Path | None = None) -> dict[str, dict[str, Any]]:
    """Trace some steps of each loop, which should be warm.

    Args:
        loops: by name.
        cuda: whether to trace a GPU too.
        file: where the trace goes as JSON that Perfetto and Chrome open, or None.

    Returns:
        For each loop: `steps`; `parts`, microseconds a step of each of `PARTS`, on the CPU ("between" is the
        time between operations, the interpreter's mostly); `costliest`, ten operations by their own time:
        `name`, `us` a step, `calls` a step, `share`.

    Raises:
        CifarTuiError: the file cannot be written.
    """
    from torch.profiler import ProfilerActivity, record_function
    from torch.profiler import profile as trace

    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    for loop in loops.values():
        with trace(activities=kinds):  # the first trace of a loop pays for setting up
            loop.run(1)
    measured: dict[str, Mapping[str, float]] = {}
    with trace(activities=kinds) as found:
        for name, loop in loops.items():
            with record_function(_LABEL + name):
                loop.run(STEPS)
            measured[name] = getattr(loop, "parts", None) or {}
    if file is not None:
        _export(found, file)
    events = found.events() or []
    ranges = {event.name.removeprefix(_LABEL): event for event in events if event.name.startswith(_LABEL)}
    return {name: _described(ranges[name], measured[name]) for name in loops}


def check_destination(file: Path) -> None:
    """Refuse a place where no file can be put, before anything is measured.

    Raises:
        CifarTuiError: the reason.
    """
    try:
        with _beside(file) as temporary:
            temporary.touch()
        if file.is_dir():
            raise IsADirectoryError(21, "is a folder")
    except OSError as error:
        raise from_os_error(error, "write", file, hint="--profile trace.json") from None


@contextlib.contextmanager
def _beside(file: Path) -> Iterator[Path]:
    temporary = fsio.temporary_beside(file)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _export(found: Any, file: Path) -> None:
    try:
        with _beside(file) as temporary:
            found.export_chrome_trace(str(temporary))
            fsio.replace_bytes(file, temporary.read_bytes())
    except OSError as error:
        raise from_os_error(error, "write", file, hint="--profile trace.json") from None


def _described(outer: Any, measured: Mapping[str, float]) -> dict[str, Any]:
    """What a range says; `measured` are seconds of parts that the loop told, whose steps make no events."""
    parts = dict.fromkeys(PARTS, 0.0)
    own: dict[str, list[float]] = {}
    for part, seconds in measured.items():
        parts[part] = 1e6 * seconds
        own[f"native {part}"] = [parts[part], STEPS]
    if not measured:
        operations = [(event.name, event.time_range.elapsed_us()) for event in _operations(outer)]
        for part, duration in parts_in_order(operations):
            parts[part] += duration
    whole = outer.time_range.elapsed_us()
    parts["between"] = max(0.0, whole - sum(parts.values()))
    for event in _below(outer):
        entry = own.setdefault(event.name, [0.0, 0.0])
        entry[0] += event.self_cpu_time_total
        entry[1] += 1
    ordered = sorted(own.items(), key=lambda item: -item[1][0])[:COSTLIEST]
    costliest = [
        {"name": name, "us": us / STEPS, "calls": calls / STEPS, "share": us / whole if whole else 0.0}
        for name, (us, calls) in ordered
    ]
    return {
        "steps": STEPS,
        "parts": {name: value / STEPS for name, value in parts.items()},
        "costliest": costliest,
    }


def _below(event: Any) -> Iterator[Any]:
    waiting = list(event.cpu_children)
    while waiting:
        child = waiting.pop()
        yield child
        waiting.extend(child.cpu_children)


def _operations(event: Any) -> Iterator[Any]:
    """The outermost operations below an event, in time order; what only wraps operations is looked into."""
    for child in sorted(event.cpu_children, key=lambda each: each.time_range.start):
        if child.name.startswith(_OPERATIONS) or not child.cpu_children:
            yield child
        else:
            yield from _operations(child)


def parts_in_order(operations: list[tuple[str, float]]) -> Iterator[tuple[str, float]]:
    """The part of a step that each operation belongs to, with its duration.

    Args:
        operations: names and durations in time order.
    """
    part = "feed"
    for name, duration in operations:
        if name.startswith("enumerate(") or (name in _FEED and part in {"metrics", "optimizer"}):
            part = "feed"
        elif name.startswith("Optimizer.step") or "_fused_adam" in name:
            part = "optimizer"
        elif name.startswith("autograd::") or ("backward" in name and part in {"forward", "backward"}):
            part = "backward"
        elif name in _METRICS and part in {"backward", "optimizer"}:
            part = "metrics"
        elif name in _FORWARD and part == "feed":
            part = "forward"
        yield part, duration
        if name in _LOSS and part == "forward":
            part = "backward"
