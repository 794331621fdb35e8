"""Summaries of all runs of a folder in one file, so that thousands are listed without opening each.

The hidden file ``.summaries.jsonl`` has one line for a run, ``[id, key, summary]``, where the key and the
summary are lists; of several the last one counts. It only saves time: a line counts while the files of the
run are as its key says, whatever else is found there is left out, and without the file all is read from the
runs. Processes may append at the
same time; where one rewrites the file just then, a line is lost and made again by the next list. A folder of
few runs whose events are soon read has no such file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cifar_tui.fsio import FILE_MODE, dump_json, replace_bytes
from cifar_tui.runs.files import json_safe, parse_json, read_regular

NAME = ".summaries.jsonl"
SCHEMA = 4
_LIMIT = 256 << 20  # bytes; a run takes about 250
_START = b'["'
_WORTH_RUNS = 100  # new ones that are worth a write
_WORTH_BYTES = 4 << 20  # of events that were read for new ones, likewise
_SPARE = 1000  # lines that no longer count which are left alone, however few runs there are


class SummaryIndex:
    """The summaries that one look at the runs of a folder finds known, and those that it finds out.

    One made by the constructor knows nothing: it only adds.
    """

    def __init__(self, runs_dir: Path) -> None:
        self._path = runs_dir / NAME
        self._lines: dict[str, bytes] = {}
        self._stored = 0  # lines in the file, where it was read
        self._used: dict[str, bytes] = {}
        self._new: list[tuple[str, list[int], list[Any]]] = []
        self._read = 0

    @classmethod
    def read(cls, runs_dir: Path) -> SummaryIndex:
        """What is known of a folder's runs; nothing where there is no file or it cannot be read."""
        index = cls(runs_dir)
        try:
            lines = read_regular(index._path, _LIMIT, follow=False).split(b"\n")
        except OSError:
            return index
        for line in lines:
            index._lines[line[len(_START) : line.find(b'"', len(_START))].decode("ascii", "replace")] = line
        index._stored = len(lines)
        return index

    def get(self, run: str, key: list[int]) -> list[Any] | None:
        """The summary of a run whose files are as `key` says; None where it is not known."""
        line = self._lines.get(run)
        if line is None:
            return None
        try:
            id, stored, summary = parse_json(line.decode("ascii"))
        except (ValueError, TypeError):
            return None
        if id != run or stored != [SCHEMA, *key] or type(summary) is not list:
            return None
        self._used[run] = line
        return summary

    def put(self, run: str, key: list[int], summary: list[Any], read: int) -> None:
        """Know the summary of a run: JSON values, for which `read` bytes of events were read."""
        self._new.append((run, [SCHEMA, *key], summary))
        self._read += read

    def save(self, *, whole: bool = True) -> None:
        """Write what is new where that saves time; make the file anew where most of its lines count no more.

        Best effort: what is torn or lost is found out again by the next list.

        Args:
            whole: whether all runs of the folder were asked for; else lines that were not may count and stay.
        """
        if len(self._new) < _WORTH_RUNS and self._read < _WORTH_BYTES:
            self._new.clear()
        self._read = 0
        added = {run: _line(run, key, summary) for run, key, summary in self._new}
        self._new.clear()
        try:
            kept = self._used = {**self._used, **added}
            if whole and self._stored and not kept:
                self._path.unlink()
            elif whole and self._stored and self._stored + len(added) > 2 * len(kept) + _SPARE:
                replace_bytes(self._path, b"\n".join(kept.values()) + b"\n")
                self._stored = len(kept)
            elif added:
                self._append(list(added.values()))
        except (OSError, ValueError):
            return

    def _append(self, lines: list[bytes]) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, FILE_MODE)
        with os.fdopen(descriptor, "ab") as file:
            # The newline in front ends a line that was cut, which would take our first one with it.
            file.write(b"\n" + b"\n".join(lines) + b"\n")


def _line(run: str, key: list[int], summary: list[Any]) -> bytes:
    return dump_json([run, key, json_safe(summary)]).encode("ascii")
