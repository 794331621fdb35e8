"""The thread count of a training under way: chosen, applied, told, and written into its checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from cifar_tui.engine.device import Device, usable_cores
from cifar_tui.engine.threads import (
    OTHERS,
    PROBE_SECONDS,
    Finding,
    OtherPrograms,
    Probe,
    ThreadKeeper,
    ThreadPolicy,
    counts_up_to,
    pick,
)

Tell = Callable[[str, str, dict[str, Any]], None]
FIXED = ThreadPolicy()


class Tuner:
    """Applies a policy on threads to a training on a CPU; elsewhere it does nothing.

    Args:
        device: where the training runs, with the threads it begins with.
        policy: what may be done.
        tell: emits a note of an id, a sentence and values.
        changed: called after the count has changed.

    Attributes:
        device: the same with the threads it has now.
        keeper: watches the rate.
        probe_seconds: how long a probe takes at most.
    """

    def __init__(self, device: Device, policy: ThreadPolicy, tell: Tell, changed: Callable[[], None]) -> None:
        self.device = device
        self._policy = policy if device.kind == "cpu" else FIXED
        self._tell, self._changed = tell, changed
        self._found: Finding | None = None
        self.probe_seconds = PROBE_SECONDS
        counts = counts_up_to(max(usable_cores(), device.threads))
        self.keeper = ThreadKeeper(
            device.threads,
            counts,
            watch=self._policy.watch,
            apply=torch.set_num_threads,
            others=OtherPrograms().since_last,
        )

    def probe(
        self,
        run: Callable[[int], object],
        steps: int,
        optimizer: torch.optim.Optimizer,
        dump: Callable[[], Mapping[str, bytes]],
        load: Callable[[Mapping[str, bytes], str], None],
    ) -> None:
        """Measure steps at several counts where the policy asks for it; leaves no trace in them.

        Called in the thread that trains, as the count belongs to a thread.

        Args:
            run: runs so many steps.
            steps: how many the training has before it.
            optimizer: of the steps; its learning rates are put back too.
            dump: all state of weights and optimizer.
            load: puts it back, bit for bit.
        """
        if not self._policy.probe or len(self.keeper.counts) < 2 or steps < 1:
            return
        before, kept, random = self.keeper.count, dump(), torch.get_rng_state()
        learning_rates = [group["lr"] for group in optimizer.param_groups]
        others = OtherPrograms()
        try:
            rates = Probe(
                self.keeper.counts, run, torch.set_num_threads, steps=steps, seconds=self.probe_seconds
            ).rates()
            busy = others.cores()
        finally:
            torch.set_num_threads(before)
            load(kept, "probe")
            torch.set_rng_state(random)
            for group, rate in zip(optimizer.param_groups, learning_rates, strict=True):
                group["lr"] = rate
        if rates:
            count = pick(rates, self._policy.margin)
            self.keeper.adopt(count, settled=busy < OTHERS)
            self._found = Finding("probe", before, count, rates, others=busy)
            self.device = replace(self.device, threads=count)

    def begin(self) -> None:
        """The training begins: tell what the probe found."""
        if self._found is not None:
            self._say(self._found)
            self._found = None

    def after(self, steps: int, wall: float) -> None:
        """Take in a chunk of training: its steps, and the seconds it took."""
        before = self.keeper.count
        finding = self.keeper.after(steps, wall)
        if self.keeper.count != before:
            self._changed()
        if finding is not None:
            self._say(finding)

    def to_json(self) -> dict[str, Any]:
        """What a checkpoint remembers of it."""
        return {"threads": self.keeper.count, "threads_settled": self.keeper.settled}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on as a checkpoint says, with the threads of `device`."""
        self.keeper.settled = bool(state.get("threads_settled", True))

    def _say(self, finding: Finding) -> None:
        self.device = replace(self.device, threads=finding.count)
        fell = finding.cause == "collapse" and finding.count != finding.before
        self._tell("W-THREADS" if fell else "I-THREADS", finding.text, finding.to_json())
