"""Weights, optimizer state and random generators, kept in memory and put back in place."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Snapshot:
    """A copy of all that a training step changes.

    Tensors are written back into the memory that they have: a captured graph, or an engine with flat memory,
    goes on with the same addresses. What an optimizer made after the copy was taken is set to zero, which is
    where the state of every optimizer here begins.

    Args:
        module: whose parameters and buffers are copied.
        optimizer: over the module's parameters.
    """

    def __init__(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._module = module
        self._optimizer = optimizer
        self._kept: dict[tuple[str, str], Tensor] = {}
        self._random = torch.get_rng_state()
        self._device_random: Tensor | None = None
        self.take()

    @torch.no_grad()
    def take(self) -> None:
        """Copy the present state; memory of the last copy is used again where it fits."""
        found = self._tensors()
        if found.keys() == self._kept.keys():
            for kind in {tensor.dtype for tensor in found.values()}:  # one kernel takes one type
                names = [name for name, tensor in found.items() if tensor.dtype == kind]
                torch._foreach_copy_([self._kept[name] for name in names], [found[name] for name in names])
        else:
            self._kept = {name: tensor.clone() for name, tensor in found.items()}
        self._random = torch.get_rng_state()
        device = self._device()
        self._device_random = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    @torch.no_grad()
    def restore(self) -> None:
        """Put the copy back, as often as wanted."""
        for name, tensor in self._tensors().items():
            kept = self._kept.get(name)
            if kept is None:
                tensor.zero_()
            else:
                tensor.copy_(kept)
        torch.set_rng_state(self._random)
        if self._device_random is not None:
            torch.cuda.set_rng_state(self._device_random, self._device())

    def _device(self) -> torch.device:
        first = next(iter(self._module.parameters()), None)
        return torch.device("cpu") if first is None else first.device

    def _tensors(self) -> dict[tuple[str, str], Tensor]:
        found: dict[tuple[str, str], Tensor] = {}
        for name, parameter in self._module.named_parameters():
            found[name, ""] = parameter.detach()
            for key, value in self._optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    found[name, key] = value
        for name, buffer in self._module.named_buffers():
            found[name, "buffer"] = buffer
        return found
