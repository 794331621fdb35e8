"""Feed-forward net: dense layers with sigmoid and residual connections.

The notebook's `FNNModelGraph`: 48.46% on the CIFAR-10 test pictures after 10,000 steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar_tui.models._layers import LayerInfo, LayerTable

if TYPE_CHECKING:
    from torch import nn

    from cifar_tui.config import RunConfig

RANK = 1
OPTIONS = frozenset({"hidden_layers", "num_nodes", "norm", "dropout"})


def layers(config: RunConfig, num_classes: int) -> list[LayerInfo]:
    """The layer table."""
    table = LayerTable()
    table.flatten("flatten")
    table.dense("dense_0", config.num_nodes)
    table.norm("norm_0", config.norm)
    for index in range(1, config.hidden_layers):
        table.activation(f"sigmoid_{index}", "sigmoid")
        table.dropout(f"dropout_{index}", config.dropout)
        table.dense(f"dense_{index}", config.num_nodes)
        table.norm(f"norm_{index}", config.norm)
        table.add(f"add_{index}")
    table.activation("sigmoid", "sigmoid")
    table.dense("dense_final", num_classes)
    return table.rows


def build(config: RunConfig, num_classes: int) -> nn.Module:
    """The module: float32 (B, 3, 32, 32) in [0, 1] to logits (B, num_classes)."""
    from torch import nn

    from cifar_tui.models import _modules as blocks

    width = config.num_nodes
    stack = {
        f"residual_{index}": blocks.sequence(
            blocks.Residual,
            sigmoid=nn.Sigmoid(),
            dropout=nn.Dropout(config.dropout) if config.dropout else None,
            dense=nn.Linear(width, width),
            norm=blocks.feature_norm(config.norm, width),
        )
        for index in range(1, config.hidden_layers)
    }
    module = blocks.sequence(
        nn.Sequential,
        flatten=blocks.FlattenPictures(),
        dense_0=nn.Linear(3072, width),
        norm_0=blocks.feature_norm(config.norm, width),
        **stack,
        sigmoid=nn.Sigmoid(),
        dense_final=nn.Linear(width, num_classes),
    )
    blocks.initialise(module)
    return module
