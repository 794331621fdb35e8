"""Matrix products of dense layers, forward and backward, each by what is fastest for its shape.

The functions are plain PyTorch, and TorchScript can compile them, see `fused_steps`.

The first layer has far more inputs than outputs. Its weight (outputs, inputs) lies transposed in memory, and
its products are cut along the inputs into one piece a thread: left to itself MKL took 999 us for the gradient
of a weight 128x3072 in the common layout, 672 us for the transposed one and 560 us for that in two pieces
(batch 50, two threads of a Zen 3).
"""

# TorchScript reads the annotations, so they are real, and spelled as it wants them.
# ruff: noqa: UP045

from typing import Optional

import torch
from torch import Tensor

HAS_ONEDNN: bool = torch.backends.mkldnn.is_available() and hasattr(  # type: ignore[no-untyped-call]
    torch.ops.mkldnn, "_linear_pointwise"
)

if HAS_ONEDNN:

    def onednn_product(left: Tensor, right: Tensor, bias: Optional[Tensor]) -> Tensor:
        """``left @ right.T + bias`` by oneDNN."""
        return torch.ops.mkldnn._linear_pointwise(left, right, bias, "none", [], "")  # type: ignore[no-any-return]

else:

    def onednn_product(left: Tensor, right: Tensor, bias: Optional[Tensor]) -> Tensor:
        """``left @ right.T + bias`` by whatever there is."""
        return torch.nn.functional.linear(left, right, bias)


def is_wide(rows: Tensor, outputs: int, onednn: bool) -> bool:
    """Whether a product of rows (B, inputs) with a weight (outputs, inputs) is one for oneDNN.

    A call of it costs more, which so many multiply-adds are worth.
    """
    return onednn and rows.size(0) * rows.size(1) * outputs >= 4_000_000


def pieces(rows: Tensor, count: int) -> int:
    """Into how many pieces the features of rows (B, features) are cut: `count`, or 1.

    One where they cannot be cut into so many, or are so few that it would not pay.
    """
    return count if rows.size(1) >= 2048 and rows.size(1) % count == 0 else 1


def dense(rows: Tensor, weight: Tensor, bias: Tensor, onednn: bool) -> Tensor:
    """``rows @ weight.T + bias``."""
    if is_wide(rows, weight.size(0), onednn):
        return onednn_product(rows, weight, bias)
    return torch.nn.functional.linear(rows, weight, bias)


def first_dense(rows: Tensor, weight: Tensor, bias: Tensor, onednn: bool, threads: int) -> Tensor:
    """``rows @ weight.T + bias`` of the first layer."""
    count = pieces(rows, threads)
    if count == 1 or is_wide(rows, weight.size(0), onednn):
        return dense(rows, weight, bias, onednn)
    cut = rows.view(rows.size(0), count, -1).transpose(0, 1)
    return torch.bmm(cut, weight.t().view(count, -1, weight.size(0))).sum(0).add_(bias)


def dense_input(grad: Tensor, weight: Tensor, onednn: bool) -> Tensor:
    """Gradient of a dense layer's input from that of its output (B, outputs)."""
    if is_wide(grad, weight.size(1), onednn):
        return onednn_product(grad, weight.t(), None)
    return torch.mm(grad, weight)


def first_weight(grad: Tensor, rows: Tensor, place: Tensor, onednn: bool, threads: int) -> Tensor:
    """Gradient of the first layer's weight; it is `place`, unless oneDNN made a tensor of its own.

    Either lies transposed in memory, as the weight does.
    """
    if is_wide(rows, grad.size(1), onednn):
        return onednn_product(rows.t(), grad.t(), None).t()
    count = pieces(rows, max(2, threads))  # for one thread too: in one piece it was 8% slower
    cut = rows.view(rows.size(0), count, -1).permute(1, 2, 0)
    spread = grad.expand(count, grad.size(0), grad.size(1))
    torch.bmm(cut, spread, out=place.t().view(count, -1, grad.size(1)))
    return place


def hidden_weights(grads: Tensor, rows: Tensor, place: Tensor, onednn: bool) -> None:
    """Gradients of the weights of many layers of one width, put into `place` (layers, width, width).

    Args:
        grads: of the outputs of the layers, (layers, B, width).
        rows: their inputs, (layers, B, width).
        place: written over.
        onednn: whether wide products are by oneDNN.
    """
    if is_wide(rows[0], grads.size(2), onednn):
        for layer in range(place.size(0)):
            place[layer].copy_(onednn_product(grads[layer].t(), rows[layer].t(), None))
    else:
        torch.bmm(grads.transpose(1, 2), rows, out=place)
