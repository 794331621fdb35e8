"""The training step of `fnn` in three CUDA kernels, see `cuda_code/fnn.cu`."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from cifar_tui.config import RunConfig
from cifar_tui.engine.cuda_kernels import Kernels
from cifar_tui.engine.cuda_memory import INTEGER, POINTER, Parameter, State, rule_macros
from cifar_tui.engine.graph_body import Parts, Slots
from cifar_tui.engine.noise import Noise
from cifar_tui.models._modules import FeatureLayerNorm

SOURCE = "fnn.cu"
NORMS = ("layer", "none")
CHUNK = 32  # inputs of a block
WIDEST, LARGEST = 256, 4096  # nodes of a layer, and of all: what the memory of a block holds
MOST_LAYERS = 32


def why_not(config: RunConfig) -> str | None:
    """Why these kernels cannot run an `fnn`, in words; None where they can."""
    if config.norm not in NORMS:
        return f"it has no {config.norm} norm for fnn, only {' and '.join(NORMS)}"
    if config.dropout:
        return "it has no dropout for fnn"
    if config.num_nodes % CHUNK or config.num_nodes > WIDEST:
        return f"it wants num_nodes of {CHUNK}, {2 * CHUNK}, ... {WIDEST}, not {config.num_nodes}"
    if config.hidden_layers > min(MOST_LAYERS, LARGEST // config.num_nodes):
        return f"{config.hidden_layers} hidden layers of {config.num_nodes} nodes are too many for it"
    return None


def macros(config: RunConfig, classes: int) -> Mapping[str, object]:
    """What the source is compiled for."""
    return rule_macros(config) | {
        "BATCH": config.batch_size,
        "WIDTH": config.num_nodes,
        "LAYERS": config.hidden_layers,
        "CLASSES": classes,
        "NORMED": int(config.norm != "none"),
    }


class Dense(ctypes.Structure):
    """The same as `Dense` of fnn.cu."""

    _fields_ = (("weight", Parameter), ("bias", Parameter))


class Norm(ctypes.Structure):
    """The same as `Norm` of fnn.cu."""

    _fields_ = (("gain", Parameter), ("offset", Parameter))


def _work(layers: int) -> type[ctypes.Structure]:
    """The same as `Work` of fnn.cu, compiled for so many layers."""
    scratch = ("pieces", "turned", "inputs", "slopes", "last_slopes", "norm_slopes", "row_losses")

    class Work(ctypes.Structure):
        _fields_ = (
            *((name, POINTER) for name in ("images", "labels", "numbers", "rates", "losses", "hits")),
            ("steps", POINTER),
            ("parameters", INTEGER),
            ("dense", Dense * (layers + 1)),
            ("norms", Norm * layers),
            ("move", POINTER),
            *((name, POINTER) for name in (*scratch, "row_hits", "penalties", "counter")),
        )

    return Work


class Body:
    """Launches the kernels of one step.

    Args:
        kernels: compiled with `macros`.
        parts: what to train; parameters stay where they are, the optimizer is Adam or AdamW.
        slots: what its steps read and write.
        noise: none, as nothing is dropped.
    """

    def __init__(self, kernels: Kernels, parts: Parts, slots: Slots, noise: Noise | None = None) -> None:
        assert noise is None
        self._kernels, module = kernels, parts.module
        state = State(module, parts.optimizer)
        dense = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
        norms = [layer for layer in module.modules() if isinstance(layer, FeatureLayerNorm)]
        layers, width, classes = len(dense) - 1, dense[0].out_features, dense[-1].out_features
        batch, pieces = parts.batch_size, dense[0].in_features // CHUNK
        hidden = (layers - 1) * width // CHUNK
        self._threads = 2 * width
        self._blocks = (pieces + hidden + 1, batch, pieces + hidden + classes + 1)
        device = slots.images.device

        def floats(*shape: int) -> Tensor:
            return torch.zeros(shape, device=device)

        self._kept: list[object] = [state, slots]

        def place(tensor: Tensor) -> int:
            self._kept.append(tensor)
            return tensor.data_ptr()

        self._work = _work(layers)(
            **slots.places(),
            steps=place(state.steps),
            parameters=len(state.steps),
            dense=(Dense * len(dense))(*(Dense(state.of(d.weight), state.of(d.bias)) for d in dense)),
            norms=(Norm * layers)(*(Norm(state.of(n.gain), state.of(n.offset)) for n in norms)),
            move=place(floats(3)),
            pieces=place(floats(pieces, batch, width)),
            turned=place(floats(layers - 1, width, width)),
            inputs=place(floats(layers, batch, width)),
            slopes=place(floats(layers, batch, width)),
            last_slopes=place(floats(batch, classes)),
            norm_slopes=place(floats(layers, 2, batch)),
            row_losses=place(floats(batch)),
            row_hits=place(torch.zeros(batch, dtype=torch.int32, device=device)),
            penalties=place(floats(self._blocks[2])),
            counter=place(torch.zeros(1, dtype=torch.int32, device=device)),
        )

    def __call__(self, slot: int) -> None:
        """Launch the step of a slot."""
        for name, blocks in zip(("fnn_first", "fnn_rows", "fnn_weights"), self._blocks, strict=True):
            self._kernels.launch(name, blocks, self._threads, self._work, slot)
