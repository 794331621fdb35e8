"""The summaries of very many runs, read by a process of its own.

A thread that looks at thousands of files gives up the interpreter's lock at each of them, and waits for it
while the screen is drawn. The process needs no lock of ours. It writes lines of JSON: lists of
``[id, stamps, summary]``, and ``null`` once it has seen all runs; then it keeps what it found out.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

from cifar_tui.errors import CifarTuiError
from cifar_tui.fsio import dump_json
from cifar_tui.processes import own_environment
from cifar_tui.runs.directory import RunDirectory, iterate_runs
from cifar_tui.runs.files import json_safe, parse_json
from cifar_tui.runs.summary import RunSummary, pack, stamps, summarise, unpack
from cifar_tui.runs.summary_index import SummaryIndex

_ROWS = 100  # in a line

Apart = Generator[tuple[str, list[int], RunSummary] | None, None, None]


def read_apart(folder: Path) -> Apart:
    """Id, `summary.stamps` and summary of each run of a folder, in no order; then None.

    Closing it before the None ends the process; after it, waits until the process has kept what it found.

    Raises:
        OSError: the process cannot be started or ended early; the caller has to read the folder itself.
    """
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "cifar_tui.runs.listing", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=own_environment(),
        start_new_session=True,  # a Ctrl-C is for the app
    ) as process:
        assert process.stdout is not None
        whole = False
        try:
            for line in process.stdout:
                rows = _rows(line)
                if rows is None:
                    whole = True
                    yield None
                    return
                for id, key, values in rows:
                    yield id, key, unpack(RunDirectory(folder, id), values)
            raise ChildProcessError(f"the process that lists {folder} ended early")
        finally:
            if not whole:
                process.kill()


def _rows(line: bytes) -> list[Any] | None:
    try:
        rows: list[Any] | None = parse_json(line.decode("ascii"))
    except ValueError:
        raise ChildProcessError("the process that lists runs was cut off") from None
    return rows


def main(folder: Path) -> int:
    """Write the summaries of all runs of a folder to standard output; the exit code."""
    gc.disable()  # it makes thousands of objects, all of which it needs, and ends soon
    index = SummaryIndex.read(folder)
    rows: list[list[Any]] = []
    try:
        for run in iterate_runs(folder):
            key = stamps(run)
            rows.append([run.id, key, pack(summarise(run, index, seen=key))])
            if len(rows) == _ROWS:
                _write(rows)
                rows = []
        _write(rows)
        _write(None)
    except (CifarTuiError, OSError):  # nobody listens any more, or the folder is gone
        return 1
    index.save()
    return 0


def _write(value: list[list[Any]] | None) -> None:
    try:
        line = dump_json(value)
    except ValueError:  # not a number
        line = dump_json(json_safe(value))
    sys.stdout.buffer.write(line.encode("ascii") + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
