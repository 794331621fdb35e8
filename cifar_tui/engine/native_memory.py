"""Flat memory for the native steps: parameters and Adam's moments in three tensors, whose parts are views."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import torch
from torch import Tensor, nn

from cifar_tui.config import RunConfig
from cifar_tui.engine.flat import adopt_state

PANEL = 16  # floats of a cache line
INTEGER, POINTER, DOUBLE = ctypes.c_int64, ctypes.c_void_p, ctypes.c_double
View = Callable[[Tensor], Tensor]  # the part of a flat tensor that is a parameter, of the parameter's shape


class Rule(ctypes.Structure):
    """The optimizer's settings; the same as `Rule` of adam.h."""

    _fields_ = (
        ("decoupled", INTEGER),
        *((name, DOUBLE) for name in ("beta1", "beta2", "epsilon", "weight_decay", "l2_reg")),
    )

    @classmethod
    def of(cls, config: RunConfig) -> Rule:
        """Those of a config."""
        return cls(
            decoupled=config.optimizer == "adamw",
            beta1=config.beta1,
            beta2=config.beta2,
            epsilon=config.epsilon,
            weight_decay=config.weight_decay,
            l2_reg=config.l2_reg,
        )


class Memory:
    """Parameters and Adam's moments of a module; what is filled up to whole rows is zero and stays so.

    A model's own memory first adds all parameters, then calls `lay_out`.

    Attributes:
        function: the name of the C function that runs its steps.
        work: sizes and places, for that function.
        done: steps of the optimizer so far.
    """

    function: str
    work: ctypes.Structure

    def __init__(self) -> None:
        self._size = 0
        self._views: list[tuple[Tensor, View]] = []
        self._flat: list[Tensor] = []
        self._counts = torch.empty(0)
        self._counted: list[Tensor] = []  # how many batches each batch norm has seen
        self._places: list[ctypes.Array[ctypes.c_int64]] = []
        self.done = 0

    def adopt(self, optimizer: torch.optim.Optimizer) -> None:
        """Take over the state of an optimizer, which may have been loaded; it keeps views of ours."""
        adopt_state(optimizer, "exp_avg", self._of(self._flat[1]))
        adopt_state(optimizer, "exp_avg_sq", self._of(self._flat[2]))
        counted = (parameter for parameter, _view in self._views)
        adopt_state(optimizer, "step", zip(counted, self._counts, strict=True))
        self.done = int(self._counts[0])

    def count(self, steps: int) -> None:
        """Let every parameter and every batch norm know of more steps."""
        self.done += steps
        self._counts.fill_(self.done)
        for counter in self._counted:
            counter.add_(steps)

    def add_weight(self, layer: nn.Linear, stride: int) -> int:
        """Room for a weight as (inputs, outputs), rows `stride` apart; returns its place."""
        return self._add(layer.weight, stride * layer.in_features, (1, stride))

    def add_filters(self, layer: nn.Conv2d, stride: int) -> int:
        """Room for filters as (height, width, inputs, outputs), rows `stride` apart; returns their place."""
        height, width = layer.kernel_size
        rows = height * width * layer.in_channels
        next_x = layer.in_channels * stride
        return self._add(layer.weight, stride * rows, (1, stride, width * next_x, next_x))

    def add_vector(self, vector: Tensor) -> int:
        """Room for a vector of any shape that has one extent only, or for one number; returns its place."""
        return self._add(vector, -(-vector.numel() // PANEL) * PANEL, (1,) * vector.dim())

    def add_number(self, number: Tensor) -> int:
        """Room for one number, the next one directly beside it; returns its place."""
        return self._add(number, 1, (1,))

    def fill_up(self) -> None:
        """Let what is added next begin a new cache line."""
        self._size += -self._size % PANEL

    def lay_out(self) -> dict[str, int]:
        """Move all parameters; returns the sizes and addresses of the three tensors by their names in C."""
        self.fill_up()
        self._flat = [torch.zeros(self._size) for _ in range(3)]
        self._counts = torch.zeros(len(self._views))
        with torch.no_grad():
            for parameter, view in self._of(self._flat[0]):
                view.copy_(parameter)
                parameter.data = view
        names = ("values", "means", "squares")
        places = zip(names, (flat.data_ptr() for flat in self._flat), strict=True)
        return {"numbers": self._size, **dict(places)}

    def integers(self, places: list[int]) -> int:
        """The address of places in memory of ours."""
        self._places.append((INTEGER * len(places))(*places))
        return ctypes.addressof(self._places[-1])

    def _add(self, parameter: Tensor, size: int, strides: tuple[int, ...]) -> int:
        place, shape = self._size, parameter.shape
        self._views.append((parameter, lambda flat: flat.as_strided(shape, strides, place)))
        self._size += size
        return place

    def _of(self, flat: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Each parameter with its part of a flat tensor, of the same shape."""
        return [(parameter, view(flat)) for parameter, view in self._views]


def stride_of(width: int) -> int:
    """Floats from row to row: whole cache lines, an odd number, so that rows do not compete for a set."""
    lines = -(-width // PANEL)
    return PANEL * (lines + 1 - lines % 2)
