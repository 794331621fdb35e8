"""Forward and backward of a dense residual stack, written out by hand: no autograd.

The functions are plain PyTorch, and TorchScript can compile them, see `fused_steps`.

The stack is that of the models: dense and norm, then any number of residual blocks of activation, dropout,
dense and norm, then activation and dense to the logits.
"""

# TorchScript reads the annotations, so they are real, and spelled as it wants them.
# ruff: noqa: UP006, UP035, UP045

from typing import List, NamedTuple, Optional

import torch
from torch import Tensor

HAS_ONEDNN: bool = torch.backends.mkldnn.is_available() and hasattr(  # type: ignore[no-untyped-call]
    torch.ops.mkldnn, "_linear_pointwise"
)


class Stack(NamedTuple):
    """Parameters, or their gradients, of the layers from input to logits.

    Attributes:
        weights: (outputs, inputs) of each dense layer.
        biases: (outputs,) of each dense layer.
        gains, offsets: of all layer norms, one tensor (norms,); or of each batch norm, (width,); or none.
        means, variances: running averages of each batch norm, (width,); none among gradients.
    """

    weights: List[Tensor]
    biases: List[Tensor]
    gains: List[Tensor]
    offsets: List[Tensor]
    means: List[Tensor]
    variances: List[Tensor]


class Shape(NamedTuple):
    """What kind of stack it is.

    Attributes:
        relu: its activation, else sigmoid.
        norm: "none", "layer" or "batch".
        dropout: share of activations dropped.
        onednn: whether wide layers are multiplied by oneDNN, not by the BLAS of this torch.
    """

    relu: bool
    norm: str
    dropout: float
    onednn: bool


class Kept(NamedTuple):
    """What the forward pass keeps for the backward pass; each (B, width) unless said otherwise.

    Attributes:
        inputs: of each dense layer.
        actives: activations, before dropout.
        noises: what dropout multiplied with; empty without dropout.
        sums: of each dense layer, before its norm; empty without norms.
        centres, spreads: mean and 1 / deviation of `sums`, by row or by column; empty without norms.
    """

    inputs: List[Tensor]
    actives: List[Tensor]
    noises: List[Tensor]
    sums: List[Tensor]
    centres: List[Tensor]
    spreads: List[Tensor]


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
    return onednn and rows.numel() * outputs >= 4_000_000


def dense(rows: Tensor, weight: Tensor, bias: Tensor, onednn: bool) -> Tensor:
    """``rows @ weight.T + bias``."""
    if is_wide(rows, weight.size(0), onednn):
        return onednn_product(rows, weight, bias)
    return torch.addmm(bias, rows, weight.t())


def dense_input(grad: Tensor, weight: Tensor, onednn: bool) -> Tensor:
    """Gradient of a dense layer's input from that of its output (B, outputs)."""
    if is_wide(grad, weight.size(1), onednn):
        return onednn_product(grad, weight.t(), None)
    return torch.mm(grad, weight)


def dense_weight(grad: Tensor, rows: Tensor, place: Tensor, onednn: bool) -> Tensor:
    """Gradient of a dense layer's weight; it is `place`, unless oneDNN made a tensor of its own."""
    if is_wide(rows, grad.size(1), onednn):
        return onednn_product(grad.t(), rows.t(), None)
    torch.mm(grad.t(), rows, out=place)
    return place


def norm_rows(norm: str, layers: int, width: int, values: List[Tensor]) -> List[Tensor]:
    """Gains or offsets of each norm, one number a feature."""
    if norm == "layer":
        return torch.unbind(values[0].unsqueeze(1).expand(layers, width).contiguous())  # type: ignore[return-value]
    return values


def forward(rows: Tensor, stack: Stack, gains: List[Tensor], kept: Kept, shape: Shape) -> Tensor:
    """Logits (B, classes) of rows (B, features), float32; `gains` are those of `norm_rows`."""
    last = len(stack.weights) - 1
    offsets = norm_rows(shape.norm, last, stack.weights[0].size(0), stack.offsets)
    kept.inputs.append(rows)
    hidden = rows
    for layer in range(last):
        out = dense(kept.inputs[layer], stack.weights[layer], stack.biases[layer], shape.onednn)
        if shape.norm == "layer":
            kept.sums.append(out)
            out, centre, spread = torch.native_layer_norm(
                out, [out.size(1)], gains[layer], offsets[layer], 1e-3
            )
            kept.centres.append(centre)
            kept.spreads.append(spread)
        elif shape.norm == "batch":
            kept.sums.append(out)
            out, centre, spread = torch.native_batch_norm(
                out,
                gains[layer],
                offsets[layer],
                stack.means[layer],
                stack.variances[layer],
                True,
                0.01,
                1e-3,
            )
            kept.centres.append(centre)
            kept.spreads.append(spread)
        hidden = out if layer == 0 else hidden.add_(out)
        active = torch.relu(hidden) if shape.relu else torch.sigmoid(hidden)
        kept.actives.append(active)
        if shape.dropout > 0.0 and layer < last - 1:
            noise = torch.empty_like(active).bernoulli_(1.0 - shape.dropout).div_(1.0 - shape.dropout)
            kept.noises.append(noise)
            active = active * noise
        kept.inputs.append(active)
    return torch.addmm(stack.biases[last], kept.inputs[last], stack.weights[last].t())


def backward(
    grad: Tensor, stack: Stack, gains: List[Tensor], grads: Stack, kept: Kept, shape: Shape, wanted: bool
) -> Tensor:
    """Fill `grads` from the gradient of the logits (B, classes).

    The gradient of the first weight is put into the list, where it may be a new tensor.

    Returns:
        The gradient of the rows where it is `wanted`, else anything.
    """
    last = len(stack.weights) - 1
    torch.mm(grad.t(), kept.inputs[last], out=grads.weights[last])
    torch.sum(grad, [0], out=grads.biases[last])
    grad_active = torch.mm(grad, stack.weights[last])
    grad_hidden = grad_active
    of_gains: List[Tensor] = []
    of_offsets: List[Tensor] = []
    for back in range(last):
        layer = last - 1 - back
        if layer < len(kept.noises):
            grad_active.mul_(kept.noises[layer])
        if shape.relu:
            through = torch.ops.aten.threshold_backward(grad_active, kept.actives[layer], 0.0)
        else:
            through = torch.ops.aten.sigmoid_backward(grad_active, kept.actives[layer])
        grad_hidden = through if back == 0 else grad_hidden.add_(through)
        grad_sum = grad_hidden
        if shape.norm == "layer":
            grad_sum, of_gain, of_offset = torch.ops.aten.native_layer_norm_backward(
                grad_hidden,
                kept.sums[layer],
                [grad_hidden.size(1)],
                kept.centres[layer],
                kept.spreads[layer],
                gains[layer],
                gains[layer],  # its value is not used, only that there is one
                [True, True, True],
            )
            of_gains.append(of_gain)
            of_offsets.append(of_offset)
        elif shape.norm == "batch":
            grad_sum, of_gain, of_offset = torch.ops.aten.native_batch_norm_backward(
                grad_hidden,
                kept.sums[layer],
                gains[layer],
                None,
                None,
                kept.centres[layer],
                kept.spreads[layer],
                True,
                1e-3,
                [True, True, True],
            )
            grads.gains[layer].copy_(of_gain)
            grads.offsets[layer].copy_(of_offset)
        made = dense_weight(grad_sum, kept.inputs[layer], grads.weights[layer], shape.onednn)
        if layer == 0:
            grads.weights[0] = made
        elif is_wide(kept.inputs[layer], grad_sum.size(1), shape.onednn):
            grads.weights[layer].copy_(made)
        if shape.norm != "batch":  # it takes away what a bias adds, whose gradient is exactly zero
            torch.sum(grad_sum, [0], out=grads.biases[layer])
        if layer > 0 or wanted:
            grad_active = dense_input(grad_sum, stack.weights[layer], shape.onednn)
    if shape.norm == "layer":
        of_gains.reverse()
        of_offsets.reverse()
        torch.sum(torch.stack(of_gains), [1], out=grads.gains[0])
        torch.sum(torch.stack(of_offsets), [1], out=grads.offsets[0])
    return grad_active
