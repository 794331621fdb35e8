"""Training steps of a dense residual stack, written out by hand: no autograd, no interpreter between steps.

The functions are plain PyTorch, and TorchScript can compile them: then a whole chunk of steps is one call
that holds no interpreter lock. Tensors come in lists, since a list built inside a script would be a copy to
the fused optimizer kernel, which would then update nothing.

The stack is that of the model `fnn`: dense and norm, then any number of residual blocks of sigmoid, dropout,
dense and norm, then sigmoid and dense to the logits.
"""

# TorchScript reads the annotations, so they are real, and spelled as it wants them.
# ruff: noqa: UP006, UP035

from typing import List, NamedTuple, Tuple

import torch
from torch import Tensor


class Stack(NamedTuple):
    """Parameters, or their gradients, of the layers from input to logits.

    Attributes:
        weights: (outputs, inputs) of each dense layer.
        biases: (outputs,) of each dense layer.
        gains, offsets: (1,) of each norm; one fewer than dense layers, or none.
    """

    weights: List[Tensor]
    biases: List[Tensor]
    gains: List[Tensor]
    offsets: List[Tensor]


class Kept(NamedTuple):
    """What the forward pass keeps for the backward pass; each (B, width) or (B, 1).

    Attributes:
        inputs: of each dense layer.
        actives: sigmoids, before dropout.
        noises: what dropout multiplied with; empty without dropout.
        sums: of each dense layer, before its norm; empty without norms.
        normals: the same with mean 0 and deviation 1.
        centres, spreads: mean and 1 / deviation of each row of `sums`.
    """

    inputs: List[Tensor]
    actives: List[Tensor]
    noises: List[Tensor]
    sums: List[Tensor]
    normals: List[Tensor]
    centres: List[Tensor]
    spreads: List[Tensor]


def forward(images: Tensor, stack: Stack, kept: Kept, dropout: float) -> Tensor:
    """Logits (B, classes) of pictures (B, features), float32."""
    last = len(stack.weights) - 1
    kept.inputs.append(images)
    hidden = images
    for layer in range(last):
        out = torch.addmm(stack.biases[layer], kept.inputs[layer], stack.weights[layer].t())
        if len(stack.gains) > 0:
            normal, centre, spread = torch.native_layer_norm(out, [out.size(1)], None, None, 1e-3)
            kept.sums.append(out)
            kept.normals.append(normal)
            kept.centres.append(centre)
            kept.spreads.append(spread)
            out = torch.addcmul(stack.offsets[layer], normal, stack.gains[layer])
        hidden = out if layer == 0 else hidden.add_(out)
        active = torch.sigmoid(hidden)
        kept.actives.append(active)
        if dropout > 0.0 and layer < last - 1:
            noise = torch.empty_like(active).bernoulli_(1.0 - dropout).div_(1.0 - dropout)
            kept.noises.append(noise)
            active = active * noise
        kept.inputs.append(active)
    return torch.addmm(stack.biases[last], kept.inputs[last], stack.weights[last].t())


def backward(grad: Tensor, stack: Stack, grads: Stack, kept: Kept) -> None:
    """Fill `grads` from the gradient of the logits (B, classes)."""
    last = len(stack.weights) - 1
    torch.mm(grad.t(), kept.inputs[last], out=grads.weights[last])
    torch.sum(grad, [0], out=grads.biases[last])
    grad_active = torch.mm(grad, stack.weights[last])
    grad_hidden = torch.zeros_like(grad_active)
    for back in range(last):
        layer = last - 1 - back
        if layer < len(kept.noises):
            grad_active.mul_(kept.noises[layer])
        grad_hidden.add_(torch.ops.aten.sigmoid_backward(grad_active, kept.actives[layer]))
        grad_sum = grad_hidden
        if len(stack.gains) > 0:
            grads.gains[layer].copy_((grad_hidden * kept.normals[layer]).sum())
            grads.offsets[layer].copy_(grad_hidden.sum())
            grad_sum, _weight, _bias = torch.ops.aten.native_layer_norm_backward(
                grad_hidden * stack.gains[layer],
                kept.sums[layer],
                [grad_hidden.size(1)],
                kept.centres[layer],
                kept.spreads[layer],
                None,
                None,
                [True, False, False],
            )
        torch.mm(grad_sum.t(), kept.inputs[layer], out=grads.weights[layer])
        torch.sum(grad_sum, [0], out=grads.biases[layer])
        if layer > 0:
            grad_active = torch.mm(grad_sum, stack.weights[layer])


def gradients(
    images: Tensor, labels: Tensor, stack: Stack, grads: Stack, dropout: float, l2_reg: float
) -> Tuple[Tensor, Tensor]:
    """Fill `grads` for one batch; returns its loss with the penalty, float32 (), and its hits, int64 ().

    Args:
        images: float32 (B, features).
        labels: int64 (B,).
        stack: parameters.
        grads: their gradients, written over.
        dropout: share of activations dropped.
        l2_reg: penalty ``l2_reg * sum(w ** 2)`` on weights and gains.
    """
    kept = Kept([], [], [], [], [], [], [])
    logits = forward(images, stack, kept, dropout)
    logs = torch.log_softmax(logits, 1)
    loss = torch.nn.functional.nll_loss(logs, labels)
    grad = torch.exp(logs)
    rows = labels.unsqueeze(1)
    grad.scatter_add_(1, rows, torch.full_like(rows, -1, dtype=torch.float32))
    grad.div_(float(labels.size(0)))
    backward(grad, stack, grads, kept)
    if l2_reg > 0.0:
        for layer in range(len(stack.weights)):
            grads.weights[layer].add_(stack.weights[layer], alpha=2.0 * l2_reg)
            loss = loss + l2_reg * stack.weights[layer].square().sum()
        for layer in range(len(stack.gains)):
            grads.gains[layer].add_(stack.gains[layer], alpha=2.0 * l2_reg)
            loss = loss + l2_reg * stack.gains[layer].square().sum()
    return loss, (logits.argmax(1) == labels).sum()


class Moments(NamedTuple):
    """All numbers of the model and of Adam's state, each list with one flat tensor.

    Attributes:
        parameters, gradients, means, squares: float32 (P,).
        maxima: empty: a form of Adam that is not used.
        counters: float32 (), optimizer steps done.
    """

    parameters: List[Tensor]
    gradients: List[Tensor]
    means: List[Tensor]
    squares: List[Tensor]
    maxima: List[Tensor]
    counters: List[Tensor]


class Rule(NamedTuple):
    """Numbers of the optimizer and the loss; `decoupled` is AdamW's weight decay, else Adam's."""

    decoupled: bool
    beta1: float
    beta2: float
    weight_decay: float
    epsilon: float
    dropout: float
    l2_reg: float


def steps(
    images: Tensor,
    labels: Tensor,
    order: Tensor,
    stack: Stack,
    grads: Stack,
    moments: Moments,
    rule: Rule,
    rates: List[float],
    seeds: List[int],
    losses: Tensor,
    correct: Tensor,
) -> None:
    """Run one step for each row of `order`, in place.

    Args:
        images: uint8 (N, features).
        labels: int64 (N,).
        order: int64 (steps, B), pictures of each step.
        stack: views into `moments.parameters`.
        grads: views into `moments.gradients`.
        moments: what the optimizer works on.
        rule: its numbers.
        rates: learning rate of each step.
        seeds: seed of the dropout of each step; read only with dropout.
        losses: float32 (steps,), filled with batch losses.
        correct: int64 (steps,), filled with hits a batch.
    """
    for index in range(order.size(0)):
        if rule.dropout > 0.0:
            torch.manual_seed(seeds[index])
        rows = order[index]
        batch = images.index_select(0, rows).to(torch.float32).mul_(1.0 / 255.0)
        loss, hits = gradients(batch, labels.index_select(0, rows), stack, grads, rule.dropout, rule.l2_reg)
        losses[index] = loss
        correct[index] = hits
        moments.counters[0].add_(1.0)
        if rule.decoupled:
            torch._fused_adamw_(
                moments.parameters,
                moments.gradients,
                moments.means,
                moments.squares,
                moments.maxima,
                moments.counters,
                lr=rates[index],
                beta1=rule.beta1,
                beta2=rule.beta2,
                weight_decay=rule.weight_decay,
                eps=rule.epsilon,
                amsgrad=False,
                maximize=False,
            )
        else:
            torch._fused_adam_(
                moments.parameters,
                moments.gradients,
                moments.means,
                moments.squares,
                moments.maxima,
                moments.counters,
                lr=rates[index],
                beta1=rule.beta1,
                beta2=rule.beta2,
                weight_decay=rule.weight_decay,
                eps=rule.epsilon,
                amsgrad=False,
                maximize=False,
            )
