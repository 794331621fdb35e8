"""Our engines beside JAX, Keras 3, scikit-learn and plain PyTorch, on this machine: one table.

    pip install 'cifar-tui[bench]'
    python -m tests.benchmarks.peers --only fnn

Each peer is a process that runs one window when it is asked to, so that windows lie in turn and one process
runs at a time. A ratio is ours over theirs within a round.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from cifar_tui.bench.load import OtherLoad
from cifar_tui.bench.table import DISTURBED
from cifar_tui.bench.windows import ratio, spread
from cifar_tui.cli.common import table
from cifar_tui.cli.doctor import _cores
from cifar_tui.errors import CifarTuiError, UnavailableError

ROOT = Path(__file__).parents[3]
OURS = "auto"
# name: (title, package it needs, models, goals of ours over it by model)
PEERS: dict[str, tuple[str, str, tuple[str, ...], dict[str, tuple[float, float | None]]]] = {
    "auto": ("cifar-tui", "torch", ("fnn", "cnn"), {}),
    "loader-pil": ("plain PyTorch, DataLoader of PIL pictures", "torch", ("fnn", "cnn"),
                   {"fnn": (4.5, 8), "cnn": (1.7, 4)}),
    "loader-tensor": ("plain PyTorch, DataLoader of a tensor", "torch", ("fnn", "cnn"), {}),
    "index": ("plain PyTorch, no DataLoader", "torch", ("fnn", "cnn"), {"fnn": (2.4, 4), "cnn": (1.45, 3)}),
    "jax-jit": ("JAX, jitted step", "jax", ("fnn", "cnn"), {"fnn": (1.1, 1.5), "cnn": (3.5, None)}),
    "jax-scan": ("JAX, lax.scan", "jax", ("fnn",), {"fnn": (0.9, 1.2)}),
    "keras-torch": ("Keras 3 on torch", "keras", ("fnn", "cnn"), {"fnn": (7, None), "cnn": (2.5, None)}),
    "keras-jax": ("Keras 3 on JAX", "keras", ("fnn", "cnn"), {"fnn": (1.1, None), "cnn": (3.5, None)}),
    "sklearn": ("scikit-learn MLPClassifier", "sklearn", ("fnn",), {"fnn": (3, None)}),
}  # fmt: skip


class Child:
    """A peer's process."""

    def __init__(self, name: str, model: str, threads: int) -> None:
        self.name = name
        words = [sys.executable, "-m", "tests.benchmarks.peers.child", name, model, str(threads)]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
            env=environment(name, threads),
        )  # fmt: skip
        self.ready = self._answer()
        self.load = OtherLoad([os.getpid(), self.process.pid])
        self.others: list[float] = []

    def window(self, seconds: float) -> float:
        """Steps a second of one window."""
        assert self.process.stdin is not None
        self.load.look()
        self.process.stdin.write(f"run {seconds}\n")
        self.process.stdin.flush()
        found = self._answer()
        self.others.append(self.load.look())
        self.loss = found["loss"]
        return float(found["steps"] / found["seconds"])

    def end(self) -> None:
        """Close its input and wait for it."""
        self.process.kill()
        self.process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            said = (self.process.communicate()[1] or "").strip().splitlines()[-1:]
            raise UnavailableError(f"{self.name} ended early: {' '.join(said)}")
        found: dict[str, Any] = json.loads(line)
        return found


def environment(name: str, threads: int) -> dict[str, str]:
    """Threads for every library, and the backend of Keras."""
    found = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    for library in ("OMP", "MKL", "OPENBLAS"):
        found[f"{library}_NUM_THREADS"] = str(threads)
    if name.startswith("keras"):
        found["KERAS_BACKEND"] = name.partition("-")[2]
    return found


def missing(names: list[str]) -> list[str]:
    """Packages that the peers of these names need and that are not installed."""
    needed = {PEERS[name][1] for name in names}
    needed |= {"jax"} if any(name.endswith("-jax") for name in names) else set()
    return sorted(package for package in needed if importlib.util.find_spec(package) is None)


def compare(model: str, names: list[str], rounds: int, seconds: float, threads: int) -> dict[str, Any]:
    """One model's figures of every peer, and the ratios of ours to theirs."""
    children: dict[str, Child] = {}
    try:
        for name in names:
            print(f"{model}: {PEERS[name][0]}", file=sys.stderr, flush=True)
            children[name] = Child(name, model, threads)
        rates: dict[str, list[float]] = {name: [] for name in names}
        for number in range(rounds):
            print(f"{model}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            order = list(names)
            random.Random(number).shuffle(order)
            for name in order:
                time.sleep(0.03)  # until the threads of the last one have gone to sleep
                rates[name].append(children[name].window(seconds))
        return {
            "model": model,
            "peers": [
                {
                    "name": name, "title": PEERS[name][0], **children[name].ready,
                    "loss": children[name].loss,
                    "steps_per_second": spread(rates[name]), "rounds": rates[name],
                    "others": children[name].others,
                    "ratio": None if name == OURS else ratio(rates[OURS], rates[name]),
                    "goal": PEERS[name][3].get(model),
                }
                for name in names
            ],
        }  # fmt: skip
    finally:
        for child in children.values():
            child.end()


def text(found: dict[str, Any]) -> str:
    """One model's table."""
    rows = []
    for each in found["peers"]:
        rate, ours = each["steps_per_second"], each["ratio"]
        goal = each["goal"]
        rows.append([
            each["title"],
            f"{rate['median']:,.1f}", f"[{rate['min']:,.0f}..{rate['max']:,.0f}]",
            "" if ours is None else f"{ours['median']:.2f}",
            "" if ours is None else f"[{ours['min']:.2f}..{ours['max']:.2f}]",
            "" if goal is None else f"{goal[0]:g}" + (f" [{goal[1]:g}]" if goal[1] else ""),
            "" if goal is None else ("yes" if ours["median"] >= goal[0] else "no"),
            f"{each['first_step_seconds']:.1f}", each["remark"],
        ])  # fmt: skip
    header = ["", "steps/s", "spread", "ours/it", "spread", "goal", "met", "first step s", "remark"]
    others = [cores for each in found["peers"] for cores in each["others"]]
    count = sum(cores > DISTURBED for cores in others)
    said = f"\nother programs used up to {max(others):.2f} cores, "
    said += f"more than {DISTURBED:g} in {count} of {len(others)} windows"
    return table(header, rows, right=(1, 2, 3, 4, 5, 7)) + said


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peers", description=__doc__)
    parser.add_argument("--only", choices=("fnn", "cnn"), help="one model; both else")
    parser.add_argument("--peers", help="names, with commas: " + ", ".join(PEERS))
    parser.add_argument("--windows", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.7, help="length of a window")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as there are cores")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    threads = asked.threads or _cores()
    names = asked.peers.split(",") if asked.peers else list(PEERS)
    unknown = [name for name in names if name not in PEERS]
    if unknown or asked.windows < 1:
        parser.error(f"no such peer: {', '.join(unknown)}" if unknown else "--windows takes 1 or more")
    names = list(dict.fromkeys([OURS, *names]))
    try:
        absent = missing(names)
        if absent:
            raise UnavailableError(
                f"not installed: {', '.join(absent)}",
                hint="pip install 'cifar-tui[bench]', or name others with --peers",
            )
        models = [asked.only] if asked.only else ["fnn", "cnn"]
        results = [
            compare(
                model,
                [name for name in names if model in PEERS[name][2]],
                asked.windows,
                asked.seconds,
                threads,
            )
            for model in models
        ]
    except CifarTuiError as error:
        print(error.block(), file=sys.stderr)
        return error.exit_code
    versions = {package: _version(package) for package in ("torch", "jax", "keras", "scikit-learn")}
    if asked.json:
        print(json.dumps({"threads": threads, "versions": versions, "models": results}))
        return 0
    print(
        f"{_cpu()}, {threads} threads, " + ", ".join(f"{name} {number}" for name, number in versions.items())
    )
    print(
        f"medians of {asked.windows} windows of {asked.seconds:g} s taken in turn, batch 50, AdamW, float32"
    )
    for found in results:
        print(f"\n{found['model']}\n{text(found)}", flush=True)
    return 0


def _version(package: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def _cpu() -> str:
    from cifar_tui.engine.device import select

    return select("cpu", 1).name


if __name__ == "__main__":
    sys.exit(main())
