"""The figures of a benchmark as rows of tables. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cifar_tui.text import human_bytes, human_count, safe_text

Table = tuple[tuple[str, ...], list[list[str]], tuple[int, ...]]
DISTURBED = 0.08  # cores
PARTS = ("feed", "forward", "backward", "metrics", "optimizer", "between")


def heading(machine: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """The machine, and how it was measured, in two lines."""
    threads = f"{machine['threads']} thread" + ("" if machine["threads"] == 1 else "s")
    where = f"{safe_text(machine['cpu'], 60)}, {machine['cores']} cores, {threads}"
    if machine["device"] != "cpu":
        where = f"{machine['device']} {safe_text(machine['name'], 60)}; {where}"
    return (
        f"{where}, torch {machine['torch']}, python {machine['python']}\n"
        f"medians of {settings['rounds']} windows of {settings['window_seconds']:g} s taken in turn, "
        f"[least..greatest]; random pictures"
    )


def disturbed(found: Mapping[str, Any]) -> str:
    """How far other programs were in the way; "" where they were not."""
    others = [
        window["others"] for model in found["models"] for each in model["loops"] for window in each["windows"]
    ]
    count = sum(cores > DISTURBED for cores in others)
    if not count:
        return ""
    return (
        f"other programs were busy in {count} of {len(others)} windows, with up to {max(others):.1f} cores: "
        "do not trust these figures"
    )


def title(model: Mapping[str, Any]) -> str:
    """One line about a model."""
    config = model["config"]
    return (
        f"{model['name']}: {human_count(model['parameters'])} parameters, batch {config['batch_size']}, "
        f"{config['optimizer']}"
    )


def speeds(model: Mapping[str, Any]) -> Table:
    """Rates, step times, start-up and memory of each loop."""
    rows = []
    for each in model["loops"]:
        rate = each["steps_per_second"]
        rows.append(
            [
                each["title"],
                f"{rate['median']:,.1f}",
                f"[{rate['min']:,.0f}..{rate['max']:,.0f}]",
                f"{each['images_per_second']:,.0f}",
                f"{each['median_step_us']:,.0f}",
                f"{each['p95_step_us']:,.0f}",
                f"{each['startup_seconds']:.1f}" if each.get("startup_seconds") else "-",
                human_bytes(each["peak_memory"]) if each.get("peak_memory") else "-",
            ]
        )
    header = ("loop", "steps/s", "spread", "images/s", "median us", "p95 us", "start s", "memory")
    return header, rows, (1, 2, 3, 4, 5, 6, 7)


def ratios(model: Mapping[str, Any]) -> Table:
    """How many times as fast each engine is as each plain loop."""
    titles = {each["name"]: each["title"] for each in model["loops"]}
    rows = [
        [
            titles[each["engine"]],
            titles[each["to"]],
            f"{each['median']:.2f}",
            f"[{each['min']:.2f}..{each['max']:.2f}]",
        ]
        for each in model["ratios"]
    ]
    return ("", "to", "ratio", "spread"), rows, (2, 3)


def parts(model: Mapping[str, Any]) -> Table:
    """Percent of the time of a step in each of its parts, by the profiler."""
    rows = []
    for each in model["loops"]:
        found = each["profile"]["parts"]
        whole = sum(found.values()) or 1.0
        rows.append([each["title"], *(f"{found[name] / whole:.0%}" for name in PARTS)])
    return ("part of a step", *PARTS), rows, tuple(range(1, len(PARTS) + 1))


def costliest(loop: Mapping[str, Any]) -> Table:
    """The operations of one loop that take most time of their own."""
    rows = [
        [each["name"], f"{each['us']:,.0f}", f"{each['calls']:,.1f}", f"{each['share']:.1%}"]
        for each in loop["profile"]["costliest"]
    ]
    return ("operation", "us a step", "calls", "share"), rows, (1, 2, 3)
