"""Reports and charts of a run as text."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifar_tui import events
from cifar_tui.cli import common
from cifar_tui.cli.console import Screen
from cifar_tui.cli.progress_line import loss_text, percent_text, rate_text
from cifar_tui.text import human_seconds, safe_text

CHART_WIDTH = 120
WORST_CLASSES = 10
_PROGRESS_EVENTS = 5000


@dataclass(frozen=True)
class Places:
    """The folders as they were given on the command line, to be given again in commands that are shown."""

    data_dir: str | None = None
    runs_dir: str | None = None

    def command(self, *words: str, data: bool = True) -> str:
        """A command of this program that works as written."""
        found = ["cifar-tui", *words]
        if self.data_dir is not None and data:
            found += ["--data-dir", self.data_dir]
        if self.runs_dir is not None:
            found += ["--runs-dir", self.runs_dir]
        return " ".join(shlex.quote(safe_text(word)) for word in found)


def charts_text(found: Iterable[events.Event], screen: Screen) -> str:
    """Loss and accuracy against the step; an empty string where there is nothing to draw."""
    from cifar_tui import charts
    from cifar_tui.runs.series import BATCH, curves, decimate

    columns, rows = screen.size()
    width, height = min(columns, CHART_WIDTH), max(10, min(16, rows // 2 - 1))
    known = curves(found)
    drawn = []
    for title, metric, batch, unit in (
        ("Loss", "loss", "moving_loss", "loss"),
        ("Accuracy", "accuracy", "moving_accuracy", "fraction"),
    ):
        lines = []
        wanted = (
            ("~batch", BATCH, batch, "batch"),
            ("train", "train", metric, "train"),
            ("validation", "validation", metric, "validation"),
            ("test", "test", metric, "test"),
        )
        for label, split, name, role in wanted:
            curve = known.get((split, name))
            if curve is not None and (curve.step > 0).any():
                thin = decimate(curve, width, log_x=True)
                lines.append(charts.Line(label, thin.step.astype(float), thin.value, role))
        if lines:
            spec = charts.ChartSpec(
                title=title,
                lines=lines,
                width=width,
                height=height,
                log_x=True,
                unit="fraction" if unit == "fraction" else "loss",
                marker="braille" if screen.unicode else "ascii",
                colour=screen.colour,
            )
            drawn.append("\n".join(line.rstrip() for line in charts.draw(spec).split("\n")))
    return "\n\n".join(drawn)


def run_events(run_path: Path) -> list[events.Event]:
    """The events of a recorded run, the earlier sessions included; of progress a fair share."""
    from cifar_tui.runs.reader import read_events

    return read_events(run_path / "events.jsonl", progress_limit=_PROGRESS_EVENTS).events


def splits_table(splits: Mapping[str, Mapping[str, Any]], screen: Screen) -> str:
    """One row a split: loss, accuracy, top-5, calibration error, worst class and most confused pair."""
    arrow = "→" if screen.unicode else "->"
    penalised = any(r["loss_with_penalty"] != r["loss"] for r in splits.values())
    header = [
        "split",
        "loss",
        *(["loss+L2"] if penalised else []),
        "acc",
        "top-5",
        "ECE",
        "worst class",
        "most confused",
    ]
    rows = []
    for name, report in splits.items():
        worst = worst_classes(report)[:1]
        pairs = report["most_confused"][:1]
        ece = report["calibration"]["ece"]
        rows.append(
            [
                name,
                loss_text(report["loss"]),
                *([loss_text(report["loss_with_penalty"])] if penalised else []),
                percent_text(report["accuracy"], 2),
                percent_text(report["top5"], 2),
                "-" if ece is None else f"{ece:.3f}",
                "".join(f"{c['name']} {percent_text(c['recall']).strip()}" for c in worst) or "-",
                "".join(f"{p['label']} {arrow} {p['predicted']} ({p['count']:,})" for p in pairs) or "-",
            ]
        )
    return common.table(header, rows, right=range(1, len(header) - 2))


def worst_classes(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The classes of a split that has pictures of them, worst recall first."""
    return sorted((c for c in report["classes"] if c["support"]), key=lambda c: (c["recall"], c["name"]))


def classes_table(report: Mapping[str, Any], *, only_worst: bool = False) -> str:
    """Per class: support, precision, recall, F1, and what it is most often taken for."""
    classes: Sequence[Mapping[str, Any]] = report["classes"]
    if only_worst:
        classes = worst_classes(report)[:WORST_CLASSES]
    rows = [
        [
            c["name"],
            f"{c['support']:,}",
            percent_text(c["precision"]),
            percent_text(c["recall"]),
            percent_text(c["f1"]),
            c["taken_for"] or "-",
        ]
        for c in classes
    ]
    return common.table(
        ["class", "support", "precision", "recall", "f1", "most often taken for"], rows, right=range(1, 5)
    )


def confused_table(report: Mapping[str, Any], limit: int = 5) -> str:
    """The pairs of classes that are confused most."""
    rows = [[p["label"], p["predicted"], f"{p['count']:,}"] for p in report["most_confused"][:limit]]
    return common.table(["true class", "taken for", "times"], rows, right=(2,)) if rows else "none"


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """Names and values, the names padded to one width."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in rows)


def speed_text(ended: events.RunEnded) -> str:
    """How fast the steps were."""
    parts = [f"{rate_text(ended.steps_per_second).strip()} steps/s"]
    if ended.median_step_us is not None:
        parts.append(f"step {ended.median_step_us:,.0f} us median")
    if ended.p95_step_us is not None:
        parts.append(f"{ended.p95_step_us:,.0f} us p95")
    parts.append(f"{human_seconds(ended.seconds)} in steps")
    return ", ".join(parts)


def training_report(
    ended: events.RunEnded,
    splits: Mapping[str, Mapping[str, Any]],
    screen: Screen,
    *,
    run_path: Path | None = None,
) -> str:
    """The end of a training: the table of the splits, the best evaluation, speed and place."""
    rows = []
    if ended.best is not None:
        best = ended.best
        accuracy = percent_text(best["accuracy"], 2).strip()
        rows.append(("best", f"{best['split']} {accuracy} at step {best['step']:,}"))
    if ended.median_step_us is not None:
        rows.append(("speed", speed_text(ended)))
    if run_path is not None:
        rows.append(("run", f"{ended.run}  in {safe_text(run_path)}"))
    blocks = [splits_table(splits, screen)] if splits else []
    if rows:
        blocks.append(facts(rows))
    return "\n\n".join(blocks)
