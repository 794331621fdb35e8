"""The native steps of a GPU: whole steps as a few hand-written CUDA kernels, see `cuda_code`.

They run where `graph` runs autograd's: captured, many to a launch, on the parameters and the optimizer's
state where these lie. All is float32, sums have a fixed order, and no gradient of a weight is stored: the
block that makes it moves the weight.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from cifar_tui.config import RunConfig
from cifar_tui.engine import cuda_cnn, cuda_fnn, cuda_kernels
from cifar_tui.engine.cuda_kernels import SOURCES, CudaKernels
from cifar_tui.engine.graph_body import Body, MakeBody, Parts, Slots
from cifar_tui.engine.native import OPTIMIZERS
from cifar_tui.engine.noise import Noise

# each has SOURCE, why_not, macros and a Body
MODELS: dict[str, Any] = {"fnn": cuda_fnn, "cnn": cuda_cnn}
LARGEST_BATCH = 5000  # of more pictures the library's products are as fast


def why_not(config: RunConfig, device: torch.device) -> str | None:
    """Why a config cannot run on these kernels, in words; None where it can."""
    if device.type != "cuda":
        return f"it is for CUDA devices, not for {device.type}"
    if config.model not in MODELS:
        return f"it is for {' and '.join(MODELS)}, not for model {config.model}"
    if config.optimizer not in OPTIMIZERS:
        return f"it has no {config.optimizer}, only {' and '.join(OPTIMIZERS)}"
    if config.batch_size > LARGEST_BATCH:
        return f"it is for batches of {LARGEST_BATCH} pictures at most, not of {config.batch_size}"
    reason: str | None = MODELS[config.model].why_not(config)
    return reason or cuda_kernels.why_not()


def body_of(config: RunConfig) -> MakeBody:
    """What makes the body of the steps of a config that `why_not` has nothing against.

    It raises RuntimeError where the kernels cannot be compiled.
    """
    model = MODELS[config.model]

    def make(parts: Parts, slots: Slots, noise: Noise | None) -> Body:
        dense = [layer for layer in parts.module.modules() if isinstance(layer, nn.Linear)]
        macros = model.macros(config, dense[-1].out_features)
        kernels = CudaKernels(SOURCES / model.SOURCE, macros, slots.images.device)
        body: Body = model.Body(kernels, parts, slots, noise)
        return body

    return make
