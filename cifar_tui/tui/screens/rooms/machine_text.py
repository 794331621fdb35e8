"""Texts of the room of log and machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from cifar_tui.text import human_bytes, safe_text
from cifar_tui.tui.machine_data import Sample
from cifar_tui.tui.widgets.lines import bar, ends, stack

if TYPE_CHECKING:
    from cifar_tui.tui.live import LiveRun

_BLOCKS = " ▁▂▃▄▅▆▇█"


def cpu(samples: Sequence[Sample], width: int) -> Content:
    """The processor: now, lately, this process, load."""
    now = samples[-1]
    load = "-" if now.load is None else f"{now.load:.2f}"
    cores = f"{now.cpu * now.cores:.1f} of {now.cores} cores"
    return stack(
        [
            ends([(f"{now.cpu:>4.0%}", "bold $foreground")], [(cores, "$muted")], width),
            Content.assemble(*bar(now.cpu, width)),
            _history([known.cpu for known in samples], width),
            _row("this process", f"{now.process_cpu:.0%} of a core", width),
            _row("load", load, width),
        ]
    )


def memory(samples: Sequence[Sample], width: int) -> Content:
    """The memory: now, lately, this process, and the disk."""
    now = samples[-1]
    share = now.used / max(1, now.total)
    total = f"{human_bytes(now.used)} of {human_bytes(now.total)}"
    return stack(
        [
            ends([(f"{share:>4.0%}", "bold $foreground")], [(total, "$muted")], width),
            Content.assemble(*bar(share, width)),
            _history([known.used / max(1, known.total) for known in samples], width),
            _row("this process", human_bytes(now.process_memory), width),
            _row("disk free", "-" if now.free_disk is None else human_bytes(now.free_disk), width),
        ]
    )


def gpu(samples: Sequence[Sample], width: int) -> Content:
    """The GPU: now, lately, memory, temperature and power."""
    now = samples[-1].gpu
    if now is None:
        return Content.assemble(("No GPU that NVML knows.", "$muted"))
    busy = " - " if now.busy is None else f"{now.busy:>4.0%}"
    used = "-" if now.used is None else human_bytes(now.used)
    memory = used if now.total is None else f"{used} of {human_bytes(now.total)}"
    power = "-" if now.watts is None else f"{now.watts:.0f}"
    power += f" of {now.most_watts:.0f} W" if now.most_watts is not None else " W"
    heat = "-" if now.heat is None else f"{now.heat:.0f} °C"
    past = [known.gpu.busy or 0.0 for known in samples if known.gpu is not None]
    return stack(
        [
            ends([(busy, "bold $foreground")], [(safe_text(now.name, 30), "$muted")], width),
            Content.assemble(*bar(now.busy or 0.0, width)),
            _history(past, width),
            _row("memory", memory, width),
            _row(heat, power, width) if width < 30 else _row("heat, power", f"{heat}, {power}", width),
        ]
    )


def run(live: LiveRun | None, phase: str, width: int) -> Content:
    """Device, threads, what the run does now, and its step times."""
    rows: list[tuple[str, str]] = []
    if live is not None and live.device:
        device = live.device
        threads, engine = safe_text(device.get("threads", "-"), 8), safe_text(device.get("engine", ""), 16)
        rows += [
            ("device", safe_text(device.get("name") or device.get("device", "-"), 40)),
            ("threads", f"{threads}, {engine} steps" if engine else threads),
            ("torch", safe_text(device.get("torch", "-"), 24)),
        ]
    if live is not None:
        rows.append(("now", safe_text(phase if live.is_live and phase else live.status, 40)))
        if live.ended is not None and live.ended.median_step_us is not None:
            p95 = live.ended.p95_step_us
            more = f", p95 {p95:,.0f}" if p95 is not None else ""
            rows.append(("median step", f"{live.ended.median_step_us:,.0f} µs{more}"))
    if not rows:
        return Content.assemble(("The device is named once a training starts.", "$muted"))
    return stack([_row(name, value, width) for name, value in rows[:5]])


def _row(name: str, value: str, width: int) -> Content:
    return ends([(name, "$muted")], [(value, "$foreground")], width)


def _history(values: Sequence[float], width: int) -> Content:
    blocks = "".join(_BLOCKS[min(8, max(0, round(value * 8)))] for value in values[-width:])
    return Content.assemble((blocks.rjust(width), "$accent"))
