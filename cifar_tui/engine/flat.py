"""All parameters of a module in two flat tensors, and beside them gradients and Adam's moments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from cifar_tui.engine.fused_steps import Moments


class FlatMemory:
    """Moves the parameters of a module into flat memory; they become views of it.

    Args:
        first: a weight that has a tensor of its own, as its gradient may come as a new tensor.
        penalised: the other parameters that an L2 penalty is on.
        others: all the rest.

    Attributes:
        moments: the flat tensors.
        penalised: how many numbers `penalised` are.
        gradients: a view for each parameter.
    """

    def __init__(self, first: Tensor, penalised: list[Tensor], others: list[Tensor]) -> None:
        self._first = first
        self._rest = [*penalised, *others]
        self.penalised = sum(p.numel() for p in penalised)
        size = sum(p.numel() for p in self._rest)
        self._counts = torch.zeros(len(self._rest) + 1)
        sets = [[torch.zeros(size), torch.zeros(first.shape)] for _ in range(4)]
        counters = [self._counts[0], self._counts[0]]
        self.moments = Moments(sets[0], sets[1], sets[2], sets[3], [], counters)
        for parameter, view in self._views(sets[0]).items():
            view.copy_(parameter.data)
            parameter.data = view
        self.gradients = self._views(sets[1])

    def adopt(self, optimizer: torch.optim.Optimizer) -> None:
        """Take over the state of an optimizer, which may have been loaded; it keeps views of ours."""
        adopt_state(optimizer, "exp_avg", self._views(self.moments.means).items())
        adopt_state(optimizer, "exp_avg_sq", self._views(self.moments.squares).items())
        adopt_state(optimizer, "step", zip((self._first, *self._rest), self._counts, strict=True))

    def counted(self) -> None:
        """Let every parameter know how many steps were done; they are counted once for all."""
        self._counts.fill_(self._counts[0])

    def _views(self, flat: list[Tensor]) -> dict[Tensor, Tensor]:
        views, start = {self._first: flat[1]}, 0
        for parameter in self._rest:
            part = flat[0][start : start + parameter.numel()]
            start += parameter.numel()
            if parameter.dim() == 4:  # channels-last, as the pictures
                outputs, inputs, height, width = parameter.shape
                views[parameter] = part.view(outputs, height, width, inputs).permute(0, 3, 1, 2)
            else:
                views[parameter] = part.view(parameter.shape)
        return views


def adopt_state(optimizer: torch.optim.Optimizer, key: str, places: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Let one entry of an optimizer's state lie in memory of ours, with the values it has, else zeros.

    Args:
        optimizer: over the parameters.
        key: of the entry, such as "exp_avg".
        places: each parameter with the tensor that its entry is to be.
    """
    state: dict[Any, dict[str, Tensor]] = optimizer.state
    for parameter, place in places:
        old = state[parameter].get(key)
        if old is None:
            place.zero_()
        elif old.data_ptr() != place.data_ptr():
            place.copy_(old)
        state[parameter][key] = place
