"""A model that answers with its norms folded says the same, and is the same afterwards."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cifar_tui.config import RunConfig
from cifar_tui.engine.batches import DeviceSplit
from cifar_tui.engine.evaluation import predict
from cifar_tui.engine.folding import folded
from cifar_tui.models import cnn

from .conftest import make_split


def lived_in(norm: str = "batch") -> nn.Module:
    """A `cnn` whose norms have seen pictures, in evaluation mode."""
    torch.manual_seed(5)
    module = cnn.build(RunConfig(model="cnn", norm=norm), 10)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None and part.running_var is not None
            part.running_mean.normal_()
            part.running_var.uniform_(0.01, 2)
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)
    return module.eval()


def images(count: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, 32, 32, generator=draw).to(memory_format=torch.channels_last)


def norms(module: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in module.modules())


def test_logits_differ_by_rounding_alone() -> None:
    module, pictures = lived_in(), images(64)
    assert norms(module) == 3
    with torch.inference_mode():
        plain = module(pictures)
        with folded(module):
            assert norms(module) == 0
            found = module(pictures)
    assert float((found - plain).abs().max()) < 1e-5 * float(plain.abs().max())


def test_the_model_is_as_before_even_after_an_error() -> None:
    module, pictures = lived_in(), images(8)
    parts = dict(module.named_modules())
    with torch.inference_mode():
        plain = module(pictures)
        with pytest.raises(KeyboardInterrupt), folded(module):
            raise KeyboardInterrupt
        assert dict(module.named_modules()) == parts
        assert torch.equal(module(pictures), plain)


@pytest.mark.parametrize("norm", ["layer", "none"])
def test_other_norms_are_left_alone(norm: str) -> None:
    module = lived_in(norm)
    parts = dict(module.named_modules())
    with folded(module):
        assert dict(module.named_modules()) == parts


def test_an_evaluation_says_the_same_twice_and_trains_on_as_it_was() -> None:
    module, split = lived_in().train(), DeviceSplit(make_split("test", 60, 0), torch.device("cpu"))
    state = {name: value.clone() for name, value in module.state_dict().items()}
    first, second = (predict(module, split, 25) for _ in range(2))
    assert first is not None and second is not None
    assert first.losses.tobytes() == second.losses.tobytes()
    assert module.training and norms(module) == 3
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
