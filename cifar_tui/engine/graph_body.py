"""One step of a launch: what the engines that capture steps record, and the tensors that it works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cifar_tui.engine.augmented import Augmentation
from cifar_tui.engine.batches import DeviceSplit, TrainingOrder, as_float
from cifar_tui.engine.noise import Noise
from cifar_tui.engine.step import l2_penalty, penalised

# module, uint8 pictures (N, 32, 32, 3), labels (N,), numbers (B,) -> loss (), hits ()
Forward = Callable[[nn.Module, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Parts:
    """What every engine works with.

    Attributes:
        module: the model, on its device.
        optimizer: over its parameters.
        split: pictures to train on, on the same device.
        order: which pictures each step takes.
        learning_rate: of a step.
        batch_size: pictures a step.
        l2_reg: penalty ``l2_reg * sum(w ** 2)``.
        seed: of the run.
        augmentation: what is done to the pictures of a batch, if anything.
    """

    module: nn.Module
    optimizer: torch.optim.Optimizer
    split: DeviceSplit
    order: TrainingOrder
    learning_rate: Callable[[int], float]
    batch_size: int
    l2_reg: float
    seed: int
    augmentation: Augmentation | None = None


@dataclass(frozen=True)
class Slots:
    """What the steps of a launch read and write: each has a row, its slot.

    Attributes:
        images: uint8 (N, 32, 32, 3), those of the split or the changed ones of a launch.
        labels: int64 (N,).
        numbers: int64 (K, B), pictures of each step.
        rates: float32 or float64 (K,), learning rates.
        losses: float32 (K,), written.
        hits: int64 (K,), written.
    """

    images: Tensor
    labels: Tensor
    numbers: Tensor
    rates: Tensor
    losses: Tensor
    hits: Tensor

    @classmethod
    def of(cls, parts: Parts, images: Tensor, labels: Tensor, count: int, rates: torch.dtype) -> Slots:
        """Room for launches of so many steps.

        Args:
            parts: what to train.
            images: what the steps read.
            labels: of the images.
            count: steps of a launch, at most.
            rates: type of the learning rates.
        """
        device = images.device
        return cls(
            images,
            labels,
            numbers=torch.zeros((count, parts.batch_size), dtype=torch.int64, device=device),
            rates=torch.zeros(count, dtype=rates, device=device),
            losses=torch.zeros(count, device=device),
            hits=torch.zeros(count, dtype=torch.int64, device=device),
        )

    def places(self) -> dict[str, int]:
        """Address of each tensor by its name."""
        return {name: tensor.data_ptr() for name, tensor in vars(self).items()}


Body = Callable[[int], None]  # does the step of a slot, by work on tensors alone
MakeBody = Callable[[Parts, Slots, Noise | None], Body]


def forward(module: nn.Module, images: Tensor, labels: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Loss, float32 (), and hits, int64 (), of the pictures of these numbers, uint8 until here."""
    wanted = labels.index_select(0, numbers)
    logits = module(as_float(images.index_select(0, numbers)))
    return functional.cross_entropy(logits, wanted), (logits.argmax(1) == wanted).sum()


class AutogradBody:
    """A step by autograd and the optimizer.

    Args:
        parts: what to train.
        slots: what its steps read and write.
        noise: of its dropout, if any.
        forward: from pictures to loss and hits.
    """

    def __init__(self, parts: Parts, slots: Slots, noise: Noise | None, forward: Forward = forward) -> None:
        self._parts, self._slots, self._noise, self._forward = parts, slots, noise, forward
        self._penalised = penalised(parts.module)

    def __call__(self, slot: int) -> None:
        """Forward, backward, penalty, metrics and the optimizer."""
        parts, slots = self._parts, self._slots
        if self._noise is not None:
            self._noise.aim(slot)
        loss, hits = self._forward(parts.module, slots.images, slots.labels, slots.numbers[slot])
        parts.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            loss = loss.detach()
            if parts.l2_reg:
                gradients = [weight.grad for weight in self._penalised if weight.grad is not None]
                torch._foreach_add_(gradients, self._penalised, alpha=2.0 * parts.l2_reg)
                loss = loss + l2_penalty(self._penalised, parts.l2_reg)
            slots.losses[slot].copy_(loss)
            slots.hits[slot].copy_(hits)
        for group in parts.optimizer.param_groups:
            group["lr"] = slots.rates[slot]
        parts.optimizer.step()
