"""Dropout as a function of (seed, step), drawn before a step and not within it.

A captured step cannot seed a generator, and K captured steps would draw what K single ones do not. So the
multipliers of all dropout layers come out of one tensor that is filled before the steps are launched:

- on a CPU from torch's generator, seeded for each step, in the order in which the layers draw themselves;
- elsewhere from a hash of (key of the step, place in the tensor), with integer operations alone, so that the
  numbers are the same on every device and for any number of steps at a time.

Method of the hash: SplitMix64 of Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number
Generators", as a stream that begins at the step's key.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cifar_tui.seeds import step_seed

_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)  # as signed numbers of 64 bits
_FIRST = 0xBF58476D1CE4E5B9 - (1 << 64)
_SECOND = 0x94D049BB133111EB - (1 << 64)


class KeyedDropout(nn.Module):
    """Multiplies by `noise` while it trains; stands in the place of `nn.Dropout`, without any state.

    Attributes:
        p: share dropped.
        noise: float32, of the shape of its input; set before each step.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.noise = torch.ones(())

    def forward(self, x: Tensor) -> Tensor:
        """``x * noise`` in training, `x` in evaluation."""
        return x * self.noise if self.training else x


def has_dropout(module: nn.Module) -> bool:
    """Whether a module drops anything in training."""
    return any(isinstance(layer, nn.Dropout | KeyedDropout) for layer in module.modules())


def is_keyed(module: nn.Module) -> bool:
    """Whether the dropout of a module waits for noise from outside."""
    return any(isinstance(layer, KeyedDropout) for layer in module.modules())


class Noise:
    """The dropout of a module, for some steps at a time.

    Args:
        module: its `nn.Dropout` layers are replaced; it takes pictures (B, 3, 32, 32).
        batch_size: pictures a step.
        seed: of the run.
        steps: most steps that are drawn at a time.
        hashed: draw by the hash; None to do so everywhere but on a CPU.
    """

    def __init__(
        self, module: nn.Module, batch_size: int, seed: int, *, steps: int = 1, hashed: bool | None = None
    ) -> None:
        parameter = next(module.parameters())
        self._device = parameter.device
        self._seed = seed
        self._hashed = self._device.type != "cpu" if hashed is None else hashed
        _replace(module)
        self._layers = [layer for layer in module.modules() if isinstance(layer, KeyedDropout)]
        self._shapes = [(batch_size, *shape) for shape in _shapes(module, self._layers)]
        self._ends = torch.tensor([0, *(_size(shape) for shape in self._shapes)]).cumsum(0).tolist()
        self.numbers = self._ends[-1]  # a step
        self.rows = torch.ones((steps, self.numbers), device=self._device)
        places = torch.arange(1, self.numbers + 1, dtype=torch.int64, device=self._device)
        self._places = places.mul_(_GOLDEN) if self._hashed else places[:0]
        self.aim(0)

    def keys(self, first: int, count: int) -> Tensor:
        """int64 (count,) on the device: what `draw` makes the noise of these steps from."""
        keys = torch.tensor([step_seed(self._seed, step) for step in range(first, first + count)])
        return keys.to(self._device) if self._hashed else keys

    def draw(self, keys: Tensor) -> None:
        """Fill the noise of as many steps as there are keys."""
        if not self._hashed:
            for row, key in zip(self.rows, keys.tolist(), strict=False):
                torch.manual_seed(key)
                for index, layer in enumerate(self._layers):
                    draw_mask(row[self._ends[index] : self._ends[index + 1]], layer.p)
            return
        share = self._layers[0].p
        rows = self.rows[: len(keys)]
        if share >= 1.0:
            rows.zero_()
            return
        torch.mul(hashed(keys, self._places) < _threshold(share), 1.0 / (1.0 - share), out=rows)

    def aim(self, row: int) -> None:
        """Let the layers read the noise of this row in the next forward pass."""
        for index, layer in enumerate(self._layers):
            part = self.rows[row, self._ends[index] : self._ends[index + 1]]
            layer.noise = part.view(self._shapes[index])


def hashed(keys: Tensor, places: Tensor) -> Tensor:
    """int64 (n, N), uniform over 64 bits, from keys (n,) and places times the constant (N,)."""
    z = keys[:, None] + places
    z = (z ^ ((z >> 30) & ((1 << 34) - 1))) * _FIRST
    return (z ^ ((z >> 27) & ((1 << 37) - 1))) * _SECOND  # its last shift would change low bits only


def _threshold(share: float) -> int:
    """Numbers below this are a part of ``1 - share`` of all signed numbers of 64 bits."""
    return max(-(1 << 63), min((1 << 63) - 1, round((1.0 - share) * 2.0**64) - (1 << 63)))


def draw_mask(out: Tensor, share: float) -> None:
    """Fill float32 `out` with what a dropout of this share multiplies with, by torch's generator."""
    if share >= 1.0:
        out.zero_()
        return
    out.bernoulli_(1.0 - share).div_(1.0 - share)


def _replace(module: nn.Module) -> None:
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Dropout):
                setattr(parent, name, KeyedDropout(child.p).train(child.training))


def _shapes(module: nn.Module, layers: list[KeyedDropout]) -> list[tuple[int, ...]]:
    """Shape of what each layer multiplies, for one picture."""
    found: dict[nn.Module, tuple[int, ...]] = {}

    def see(layer: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        found[layer] = tuple(inputs[0].shape[1:])

    handles = [layer.register_forward_hook(see) for layer in layers]
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            module(torch.zeros((1, 3, 32, 32), device=next(module.parameters()).device))
    finally:
        module.train(was_training)
        for handle in handles:
            handle.remove()
    return [found[layer] for layer in layers]


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for extent in shape:
        size *= extent
    return size
