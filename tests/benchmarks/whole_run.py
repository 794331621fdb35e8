"""Where the time of a whole training goes, from the shell prompt to the last line of the report.

    python -m tests.benchmarks.whole_run --data-dir DIR -- --preset seed-fnn --allow-unverified

It runs ``cifar-tui train`` on a pseudo-terminal, charts included, and splits the wall time: the interpreter
and the imports, the data, building, training steps, evaluations, checkpoints, and the report with its charts.
Without ``--data-dir`` it trains on drawn pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from cifar_tui.cli.common import table

ROOT = Path(__file__).parents[2]


def child(out: Path, words: list[str]) -> int:
    """Be the command, and note when each event was said, in seconds since the epoch."""
    from cifar_tui import events
    from cifar_tui.cli import main
    from cifar_tui.session import Session

    seen: list[dict[str, Any]] = []
    emit = Session.emit

    def noted(session: Session, event: events.Event) -> None:
        if not isinstance(event, events.Progress):
            kept = ("phase", "text", "seconds", "reason", "split", "step", "steps_per_second")
            seen.append(
                {"at": time.time(), "event": event.kind}
                | {name: getattr(event, name) for name in kept if hasattr(event, name)}
            )
            if getattr(event, "phase", "") == "build":
                time_saves(seen)
        emit(session, event)

    Session.emit = noted  # type: ignore[method-assign]
    began = time.time()
    code = main.run(words)
    out.write_text(json.dumps({"began": began, "ended": time.time(), "code": code, "events": seen}))
    return code


def time_saves(seen: list[dict[str, Any]]) -> None:
    """Note how long the training stands still for each checkpoint: writing it may go on beside it."""
    from cifar_tui.engine.trainer import Trainer

    save = Trainer._save

    def timed(trainer: Trainer, *words: Any, **more: Any) -> Any:
        began = time.perf_counter()
        try:
            return save(trainer, *words, **more)
        finally:
            waited = bool(more.get("wait"))  # the last one, after training: it is to be on the disk
            seen.append({"event": "save", "seconds": time.perf_counter() - began, "waited": waited})

    Trainer._save = timed  # type: ignore[method-assign]


def run(words: list[str], folder: Path) -> dict[str, Any]:
    """Run the command on a terminal of 100 by 40; returns what `split` gives."""
    import pty

    out = folder / "events.json"
    master, slave = pty.openpty()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    command = [sys.executable, "-m", "tests.benchmarks.whole_run", "--child", str(out), "--", *words]
    began = time.time()
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, env=env)
    os.close(slave)
    shown = bytearray()

    def drain() -> None:
        try:
            while block := os.read(master, 65536):
                shown.extend(block)
        except OSError:  # the other end is closed
            pass

    reader = threading.Thread(target=drain)
    reader.start()
    code = process.wait()
    ended = time.time()
    reader.join(5)
    os.close(master)
    if code:
        raise SystemExit(f"the training ended with {code}:\n{shown.decode(errors='replace')[-2000:]}")
    return split(json.loads(out.read_text()), began, ended)


def split(found: dict[str, Any], began: float, ended: float) -> dict[str, Any]:
    """Seconds of each part of a run.

    Returns:
        `total`; `parts` by name, which sum up to it; `evaluations`, seconds of each; `checkpoints`,
        seconds that the training stood still for each; `written`, seconds until each was on the disk;
        `evaluation_share` of evaluations under way in training time; `rate` of the steps.
    """
    events = found["events"]
    at = {event["phase"]: event["at"] for event in reversed(events) if event["event"] == "phase"}
    started = next(event["at"] for event in events if event["event"] == "run_started")
    over = next(event for event in events if event["event"] == "run_ended")
    evaluations = [event for event in events if event["event"] == "evaluation"]
    under_way = [event["seconds"] for event in evaluations if event["step"] < over["step"]]
    final = [event["seconds"] for event in evaluations if event["step"] == over["step"]]
    saves = [event["seconds"] for event in events if event["event"] == "save"]
    blocking = [event["seconds"] for event in events if event["event"] == "save" and not event["waited"]]
    parts = {
        "interpreter, command line": at["import"] - began,
        "import of torch": at["data"] - at["import"],
        "data": at["build"] - at["data"],
        "building": started - at["build"],
        "training steps": over["seconds"],
        "evaluations under way": sum(under_way),
        "final evaluation": sum(final),
        "checkpoints": sum(saves),
        "report, charts, exit": ended - over["at"],
    }
    parts["the rest of the loop"] = ended - began - sum(parts.values())
    return {
        "total": ended - began,
        "parts": parts,
        "steps": over["step"],
        "rate": over["steps_per_second"],
        "evaluations": [event["seconds"] for event in evaluations],
        "checkpoints": blocking,
        "written": [event["seconds"] for event in events if event["event"] == "checkpoint"],
        "evaluation_share": sum(under_way) / over["seconds"],
    }


def text(found: dict[str, Any]) -> str:
    """The split as a table."""
    rows = [
        [name, f"{seconds:.2f}", f"{seconds / found['total']:.1%}"]
        for name, seconds in (*found["parts"].items(), ("all", found["total"]))
    ]
    saves, written = sorted(found["checkpoints"]) or [0.0], sorted(found["written"]) or [0.0]
    return (
        f"{found['steps']:,} steps, {found['rate']:,.0f} steps/s while it trains, "
        f"{found['steps'] / found['total']:,.0f} from prompt to prompt\n"
        + table(["", "seconds", "share"], rows, right=(1, 2))
        + f"\nevaluations: {len(found['evaluations'])} of a split, median "
        f"{sorted(found['evaluations'])[len(found['evaluations']) // 2] * 1e3:.0f} ms"
        + f"\nevaluations under way: {found['evaluation_share']:.1%} of the steps' time (goal: at most 10%)"
        + f"\ncheckpoints: {len(saves)}, median {saves[len(saves) // 2] * 1e3:.0f} ms, "
        f"longest {saves[-1] * 1e3:.0f} ms of training stood still "
        f"(goal: at most 20 ms); on the disk after {written[len(written) // 2] * 1e3:.0f} ms"
    )


def main() -> int:
    """The command line."""
    if sys.argv[1:2] == ["--child"]:
        return child(Path(sys.argv[2]), sys.argv[4:])
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", help="where the dataset is")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("words", nargs="*", help="arguments of train [--preset seed-fnn]")
    asked = parser.parse_args()
    words = ["train", *(asked.words or ["--preset", "seed-fnn"])]
    words += ["--data-dir", asked.data_dir, "--offline"] if asked.data_dir else ["--dataset", "synthetic"]
    with tempfile.TemporaryDirectory() as folder:
        found = run([*words, "--runs-dir", f"{folder}/runs"], Path(folder))
    print(json.dumps(found) if asked.json else text(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
