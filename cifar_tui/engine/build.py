"""A model with its initial weights, on its device."""

from __future__ import annotations

import torch
from torch import nn

from cifar_tui import catalog
from cifar_tui.config import RunConfig
from cifar_tui.engine.torch_start import keep_compiler_out


def build_module(config: RunConfig, num_classes: int, place: torch.device) -> nn.Module:
    """The model of a config with its initial weights, the same on every device, in channels-last memory."""
    keep_compiler_out()  # the optimizer is made next
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        module: nn.Module = catalog.get("models", config.model).build(config, num_classes)
    return module.to(place, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
