"""Processor, memory and disk of this machine, and the log of a run: pure data, read off the event loop."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar_tui import events
from cifar_tui.text import human_bytes, human_seconds

if TYPE_CHECKING:
    import psutil

LOG_LIMIT = 2000


@dataclass(frozen=True)
class Gpu:
    """How busy a GPU is; None where its driver does not say.

    Attributes:
        name: of the card; outside text.
        busy: share of the last second in which it worked, 0 to 1.
        used, total: memory in bytes.
        heat: degrees Celsius.
        watts, most_watts: power now, and the limit.
    """

    name: str
    busy: float | None = None
    used: int | None = None
    total: int | None = None
    heat: float | None = None
    watts: float | None = None
    most_watts: float | None = None


@dataclass(frozen=True)
class Sample:
    """How busy the machine is.

    Attributes:
        cpu: share of all cores, 0 to 1.
        cores: how many there are.
        used, total: memory in bytes.
        process_cpu: cores that this process keeps busy.
        process_memory: its resident memory in bytes.
        swap: swapped-out bytes.
        load: jobs that run or wait, mean of a minute; None where the system does not say.
        free_disk: bytes free where the runs are; None where it is not known.
        gpu: the first GPU; None where there is none.
    """

    cpu: float
    cores: int
    used: int
    total: int
    process_cpu: float
    process_memory: int
    swap: int
    load: float | None
    free_disk: int | None
    gpu: Gpu | None = None


@dataclass(frozen=True)
class LogLine:
    """One line of the log.

    Attributes:
        time: seconds since the Unix epoch.
        level: "info", "warning" or "error".
        source: what it comes from, such as "evaluate".
        text: what happened; outside text.
    """

    time: float
    level: str
    source: str
    text: str


class Sampler:
    """Takes samples; each covers the time since the one before. For one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: psutil.Process | None = None
        self._times = (0.0, 0.0)
        self._gpu_works = True
        self._handle: Any = None

    def take(self) -> Sample:
        """A sample now; the first one says 0 for the processor."""
        import psutil

        if self._process is None:
            self._process = psutil.Process()
        memory, swap = psutil.virtual_memory(), 0
        with contextlib.suppress(OSError, RuntimeError):
            swap = psutil.swap_memory().used
        load = None
        with contextlib.suppress(OSError, AttributeError):
            load = psutil.getloadavg()[0]
        free = None
        for place in (self._folder, *self._folder.parents):
            with contextlib.suppress(OSError):
                free = psutil.disk_usage(str(place)).free
                break
        return Sample(
            cpu=self._cpu(),
            cores=psutil.cpu_count() or 1,
            used=memory.total - memory.available,
            total=memory.total,
            process_cpu=self._process.cpu_percent() / 100,
            process_memory=self._process.memory_info().rss,
            swap=swap,
            load=load,
            free_disk=free,
            gpu=self._gpu(),
        )

    def _cpu(self) -> float:
        """Share of all cores that was busy, 0 to 1; psutil's own begins anew in each thread that asks."""
        import psutil

        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)  # counted twice
        (idle_before, total_before), self._times = self._times, (idle, total)
        if total_before == 0.0 or total <= total_before:
            return 0.0
        return min(1.0, max(0.0, 1.0 - (idle - idle_before) / (total - total_before)))

    def _gpu(self) -> Gpu | None:
        if not self._gpu_works:
            return None
        try:
            import pynvml

            if self._handle is None:
                pynvml.nvmlInit()
                self._handle = pynvml.nvmlDeviceGetHandleByIndex(0)
            return gpu(pynvml, self._handle)
        except Exception:  # noqa: BLE001 - no driver, no library, no card: there is nothing to show
            self._gpu_works = False
            return None


def gpu(nvml: Any, handle: Any) -> Gpu:
    """What NVML says of a card; a question that it does not answer is None.

    Args:
        nvml: the module ``pynvml``, initialised.
        handle: of the card.
    """

    def ask(question: Callable[[], Any]) -> Any:
        try:
            return question()
        except nvml.NVMLError:  # such as "not supported", which a virtual card says
            return None

    name = ask(lambda: nvml.nvmlDeviceGetName(handle))
    memory = ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    rates = ask(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
    power = ask(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
    limit = ask(lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle))
    return Gpu(
        name=name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name or "GPU"),
        busy=None if rates is None else rates.gpu / 100,
        used=None if memory is None else memory.used,
        total=None if memory is None else memory.total,
        heat=ask(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
        watts=None if power is None else power / 1000,  # it counts milliwatts
        most_watts=None if limit is None else limit / 1000,
    )


def log_lines(found: Iterable[events.Event]) -> list[LogLine]:
    """What happened, oldest first, at most `LOG_LIMIT` lines; progress is left out."""
    lines: list[LogLine] = []
    best = -1.0
    for event in found:
        if isinstance(event, events.Evaluation) and event.split == "test":
            lines.append(_evaluation(event, best))
            best = max(best, event.accuracy)
        else:
            line = _line(event)
            if line is not None:
                lines.append(line)
    return lines[-LOG_LIMIT:]


def _evaluation(event: events.Evaluation, best: float) -> LogLine:
    loss = "not finite" if event.loss is None else f"{event.loss:.3f}"
    text = f"step {event.step:,}: {event.split} {event.accuracy:.1%}, loss {loss}"
    return LogLine(event.time, "info", "evaluate", text + (", best so far" if event.accuracy > best else ""))


def _line(event: events.Event) -> LogLine | None:
    at = event.time
    if isinstance(event, events.RunStarted):
        device = event.device.get("name") or event.device.get("device", "")
        verb = f"goes on at step {event.step:,}" if event.step else "starts"
        text = f"{event.run} {verb}, to {event.target:,}, on {event.dataset.get('title', '?')}, {device}"
        return LogLine(at, "info", "run", text)
    if isinstance(event, events.Evaluation):
        return _evaluation(event, 2.0)
    if isinstance(event, events.Checkpoint):
        size, took = human_bytes(event.bytes), event.seconds * 1000
        text = f"{event.reason} checkpoint {event.step:,}, {size} in {took:.0f} ms"
        return LogLine(at, "info", "save", text)
    if isinstance(event, events.Note):
        return LogLine(at, event.level, "note", event.text)
    if isinstance(event, events.RunEnded):
        level = "info" if event.state in {"done", "stopped"} else "error"
        text = f"{event.state} at step {event.step:,} after {human_seconds(event.seconds)}"
        return LogLine(at, level, "run", f"{text}: {event.reason}" if event.reason else text)
    if isinstance(event, events.Phase) and event.phase in {"import", "data", "build", "compile"}:
        return LogLine(at, "info", event.phase, event.text)
    return None


def clock(seconds: float) -> str:
    """The time of day, ``20:14:31``."""
    try:
        return time.strftime("%H:%M:%S", time.localtime(seconds)) if seconds > 0 else "        "
    except (OSError, ValueError, OverflowError):
        return "        "
