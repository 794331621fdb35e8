"""Dropout that is drawn before a step: what the layers would draw, or a hash that is the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import nn

from cifar_tui.engine.noise import KeyedDropout, Noise, has_dropout, hashed, is_keyed
from cifar_tui.seeds import step_seed

from .conftest import World

MASK = (1 << 64) - 1


def net(share: float = 0.3) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(3072, 8),
        nn.Dropout(share),
        nn.Linear(8, 5),
        nn.Dropout(share),
        nn.Linear(5, 2),
    )


def split_mix(key: int, place: int) -> int:
    """SplitMix64 without its last shift, in Python's integers."""
    z = (key + (place + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    return ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK


def test_the_hash_is_splitmix64() -> None:
    keys = torch.tensor([0, 12345, (1 << 63) - 1])
    golden = 0x9E3779B97F4A7C15 - (1 << 64)
    found = hashed(keys, torch.arange(1, 6) * golden)
    expected = [[split_mix(key, place) for place in range(5)] for key in keys.tolist()]
    assert [[value & MASK for value in row] for row in found.tolist()] == expected


def test_on_a_cpu_the_noise_is_what_the_layers_draw_themselves() -> None:
    module, pictures = net(), torch.rand(6, 3, 32, 32)
    torch.manual_seed(step_seed(4, 9))
    expected = module(pictures)
    noise = Noise(module, 6, 4, steps=3)
    noise.draw(noise.keys(8, 3))
    noise.aim(1)  # step 9
    assert torch.equal(module(pictures), expected)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_the_hash_drops_the_share_that_was_asked_for(share: float) -> None:
    module = net(share)
    noise = Noise(module, 2000, 1, steps=2, hashed=True)
    noise.draw(noise.keys(0, 2))
    layers = [layer for layer in module.modules() if isinstance(layer, KeyedDropout)]
    for layer, width in zip(layers, (8, 5), strict=True):
        assert layer.noise.shape == (2000, width)
        dropped = (layer.noise == 0).double().mean().item()
        assert dropped == pytest.approx(share, abs=0.02)
        kept = layer.noise[layer.noise != 0]
        if share < 1.0:
            torch.testing.assert_close(kept, torch.full_like(kept, 1.0 / (1.0 - share)))


def test_hashed_noise_is_a_function_of_seed_step_and_place_alone() -> None:
    def rows(seed: int, first: int, count: int, steps: int) -> list[torch.Tensor]:
        module = net(0.5)
        noise = Noise(module, 40, seed, steps=steps, hashed=True)
        found = []
        for step in range(first, first + count, steps):
            noise.draw(noise.keys(step, steps))
            for row in range(steps):
                noise.aim(row)
                layers = [layer for layer in module.modules() if isinstance(layer, KeyedDropout)]
                found.append(torch.cat([layer.noise.flatten() for layer in layers]))
        return found

    torch.manual_seed(0)
    one = rows(3, 0, 12, 1)
    torch.rand(100)
    many = rows(3, 0, 12, 4)
    assert all(torch.equal(a, b) for a, b in zip(one, many, strict=True))
    different = [float((a == b).double().mean()) for a, b in pairwise(one)]
    assert all(0.35 < share < 0.65 for share in different)  # independent coins agree half of the time
    assert not torch.equal(rows(4, 0, 1, 1)[0], one[0])


def test_keyed_dropout_is_nothing_in_evaluation_and_has_no_state() -> None:
    module, pictures = net(), torch.rand(3, 3, 32, 32)
    names = list(module.state_dict())
    expected = module.eval()(pictures)
    Noise(module, 3, 0)
    assert torch.equal(module(pictures), expected)
    assert list(module.state_dict()) == names
    assert has_dropout(module)
    assert is_keyed(module)
    assert not is_keyed(net())
    assert not module.training


def test_an_eager_step_with_hashed_noise_does_not_touch_torchs_generator(
    make_world: Callable[..., World],
) -> None:
    trainer = make_world(engine="eager", dropout=0.4).trainer
    engine = trainer._engine
    engine._noise = Noise(trainer.module, 20, 0, hashed=True)
    before = torch.get_rng_state()
    first = engine.run(0, 3).losses
    assert torch.equal(torch.get_rng_state(), before)
    other = make_world(engine="eager", dropout=0.4).trainer
    other._engine._noise = Noise(other.module, 20, 0, hashed=True)
    assert other._engine.run(0, 3).losses.tolist() == first.tolist()
