"""Training steps on a CUDA device: each engine beside a plain PyTorch loop and JAX on the same card.

    python -m tests.benchmarks.gpu [--device cuda:0] [--rounds 7] [--seconds 1.0] [--steps 10000] [--json]

For both presets at batch 50, fp32 parameters, it prints one table: steps a second in the steady state
(median of interleaved windows), steps a second of a whole training (building, capturing, evaluations and
checkpoints included), ratios to the plain loop and to JAX on the same card, and the goals with what was
reached. Pictures are random: speed does not depend on what they show. Without a CUDA device it says so and
exits with 69. Everything takes about six minutes on an H100, half of it whole trainings of slow engines.

Where JAX is installed and has the same kind of device, `lax.scan` over 50 steps is a row of its own.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ENGINES = ("eager", "compiled", "graph", "graph+compiled", "native")
PLAIN = (
    "loader-tensor"  # what ratios are to; a DataLoader over one float tensor, as it is the fastest to load
)
PICTURES = 50_000
UNAVAILABLE = 69


@dataclass(frozen=True)
class Goals:
    """What the project wants of a preset; the first two in steps a second.

    Attributes:
        steady: in the steady state.
        whole: share of `steady` that a whole training is to reach.
        plain: ratio to the plain loop.
        scan: ratio to JAX's `lax.scan`.
    """

    steady: float
    whole: float = 0.5
    plain: float = 15.0
    scan: float = 1.0


GOALS = {"seed-fnn": Goals(10_000.0), "seed-cnn": Goals(6_000.0)}


@dataclass
class Row:
    """One line of the table.

    Attributes:
        name: of the loop or the engine that ran.
        rates: steps a second of each window.
        whole: steps a second of a whole training; None where it has none.
        prepare: seconds until the first step could run.
        note: what there is to say, such as why it did not run.
    """

    name: str
    rates: list[float] = field(default_factory=list)
    whole: float | None = None
    prepare: float = 0.0
    note: str = ""

    @property
    def steady(self) -> float | None:
        """Median rate."""
        return statistics.median(self.rates) if self.rates else None


class WholeLaunches:
    """A loop of an engine, in chunks that its launches divide, as a training asks for them."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._unit = int(getattr(loop.engine, "steps_per_launch", 1))

    def run(self, steps: int) -> np.ndarray[Any, Any]:
        """Run about so many steps; returns the seconds of each."""
        return self._loop.run(max(self._unit, round(steps / self._unit) * self._unit))


class Scan:
    """JAX's compiled step, fifty to a call."""

    def __init__(self, model: str) -> None:
        from tests.benchmarks.peers.jax_peer import SCAN, JaxPeer

        self._peer, self._unit = JaxPeer(model, scan=True), SCAN

    def run(self, steps: int) -> np.ndarray[Any, Any]:
        """Run about so many steps; returns the mean seconds of each."""
        count = max(self._unit, round(steps / self._unit) * self._unit)
        began = time.perf_counter()
        self._peer.run(count)
        return np.full(count, (time.perf_counter() - began) / count)


def jax_missing(kind: str) -> str | None:
    """Why JAX cannot be a row; None where it can."""
    if importlib.util.find_spec("jax") is None:
        return "JAX is not installed"
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax

    platform = jax.devices()[0].platform
    wanted = {"cuda": "gpu"}.get(kind, kind)
    return None if platform in {wanted, kind} else f"JAX here has no {wanted}, only {platform}"


def steady(
    preset: str, place: Any, engines: Sequence[str], rounds: int, seconds: float, say: Callable[[str], None]
) -> dict[str, Row]:
    """Rates of all loops of a preset, from windows taken in turn."""
    from cifar_tui.bench import subjects, windows
    from cifar_tui.errors import CifarTuiError
    from cifar_tui.recipe import resolve

    config = resolve(preset=preset, flags={"batch_size": "50"}).config
    split = subjects.random_split(PICTURES)
    rows: dict[str, Row] = {}
    loops: dict[str, windows.Loop] = {}

    def add(name: str, make: Callable[[], Any]) -> None:
        say(f"{preset}: preparing {name}")
        row, began = Row(name), time.perf_counter()
        rows[name] = row
        try:
            loop = make()
            loop.run(1)
        except CifarTuiError as error:
            row.note = error.message
        except Exception as error:
            row.note = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        else:
            row.prepare = time.perf_counter() - began
            loops[name] = loop

    def engine(name: str) -> Any:
        loop = subjects.EngineLoop(config.model_copy(update={"engine": name}), split, place)
        if loop.engine.name != name:
            raise RuntimeError(loop.note or f"engine {loop.engine.name} ran instead")
        return WholeLaunches(loop)

    for name in (PLAIN, "index"):
        add(name, lambda name=name: subjects.plain_subject(name, config, split, place).loop)
    for name in engines:
        add(name, lambda name=name: engine(name))
    missing = jax_missing(place.type)
    if missing is None:
        add("jax lax.scan", lambda: Scan(config.model))
    else:
        rows["jax lax.scan"] = Row("jax lax.scan", note=missing)
    found = windows.interleaved(
        loops, rounds, seconds, told=lambda number: say(f"{preset}: round {number + 1} of {rounds}")
    )
    for name, taken in found.items():
        rows[name].rates = [window.rate for window in taken]
    return rows


def whole(preset: str, device: str, engine: str, steps: int, folder: Path) -> tuple[float, str]:
    """Steps a second of a whole training, and the engine that ran it.

    The clock runs from when the data are there to the end: building, capturing, steps, the preset's
    evaluations, checkpoints and the last evaluation of all pictures.
    """
    from cifar_tui import events
    from cifar_tui.recipe import resolve
    from cifar_tui.session import Session, TrainRequest

    flags = {
        "dataset": "synthetic",
        "device": device,
        "engine": engine,
        "steps": str(steps),
        "batch_size": "50",
    }
    recipe = resolve(preset=preset, flags=flags)
    session = Session(TrainRequest(data_dir=folder, runs_dir=folder / "runs", recipe=recipe, offline=True))
    began: list[float] = []
    emit = session.emit

    def noted(event: events.Event) -> None:
        if isinstance(event, events.Phase) and event.phase == "build":
            began.append(time.perf_counter())
        emit(event)

    session.emit = noted  # type: ignore[method-assign]
    ended = session.run()
    if ended is None or ended.state != "done" or session.trainer is None:
        raise RuntimeError(str(session.error or "the training did not end as it should"))
    return ended.step / (time.perf_counter() - began[0]), str(session.trainer.banner()["engine"])


def measure(
    preset: str, options: argparse.Namespace, place: Any, say: Callable[[str], None]
) -> dict[str, Row]:
    """All rows of a preset."""
    rows = steady(preset, place, options.engine or ENGINES, options.rounds, options.seconds, say)
    if options.steps:
        with tempfile.TemporaryDirectory() as folder:
            for name in [name for name in ENGINES if name in rows and rows[name].rates]:
                say(f"{preset}: a whole training with {name}")
                rate, ran = whole(preset, str(place), name, options.steps, Path(folder))
                rows[name].whole = rate
                if ran != name:
                    rows[name].note = f"the whole training ran with {ran}"
    return rows


def table(preset: str, rows: Mapping[str, Row]) -> list[list[str]]:
    """Cells of a preset's lines."""
    plain, scan = rows[PLAIN].steady, rows["jax lax.scan"].steady

    def ratio(rate: float | None, other: float | None) -> str:
        return f"{rate / other:.2f}" if rate and other else "-"

    return [
        [
            preset,
            row.name,
            "-" if row.steady is None else f"{row.steady:,.0f}",
            "-" if not row.rates else f"{min(row.rates):,.0f}..{max(row.rates):,.0f}",
            "-" if row.whole is None else f"{row.whole:,.0f}",
            ratio(row.steady, plain),
            ratio(row.steady, scan),
            f"{row.prepare:.1f}" if row.rates else "-",
            row.note,
        ]
        for row in rows.values()
    ]


def verdicts(preset: str, rows: Mapping[str, Row]) -> list[str]:
    """One sentence a goal, for the fastest of our engines."""
    goals = GOALS[preset]
    ours = [row for name, row in rows.items() if name in ENGINES and row.steady]
    if not ours:
        return [f"{preset}: no engine ran"]
    best = max(ours, key=lambda row: row.steady or 0.0)
    wholes = [row.whole for row in ours if row.whole]
    plain, scan = rows[PLAIN].steady, rows["jax lax.scan"].steady
    rate = best.steady or 0.0
    found: list[tuple[str, float | None, float]] = [
        (f"steady steps/s ({best.name})", rate, goals.steady),
        ("whole training, steps/s", max(wholes, default=None), goals.whole * goals.steady),
        ("times a plain loop", rate / plain if plain else None, goals.plain),
        ("times JAX lax.scan", rate / scan if scan else None, goals.scan),
    ]
    return [
        f"{preset}: {what}: "
        + (
            "not measured"
            if value is None
            else f"{value:,.2f}, goal {goal:,.2f}: {'reached' if value >= goal else 'NOT reached'}"
        )
        for what, value, goal in found
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.gpu", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--device", default="cuda:0", help="device [default: cuda:0]; cpu is for trying it out"
    )
    parser.add_argument("--rounds", type=int, default=7, help="windows of each loop")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a window")
    parser.add_argument("--steps", type=int, default=10_000, help="of a whole training; 0 for none")
    parser.add_argument(
        "--engine", action="append", choices=ENGINES, help="only this engine; may be repeated"
    )
    parser.add_argument("--preset", action="append", choices=sorted(GOALS), help="only this preset")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)

    from cifar_tui.cli.common import table as format_table
    from cifar_tui.engine import device as devices
    from cifar_tui.errors import CifarTuiError

    try:
        device = devices.select(options.device)
    except CifarTuiError as error:
        print(f"no CUDA device: {error.message}", file=sys.stderr)
        return UNAVAILABLE

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    facts = device.to_json()
    presets = options.preset or list(GOALS)
    found = {preset: measure(preset, options, device.torch_device, say) for preset in presets}
    if options.json:
        rows = {
            preset: [vars(row) | {"steady": row.steady} for row in each.values()]
            for preset, each in found.items()
        }
        print(json.dumps({"device": facts, "rows": rows}))
        return 0
    where = f"{facts['name']} ({facts['device']}), torch {facts['torch']}, CUDA {facts['cuda']}"
    print(f"{where}, batch 50, float32")
    head = ("preset", "loop", "steady/s", "range", "whole/s", "x plain", "x scan", "ready s", "note")
    cells = [line for preset, rows in found.items() for line in table(preset, rows)]
    print(format_table(head, cells, right=(2, 3, 4, 5, 6, 7)))
    print()
    if device.kind != "cuda":
        print("the goals are for a CUDA device")
        return 0
    for preset, rows in found.items():
        print("\n".join(verdicts(preset, rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
