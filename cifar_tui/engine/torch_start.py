"""Torch without its compiler, where nothing is to be compiled."""

from __future__ import annotations

import torch

_METHODS = ("add_param_group", "state_dict", "load_state_dict")


def keep_compiler_out() -> None:
    """Let an optimizer be made without loading `torch._dynamo`, which takes 2 s on a slow core.

    Torch loads it at the first call of these methods, only to keep it from tracing them. Nothing of ours
    traces an optimizer; a method that says already what replaces it is called as it is, and loads nothing.
    """
    for name in _METHODS:
        wrapped = getattr(getattr(torch.optim.Optimizer, name, None), "__wrapped__", None)
        if wrapped is not None and not hasattr(wrapped, "__dynamo_disable"):
            setattr(wrapped, "__dynamo_disable", wrapped)
