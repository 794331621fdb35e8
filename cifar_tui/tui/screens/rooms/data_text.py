"""Texts of the data room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from cifar_tui.charts.cells import plain
from cifar_tui.datasets.spec import get_spec
from cifar_tui.tui.widgets import dataset_lines
from cifar_tui.tui.widgets.lines import bar, ends, stack

if TYPE_CHECKING:
    from cifar_tui.datasets.places import DatasetStatus
    from cifar_tui.datasets.split import Split
    from cifar_tui.tui.data_facts import SplitFacts


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
    file = record(dataset, part, len(split), index)
    lines = [
        ends([(plain(split.names[label]), "bold $foreground")], [(f"#{index}", "bold $foreground")], width),
        ends([(f"{part}, label {label}", "$muted")], [(file, "$muted")], width),
    ]
    if split.coarse_labels is not None and split.fine_labels is not None:
        spec = get_spec(dataset)
        fine, coarse = int(split.fine_labels[index]), int(split.coarse_labels[index])
        for kind, name in (("class", spec.names[fine]), ("superclass", spec.coarse_names[coarse])):
            lines.append(ends([(kind, "$muted")], [(plain(name), "$foreground")], width))
    lines += [
        Content(""),
        ends([], [("    red", "$bad"), ("   green", "$good"), ("    blue", "$accent")], width),
    ]
    for name, values in (("mean", pixels.mean(0)), ("std", pixels.std(0))):
        text = "".join(f"{value:>8.1f}" for value in values.tolist())
        lines.append(ends([(name, "$muted")], [(text, "$foreground")], width))
    return stack(lines)


def record(dataset: str, part: str, count: int, index: int) -> str:
    """Where a picture is in the official binary files, such as ``test_batch 26``; "" where it is in none."""
    archives = get_spec(dataset).archives
    files = (archives[0].train if part == "train" else archives[0].test) if archives else ()
    if not files or count % len(files):
        return ""
    file, place = divmod(index, count // len(files))
    return f"{files[file].partition('.')[0]} {place:,}"


def pixels(found: SplitFacts | None, width: int) -> Content:
    """Mean and deviation of each channel in 0 to 255, and duplicate pictures."""
    if found is None:
        return Content.assemble(("counting …", "$muted"))
    lines = [ends([], [("    mean", "$muted"), ("     std", "$muted")], width)]
    room = max(0, width - 2 - 16 - 1)
    names = (("R", "$bad"), ("G", "$good"), ("B", "$accent"))
    for (name, style), mean, std in zip(names, found.mean, found.std, strict=True):
        left = [(f"{name} ", style), *bar(mean, room, style)]
        lines.append(ends(left, [(f"{mean * 255:>8.1f}{std * 255:>8.1f}", "$foreground")], width))
    lines.append(Content(""))
    for name, count in (("duplicates", found.duplicates), ("train ∩ test", found.shared)):
        lines.append(ends([(name, "$muted")], [(f"{count:,}", "$foreground")], width))
    return stack(lines)
