"""Building blocks of the notebook's models, as GoMLX computed them in July 2023.

Source of the conventions: github.com/gomlx/gomlx at b34645ee, packages ml/layers and ml/context/initializers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

NORM_EPSILON = 1e-3
BATCH_NORM_MOMENTUM = 0.01  # torch counts the new value's weight; GoMLX's 0.99 is the old one's
INITIAL_RANGE = 0.1


class FlattenPictures(nn.Module):
    """Pictures (B, 3, H, W) to rows (B, H * W * 3), pixel by pixel as the notebook had them."""

    def forward(self, images: Tensor) -> Tensor:
        """Flatten; free of copies for channels-last pictures."""
        return images.permute(0, 2, 3, 1).flatten(1)


class FeatureLayerNorm(nn.Module):
    """Layer normalisation of rows (B, F), with one gain and one offset for the whole layer."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features
        self.gain = nn.Parameter(torch.ones(1))
        self.offset = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each row."""
        size = self.features
        return functional.layer_norm(
            x, (size,), self.gain.expand(size), self.offset.expand(size), NORM_EPSILON
        )


class ImageLayerNorm(nn.Module):
    """Takes the mean of each picture's channel away from (B, C, H, W), without scaling to unit variance.

    The gain and the offset are one number a channel.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels, 1, 1))
        self.offset = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Centre each channel of each picture."""
        return (x - x.mean(dim=(2, 3), keepdim=True)) * self.gain + self.offset


class Residual(nn.Sequential):
    """Adds its input to what its layers make of it."""

    def forward(self, x: Tensor) -> Tensor:
        """``x + layers(x)``."""
        out = x
        for layer in self:
            out = layer(out)
        return x + out


def feature_norm(kind: str, features: int) -> nn.Module | None:
    """Normalisation of rows (B, features): "layer", "batch" or "none" (no module)."""
    if kind == "layer":
        return FeatureLayerNorm(features)
    if kind == "batch":
        return nn.BatchNorm1d(features, eps=NORM_EPSILON, momentum=BATCH_NORM_MOMENTUM)
    return None


def image_norm(kind: str, channels: int) -> nn.Module | None:
    """Normalisation of pictures (B, channels, H, W): "layer", "batch" or "none" (no module)."""
    if kind == "layer":
        return ImageLayerNorm(channels)
    if kind == "batch":
        return nn.BatchNorm2d(channels, eps=NORM_EPSILON, momentum=BATCH_NORM_MOMENTUM)
    return None


def sequence(kind: type[nn.Sequential], /, **layers: nn.Module | None) -> nn.Sequential:
    """A sequence of named layers; those that are None are left out."""
    module = kind()
    for name, layer in layers.items():
        if layer is not None:
            module.add_module(name, layer)
    return module


def initialise(module: nn.Module) -> None:
    """Every kernel and bias from uniform(-0.1, 0.1), by torch's global generator."""
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                layer.weight.uniform_(-INITIAL_RANGE, INITIAL_RANGE)
                assert layer.bias is not None
                layer.bias.uniform_(-INITIAL_RANGE, INITIAL_RANGE)
