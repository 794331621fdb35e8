"""Whole training steps over flat memory: gather, forward, backward, penalty and optimizer, by hand.

TorchScript can compile `steps`: then a whole chunk of steps is one call that holds no interpreter lock.
Tensors come in lists, since a list built inside a script would be a copy to the fused optimizer kernel, which
would then update nothing.
"""

# TorchScript reads the annotations, so they are real, and spelled as it wants them.
# ruff: noqa: UP006, UP035

from typing import List, NamedTuple

import torch
from torch import Tensor

from cifar_tui.engine import conv_stack, dense_stack
from cifar_tui.engine.conv_stack import Front, FrontKept
from cifar_tui.engine.dense_stack import Kept, Shape, Stack


class Network(NamedTuple):
    """A front of convolutions, which may be empty, and a dense stack; parameters or their gradients."""

    front: Front
    stack: Stack


class Moments(NamedTuple):
    """All numbers of the model and of Adam's state; two flat tensors a list.

    The second tensor is the weight of the first dense layer, the first one is all the rest, where those that
    the penalty is on come first.

    Attributes:
        parameters, gradients, means, squares: float32 (P,) and (outputs, inputs).
        maxima: empty: a form of Adam that is not used.
        counters: float32 (), optimizer steps done; twice the same tensor.
    """

    parameters: List[Tensor]
    gradients: List[Tensor]
    means: List[Tensor]
    squares: List[Tensor]
    maxima: List[Tensor]
    counters: List[Tensor]


class Rule(NamedTuple):
    """Numbers of the optimizer and the loss.

    Attributes:
        decoupled: AdamW's weight decay, else Adam's.
        l2_reg: penalty ``l2_reg * sum(w ** 2)`` on the first dense weight and on the first `penalised`
            numbers of all the rest.
        classes: how many there are.
    """

    decoupled: bool
    beta1: float
    beta2: float
    weight_decay: float
    epsilon: float
    l2_reg: float
    penalised: int
    classes: int


def gradients(batch: Tensor, targets: Tensor, network: Network, grads: Network, shape: Shape) -> Tensor:
    """Fill `grads` for one batch, without the penalty; returns the logits (B, classes).

    Args:
        batch: float32 (B, height, width, channels).
        targets: float32 (B, classes), 1 at the label.
        network: parameters.
        grads: their gradients, written over, see `dense_stack.backward`.
        shape: of the dense stack.
    """
    stack = network.stack
    kept = Kept([], [], [], [], [], [])
    seen = FrontKept([], [], [], [], [])
    has_front = len(network.front.weights) > 0
    if has_front:
        rows = conv_stack.forward(batch.permute(0, 3, 1, 2), network.front, seen)
    else:
        rows = batch.flatten(1)
    gains = dense_stack.norm_rows(shape.norm, len(stack.weights) - 1, stack.weights[0].size(0), stack.gains)
    logits = dense_stack.forward(rows, stack, gains, kept, shape)
    grad = torch.softmax(logits, 1).sub_(targets).mul_(1.0 / batch.size(0))
    grad_rows = dense_stack.backward(grad, stack, gains, grads.stack, kept, shape, has_front)
    if has_front:
        conv_stack.backward(grad_rows, network.front, grads.front, seen)
    return logits


def add_penalty(moments: Moments, rule: Rule) -> Tensor:
    """Add the gradient of the penalty; returns its value, float32 ()."""
    rest = moments.parameters[0].narrow(0, 0, rule.penalised)
    first = moments.parameters[1].view(-1)
    moments.gradients[0].narrow(0, 0, rule.penalised).add_(rest, alpha=2.0 * rule.l2_reg)
    moments.gradients[1].add_(moments.parameters[1], alpha=2.0 * rule.l2_reg)
    return (torch.dot(rest, rest) + torch.dot(first, first)).mul_(rule.l2_reg)


def optimize(moments: Moments, rule: Rule, rate: float) -> None:
    """One step of Adam or AdamW."""
    moments.counters[0].add_(1.0)
    if rule.decoupled:
        torch._fused_adamw_(
            moments.parameters,
            moments.gradients,
            moments.means,
            moments.squares,
            moments.maxima,
            moments.counters,
            lr=rate,
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
            lr=rate,
            beta1=rule.beta1,
            beta2=rule.beta2,
            weight_decay=rule.weight_decay,
            eps=rule.epsilon,
            amsgrad=False,
            maximize=False,
        )


def steps(
    images: Tensor,
    labels: Tensor,
    order: Tensor,
    network: Network,
    grads: Network,
    moments: Moments,
    rule: Rule,
    shape: Shape,
    rates: List[float],
    seeds: List[int],
    losses: Tensor,
    correct: Tensor,
) -> None:
    """Run one step for each row of `order`, in place.

    Args:
        images: uint8 (N, height, width, channels).
        labels: int64 (N,).
        order: int64 (steps, B), pictures of each step.
        network: views into `moments.parameters`.
        grads: views into `moments.gradients`.
        moments: what the optimizer works on.
        rule: its numbers.
        shape: of the dense stack.
        rates: learning rate of each step.
        seeds: seed of the dropout of each step; read only with dropout.
        losses: float32 (steps,), filled with batch losses, the penalty included.
        correct: int64 (steps,), filled with hits a batch.
    """
    count = order.size(0)
    truth = labels.index_select(0, order.flatten()).view(count, -1)
    targets = torch.nn.functional.one_hot(truth, rule.classes).to(torch.float32)
    logits: List[Tensor] = []
    for index in range(count):
        if shape.dropout > 0.0:
            torch.manual_seed(seeds[index])
        batch = images.index_select(0, order[index]).to(torch.float32).mul_(1.0 / 255.0)
        logits.append(gradients(batch, targets[index], network, grads, shape))
        moments.gradients[1] = grads.stack.weights[0]
        if rule.l2_reg > 0.0:
            losses[index] = add_penalty(moments, rule)
        optimize(moments, rule, rates[index])
    scores = torch.stack(logits)
    logs = torch.log_softmax(scores, 2).gather(2, truth.unsqueeze(2)).squeeze(2)
    if rule.l2_reg > 0.0:
        losses.sub_(logs.mean(1))
    else:
        torch.neg(logs.mean(1), out=losses)
    correct.copy_((scores.argmax(2) == truth).sum(1))
