"""The numbers of the report pane, from the run in the panes. No Textual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cifar_tui.text import human_seconds, safe_text

if TYPE_CHECKING:
    from cifar_tui.events import Evaluation
    from cifar_tui.tui.live import LiveRun

SHORT_NAMES = {"airplane": "plane", "automobile": "auto"}
MOST_CONFUSED = 10


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: "~train", "mean", "train", "validation", "test", "best" or "notebook".
        loss: nats; None where it is not known.
        accuracy: fraction; None where it is not known.
        top5: fraction; None where it is not known.
        note: what else there is to say.
    """

    name: str
    loss: float | None = None
    accuracy: float | None = None
    top5: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Report:
    """What the pane shows.

    Attributes:
        heading: which evaluation it is about.
        rows: the table, most important first, each with the place it stands at.
        facts: name and value of further numbers, in order of importance.
        names: short names of the classes.
        confusion: counts by true and predicted class; empty before an evaluation.
        recalls: share of right answers by class; None for a class without pictures.
        confused: true class, predicted class and count, the most frequent mistakes first.
        ended: the run is over.
    """

    heading: str = ""
    rows: Sequence[tuple[int, Row]] = ()
    facts: Sequence[tuple[str, str]] = ()
    names: Sequence[str] = ()
    confusion: Sequence[Sequence[int]] = ()
    recalls: Sequence[float | None] = ()
    confused: Sequence[tuple[int, int, int]] = ()
    ended: bool = False

    @property
    def worst(self) -> list[tuple[int, float]]:
        """Class and share of right answers, the worst first."""
        known = [(number, recall) for number, recall in enumerate(self.recalls) if recall is not None]
        return sorted(known, key=lambda item: (item[1], item[0]))


@dataclass
class Counts:
    """The confusion counts of an evaluation and what follows from them; kept until the next one."""

    of: Evaluation | None = None
    recalls: list[float | None] = field(default_factory=list)
    confused: list[tuple[int, int, int]] = field(default_factory=list)

    def take(self, evaluation: Evaluation) -> None:
        """Count again, where it is another evaluation."""
        if evaluation is self.of:
            return
        self.of = evaluation
        self.recalls, pairs = [], []
        for true, row in enumerate(square(evaluation)):
            support = sum(row)
            self.recalls.append(row[true] / support if support else None)
            pairs += [(count, true, guess) for guess, count in enumerate(row) if count and guess != true]
        pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
        self.confused = [(true, guess, count) for count, true, guess in pairs[:MOST_CONFUSED]]


def square(evaluation: Evaluation) -> Sequence[Sequence[int]]:
    """The confusion counts; empty where a file holds rows of other lengths or counts below 0."""
    rows = evaluation.confusion
    fits = all(len(row) == len(rows) and min(row, default=0) >= 0 for row in rows)
    return rows if fits else ()


def report_of(live: LiveRun, counts: Counts, errors: Mapping[str, float]) -> Report:
    """What is known of a run now.

    Args:
        live: the run.
        counts: kept by the caller from one call to the next.
        errors: calibration error by split, of the same step as the last evaluations.
    """
    shown = next((live.last[split] for split in ("test", "validation", "train") if split in live.last), None)
    if shown is not None:
        counts.take(shown)
    names: list[str] = []
    if shown is not None:
        given = live.dataset.get("names")
        known = given if isinstance(given, list) else []
        for number in range(len(square(shown))):
            name = str(known[number]) if number < len(known) else str(number)
            names.append(safe_text(SHORT_NAMES.get(name, name), 24))
    ended = live.ended is not None
    return Report(
        heading="" if shown is None else f"{safe_text(shown.split)} after step {shown.step:,}",
        rows=_rows(live, ended),
        facts=_end_facts(live, errors) if ended else _live_facts(live),
        names=names,
        confusion=square(shown) if shown is not None else (),
        recalls=counts.recalls if shown is not None else (),
        confused=counts.confused if shown is not None else (),
        ended=ended,
    )


def _rows(live: LiveRun, ended: bool) -> list[tuple[int, Row]]:
    progress = live.progress
    found: list[tuple[int, Row]] = []
    if progress is not None and not ended:
        found.append((0, Row("~train", progress.moving_loss, progress.moving_accuracy)))
    for place, split in ((2, "train"), (3, "validation"), (4, "test")):
        known = live.last.get(split)
        if known is not None:
            note = f"+{known.penalty:.2f} L2" if known.penalty else ""
            found.append((place, Row(split, known.loss, known.accuracy, known.top5, note)))
        elif split != "validation" and live.config is not None:
            found.append((place, Row(split)))
    best = live.best
    row = None if best is None else (5, Row("best", best.loss, best.accuracy, best.top5, f"at {best.step:,}"))
    mean = None
    if progress is not None and not ended:
        mean = (1, Row("mean", progress.mean_loss, progress.mean_accuracy))
    return found + [item for item in (mean, row) if item is not None]


def _live_facts(live: LiveRun) -> list[tuple[str, str]]:
    progress = live.progress
    if progress is None:
        return []
    return [
        ("lr", short_rate(progress.learning_rate).ljust(6)),
        ("steps/s", rate(progress.steps_per_second)),
        ("images/s", rate(progress.images_per_second, 0)),
        ("elapsed", f"{human_seconds(progress.seconds):>7}"),
        ("ETA", f"{human_seconds(progress.seconds_left):>7}"),
        ("epoch", f"{progress.epoch:>6.1f}"),
    ]


def _end_facts(live: LiveRun, errors: Mapping[str, float]) -> list[tuple[str, str]]:
    ended = live.ended
    assert ended is not None
    facts = [("time", human_seconds(ended.seconds))]
    if ended.median_step_us is not None:
        facts.append(("median step", milliseconds(ended.median_step_us)))
    if ended.p95_step_us is not None:
        facts.append(("p95", milliseconds(ended.p95_step_us)))
    if ended.steps_per_second > 0:
        facts.append(("steps/s", rate(ended.steps_per_second).strip()))
    if "test" in errors:
        facts.append(("calibration error", f"{errors['test']:.3f}"))
    return facts


def rate(value: float, digits: int = 1) -> str:
    """A number per second in seven cells."""
    if abs(value) >= 999_999.5:
        return f"{value / 1e6:6.1f}M"
    return f"{value:7,.{digits if abs(value) < 9_999.95 else 0}f}"


def short_rate(value: float) -> str:
    """A learning rate of two digits, such as ``1e-4`` or ``0.05``."""
    if not 0 < abs(value) < 1e-3:
        return f"{value:.2g}"
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits.removesuffix('.0')}e{int(exponent)}"


def milliseconds(microseconds: float) -> str:
    """A time of a step, three digits."""
    value = microseconds / 1000
    return (
        f"{microseconds:.0f} µs"
        if value < 1
        else f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} ms"
    )


def as_text(report: Report) -> str:
    """The report as lines of tab-separated values, for the clipboard."""
    lines = [report.heading, "split\tloss\taccuracy\ttop-5\tnote"]
    for _, row in sorted(report.rows, key=lambda item: item[0]):
        values = [_plain(value) for value in (row.loss, row.accuracy, row.top5)]
        lines.append("\t".join([row.name, *values, row.note]).rstrip("\t"))
    lines += [f"{name}\t{value.strip()}" for name, value in report.facts]
    if report.worst:
        lines += ["", "class\taccuracy"]
        lines += [f"{report.names[number]}\t{recall:.4f}" for number, recall in report.worst]
        lines += ["", "true\ttaken for\ttimes"]
        lines += [f"{report.names[t]}\t{report.names[g]}\t{count}" for t, g, count in report.confused]
    return "\n".join(lines).strip()


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
