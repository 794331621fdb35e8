"""``cifar-tui data``: what is on disk, fetching it, checking it, and numbers about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cifar_tui.cli import common
from cifar_tui.errors import CifarTuiError, DamagedError, InterruptedBySignal, NotThereError, UsageError
from cifar_tui.text import human_bytes, safe_text

if TYPE_CHECKING:
    from cifar_tui.datasets.places import DatasetStatus
    from cifar_tui.datasets.summary import SplitStatistics

app = common.new_app(help="Datasets: what is on disk, fetching it, checking it, and numbers about it.")

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[DATASET]...", help="cifar10, cifar100, synthetic; all if none."),
]


@app.command("status", epilog="Example: cifar-tui data status")
def status_command(
    names: Names = None, data_dir: common.DataDir = None, as_json: common.Json = False
) -> None:
    """Show which datasets are on disk.

    Looks at sizes and times only; `data verify` reads everything.
    """
    from cifar_tui.datasets import status

    folder = common.data_dir(data_dir)
    show([status(name, folder) for name in chosen(names)], as_json)


@app.command(epilog="Example: cifar-tui data download cifar10")
def download(
    name: Annotated[str, typer.Argument(metavar="DATASET", help="cifar10, cifar100 or all.")],
    mirror: Annotated[
        list[str] | None,
        typer.Option(
            "--mirror", metavar="URL", help="Try this address first; may be repeated [env: CIFAR_TUI_MIRROR]."
        ),
    ] = None,
    from_file: Annotated[
        str | None, typer.Option("--from-file", metavar="ARCHIVE", help="Take a local archive; no traffic.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network.")] = False,
    allow_unverified: common.AllowUnverified = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Fail where another process fetches the same dataset.")
    ] = False,
    data_dir: common.DataDir = None,
    as_json: common.Json = False,
) -> None:
    """Fetch a dataset, check and unpack it.

    Nothing happens where it is there already. A download that was cut goes on where it stopped. Ctrl+C
    keeps what has arrived.
    """
    from cifar_tui.datasets import fetch, get_spec

    wanted = ["cifar10", "cifar100"] if name == "all" else [get_spec(name).name]
    if from_file is not None and len(wanted) > 1:
        raise UsageError(
            "--from-file is one archive, and all are several datasets",
            hint=f"cifar-tui data download cifar10 --from-file {safe_text(from_file, 120)}",
        )
    if wanted == ["synthetic"]:
        common.say("synthetic is built in: there is nothing to download")
    folder = common.data_dir(data_dir)
    found = []
    for each in wanted:
        with _Watched() as watched:
            found.append(
                fetch(
                    each,
                    folder,
                    mirrors=tuple(mirror or ()),
                    from_file=None if from_file is None else Path(from_file).expanduser(),
                    offline=offline,
                    allow_unverified=allow_unverified,
                    no_wait=no_wait,
                    report=watched.line,
                    note=watched.line.note,
                    cancelled=watched.cancelled,
                )
            )
    show(found, as_json)


@app.command(epilog="Example: cifar-tui data verify synthetic")
def verify(
    names: Names = None,
    allow_unverified: common.AllowUnverified = False,
    data_dir: common.DataDir = None,
    as_json: common.Json = False,
) -> None:
    """Hash every file and check every record.

    Without names it checks what is on disk. Exit code 65 where something is damaged.
    """
    from cifar_tui.datasets import status, verify

    folder = common.data_dir(data_dir)
    wanted = chosen(names)
    if not names:
        wanted = [name for name in wanted if status(name, folder).state != "missing"]
    found: list[DatasetStatus] = []
    failures: list[CifarTuiError] = []
    for name in wanted:
        with _Watched() as watched:
            try:
                found.append(
                    verify(
                        name,
                        folder,
                        watched.line,
                        allow_unverified=allow_unverified,
                        cancelled=watched.cancelled,
                    )
                )
            except (DamagedError, NotThereError) as error:
                found.append(_with_failure(status(name, folder), error))
                failures.append(error)
    show(found, as_json)
    if failures:
        failures.sort(
            key=lambda failure: isinstance(failure, DamagedError)
        )  # the last one gives the exit code
        for failure in failures[:-1]:
            if not as_json:
                common.say(failure.block())
        raise failures[-1]


@app.command(epilog="Example: cifar-tui data stats synthetic --split test")
def stats(
    name: Annotated[str, typer.Argument(metavar="DATASET", help="cifar10, cifar100 or synthetic.")],
    split: Annotated[
        str | None, typer.Option("--split", metavar="SPLIT", help="train or test; both if not given.")
    ] = None,
    labels: Annotated[
        str, typer.Option("--labels", metavar="KIND", help="fine, or coarse for the 20 of cifar100.")
    ] = "fine",
    allow_unverified: common.AllowUnverified = False,
    data_dir: common.DataDir = None,
    as_json: common.Json = False,
) -> None:
    """Count classes, channels and duplicates.

    Mean and standard deviation are those of each channel of pictures in [0, 1].
    """
    from cifar_tui.datasets import load, statistics

    splits = ("train", "test") if split is None else (check_split(split),)
    dataset = load(name, common.data_dir(data_dir), labels=labels, allow_unverified=allow_unverified)
    for note in dataset.notes:
        common.say(f"note: {note}")
    found = [statistics(getattr(dataset, each)) for each in splits]
    if as_json:
        common.print_json(
            {
                "dataset": dataset.name,
                "labels": dataset.labels_kind,
                "state": dataset.state,
                "fingerprint": dataset.fingerprint,
                "splits": [each.to_json() for each in found],
            }
        )
        return
    mark = "" if dataset.state in {"ready", "synthetic"} else f" [{dataset.state}]"
    print(common.paint(f"{dataset.title}, {dataset.labels_kind} labels{mark}", "1"))
    print()
    print(_split_table(found))
    print()
    print(_class_table(found))


def check_split(split: str) -> str:
    """The name of a split that is on disk.

    Raises:
        UsageError: another name.
    """
    if split not in {"train", "test"}:
        raise UsageError(f'split is "{safe_text(split, 40)}"', hint="valid: train, test")
    return split


def chosen(names: list[str] | None) -> list[str]:
    """The datasets that were named, each once; all of them where none was.

    Raises:
        UsageError: there is no such dataset.
    """
    from cifar_tui.datasets import get_spec
    from cifar_tui.datasets import names as all_names

    return list(dict.fromkeys(get_spec(name).name for name in names)) if names else list(all_names())


def show(found: list[DatasetStatus], as_json: bool) -> None:
    """Print the state of datasets, as a table or as JSON."""
    if as_json:
        common.print_json([status.to_json() for status in found])
        return
    rows, colours = [], {}
    for number, status in enumerate(found):
        there = status.state in {"ready", "unverified"}
        size = human_bytes(status.bytes) if status.bytes else "-"
        where = status.detail if status.path is None else str(status.path)
        counts = [f"{count:,}" if there else "-" for count in (status.train, status.test)]
        rows.append([status.dataset, status.state, *counts, status.classes, size, where])
        colours[number, 1] = common.STATE_COLOURS.get(status.state, "")
    header = ("dataset", "state", "train", "test", "classes", "size", "where")
    print(common.table(header, rows, right=(2, 3, 4, 5), colours=colours))
    for status in found:
        if status.state in {"unverified", "damaged"}:
            common.say(f"{status.dataset}: {safe_text(status.detail, 300)}")


class _Watched:
    """A piece of work with a progress line that the first signal stops; it reports that signal's number."""

    def __init__(self) -> None:
        from cifar_tui.cli.signals import SignalWatch

        self.line = _new_line()
        self._signals = SignalWatch()
        self._signals.cost = "stopped at once; what had arrived is kept"

    def cancelled(self) -> bool:
        """Whether a signal came."""
        return self._signals.number != 0

    def __enter__(self) -> _Watched:
        self._signals.__enter__()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._signals.__exit__(kind, error, trace)
        self.line.close()
        if isinstance(error, InterruptedBySignal) and self._signals.number:
            raise InterruptedBySignal(
                self._signals.number, error.message, where=error.where, state=error.state, hint=error.hint
            ) from None


def _new_line() -> Any:
    from cifar_tui.cli.transfer_line import TransferLine

    return TransferLine()


def _with_failure(status: DatasetStatus, error: CifarTuiError) -> DatasetStatus:
    """The status of a dataset whose check failed."""
    import dataclasses

    if not isinstance(error, DamagedError):
        return status
    return dataclasses.replace(status, state="damaged", train=0, test=0, detail=error.message)


def _split_table(found: list[SplitStatistics]) -> str:
    rows = []
    for each in found:
        mean, std = (" ".join(f"{value:.4f}" for value in triple) for triple in (each.mean, each.std))
        rows.append(
            [each.split, f"{each.count:,}", mean, std, each.duplicates, each.duplicates_across_labels]
        )
    header = ("split", "pictures", "mean (r g b)", "std (r g b)", "duplicates", "with another label")
    return common.table(header, rows, right=(1, 4, 5))


def _class_table(found: list[SplitStatistics]) -> str:
    names = [name for name, _count in found[0].class_counts]
    rows = [
        [label, name, *(f"{each.class_counts[label][1]:,}" for each in found)]
        for label, name in enumerate(names)
    ]
    header = ("label", "class", *(each.split for each in found))
    return common.table(header, rows, right=(0, *range(2, 2 + len(found))))
