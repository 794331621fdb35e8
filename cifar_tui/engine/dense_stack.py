"""Forward and backward of a dense residual stack, written out by hand: no autograd.

The functions are plain PyTorch, and TorchScript can compile them, see `fused_steps`.

The stack is that of the models: dense and norm, then any number of residual blocks of activation, dropout,
dense and norm, then activation and dense to the logits.
"""

# TorchScript reads the annotations, so they are real, and spelled as it wants them.
# ruff: noqa: UP006, UP035

from typing import List, NamedTuple

import torch
from torch import Tensor

from cifar_tui.engine.products import dense, dense_input, first_dense, first_weight, hidden_weights


class Stack(NamedTuple):
    """Parameters, or their gradients, of the layers from input to logits.

    Attributes:
        weights: (outputs, inputs) of each dense layer.
        biases: (outputs,) of each dense layer.
        hidden: all weights but the first and the last, one tensor (layers - 2, width, width).
        inner: all biases but the last, one tensor (layers - 1, width).
        gains, offsets: of all layer norms, one tensor (norms,); or of each batch norm, (width,); or none.
        means, variances: running averages of each batch norm, (width,); none among gradients.
    """

    weights: List[Tensor]
    biases: List[Tensor]
    hidden: Tensor
    inner: Tensor
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
        threads: how many compute.
    """

    relu: bool
    norm: str
    dropout: float
    onednn: bool
    threads: int


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
        if layer == 0:
            out = first_dense(rows, stack.weights[0], stack.biases[0], shape.onednn, shape.threads)
        else:
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
    return torch.nn.functional.linear(kept.inputs[last], stack.weights[last], stack.biases[last])


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
    of_sums: List[Tensor] = []
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
        grad_hidden = through if back == 0 else through.add_(grad_hidden)  # the old one is kept in `of_sums`
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
        of_sums.append(grad_sum)
        if layer > 0 or wanted:
            grad_active = dense_input(grad_sum, stack.weights[layer], shape.onednn)
    of_sums.reverse()
    grads.weights[0] = first_weight(of_sums[0], kept.inputs[0], grads.weights[0], shape.onednn, shape.threads)
    stacked = torch.stack(of_sums)
    if shape.norm != "batch":  # it takes away what a bias adds, whose gradient is exactly zero
        torch.sum(stacked, [1], out=grads.inner)
    if last > 1:
        hidden_weights(stacked[1:], torch.stack(kept.inputs[1:last]), grads.hidden, shape.onednn)
    if shape.norm == "layer":
        of_gains.reverse()
        of_offsets.reverse()
        torch.sum(torch.stack(of_gains), [1], out=grads.gains[0])
        torch.sum(torch.stack(of_offsets), [1], out=grads.offsets[0])
    return grad_active
