"""Training is faster than the loops of a tutorial, on the same machine in the same run."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import torch

from cifar_tui.bench import subjects, windows
from cifar_tui.engine.device import select
from cifar_tui.recipe import resolve


@pytest.mark.slow
@pytest.mark.benchmark
@pytest.mark.xdist_group("alone")
@pytest.mark.parametrize("preset", ["seed-fnn", "seed-cnn"])
def test_training_beats_a_plain_loop_with_and_without_a_dataloader(
    preset: str, record_property: Callable[[str, object], None]
) -> None:
    # Beside other tests one thread each: a second one that spins for a core which is taken halves every rate.
    place = select("cpu", 1 if "PYTEST_XDIST_WORKER" in os.environ else 0).torch_device
    config = resolve(preset=preset).config
    split = subjects.random_split(5000)
    found = [subjects.subject(name, config, split, place) for name in ("auto", "loader-pil", "index")]
    taken = windows.interleaved({each.name: each.loop for each in found}, 7, 0.3)
    rates = [[window.rate for window in taken[each.name]] for each in found]
    for other, theirs in zip(found[1:], rates[1:], strict=True):
        ratio = windows.ratio(rates[0], theirs)
        said = f"{ratio['median']:.2f} [{ratio['min']:.2f}..{ratio['max']:.2f}]"
        print(f"\n{preset}, {found[0].title} to {other.title}: {said}, {torch.get_num_threads()} threads")
        record_property(other.name, round(ratio["median"], 2))
        assert ratio["median"] > 1.0
