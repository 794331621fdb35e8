"""The CUDA kernels of the convolutional net, run on a CPU, compute what autograd computes in float64."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cifar_tui.config import RunConfig
from cifar_tui.engine import cuda_cnn
from cifar_tui.engine.cuda_cnn import Body
from cifar_tui.engine.graph_body import Slots
from cifar_tui.engine.noise import KeyedDropout, Noise
from cifar_tui.engine.step import penalised
from cifar_tui.models import cnn

from .cuda_on_cpu import COMPILER, KernelsOnCpu

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler here")
SOURCE = Path(cuda_cnn.__file__).parent / "cuda_code" / cuda_cnn.SOURCE
STEPS = 3
PICTURES = 40

# With this epsilon a gradient that is nothing but rounding, as those of biases before a norm, moves nothing:
# with 1e-7 it moves as much as any other, whichever way it was rounded.
PLAIN: dict[str, Any] = {"model": "cnn", "norm": "batch", "learning_rate": 1e-3, "epsilon": 1e-3}
PRESET = PLAIN | {"hidden_layers": 2, "num_nodes": 64, "batch_size": 5, "l2_reg": 0.01, "dropout": 0.1}
DEEP = PLAIN | {
    "hidden_layers": 3, "num_nodes": 32, "batch_size": 5, "optimizer": "adam", "weight_decay": 0.01,
}  # fmt: skip
CASES: list[tuple[dict[str, Any], int]] = [
    (PRESET, 10),
    (DEEP, 100),
    (PRESET | {"hidden_layers": 1, "batch_size": 2, "num_nodes": 160, "weight_decay": 0.1}, 3),
]


class World:
    """A module with its optimizer, pictures to train on, and the kernels' steps of it."""

    def __init__(self, kernels: KernelsOnCpu, values: dict[str, Any], classes: int) -> None:
        torch.manual_seed(7)
        self.config = config = RunConfig(**values)
        self.module = cnn.build(config, classes).to(memory_format=torch.channels_last)
        with torch.no_grad():
            for layer in self.module.modules():
                if isinstance(
                    layer, nn.BatchNorm1d | nn.BatchNorm2d
                ):  # gains that are not one; some are negative
                    layer.weight.uniform_(-0.3, 1.5)
                    layer.bias.uniform_(-0.5, 0.5)
        self.exact = copy.deepcopy(self.module)
        self.noise: Noise | None = None
        if config.dropout and config.hidden_layers > 1:
            self.noise = Noise(self.exact, config.batch_size, 0, steps=STEPS)
            self.noise.draw(torch.arange(STEPS))
        self.exact.double()
        kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
        options: dict[str, Any] = {"eps": config.epsilon, "weight_decay": config.weight_decay}
        self.optimizer = kind(self.module.parameters(), **options)
        self.exact_optimizer = kind(self.exact.parameters(), **options)
        self.images = torch.randint(0, 256, (PICTURES, 32, 32, 3), dtype=torch.uint8)
        self.images[:, :9, 5:] = 200  # all the same, so that pools have equal numbers to choose from
        self.labels = torch.randint(0, classes, (PICTURES,))
        self.numbers = torch.randint(0, PICTURES, (STEPS, config.batch_size))
        self.rates = torch.tensor([1e-3, 5e-4, 2e-3])
        self.losses, self.hits = torch.zeros(STEPS), torch.zeros(STEPS, dtype=torch.int64)
        slots = Slots(self.images, self.labels, self.numbers, self.rates, self.losses, self.hits)
        parts: Any = SimpleNamespace(
            module=self.module, optimizer=self.optimizer, batch_size=config.batch_size
        )
        self.step = Body(kernels, parts, slots, self.noise)

    def exact_step(self, slot: int) -> tuple[Tensor, int]:
        """Loss and hits of the same step by autograd."""
        batch, width = self.config.batch_size, self.config.num_nodes
        dropouts = [layer for layer in self.exact.modules() if isinstance(layer, KeyedDropout)]
        for index, layer in enumerate(dropouts):
            assert self.noise is not None
            layer.noise = self.noise.rows[slot].view(-1, batch, width)[index].double()
        picked = self.images[self.numbers[slot]].permute(0, 3, 1, 2).double() / 255
        labels = self.labels[self.numbers[slot]]
        logits = self.exact(picked)
        squares = sum(weight.square().sum() for weight in penalised(self.exact))
        loss = functional.cross_entropy(logits, labels) + self.config.l2_reg * squares
        self.exact_optimizer.zero_grad()
        loss.backward()
        for group in self.exact_optimizer.param_groups:
            group["lr"] = float(self.rates[slot])
        self.exact_optimizer.step()
        return loss.detach(), int((logits.argmax(1) == labels).sum())

    def found(self) -> dict[str, Tensor]:
        """All that a step changes."""
        return _all_of(self.module, self.optimizer)

    def assert_exact(self, share: float) -> None:
        """All is as after the same steps by autograd."""
        wanted = _all_of(self.exact, self.exact_optimizer)
        for name, tensor in self.found().items():
            assert_near(tensor, wanted[name], name, share)


def _all_of(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return dict(module.state_dict()) | {
        f"{key} of {name}": state
        for name, parameter in module.named_parameters()
        for key, state in optimizer.state[parameter].items()
    }


def assert_near(found: Tensor, wanted: Tensor, name: str, share: float) -> None:
    """Within a share of the largest number; or both are nothing but rounding."""
    rounding = 1e-11 if name.startswith("exp_avg_sq") else 1e-6
    limit = share * float(wanted.abs().max()) + rounding
    worst = float((found.double() - wanted.double()).abs().max())
    assert worst <= limit, f"{name}: {worst} of {limit}"


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> tuple[KernelsOnCpu, dict[str, Any], int]:
    values, classes = request.param
    return KernelsOnCpu(SOURCE, cuda_cnn.macros(RunConfig(**values), classes)), values, classes


def test_the_gradients_of_a_step_are_exact(case: tuple[KernelsOnCpu, dict[str, Any], int]) -> None:
    world = World(*case)
    loss, hits = world.exact_step(0)
    world.step(0)
    assert float(world.losses[0]) == pytest.approx(float(loss), rel=1e-5)
    assert int(world.hits[0]) == hits
    world.assert_exact(1e-4)


def test_three_steps_are_exact(case: tuple[KernelsOnCpu, dict[str, Any], int]) -> None:
    world = World(*case)
    for slot in range(STEPS):
        loss, hits = world.exact_step(slot)
        world.step(slot)
        assert float(world.losses[slot]) == pytest.approx(float(loss), rel=1e-4)
        assert int(world.hits[slot]) == hits
    world.assert_exact(1e-3)


def test_the_bits_are_the_same_again(case: tuple[KernelsOnCpu, dict[str, Any], int]) -> None:
    worlds = [World(*case) for _ in range(2)]
    for world in worlds:
        world.step(0)
        world.step(1)
    one, other = (world.found() for world in worlds)
    assert worlds[0].losses.tolist() == worlds[1].losses.tolist()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_loss_that_is_no_number_is_told_as_such(case: tuple[KernelsOnCpu, dict[str, Any], int]) -> None:
    world = World(*case)
    with torch.no_grad():
        next(world.module.parameters())[0, 0] = float("nan")
    world.step(0)
    assert torch.isnan(world.losses[0])


@pytest.mark.parametrize(("batch", "width"), [(50, 128), (131, 32)])
def test_larger_batches_are_exact(batch: int, width: int) -> None:
    values = PRESET | {"num_nodes": width, "batch_size": batch}
    world = World(KernelsOnCpu(SOURCE, cuda_cnn.macros(RunConfig(**values), 10)), values, 10)
    loss, hits = world.exact_step(0)
    world.step(0)
    assert float(world.losses[0]) == pytest.approx(float(loss), rel=1e-5)
    assert int(world.hits[0]) == hits
    world.assert_exact(1e-4)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, None),
        ({"norm": "layer"}, "it has no layer norm for cnn, only batch"),
        ({"conv_norm": "none"}, "it has no none norm for cnn, only batch"),
        ({"num_nodes": 100}, "it wants num_nodes of 32, 64, ..., not 100"),
        ({"hidden_layers": 25}, "it has at most 24 hidden layers for cnn, not 25"),
        ({"batch_size": 1}, "one picture has no deviation to norm by"),
    ],
)
def test_what_it_cannot_do_is_said(values: dict[str, Any], reason: str | None) -> None:
    assert cuda_cnn.why_not(RunConfig(**(PRESET | values))) == reason
