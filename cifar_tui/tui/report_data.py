"""A report of a split as the screens need it: from ``report.json``, or from an evaluation of a live run.

Files are outside material: whatever is missing or of another type is left out, and nothing raises.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cifar_tui.events import Evaluation

SPLITS = ("train", "validation", "test")
_LARGEST = 1000


@dataclass(frozen=True)
class ClassRow:
    """One class.

    Attributes:
        name: the class, outside text.
        support: pictures of it.
        recall, precision, f1: fractions.
        taken_for: what its pictures are most often taken for, or "".
        taken_count: how often.
    """

    name: str
    support: int
    recall: float
    precision: float
    f1: float
    taken_for: str = ""
    taken_count: int = 0


@dataclass(frozen=True)
class Bin:
    """Pictures of like confidence.

    Attributes:
        low, high: bounds of the confidence, fractions.
        count: pictures.
        confidence, accuracy: means in it, fractions.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class SplitReport:
    """What a model did on one split.

    Attributes:
        split: "train", "validation" or "test".
        examples: pictures evaluated.
        loss: nats without penalty; None where it was not finite.
        penalty: what L2 adds to it.
        accuracy, top5: fractions.
        names: class names.
        confusion: counts, true class by row, named class by column; empty where it is not known.
        ece: expected calibration error as a fraction, or None.
        bins: of confidence; empty where they are not known.
    """

    split: str
    examples: int
    loss: float | None
    penalty: float
    accuracy: float
    top5: float
    names: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    ece: float | None = None
    bins: tuple[Bin, ...] = ()

    @property
    def interval(self) -> tuple[float, float]:
        """95% Wilson interval of the accuracy, fractions (Wilson 1927, z = 1.96)."""
        return wilson(self.accuracy, self.examples)

    def classes(self) -> list[ClassRow]:
        """One row a class, worst recall first; classes without pictures last."""
        rows = []
        size = len(self.confusion)
        for index in range(size):
            row = self.confusion[index]
            support, hits = sum(row), row[index]
            claimed = sum(self.confusion[other][index] for other in range(size))
            recall = hits / support if support else 0.0
            precision = hits / claimed if claimed else 0.0
            f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
            wrong = [(count, -other) for other, count in enumerate(row) if other != index and count]
            taken, place = max(wrong, default=(0, 0))
            name = self.names[-place] if taken else ""
            rows.append(ClassRow(self.names[index], support, recall, precision, f1, name, taken))
        return sorted(rows, key=lambda found: (not found.support, found.recall, found.name))

    def pairs(self, limit: int = 10) -> list[tuple[str, str, int]]:
        """The most confused pairs: true class, named class, how often."""
        found = [
            (count, -true, -said)
            for true, row in enumerate(self.confusion)
            for said, count in enumerate(row)
            if true != said and count
        ]
        best = sorted(found, reverse=True)[:limit]
        return [(self.names[-true], self.names[-said], count) for count, true, said in best]


@dataclass(frozen=True)
class RunReport:
    """The report of a run.

    Attributes:
        run: its id.
        step: steps done when it was made.
        dataset: name of the dataset.
        splits: by split name.
    """

    run: str
    step: int
    dataset: str
    splits: Mapping[str, SplitReport] = field(default_factory=dict)

    @property
    def best_split(self) -> str:
        """The split to show first: test where there is one."""
        known = [name for name in ("test", "validation", "train") if name in self.splits]
        return known[0] if known else ""


def wilson(share: float, count: int) -> tuple[float, float]:
    """95% Wilson interval of a share of `count` things, both fractions."""
    if count < 1:
        return 0.0, 1.0
    z = 1.959964
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    spread = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, middle - spread), min(1.0, middle + spread)


def from_json(run: str, values: Mapping[str, Any]) -> RunReport:
    """The report in the content of a ``report.json``."""
    dataset = values.get("dataset")
    dataset = dataset if isinstance(dataset, Mapping) else {}
    found = values.get("splits")
    splits = {}
    for name in SPLITS:
        part = found.get(name) if isinstance(found, Mapping) else None
        if isinstance(part, Mapping):
            splits[name] = _split(name, part, _texts(dataset.get("names")))
    return RunReport(run, _whole(values.get("step")), str(dataset.get("name", "")), splits)


def from_evaluations(
    run: str, dataset: Mapping[str, Any], found: Mapping[str, Evaluation | None]
) -> RunReport:
    """The report in the newest evaluations of a run, by split; without calibration."""
    splits, step = {}, 0
    names = _texts(dataset.get("names"))
    for name in SPLITS:
        known = found.get(name)
        if known is not None:
            step = max(step, known.step)
            confusion = _counts(known.confusion)
            splits[name] = SplitReport(
                name,
                known.examples,
                known.loss,
                known.penalty,
                known.accuracy,
                known.top5,
                _named(names, len(confusion)),
                confusion,
            )
    return RunReport(run, step, str(dataset.get("name", "")), splits)


def grouped(report: SplitReport, names: Sequence[str], group_of: Sequence[int]) -> SplitReport:
    """The same report with classes joined into groups.

    Args:
        report: a report on len(group_of) classes; another one is returned as it is.
        names: names of the groups.
        group_of: the group of each class.
    """
    if len(report.confusion) != len(group_of) or not names:
        return report
    joined = [[0] * len(names) for _ in names]
    for true, row in enumerate(report.confusion):
        for said, count in enumerate(row):
            joined[group_of[true]][group_of[said]] += count
    examples = max(1, sum(map(sum, joined)))
    accuracy = sum(joined[index][index] for index in range(len(names))) / examples
    return SplitReport(
        report.split,
        report.examples,
        report.loss,
        report.penalty,
        accuracy,
        report.top5,
        tuple(names),
        tuple(map(tuple, joined)),
    )


Groups = tuple[tuple[str, ...], tuple[int, ...]]
"""Names of the groups, and the group of each class."""


def groups(run: RunReport, report: SplitReport) -> Groups | None:
    """The groups in which a matrix of a hundred classes is shown; None where there are fewer."""
    from cifar_tui.datasets.spec import get_spec

    if run.dataset != "cifar100" or len(report.confusion) != 100:
        return None
    spec = get_spec("cifar100")
    return spec.coarse_names, spec.fine_to_coarse


def members(found: Groups | None, group: int | None, classes: int) -> list[tuple[int, ...]]:
    """The classes behind each row of a matrix.

    Args:
        found: the groups; None for a row a class.
        group: the open one, whose classes are the rows; None for a row a group.
        classes: how many there are.
    """
    if found is None:
        return [(label,) for label in range(classes)]
    names, group_of = found
    inside = [tuple(c for c, of in enumerate(group_of) if of == number) for number in range(len(names))]
    return inside if group is None else [(label,) for label in inside[group]]


def matrix(report: SplitReport, found: Groups | None, group: int | None) -> SplitReport:
    """The report as the matrix shows it: with many classes their groups, or the classes of the open group."""
    if found is None:
        return report
    if group is None:
        return grouped(report, *found)
    inside = [label for (label,) in members(found, group, len(report.confusion))]
    rows = tuple(tuple(report.confusion[row][column] for column in inside) for row in inside)
    return dataclasses.replace(
        report, names=tuple(report.names[label] for label in inside), confusion=rows, ece=None, bins=()
    )


def _split(name: str, part: Mapping[str, Any], names: tuple[str, ...]) -> SplitReport:
    confusion = _counts(part.get("confusion"))
    classes = part.get("classes")
    if not names and isinstance(classes, list):
        names = tuple(str(c.get("name", "")) for c in classes if isinstance(c, Mapping))
    loss, whole = _number(part.get("loss")), _number(part.get("loss_with_penalty"))
    calibration = part.get("calibration")
    calibration = calibration if isinstance(calibration, Mapping) else {}
    return SplitReport(
        name,
        _whole(part.get("examples")),
        loss,
        whole - loss if whole is not None and loss is not None else 0.0,
        _number(part.get("accuracy")) or 0.0,
        _number(part.get("top5")) or 0.0,
        _named(names, len(confusion)),
        confusion,
        _number(calibration.get("ece")),
        _bins(calibration.get("bins")),
    )


def _bins(values: object) -> tuple[Bin, ...]:
    found = []
    for value in values if isinstance(values, list) else ():
        if not isinstance(value, Mapping) or not _whole(value.get("count")):
            continue
        numbers = [_number(value.get(key)) for key in ("from", "to", "confidence", "accuracy")]
        if None not in numbers:
            low, high, confidence, accuracy = (number or 0.0 for number in numbers)
            found.append(Bin(low, high, _whole(value.get("count")), confidence, accuracy))
    return tuple(found)


def _counts(values: object) -> tuple[tuple[int, ...], ...]:
    if not isinstance(values, Sequence) or isinstance(values, str) or not 0 < len(values) <= _LARGEST:
        return ()
    rows = [row for row in values if isinstance(row, Sequence) and len(row) == len(values)]
    if len(rows) != len(values):
        return ()
    return tuple(tuple(_whole(value) for value in row) for row in rows)


def _named(names: tuple[str, ...], count: int) -> tuple[str, ...]:
    return names if len(names) == count else tuple(f"class {number}" for number in range(count))


def _texts(values: object) -> tuple[str, ...]:
    return tuple(str(value) for value in values) if isinstance(values, list | tuple) else ()


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
