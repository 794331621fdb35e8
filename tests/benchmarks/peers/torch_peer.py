"""Our engines and the plain PyTorch loops, as `cifar_tui.bench` runs them."""

from __future__ import annotations

from cifar_tui.bench import subjects  # before torch: it sets what OpenMP reads
from cifar_tui.recipe import resolve

from .world import PICTURES


class TorchPeer:
    """Trains what a preset says with an engine, or with a plain loop."""

    def __init__(self, model: str, name: str, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        config = resolve(preset=f"seed-{model}").config
        split = subjects.random_split(PICTURES)
        subject = subjects.subject(name, config, split, torch.device("cpu"))
        self._loop = subject.loop
        self.parameters = sum(p.numel() for p in self._loop.module.parameters())
        self.remark = subject.title if subject.kind == "engine" else ""

    def run(self, steps: int) -> float:
        """Run `steps`."""
        self._loop.run(steps)
        return float(self._loop.loss)
