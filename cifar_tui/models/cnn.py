"""Small convolutional net: three 3x3 convolutions, then dense layers with residual connections.

The notebook's `CNNModelGraph`: 67.07% on the CIFAR-10 test pictures after 20,000 steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar_tui.models._layers import LayerInfo, LayerTable

if TYPE_CHECKING:
    from torch import nn

    from cifar_tui.config import RunConfig

RANK = 2
OPTIONS = frozenset({"hidden_layers", "num_nodes", "norm", "dropout", "conv_norm"})
FILTERS = (32, 64, 64)


def _conv_norm(config: RunConfig) -> str:
    return config.norm if config.conv_norm == "same" else config.conv_norm


def layers(config: RunConfig, num_classes: int) -> list[LayerInfo]:
    """The layer table."""
    table = LayerTable()
    for index, filters in enumerate(FILTERS):
        table.conv(f"conv_{index}", filters, 3)
        table.norm(f"conv_norm_{index}", _conv_norm(config))
        if index < len(FILTERS) - 1:
            table.pool(f"pool_{index}", 2)
        table.activation(f"relu_{index}", "relu")
    table.flatten("flatten")
    table.dense("dense_0", config.num_nodes)
    table.norm("norm_0", config.norm)
    for index in range(1, config.hidden_layers):
        table.activation(f"relu_{index + len(FILTERS) - 1}", "relu")
        table.dropout(f"dropout_{index}", config.dropout)
        table.dense(f"dense_{index}", config.num_nodes)
        table.norm(f"norm_{index}", config.norm)
        table.add(f"add_{index}")
    table.activation("relu", "relu")
    table.dense("dense_final", num_classes)
    return table.rows


def build(config: RunConfig, num_classes: int) -> nn.Module:
    """The module: float32 (B, 3, 32, 32) in [0, 1] to logits (B, num_classes)."""
    from torch import nn

    from cifar_tui.models import _modules as blocks

    width, channels, convolutions = config.num_nodes, 3, {}
    for index, filters in enumerate(FILTERS):
        is_last = index == len(FILTERS) - 1
        # The notebook has relu before pool; this order gives the same numbers for a quarter of the work.
        convolutions[f"block_{index}"] = blocks.sequence(
            nn.Sequential,
            conv=nn.Conv2d(channels, filters, 3),
            norm=blocks.image_norm(_conv_norm(config), filters),
            pool=None if is_last else nn.MaxPool2d(2),
            relu=nn.ReLU(),
        )
        channels = filters
    stack = {
        f"residual_{index}": blocks.sequence(
            blocks.Residual,
            relu=nn.ReLU(),
            dropout=nn.Dropout(config.dropout) if config.dropout else None,
            dense=nn.Linear(width, width),
            norm=blocks.feature_norm(config.norm, width),
        )
        for index in range(1, config.hidden_layers)
    }
    module = blocks.sequence(
        nn.Sequential,
        **convolutions,
        flatten=blocks.FlattenPictures(),
        dense_0=nn.Linear(4 * 4 * channels, width),
        norm_0=blocks.feature_norm(config.norm, width),
        **stack,
        relu=nn.ReLU(),
        dense_final=nn.Linear(width, num_classes),
    )
    blocks.initialise(module)
    return module
