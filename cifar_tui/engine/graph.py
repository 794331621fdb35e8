"""The step engine that launches captured steps: the host's work is shared by all steps of a launch.

Everything that changes from step to step lies in tensors with a fixed place: the pictures' numbers, the
learning rates and the dropout of the K steps of a launch, which are filled before it. Losses and hits stay
on the device until the end of a chunk. A launch is K steps; what remains of a chunk runs in launches of one.
As nothing that K changes reaches the numbers, a run may stop and go on after any step, and with any K.

The same engine without a capture (`graph_backend.Uncaptured`) runs compiled steps.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cifar_tui.engine.augmented import Augmentation
from cifar_tui.engine.evaluation import Judge
from cifar_tui.engine.graph_backend import GraphBackend, Work
from cifar_tui.engine.graph_body import AutogradBody, Body, MakeBody, Parts, Slots
from cifar_tui.engine.noise import Noise, has_dropout
from cifar_tui.engine.snapshot import Snapshot
from cifar_tui.engine.step import ChunkResult

MOST_STEPS = 50  # a launch
LAUNCH_SECONDS = 0.025  # a launch is at most this long, so that a control is heard within 50 ms
NOISE_NUMBERS = 1 << 23  # dropout multipliers a launch
AUGMENTED_BYTES = 1 << 26  # changed pictures a launch
_WARM_UP = 3
_TIMED = 5


def steps_a_launch(steps_per_epoch: int, seconds: float, most: int = MOST_STEPS) -> int:
    """The most steps that a launch may take and that divide an epoch; a half at least of what time allows.

    Args:
        steps_per_epoch: steps of one epoch.
        seconds: time of one step.
        most: never more than this.
    """
    limit = max(1, min(most, steps_per_epoch, int(LAUNCH_SECONDS / max(seconds, 1e-9))))
    fitting = [count for count in range((limit + 1) // 2, limit + 1) if steps_per_epoch % count == 0]
    return max(fitting, default=limit)


class GraphStep:
    """Runs steps in launches of captured work.

    Args:
        parts: what to train.
        backend: captures.
        name: of the engine, for people and for the record.
        make_body: makes what does one step; autograd by default.
        rates: type of the learning rates that a step reads; None for the one that an eager step has.
        scores: how it evaluates a batch; None for the plain way.
        most: steps a launch, at most.

    Attributes:
        scores: as given.
        steps_per_launch: K; a chunk that it divides takes the fewest launches.
        captures: how often steps were captured.
    """

    def __init__(
        self,
        parts: Parts,
        backend: GraphBackend,
        *,
        name: str = "graph",
        make_body: MakeBody = AutogradBody,
        rates: torch.dtype | None = None,
        scores: Judge | None = None,
        most: int = MOST_STEPS,
    ) -> None:
        self.name = name
        self.scores = scores
        self.steps_per_launch = 1
        self.captures = 0
        self._parts, self._backend, self._make_body, self._most = parts, backend, make_body, most
        self._device = parts.split.images.device
        self._noise: Noise | None = None
        if has_dropout(parts.module):
            self._noise = Noise(parts.module, parts.batch_size, parts.seed, steps=most)
            self._most = max(1, min(most, NOISE_NUMBERS // max(1, self._noise.numbers)))
        self._changed: tuple[Tensor, Tensor] | None = None  # pictures and labels of a launch
        if parts.augmentation is not None:
            images, labels = parts.split.images, parts.split.labels
            bytes_a_step = parts.batch_size * images[0].numel()
            self._most = max(1, min(self._most, AUGMENTED_BYTES // bytes_a_step))
            taken = self._most * parts.batch_size
            self._changed = images.new_zeros((taken, *images.shape[1:])), labels.new_zeros(taken)
        if rates is None:  # fused kernels on CUDA read one of 32 bits
            rates = torch.float64 if self._device.type == "cpu" else torch.float32
        self._slots = Slots.of(parts, *self._pictures(), most, rates)
        self._body: Body | None = None
        self._state: dict[tuple[nn.Parameter, str], Tensor] = {}
        self._launches: dict[int, Work] = {}
        self._signature: tuple[Any, ...] = ()
        self._capture()

    # ---- what the trainer calls ----

    def run(self, first: int, count: int) -> ChunkResult:
        """Run `count` steps; the host reads from the device once, at the end."""
        if self._signature != self._sign():
            self._capture()
        began = time.perf_counter()
        losses = torch.empty(count, device=self._device)
        hits = torch.empty(count, dtype=torch.int64, device=self._device)
        rates = [self._parts.learning_rate(step) for step in range(first, first + count)]
        table = torch.tensor(rates, dtype=self._slots.rates.dtype).to(self._device)
        keys = None if self._noise is None else self._noise.keys(first, count)
        done = 0
        while done < count:
            steps = self.steps_per_launch if count - done >= self.steps_per_launch else 1
            part = slice(done, done + steps)
            self._fill(first + done, steps, table[part], None if keys is None else keys[part])
            self._launches[steps]()
            losses[part].copy_(self._slots.losses[:steps])
            hits[part].copy_(self._slots.hits[:steps])
            done += steps
        self._set_rate(rates[-1])
        host = losses.cpu().numpy().astype(np.float64)  # the one wait for the device
        accuracies = hits.cpu().numpy() / self._parts.batch_size
        durations = np.full(count, (time.perf_counter() - began) / count)
        return ChunkResult(host, accuracies, durations)

    def adopt(self) -> None:
        """Take the optimizer's state, which may have been loaded, into the memory that was captured."""
        state = self._parts.optimizer.state
        with torch.no_grad():
            for (parameter, key), tensor in self._state.items():
                loaded = state[parameter].get(key)
                if loaded is None:
                    tensor.zero_()
                elif loaded is not tensor:
                    tensor.copy_(loaded)
                state[parameter][key] = tensor

    # ---- capturing ----

    def _capture(self) -> None:
        """Capture launches of one step and of K; what the warm-up changed is put back."""
        parts, backend = self._parts, self._backend
        self._launches.clear()
        _make_capturable(parts.optimizer, self._device)
        kept = Snapshot(parts.module, parts.optimizer)
        parts.module.train()
        try:
            images, labels = self._pictures()
            self._slots = replace(self._slots, images=images, labels=labels)
            self._body = self._make_body(parts, self._slots, self._noise)
            backend.warm_up(lambda: self._steps(1), _WARM_UP)
            parts.optimizer.zero_grad(set_to_none=True)  # so that gradients come to lie in the graph's memory
            self._launches[1] = backend.capture(lambda: self._steps(1))
            count = steps_a_launch(parts.order.steps_per_epoch, self._time(self._launches[1]), self._most)
            if count > 1:
                self._launches[count] = backend.capture(lambda: self._steps(count))
            self.steps_per_launch = count
            backend.wait()
        finally:
            parts.optimizer.zero_grad(set_to_none=True)
            self._set_rate(parts.learning_rate(0))
            kept.restore()
        self._state = {
            (parameter, key): value
            for parameter in parts.module.parameters()
            for key, value in parts.optimizer.state.get(parameter, {}).items()
            if isinstance(value, Tensor)
        }
        self._signature = self._sign()
        self.captures += 1

    def _time(self, launch: Work) -> float:
        """Seconds of one step, by launches of one."""
        launch()
        self._backend.wait()
        began = time.perf_counter()
        for _ in range(_TIMED):
            launch()
        self._backend.wait()
        return (time.perf_counter() - began) / _TIMED

    def _sign(self) -> tuple[Any, ...]:
        """All that a capture has frozen: addresses, shapes, numbers of the optimizer, and flags of torch."""
        parts = self._parts
        options = [
            (name, value)
            for group in parts.optimizer.param_groups
            for name, value in group.items()
            if name not in {"params", "lr"}
        ]
        flags = (
            torch.backends.cuda.matmul.allow_tf32,
            torch.backends.cudnn.allow_tf32,
            torch.backends.cudnn.deterministic,
            torch.backends.cudnn.benchmark,
        )
        tensors = [*parts.module.parameters(), *parts.module.buffers(), *self._pictures()]
        return (
            tuple((t.data_ptr(), tuple(t.shape)) for t in tensors),
            tuple(options),
            flags,
            parts.batch_size,
            parts.l2_reg,
            self._most,
        )

    def _pictures(self) -> tuple[Tensor, Tensor]:
        """What the captured steps read: the split, or the changed pictures of a launch; with labels."""
        return self._changed or (self._parts.split.images, self._parts.split.labels)

    def _steps(self, count: int) -> None:
        assert self._body is not None
        for slot in range(count):
            self._body(slot)

    # ---- what is filled before a launch ----

    def _fill(self, first: int, count: int, rates: Tensor, keys: Tensor | None) -> None:
        done = 0
        while done < count:  # a launch may begin in one epoch and end in the next
            rows = self._parts.order.rows(first + done, count - done)
            if self._parts.augmentation is not None:
                rows = self._augment(self._parts.augmentation, first + done, rows, done)
            self._slots.numbers[done : done + len(rows)].copy_(rows)
            done += len(rows)
        self._slots.rates[:count].copy_(rates)
        if self._noise is not None and keys is not None:
            self._noise.draw(keys)

    def _augment(self, augmentation: Augmentation, first: int, rows: Tensor, done: int) -> Tensor:
        """Change the pictures of some steps, `done` steps into a launch; returns their places there."""
        split, images, labels = self._parts.split, self._slots.images, self._slots.labels
        begin = done * rows.shape[1]
        part = slice(begin, begin + rows.numel())
        images[part].copy_(augmentation.pictures(split.images, rows, first))
        labels[part].copy_(split.labels.index_select(0, rows.flatten()))
        return torch.arange(begin, begin + rows.numel(), device=self._device).view_as(rows)

    def _set_rate(self, rate: float) -> None:
        for group in self._parts.optimizer.param_groups:
            group["lr"] = rate


def _make_capturable(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Let an optimizer keep its step counts on the device, and not warn of steps that are not captured."""
    if device.type != "cuda":
        return
    optimizer._warned_capturable_if_run_uncaptured = True
    for group in optimizer.param_groups:
        if "capturable" in group:
            group["capturable"] = True
    for state in optimizer.state.values():
        step = state.get("step")
        if isinstance(step, Tensor) and step.device != device:
            state["step"] = step.to(device)
