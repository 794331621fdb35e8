"""How long a fresh process takes to its first step, and how much memory it holds: one process a figure.

Run as a module it is that process: it trains a few steps and prints a line of JSON after the first one, and
another with its peak memory at its end.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from cifar_tui.config import RunConfig
from cifar_tui.errors import SystemResourceError
from cifar_tui.fsio import dump_json
from cifar_tui.processes import own_environment
from cifar_tui.text import safe_text

STEPS = 20
TIMEOUT_SECONDS = 300.0


def measure(config: RunConfig, name: str, pictures: int, threads: int) -> dict[str, Any]:
    """Start a process that trains, and watch it.

    Args:
        config: what it trains.
        name: of an engine or a plain loop, see `subjects`.
        pictures: how many it trains on.
        threads: of torch.

    Returns:
        `startup_seconds`, from before the process was there to the end of its first step; and `peak_memory`
        in bytes after a few steps, None where the system does not tell.

    Raises:
        SystemResourceError: the process ended early.
    """
    asked = dump_json({"config": config.model_dump(), "name": name, "pictures": pictures, "threads": threads})
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "cifar_tui.bench.startup"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=own_environment(),
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(asked + "\n")
            child.stdin.flush()
            first = child.stdout.readline()
            seconds = time.perf_counter() - began
            rest, said = child.communicate(timeout=TIMEOUT_SECONDS)
        except BaseException:
            child.kill()
            raise
    if child.returncode or not first:
        last = said.strip().splitlines()[-1:] or [f"exit code {child.returncode}"]
        raise SystemResourceError(
            f"the process that measures the start-up of {name} ended early: {safe_text(last[0], 200)}",
            hint="cifar-tui bench --no-startup",
        )
    return {"startup_seconds": seconds, "peak_memory": json.loads(rest)["peak_memory"]}


def peak_memory() -> int | None:
    """Most bytes that this process ever held; None where the system does not tell."""
    try:
        # On Linux getrusage counts what the parent held before this program was loaded; this does not.
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:
        return None
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def main() -> None:
    """Train as the line on standard input says."""
    asked = json.loads(sys.stdin.readline())
    from cifar_tui.bench import subjects
    from cifar_tui.engine.device import select

    config = RunConfig.model_validate(asked["config"])
    device = select(config.device, asked["threads"])
    split = subjects.random_split(asked["pictures"])
    loop = subjects.subject(asked["name"], config, split, device.torch_device).loop
    loop.run(1)
    print(dump_json({"step": 1}), flush=True)
    loop.run(STEPS)
    print(dump_json({"peak_memory": peak_memory()}), flush=True)


if __name__ == "__main__":
    main()
