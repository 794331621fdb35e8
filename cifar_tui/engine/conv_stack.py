"""Forward and backward of convolutions, norms, pools and ReLUs, written out by hand: no autograd.

The functions are plain PyTorch, and TorchScript can compile them, see `fused_steps`. Pictures are
channels-last in memory throughout.
"""

# TorchScript reads the annotations, so they are real, and spelled as it wants them.
# ruff: noqa: UP006, UP035

from typing import List, NamedTuple

import torch
from torch import Tensor


class Front(NamedTuple):
    """Parameters, or their gradients, of the blocks of conv, norm, pool and ReLU; none: no block.

    Attributes:
        weights: (outputs, inputs, 3, 3), channels-last in memory.
        biases: (outputs,).
        gains, offsets: (outputs,) of each batch norm, (outputs, 1, 1) of each layer norm; or none.
        means, variances: running averages of each batch norm, (outputs,); none among gradients.
        pools: whether a block has a max pool of 2x2.
        norm: "none", "layer" (mean only, see `ImageLayerNorm`) or "batch".
    """

    weights: List[Tensor]
    biases: List[Tensor]
    gains: List[Tensor]
    offsets: List[Tensor]
    means: List[Tensor]
    variances: List[Tensor]
    pools: List[bool]
    norm: str


class FrontKept(NamedTuple):
    """What the forward pass keeps for the backward pass.

    Attributes:
        inputs: of each convolution, and last the output of the front.
        sums: of each convolution.
        places: of each pool, where in its input each maximum was.
        centres, spreads: mean and 1 / deviation of `sums` by channel, for batch norm.
    """

    inputs: List[Tensor]
    sums: List[Tensor]
    places: List[Tensor]
    centres: List[Tensor]
    spreads: List[Tensor]


def forward(images: Tensor, front: Front, kept: FrontKept) -> Tensor:
    """Rows (B, features), pixel by pixel, of pictures (B, 3, H, W), float32."""
    kept.inputs.append(images)
    for block in range(len(front.weights)):
        out = torch.conv2d(kept.inputs[block], front.weights[block], front.biases[block])
        kept.sums.append(out)
        if front.norm == "batch":
            out, centre, spread = torch.native_batch_norm(
                out,
                front.gains[block],
                front.offsets[block],
                front.means[block],
                front.variances[block],
                True,
                0.01,
                1e-3,
            )
            kept.centres.append(centre)
            kept.spreads.append(spread)
        elif front.norm == "layer":
            out.sub_(out.mean([2, 3], keepdim=True))
            out = torch.addcmul(front.offsets[block], out, front.gains[block])
        if front.pools[block]:
            out, places = torch.ops.aten.max_pool2d_with_indices(out, [2, 2], [2, 2])
            kept.places.append(places)
        kept.inputs.append(out.relu_())
    return kept.inputs[-1].permute(0, 2, 3, 1).flatten(1)


def backward(grad_rows: Tensor, front: Front, grads: Front, kept: FrontKept) -> None:
    """Fill `grads` from the gradient of the rows (B, features)."""
    last = kept.inputs[-1]
    grad = grad_rows.view(last.size(0), last.size(2), last.size(3), last.size(1)).permute(0, 3, 1, 2)
    pool = len(kept.places)
    for back in range(len(front.weights)):
        block = len(front.weights) - 1 - back
        grad = torch.ops.aten.threshold_backward(grad, kept.inputs[block + 1], 0.0)
        if front.pools[block]:
            pool -= 1
            grad = torch.ops.aten.max_pool2d_with_indices_backward(
                grad, kept.sums[block], [2, 2], [2, 2], [0, 0], [1, 1], False, kept.places[pool]
            )
        if front.norm == "batch":
            grad, of_gain, of_offset = torch.ops.aten.native_batch_norm_backward(
                grad,
                kept.sums[block],
                front.gains[block],
                None,
                None,
                kept.centres[block],
                kept.spreads[block],
                True,
                1e-3,
                [True, True, True],
            )
            grads.gains[block].copy_(of_gain)
            grads.offsets[block].copy_(of_offset)
        elif front.norm == "layer":
            grads.gains[block].copy_((grad * kept.sums[block]).sum([0, 2, 3]).view(-1, 1, 1))
            grads.offsets[block].copy_(grad.sum([0, 2, 3]).view(-1, 1, 1))
            grad = (grad - grad.mean([2, 3], keepdim=True)).mul_(front.gains[block])
        else:  # norms take away what a bias adds, whose gradient is exactly zero
            torch.sum(grad, [0, 2, 3], out=grads.biases[block])
        grad_input, of_weight, _bias = torch.ops.aten.convolution_backward(
            grad,
            kept.inputs[block],
            front.weights[block],
            None,
            [1, 1],
            [0, 0],
            [1, 1],
            False,
            [0, 0],
            1,
            [block > 0, True, False],
        )
        grads.weights[block].copy_(of_weight)
        grad = grad_input
