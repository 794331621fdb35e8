"""What people write who train such a model without this program: three plain PyTorch loops.

All three run the model eagerly in default memory layout, in the layer order of the notebook, with the
optimizer's default implementation, and read the loss every step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset

from cifar_tui import catalog
from cifar_tui.config import RunConfig
from cifar_tui.datasets.split import Split
from cifar_tui.engine.step import penalised
from cifar_tui.models._modules import FlattenPictures

MEAN = (0.4914, 0.4822, 0.4465)
DEVIATION = (0.2470, 0.2435, 0.2616)
# Ways to ask for another implementation of the same optimizer; the loops of a tutorial ask for none.
_IMPLEMENTATION = {"fused", "foreach", "capturable", "differentiable", "maximize", "decoupled_weight_decay"}

Batches = Iterator[tuple[Tensor, Tensor]]


class PilPictures(Dataset[tuple[Tensor, int]]):
    """One picture at a time, with the work of torchvision's CIFAR10, ToTensor and Normalize.

    An array becomes a PIL picture, that an array again, then a float tensor (3, 32, 32) less the mean and
    divided by the deviation of each channel.
    """

    def __init__(self, split: Split) -> None:
        self.images = split.images
        self.labels = split.labels.tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = Image.fromarray(self.images[index])
        pixels = torch.from_numpy(np.array(picture, np.uint8, copy=True))
        tensor = pixels.permute(2, 0, 1).contiguous().to(torch.float32).div(255)
        return _normalised(tensor), self.labels[index]


def _normalised(picture: Tensor) -> Tensor:
    """A copy of a picture (3, H, W) with each channel less its mean, divided by its deviation."""
    mean = torch.as_tensor(MEAN, dtype=picture.dtype, device=picture.device).view(-1, 1, 1)
    deviation = torch.as_tensor(DEVIATION, dtype=picture.dtype, device=picture.device).view(-1, 1, 1)
    return picture.clone().sub_(mean).div_(deviation)


def float_pictures(split: Split) -> tuple[Tensor, Tensor]:
    """All pictures as float32 (N, 3, 32, 32), normalised, and labels int64 (N,)."""
    images = (
        torch.from_numpy(split.images.copy()).permute(0, 3, 1, 2).contiguous().to(torch.float32).div_(255)
    )
    mean, deviation = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(DEVIATION).view(1, 3, 1, 1)
    return images.sub_(mean).div_(deviation), torch.from_numpy(split.labels.copy())


def pil_batches(split: Split, batch_size: int, place: torch.device) -> Batches:
    """Batches of a DataLoader without workers over PIL pictures, without end."""
    yield from _loaded(PilPictures(split), batch_size, place)


def tensor_batches(split: Split, batch_size: int, place: torch.device) -> Batches:
    """Batches of a DataLoader without workers over one float tensor, without end."""
    yield from _loaded(TensorDataset(*float_pictures(split)), batch_size, place)


def indexed_batches(split: Split, batch_size: int, place: torch.device) -> Batches:
    """Batches indexed from one float tensor on the device, a new order each epoch, without end."""
    images, labels = (tensor.to(place) for tensor in float_pictures(split))
    while True:
        order = torch.randperm(len(labels), device=place)
        for start in range(0, len(labels) - batch_size + 1, batch_size):
            rows = order[start : start + batch_size]
            yield images[rows], labels[rows]


def _loaded(
    dataset: Dataset[tuple[Tensor, ...]] | PilPictures, batch_size: int, place: torch.device
) -> Batches:
    loader = DataLoader(dataset, batch_size, shuffle=True, drop_last=True)
    while True:
        for images, labels in loader:
            yield images.to(place), labels.to(place)


class PlainLoop:
    """Trains the model of a config on batches, step by step.

    Args:
        config: model, optimizer, learning rate and L2 penalty are read from it.
        split: pictures to train on.
        place: device.
        batches: where batches come from: one of the functions above.
    """

    def __init__(
        self,
        config: RunConfig,
        split: Split,
        place: torch.device,
        batches: Callable[[Split, int, torch.device], Batches],
    ) -> None:
        self.module = plain_module(config, len(split.names)).to(place)
        built = catalog.get("optimizers", config.optimizer).build(self.module.parameters(), config)
        self.optimizer = default_implementation(built)
        self.loss = float("nan")
        self._l2_reg = config.l2_reg
        self._penalised = penalised(self.module)
        self._batches = batches(split, config.batch_size, place)

    def run(self, steps: int) -> NDArray[np.float64]:
        """Train so many steps; returns the seconds of each, float64 (steps,)."""
        self.module.train()
        marks = [time.perf_counter()]
        for _ in range(steps):
            images, labels = next(self._batches)
            loss = functional.cross_entropy(self.module(images), labels)
            if self._l2_reg:
                loss = loss + self._l2_reg * sum((weight**2).sum() for weight in self._penalised)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.loss = loss.item()
            marks.append(time.perf_counter())
        return np.diff(marks)


def plain_module(config: RunConfig, num_classes: int) -> nn.Module:
    """The model of a config as a tutorial has it: relu before pooling, pictures flattened as they lie.

    It has the same parameters, and gives the same numbers but for the order in which the first dense layer
    takes its inputs.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        module: nn.Module = catalog.get("models", config.model).build(config, num_classes)
    for block in list(module.modules()):
        names = [name for name, _layer in block.named_children()]
        if "pool" in names and "relu" in names and names.index("pool") < names.index("relu"):
            pool = block.get_submodule("pool")
            del block.pool
            block.add_module("pool", pool)
        for name, layer in block.named_children():
            if isinstance(layer, FlattenPictures):
                setattr(block, name, nn.Flatten())
    return module


def default_implementation(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """The same optimizer over the same parameters, in the implementation that its class takes by default."""
    values = {name: value for name, value in optimizer.defaults.items() if name not in _IMPLEMENTATION}
    fresh: torch.optim.Optimizer = type(optimizer)(optimizer.param_groups[0]["params"], **values)
    return fresh
