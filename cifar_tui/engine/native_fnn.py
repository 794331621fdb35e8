"""The memory of `fnn` for the native steps, see `native_code/steps.c`."""

from __future__ import annotations

import ctypes

from torch import nn

from cifar_tui.engine.native_memory import INTEGER, POINTER, Memory, Rule, stride_of
from cifar_tui.models._modules import FeatureLayerNorm


class Work(ctypes.Structure):
    """What the C code is given; the same as `Work` of steps.c."""

    _fields_ = (
        *((name, INTEGER) for name in ("batch", "inputs", "width", "classes", "layers", "normed")),
        *((name, INTEGER) for name in ("stride", "class_stride", "input_stride")),
        ("weights", POINTER),
        ("biases", POINTER),
        ("gains", INTEGER),
        ("offsets", INTEGER),
        *((name, POINTER) for name in ("values", "means", "squares", "images", "labels")),
        ("numbers", INTEGER),
        ("threads", INTEGER),
        ("rule", Rule),
    )


class FnnMemory(Memory):
    """Parameters and Adam's moments of an `fnn`, whose gains lie side by side, and so do its offsets.

    Args:
        module: its parameters are moved.
    """

    function = "cifar_tui_steps"

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        dense = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
        norms = [layer for layer in module.modules() if isinstance(layer, FeatureLayerNorm)]
        strides = [stride_of(layer.out_features) for layer in dense]
        weights = [self.add_weight(layer, stride) for layer, stride in zip(dense, strides, strict=True)]
        biases = [self.add_vector(layer.bias) for layer in dense]
        gains = [self.add_number(norm.gain) for norm in norms]
        self.fill_up()
        offsets = [self.add_number(norm.offset) for norm in norms]
        self.fill_up()
        self.work = Work(
            inputs=dense[0].in_features,
            width=dense[0].out_features,
            classes=dense[-1].out_features,
            layers=len(dense) - 1,
            normed=bool(norms),
            stride=strides[0],
            class_stride=strides[-1],
            input_stride=stride_of(dense[0].in_features),
            weights=self.integers(weights),
            biases=self.integers(biases),
            gains=gains[0] if gains else 0,
            offsets=offsets[0] if offsets else 0,
            **self.lay_out(),
        )
