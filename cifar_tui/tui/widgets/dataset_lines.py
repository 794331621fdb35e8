"""What the dataset pane says, as pure text: a row for each dataset, a transfer, what is missing, an error."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual.content import Content

from cifar_tui.datasets import names
from cifar_tui.datasets.spec import get_spec
from cifar_tui.errors import CifarTuiError, InterruptedBySignal
from cifar_tui.text import from_home, human_bytes, human_count, human_seconds, safe_text
from cifar_tui.tui.widgets.lines import Part, bar, ends

if TYPE_CHECKING:
    from cifar_tui.datasets.places import DatasetStatus
    from cifar_tui.datasets.transfer import Transfer
    from cifar_tui.events import Phase

DATASETS = names()
TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "synthetic": "Synthetic"}
_STATES = {
    "ready": ("●", "$good"),
    "missing": ("○", "$warning"),
    "unverified": ("!", "$warning"),
    "damaged": ("✕", "$bad"),
}
_PHASES = {
    "wait": "another process fetches it",
    "connect": "connecting",
    "download": "downloading",
    "verify": "checking SHA-256",
    "unpack": "unpacking",
}


def archive_bytes(dataset: str) -> int:
    """Size of the download in bytes; 0 where there is none."""
    archives = get_spec(dataset).archives
    return (archives[0].bytes or 0) if archives else 0


def unpacked_bytes(dataset: str) -> int:
    """Size on disk in bytes; 0 where nothing is stored."""
    archives = get_spec(dataset).archives
    return archives[0].unpacked_bytes if archives else 0


def counts(status: DatasetStatus) -> str:
    """Training and test pictures, such as ``50k + 10k``."""
    return f"{_short(status.train)} + {_short(status.test)}"


def _short(count: int) -> str:
    return f"{count // 1000}k" if count and count % 1000 == 0 else human_count(count)


def percent(transfer: Transfer) -> str:
    """How far a transfer is, 4 cells wide."""
    if not transfer.total:
        return "   …"
    return f"{min(100, transfer.done * 100 // transfer.total):>3}%"


def row(
    dataset: str, status: DatasetStatus | None, transfer: Transfer | None, selected: bool, width: int
) -> Content:
    """One dataset: sign, title, state, and its pictures or the size of its download."""
    title: Part = (f"{TITLES[dataset]:<10}", "bold $foreground" if selected else "$foreground")
    if transfer is not None:
        left = [("↓ ", "$accent"), title, (" getting", "$accent")]
        return ends(left, [(percent(transfer), "bold $foreground")], width)
    if status is None:
        return ends([("· ", "$muted"), title, (" looking", "$muted")], [], width)
    sign, style = _STATES.get(status.state, ("?", "$warning"))
    built_in = dataset == "synthetic"
    state = "built in" if built_in else safe_text(status.state, 12)
    left = [(f"{sign} ", style), title, (f" {state}", "$muted" if built_in else style)]
    if width < 30:
        return ends(left if width > 19 else left[:2], [], width)
    if status.state in {"missing", "damaged"}:
        right = [(human_bytes(archive_bytes(dataset)), "$muted")]
    else:
        right = [(counts(status), "$muted")]
    return ends(left, right, width)


def transfer_lines(dataset: str, transfer: Transfer, width: int) -> list[Content]:
    """A transfer in two rows: what and how far with a bar; amount, rate and time left at steady widths."""
    phase = _PHASES.get(transfer.phase, safe_text(transfer.phase, 20))
    name = TITLES.get(dataset, dataset)
    head = f"{name} {phase}" if transfer.attempt <= 1 else f"{name} {phase}, try {transfer.attempt}"
    fraction = transfer.done / transfer.total if transfer.total else None
    if transfer.total:
        amount = f"{transfer.done / 1e6:>5.1f} of {transfer.total / 1e6:.1f} MB"
    else:
        amount = f"{transfer.done / 1e6:>5.1f} MB"
    rate = f"{transfer.rate / 1e6:>5.1f} MB/s" if transfer.rate > 0 else " " * 10
    left = f"{human_seconds(transfer.eta_seconds):>6}" if transfer.eta_seconds is not None else " " * 6
    if width < 36:
        rate = ""
    if width >= 44:
        left += " left" if left.strip() else " " * 5
    return [
        ends([(head, "$foreground")], [(percent(transfer), "bold $foreground")], width),
        Content.assemble(*bar(fraction, width)),
        ends([(amount, "$foreground")], [(f"{rate} {left}", "$muted")], width),
    ]


def refusal(dataset: str, error: BaseException, unsure: bool, width: int, height: int) -> list[Content]:
    """An error, or where the data is only of unknown origin (`unsure`) what that means."""
    return unverified_lines(dataset, width) if unsure else error_lines(error, width, height - 1)


def missing_lines(
    dataset: str, state: str, free: int | None, folder: str, width: int, height: int
) -> list[Content]:
    """What a download would take, before it begins, and the next key; nothing for data that is there."""
    if height < 2 or state not in {"missing", "damaged"}:
        return []
    title, size, needed = TITLES[dataset], archive_bytes(dataset), unpacked_bytes(dataset)
    why = "is damaged; a download replaces it." if state == "damaged" else "is not on this disk yet."
    lines = [
        Content.assemble((f"{title} {why}", "$foreground")),
        Content(""),
        Content.assemble(("download  ", "$muted"), (f"{human_bytes(size):>9}", "$foreground")),
        Content.assemble(("on disk   ", "$muted"), (f"{human_bytes(needed):>9}", "$foreground")),
    ]
    if free is not None:
        short = free < size + needed
        text = f"{human_bytes(free):>9}" + (f", {human_bytes(size + needed)} needed" if short else "")
        lines.append(Content.assemble(("free      ", "$muted"), (text, "$bad" if short else "$foreground")))
    lines += [
        Content.assemble((f"in {_shortened(safe_text(from_home(folder)), width - 3)}", "$muted")),
        Content(""),
        keys(("g", f"Get {title}", "get")),
    ]
    return lines if height >= len(lines) else [lines[0], lines[-1]]


def _shortened(path: str, width: int) -> str:
    """The end of a path, which says most, at most `width` cells wide."""
    cells = Content(path).cell_length
    return path if cells <= width else "…" + path[-max(1, width - 1 - (cells - len(path))) :]


def error_lines(error: BaseException, width: int, height: int) -> list[Content]:
    """An error in place: what happened, what was kept, what to do; the keys stay where it is cut.

    The tooltip has all of it, see `tip`.
    """
    if isinstance(error, CifarTuiError):
        message, state, hint = error.message, error.state, error.hint
    else:
        message, state, hint = f"{type(error).__name__}: {error}", None, None
    if isinstance(error, InterruptedBySignal):
        kept = _wrapped(f"Stopped; {safe_text(state, 200)}." if state else "Stopped.", "$foreground", width)
        return [*kept, Content(""), keys(("g", "goes on", "get"), ("esc", "hides", "hide_error"))]
    accept = [("u", "uses it anyway", "accept")] if refused(error) else []
    last = keys(*accept, ("g", "tries again", "get"), ("esc", "hides", "hide_error"))
    said = _wrapped(f"✕ {safe_text(message, 300)}", "$bad", width)
    kept = _wrapped(safe_text(state, 200), "$muted", width) if state else []
    todo = _wrapped(f"hint: {safe_text(hint, 240)}", "$foreground", width) if hint else []
    if len(said) + len(kept) + len(todo) + 1 > height:
        kept = []
    if len(said) + len(todo) + 1 > height and accept:
        todo = []  # the hint is a command that does what the key does
    return [*said[: max(1, height - 1 - len(todo))], *kept, *todo, last]


def refused(error: BaseException | None) -> bool:
    """Whether a download failed only for its hash, so that the user may take it all the same."""
    return isinstance(error, CifarTuiError) and error.id in {"E-DATA-HASH", "E-DATA-UNVERIFIED"}


def keys(*entries: tuple[str, str, str]) -> Content:
    """Keys with what they do, each of which can be clicked.

    Args:
        entries: key, what it does, and the pane's action.
    """
    return Content.from_markup(
        "   ".join(f"[@click=pane('{action}')][b $accent]{key}[/] {does}[/]" for key, does, action in entries)
    )


def tip(error: BaseException | None, folder: object) -> Content | None:
    """All of what a message may be too short for, as a tooltip, which `?` shows too.

    Args:
        error: what the message is about, or None.
        folder: of the data, where it is named; else None.
    """
    if error is None:
        return Content(f"The data goes into {safe_text(folder)}") if folder is not None else None
    text = error.block() if isinstance(error, CifarTuiError) else f"{type(error).__name__}: {error}"
    return Content("\n".join(safe_text(line, 2000) for line in text.splitlines()))


def unverified_lines(dataset: str, width: int) -> list[Content]:
    """What "unverified" means, said once, and the key that accepts it."""
    said = (
        f"{TITLES[dataset]} is well formed, but its SHA-256 is not that of the official archive. "
        "A run trained on it says so."
    )
    lines = _wrapped(f"! {said}", "$warning", width)
    return [*lines, Content(""), keys(("u", "Use anyway", "accept"), ("esc", "Hide", "hide_error"))]


def _wrapped(text: str, style: str, width: int) -> list[Content]:
    found = textwrap.wrap(text, max(8, width), break_on_hyphens=False)
    return [Content.assemble((line, style)) for line in found]


def dataset_of(file: str) -> str | None:
    """The dataset that a file belongs to, by its name; None where it does not say."""
    if file.startswith("cifar-100") or file in {"train.bin", "test.bin", "train", "test"}:
        return "cifar100"
    return "cifar10" if file.startswith(("cifar-10", "data_batch", "test_batch")) else None


def own_transfer(phase: Phase) -> Transfer | None:
    """The download that a training began by itself; None where the phase is something else."""
    from cifar_tui.datasets.transfer import Transfer

    if phase.phase != "data" or phase.unit != "bytes":
        return None
    left = (phase.total - phase.done) / phase.rate if phase.rate > 0 and phase.total else None
    return Transfer("download", phase.text, phase.done, phase.total or None, phase.rate, left, "", 1)


def status_text(found: Iterable[DatasetStatus]) -> str:
    """The states as text for the clipboard: name, state, pictures and folder, separated by tabs."""
    lines = []
    for status in found:
        counts = f"{status.train:,} + {status.test:,}"
        lines.append("\t".join([status.dataset, status.state, counts, safe_text(status.path or "-")]))
    return "".join(f"{line}\n" for line in lines)
