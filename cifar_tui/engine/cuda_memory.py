"""What the CUDA kernels of all models are given, see `cuda_code/common.cuh`."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor, nn

from cifar_tui.config import RunConfig
from cifar_tui.engine.flat import adopt_state

INTEGER, POINTER = ctypes.c_int64, ctypes.c_void_p


class Parameter(ctypes.Structure):
    """A parameter with Adam's moments; the same as `Parameter` of common.cuh."""

    _fields_ = (("value", POINTER), ("mean", POINTER), ("square", POINTER))


class State:
    """The addresses of a module's parameters and of its optimizer's state.

    Args:
        module: with float32 parameters.
        optimizer: Adam or AdamW over them; state that it has not is made.

    Attributes:
        steps: int64 (parameters,) on the device, addresses of Adam's counts.
    """

    def __init__(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        parameters = list(module.parameters())
        self._state = optimizer.state
        for key in ("exp_avg", "exp_avg_sq"):
            new = [p for p in parameters if key not in self._state.get(p, {})]
            adopt_state(optimizer, key, [(p, torch.zeros_like(p)) for p in new])
        new = [p for p in parameters if "step" not in self._state.get(p, {})]
        adopt_state(optimizer, "step", [(p, torch.zeros((), device=p.device)) for p in new])
        self.steps = addresses([self._state[p]["step"] for p in parameters])

    def of(self, parameter: Tensor) -> Parameter:
        """Where a parameter and its moments lie; as the parameter is laid out, so are they."""
        state = self._state[parameter]
        found = (parameter, state["exp_avg"], state["exp_avg_sq"])
        assert all(tensor.stride() == parameter.stride() for tensor in found)
        return Parameter(*(tensor.data_ptr() for tensor in found))


def addresses(tensors: list[Tensor]) -> Tensor:
    """int64 (n,) on their device: where they lie."""
    return torch.tensor([tensor.data_ptr() for tensor in tensors]).to(tensors[0].device)


def rule_macros(config: RunConfig) -> dict[str, object]:
    """The optimizer's settings as macros."""
    return {
        "DECOUPLED": int(config.optimizer == "adamw"),
        "BETA1": float(config.beta1),
        "BETA2": float(config.beta2),
        "EPSILON": float(config.epsilon),
        "WEIGHT_DECAY": float(config.weight_decay),
        "L2": float(config.l2_reg),
    }
