"""Texts of the data room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from cifar_tui.charts.cells import plain
from cifar_tui.datasets.spec import get_spec
from cifar_tui.tui.widgets import dataset_lines
from cifar_tui.tui.widgets.lines import ends, stack

if TYPE_CHECKING:
    from cifar_tui.datasets.places import DatasetStatus
    from cifar_tui.datasets.split import Split


def empty(dataset: str, status: DatasetStatus | None, loading: bool) -> Content:
    """What stands where there are no pictures, with the next key."""
    title = dataset_lines.TITLES[dataset]
    if loading or status is None:
        return Content.assemble((f"Reading {title} …", "$muted"))
    if status.state in {"missing", "damaged"}:
        why = "is damaged" if status.state == "damaged" else "is not on this disk yet"
        return Content.assemble(
            (f"{title} {why}.\n\n", "$foreground"),
            ("g", "bold $accent"),
            f" Get {title}\n",
            ("down", "bold $accent"),
            " another dataset",
        )
    if status.state == "unverified" and not status.accepted:
        return stack(dataset_lines.unverified_lines(dataset, 48))
    return Content.assemble((f"{title} could not be read; the reason stands beside it.", "$muted"))


def facts(dataset: str, part: str, split: Split, index: int, width: int) -> Content:
    """What is known of a picture: label, index, superclass, mean and deviation of each channel."""
    pixels = split.images[index].reshape(-1, 3).astype("float64")
    label = int(split.labels[index])
    lines = [
        ends([(plain(split.names[label]), "bold $foreground")], [(f"#{index}", "bold $foreground")], width),
        ends([(part, "$muted")], [(f"label {label}", "$muted")], width),
    ]
    if split.coarse_labels is not None:
        coarse = get_spec(dataset).coarse_names[int(split.coarse_labels[index])]
        lines.append(ends([("superclass", "$muted")], [(plain(coarse), "$foreground")], width))
    lines += [
        Content(""),
        ends([], [("    red", "$bad"), ("   green", "$good"), ("    blue", "$accent")], width),
    ]
    for name, values in (("mean", pixels.mean(0)), ("std", pixels.std(0))):
        text = "".join(f"{value:>8.1f}" for value in values.tolist())
        lines.append(ends([(name, "$muted")], [(text, "$foreground")], width))
    return stack(lines)
