"""The memory of `cnn` for the native steps, see `native_code/cnn_steps.c`."""

from __future__ import annotations

import ctypes
from typing import Any

from torch import Tensor, nn

from cifar_tui.engine.native_memory import INTEGER, POINTER, Memory, Rule, stride_of
from cifar_tui.models._modules import FeatureLayerNorm, ImageLayerNorm

BLOCKS, SIDE = 3, 32


class Block(ctypes.Structure):
    """A convolution with its norm; the same as `Block` of cnn.h."""

    _fields_ = (
        *((name, INTEGER) for name in ("side", "channels", "filters", "pooled")),
        *((name, INTEGER) for name in ("weight", "bias", "gain", "offset", "stride", "turned_stride")),
        ("running_mean", POINTER),
        ("running_variance", POINTER),
    )


class Work(ctypes.Structure):
    """What the C code is given; the same as `Work` of cnn.h."""

    _fields_ = (
        *((name, INTEGER) for name in ("batch", "width", "classes", "layers", "front_norm", "norm")),
        *((name, INTEGER) for name in ("features", "stride", "class_stride", "feature_stride")),
        ("blocks", Block * BLOCKS),
        *((name, POINTER) for name in ("weights", "biases", "gains", "offsets")),
        *((name, POINTER) for name in ("running_means", "running_variances")),
        *((name, POINTER) for name in ("values", "means", "squares", "images", "labels", "noise")),
        ("numbers", INTEGER),
        ("threads", INTEGER),
        ("rule", Rule),
    )


class CnnMemory(Memory):
    """Parameters and Adam's moments of a `cnn`; the running averages stay where they are.

    Args:
        module: its parameters are moved.
    """

    function = "cifar_tui_cnn_steps"

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        front = [child for name, child in module.named_children() if name.startswith("block_")]
        dense = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
        norms = [layer for layer in module.modules() if isinstance(layer, FeatureLayerNorm | nn.BatchNorm1d)]
        strides = [stride_of(layer.out_features) for layer in dense]
        weights = [self.add_weight(layer, stride) for layer, stride in zip(dense, strides, strict=True)]
        biases = [self.add_vector(layer.bias) for layer in dense]
        found = [self._norm(norm) for norm in norms]
        blocks = self._blocks(front)
        averages = [self._averages(norm) for norm in norms]
        self._pointers = [(POINTER * len(norms))(*(pair[which] for pair in averages)) for which in (0, 1)]
        self.work = Work(
            width=dense[0].out_features,
            classes=dense[-1].out_features,
            layers=len(dense) - 1,
            front_norm=_kind(getattr(front[0], "norm", None)),
            norm=_kind(norms[0] if norms else None),
            features=dense[0].in_features,
            stride=strides[0],
            class_stride=strides[-1],
            feature_stride=stride_of(dense[0].in_features),
            blocks=(Block * BLOCKS)(*blocks),
            weights=self.integers(weights),
            biases=self.integers(biases),
            gains=self.integers([gain for gain, _offset in found]),
            offsets=self.integers([offset for _gain, offset in found]),
            running_means=ctypes.addressof(self._pointers[0]),
            running_variances=ctypes.addressof(self._pointers[1]),
            **self.lay_out(),
        )

    def _blocks(self, front: list[nn.Module]) -> list[Block]:
        blocks, side = [], SIDE
        for child in front:
            layers = dict(child.named_children())
            conv, norm, pooled = layers["conv"], layers.get("norm"), "pool" in layers
            assert isinstance(conv, nn.Conv2d)
            assert conv.bias is not None
            stride = stride_of(conv.out_channels)
            gain, offset = self._norm(norm) if norm is not None else (0, 0)
            mean, variance = self._averages(norm)
            blocks.append(
                Block(
                    side=side,
                    channels=conv.in_channels,
                    filters=conv.out_channels,
                    pooled=pooled,
                    weight=self.add_filters(conv, stride),
                    bias=self.add_vector(conv.bias),
                    gain=gain,
                    offset=offset,
                    stride=stride,
                    turned_stride=stride_of(conv.in_channels),
                    running_mean=mean,
                    running_variance=variance,
                )
            )
            side = (side - conv.kernel_size[0] + 1) // (2 if pooled else 1)
        return blocks

    def _norm(self, norm: Any) -> tuple[int, int]:
        """Room for the gain and the offset of a norm; returns their places."""
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            return self.add_vector(norm.weight), self.add_vector(norm.bias)
        return self.add_vector(norm.gain), self.add_vector(norm.offset)

    def _averages(self, norm: Any) -> tuple[int | None, int | None]:
        """The addresses of a batch norm's running averages, which it goes on to keep; none of other norms."""
        if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            return None, None
        mean, variance, counter = norm.running_mean, norm.running_var, norm.num_batches_tracked
        assert isinstance(mean, Tensor)
        assert isinstance(variance, Tensor)
        assert isinstance(counter, Tensor)
        self._counted.append(counter)
        return mean.data_ptr(), variance.data_ptr()


def _kind(norm: nn.Module | None) -> int:
    """The number that the C code has for a norm."""
    if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
        return 2
    return int(isinstance(norm, FeatureLayerNorm | ImageLayerNorm))
