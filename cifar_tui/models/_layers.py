"""Layer tables: shapes, parameters and FLOPs of a model, without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class LayerInfo:
    """One row of a layer table.

    Attributes:
        name: name of the layer in the module.
        kind: what it does, for people.
        shape: of its output for one picture: (features,) or (channels, height, width).
        parameters: numbers that are trained.
        flops: floating point operations of the forward pass for one picture; a multiply-add counts as two.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int = 0
    flops: int = 0


class LayerTable:
    """Builds a layer table from the input to the output, keeping track of the shape."""

    def __init__(self, shape: tuple[int, ...] = (3, 32, 32)) -> None:
        self.shape = shape
        self.rows: list[LayerInfo] = []

    def _add(self, name: str, kind: str, shape: tuple[int, ...], parameters: int = 0, flops: int = 0) -> None:
        self.shape = shape
        self.rows.append(LayerInfo(name, kind, shape, parameters, flops))

    def flatten(self, name: str) -> None:
        """All numbers of a picture in one row."""
        self._add(name, "flatten", (math.prod(self.shape),))

    def dense(self, name: str, nodes: int) -> None:
        """A dense layer with bias."""
        (inputs,) = self.shape
        self._add(name, f"dense {nodes}", (nodes,), inputs * nodes + nodes, 2 * inputs * nodes)

    def conv(self, name: str, filters: int, kernel: int) -> None:
        """A convolution with bias, stride 1 and no padding."""
        channels, height, width = self.shape
        height, width = height - kernel + 1, width - kernel + 1
        weights = channels * kernel * kernel * filters
        self._add(
            name,
            f"conv {filters}, {kernel}x{kernel}",
            (filters, height, width),
            weights + filters,
            2 * weights * height * width,
        )

    def pool(self, name: str, size: int) -> None:
        """Max pooling without padding; what remains at the edge is left out."""
        channels, height, width = self.shape
        shape = (channels, height // size, width // size)
        self._add(name, f"max pool {size}x{size}", shape, 0, math.prod(shape) * size * size)

    def norm(self, name: str, kind: str) -> None:
        """Normalisation "layer", "batch" or "none", see `_modules.image_norm` and `_modules.feature_norm`."""
        if kind == "none":
            return
        is_image = len(self.shape) == 3
        parameters = 2 * self.shape[0] if kind == "batch" or is_image else 2
        title = f"{kind} norm" if not (is_image and kind == "layer") else "layer norm (mean only)"
        self._add(name, title, self.shape, parameters, 5 * math.prod(self.shape))

    def activation(self, name: str, kind: str) -> None:
        """An activation such as relu."""
        self._add(name, kind, self.shape, 0, math.prod(self.shape))

    def dropout(self, name: str, share: float) -> None:
        """Dropout; no row when nothing is dropped."""
        if share > 0:
            self._add(name, f"dropout {share:g}", self.shape, 0, math.prod(self.shape))

    def add(self, name: str) -> None:
        """The sum with the input of a residual block."""
        self._add(name, "add", self.shape, 0, math.prod(self.shape))


def total_parameters(rows: list[LayerInfo]) -> int:
    """Trained numbers of a layer table."""
    return sum(row.parameters for row in rows)


def total_flops(rows: list[LayerInfo]) -> int:
    """FLOPs of the forward pass for one picture."""
    return sum(row.flops for row in rows)
