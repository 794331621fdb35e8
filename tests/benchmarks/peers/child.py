"""One peer in a process of its own: it answers lines of JSON on standard output.

``python -m tests.benchmarks.peers.child NAME MODEL THREADS``; then ``run SECONDS`` on standard input runs one
window, and the end of the input ends the process. Nothing runs between windows.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .world import Peer

PLAIN = {"loader-pil", "loader-tensor", "index"}
STEPS_A_CALL = {"jax-scan": 50}


def make(name: str, model: str, threads: int) -> Peer:
    """The peer of this name."""
    if name.startswith("jax"):
        from .jax_peer import JaxPeer

        return JaxPeer(model, scan=name == "jax-scan")
    if name.startswith("keras"):
        from .keras_peer import KerasPeer

        return KerasPeer(model)
    if name == "sklearn":
        from .sklearn_peer import SklearnPeer

        return SklearnPeer(model)
    if name in PLAIN:
        import torch  # noqa: F401 - before ours sets what OpenMP reads: a plain loop has the defaults
    from .torch_peer import TorchPeer

    return TorchPeer(model, name, threads)


def window(peer: Peer, seconds: float, chunk: int) -> dict[str, Any]:
    """Steps and seconds of one window of at least `seconds`."""
    began, steps = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - began) < seconds or not steps:
        value = peer.run(chunk)
        steps += chunk
    return {"steps": steps, "seconds": elapsed, "loss": value}


def main() -> None:
    """Set up, say so, and answer."""
    name, model, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if hasattr(os, "sched_setaffinity"):  # for libraries that take a thread for each core
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    began = time.perf_counter()
    unit = STEPS_A_CALL.get(name, 1)
    peer = make(name, model, threads)
    peer.run(unit)
    first = time.perf_counter() - began
    peer.run(2 * unit)
    rate = 0.0
    for _ in range(2):  # warm, and how many steps a call may have
        found = window(peer, 0.3, max(unit, int(0.05 * rate) // unit * unit))
        rate = found["steps"] / found["seconds"]
    share = 0.5 if name.startswith("keras") else 0.05  # a call of fit has a cost of its own
    ready = {"parameters": peer.parameters, "remark": peer.remark, "first_step_seconds": first}
    print(json.dumps(ready), file=answers, flush=True)
    for line in sys.stdin:
        seconds = float(line.split()[1])
        part = min(seconds, share) if share < 0.5 else seconds
        chunk = max(unit, int(part * rate) // unit * unit)
        print(json.dumps(window(peer, seconds, chunk)), file=answers, flush=True)


if __name__ == "__main__":
    main()
