"""The training step of `cnn` with batch norms in CUDA kernels: their memory, and the order of their launches.

See `cuda_code/cnn.cu`. They work on the tensors of the module and of its optimizer where these lie.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from cifar_tui.config import RunConfig
from cifar_tui.engine.cuda_kernels import Kernels
from cifar_tui.engine.cuda_memory import INTEGER, POINTER, Parameter, State, addresses, rule_macros
from cifar_tui.engine.graph_body import Parts, Slots
from cifar_tui.engine.noise import Noise

SOURCE = "cnn.cu"
NODES = 32  # the number of nodes is a multiple of it
MOST_LAYERS = 24  # what a launch is told is 4 KiB at most
_WIDE = 132  # blocks of what is done to each number by itself
_FILTERS = (32 * 27 + 32, 64 * 288, 64 * 576)  # numbers of a part of their gradients; the first with biases


def _pointers(words: str) -> list[tuple[str, Any]]:
    """Fields of these names; those with a number are arrays."""
    parts = (word.partition(":") for word in words.split())
    return [(name, POINTER * int(count) if count else POINTER) for name, _, count in parts]


def _structure(name: str, *fields: tuple[str, Any]) -> Any:
    """A type of C; those here are those of common.cuh and cnn_work.cuh."""
    return type(name, (ctypes.Structure,), {"_fields_": fields})


_Layer = _structure("Layer", ("weight", Parameter), ("bias", Parameter))
_Norm = _structure("Norm", ("gain", Parameter), ("offset", Parameter), *_pointers("mean variance"))


def _work_of(layers: int) -> Any:
    """An empty `Work`."""
    return _structure(
        "Work",
        *_pointers("images labels numbers rates noise losses hits steps batches"),
        *((name, INTEGER) for name in ("parameters", "counters", "noise_numbers")),
        *(("convs", _Layer * 3), ("conv_norms", _Norm * 3)),
        *(("dense", _Layer * (layers + 1)), ("norms", _Norm * layers)),
        *_pointers("move y:3 active:3 places:2 moments:3 scales:3 pooled_slopes:2 sums:2 slopes:3"),
        *_pointers("norm_slopes:3 filter_parts:3 bias_parts bias_slopes z normed deviations inputs carried"),
        *_pointers("products dense_slopes last_slopes vector_slopes row_losses row_hits penalties counter"),
        ("layer", INTEGER),
    )()


def why_not(config: RunConfig) -> str | None:
    """Why these kernels cannot run a `cnn`, in words; None where they can."""
    norms = {config.norm, config.norm if config.conv_norm == "same" else config.conv_norm}
    if norms != {"batch"}:
        return f"it has no {min(norms - {'batch'})} norm for cnn, only batch"
    if config.num_nodes % NODES:
        return f"it wants num_nodes of {NODES}, {2 * NODES}, ..., not {config.num_nodes}"
    if config.hidden_layers > MOST_LAYERS:
        return f"it has at most {MOST_LAYERS} hidden layers for cnn, not {config.hidden_layers}"
    if config.batch_size == 1:
        return "one picture has no deviation to norm by"
    return None


def macros(config: RunConfig, classes: int) -> Mapping[str, object]:
    """What the source is compiled for."""
    return rule_macros(config) | {
        "BATCH": config.batch_size,
        "WIDTH": config.num_nodes,
        "LAYERS": config.hidden_layers,
        "CLASSES": classes,
        "DROPOUT": int(config.dropout > 0.0 and config.hidden_layers > 1),
    }


class _Grids:
    """How many blocks kernels have; as in cnn_work.cuh and cnn_moves.cuh."""

    def __init__(self, batch: int, width: int, layers: int, classes: int) -> None:
        self.tiles = (5 * batch, -(-169 * batch // 72), batch)
        self.tiles_back = -(-225 * batch // 88)
        rows, pictures = 4 * -(-13 * batch // 176), 5 * -(-batch // 50)
        self.splits = (5 * batch, -(-13 * batch // rows), -(-batch // pictures))
        filters = sum(numbers // blocks for numbers, blocks in zip(_FILTERS, (32, 256, 256), strict=True))
        dense = width // 32 * (32 + (layers - 1) * (width // 32)) + -(-classes * width // 256)
        self.moves = filters + dense + layers + 2


class Body:
    """Launches the kernels of one step.

    Args:
        kernels: of `SOURCE`, compiled with `macros`.
        parts: what to train; parameters stay where they are, the optimizer is Adam or AdamW.
        slots: what its steps read and write.
        noise: of its dropout, if any.
    """

    def __init__(self, kernels: Kernels, parts: Parts, slots: Slots, noise: Noise | None = None) -> None:
        self._kernels, self._device = kernels, slots.images.device
        self._state = State(parts.module, parts.optimizer)
        residuals = [name for name, _ in parts.module.named_children() if name.startswith("residual_")]
        final = cast(nn.Linear, parts.module.get_submodule("dense_final"))
        self._batch, self._width, self._layers = parts.batch_size, final.in_features, len(residuals) + 1
        self._kept: list[Any] = [slots]
        self._work = _work_of(self._layers)
        assert ctypes.sizeof(self._work) < 4096
        self._grids = _Grids(self._batch, self._width, self._layers, final.out_features)
        for name, place in slots.places().items():
            setattr(self._work, name, place)
        if noise is not None:
            self._kept.append(noise.rows)
            self._work.noise, self._work.noise_numbers = noise.rows.data_ptr(), noise.numbers
        self._describe(parts.module, residuals)
        self._make_scratch(final.out_features)
        self._order = self._launches()

    def __call__(self, slot: int) -> None:
        """Launch the step of a slot."""
        for name, blocks, threads, layer in self._order:
            self._work.layer = layer
            self._kernels.launch(name, blocks, threads, self._work, slot)

    def _launches(self) -> list[tuple[str, int, int, int]]:
        """Name, blocks and threads of each kernel, and the dense layer that it is for."""
        grids, batch, width, layers = self._grids, self._batch, self._width, self._layers
        (tiles_0, tiles_1, _), (_, splits_1, splits_2) = grids.tiles, grids.splits
        return [
            ("cnn_conv_0", tiles_0 + 1, 256, 0),
            ("cnn_pool_0", _WIDE, 512, 0),
            ("cnn_conv_1", tiles_1, 256, 0),
            ("cnn_pool_1", _WIDE, 512, 0),
            ("cnn_conv_2", 4 * batch, 256, 0),
            ("cnn_dense_0", width, 512, 0),
            *(("cnn_dense", width, 512, layer) for layer in range(1, layers)),
            ("cnn_rows", batch, 256, 0),
            *(("cnn_dense_back", width, 512, layer) for layer in reversed(range(layers))),
            ("cnn_back_2", 64, 256, 0),
            ("cnn_back_conv_2", 4 * batch + 9 * splits_2, 256, 0),
            ("cnn_back_norm_1", _WIDE, 512, 0),
            ("cnn_back_conv_1", grids.tiles_back + 3 * splits_1, 256, 0),
            ("cnn_back_conv_0", tiles_0, 288, 0),
            ("cnn_moves", grids.moves, 256, 0),
        ]

    def _describe(self, module: nn.Module, residuals: list[str]) -> None:
        """Tell where the parameters and the running numbers lie."""
        blocks = [f"block_{index}" for index in range(3)]
        names = {
            "convs": [f"{name}.conv" for name in blocks],
            "conv_norms": [f"{name}.norm" for name in blocks],
            "dense": ["dense_0", *(f"{name}.dense" for name in residuals), "dense_final"],
            "norms": ["norm_0", *(f"{name}.norm" for name in residuals)],
        }
        counters: list[Tensor] = []
        for table, found in names.items():
            for index, name in enumerate(found):
                layer: Any = module.get_submodule(name)
                pair = self._parameter(layer.weight), self._parameter(layer.bias)
                running: list[Tensor] = []
                if table in {"conv_norms", "norms"}:
                    running = [layer.running_mean, layer.running_var]
                    counters.append(layer.num_batches_tracked)
                kind = _Norm if running else _Layer
                getattr(self._work, table)[index] = kind(*pair, *(part.data_ptr() for part in running))
        batches = addresses(counters)
        self._kept.append(batches)
        self._work.steps, self._work.parameters = self._state.steps.data_ptr(), len(self._state.steps)
        self._work.batches, self._work.counters = batches.data_ptr(), len(counters)

    def _parameter(self, parameter: Tensor) -> Parameter:
        """A parameter with its moments: filters channels-last, weights by rows; all read by four numbers."""
        layout = torch.channels_last if parameter.dim() == 4 else torch.contiguous_format
        assert parameter.is_contiguous(memory_format=layout)
        found = self._state.of(parameter)
        assert not any(place % 16 for place in (found.value, found.mean, found.square))
        return found

    def _make_scratch(self, classes: int) -> None:
        """Memory for what kernels tell each other, by the names and in the shapes of cnn_work.cuh."""
        grids, batch, width, layers = self._grids, self._batch, self._width, self._layers
        channels, pooled = (32, 64, 64), (batch * 225 * 32, batch * 36 * 64)
        outputs = (batch * 900 * 32, batch * 169 * 64, batch * 16 * 64)
        sizes: dict[str, int | tuple[int, ...]] = {
            "move": 3,
            "y": outputs,
            "active": (*pooled, batch * 1024),
            **dict.fromkeys(("places", "pooled_slopes"), pooled),
            "moments": tuple(2 * tiles * size for tiles, size in zip(grids.tiles, channels, strict=True)),
            **dict.fromkeys(("scales", "norm_slopes"), tuple(2 * size for size in channels)),
            "sums": (grids.tiles_back * 2 * 32, batch * 2 * 64),
            "slopes": (0, *outputs[1:]),
            "filter_parts": tuple(parts * size for parts, size in zip(grids.splits, _FILTERS, strict=True)),
            **{"bias_parts": _WIDE * 64, "bias_slopes": 64, "last_slopes": batch * classes},
            **{"deviations": layers * width, "vector_slopes": 3 * layers * width},
            **dict.fromkeys(("z", "normed", "inputs", "dense_slopes"), layers * width * batch),
            **dict.fromkeys(("carried", "products"), width * batch),
            **{"row_losses": batch, "row_hits": batch, "penalties": grids.moves, "counter": 1},
        }
        kinds = {"places": torch.uint8, "row_hits": torch.int32, "counter": torch.int32}
        for name, size in sizes.items():
            kind, several = kinds.get(name, torch.float32), (size,) if isinstance(size, int) else size
            rooms = [torch.zeros(numbers, dtype=kind, device=self._device) for numbers in several]
            places = (POINTER * len(rooms))(*(room.data_ptr() for room in rooms))
            setattr(self._work, name, places[0] if isinstance(size, int) else places)
            self._kept += rooms
