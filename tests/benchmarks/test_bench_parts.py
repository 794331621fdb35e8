"""What `bench` is made of: fair loops, windows in turn, and parts of a step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cifar_tui.bench import plain, subjects, windows
from cifar_tui.bench.profile import parts_in_order
from cifar_tui.engine.build import build_module
from cifar_tui.recipe import resolve

CPU = torch.device("cpu")


class Clock:
    """Time that only passes where it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class FakeLoop:
    """Takes a fixed time for each step, and remembers who ran."""

    def __init__(self, name: str, clock: Clock, step: float, log: list[str]) -> None:
        self.name, self.clock, self.step, self.log = name, clock, step, log

    def run(self, steps: int) -> NDArray[np.float64]:
        self.clock.now += steps * self.step
        if self.log[-1:] != [self.name]:
            self.log.append(self.name)
        return np.full(steps, self.step)


def test_windows_lie_in_turn_and_give_the_rate_and_the_ratio_of_each_round() -> None:
    clock, log = Clock(), ["start"]
    loops = {
        name: FakeLoop(name, clock, step, log) for name, step in (("a", 0.002), ("b", 0.01), ("c", 0.05))
    }
    taken = windows.interleaved(loops, 3, 0.4, clock=clock)
    turns = log[log.index("c") + 1 :]
    assert turns == ["a", "b", "c", "b", "a", "b", "c"]  # a round forth, one back, one forth
    for name, rate in (("a", 500), ("b", 100), ("c", 20)):
        assert [window.rate for window in taken[name]] == pytest.approx([rate] * 3)
        assert all(window.seconds >= 0.4 for window in taken[name])
    found = windows.ratio([500.0, 250.0, 400.0], [100.0, 100.0, 100.0])
    assert (found["median"], found["min"], found["max"]) == (4.0, 2.5, 5.0)
    said = windows.summary(taken["b"], 50)
    assert said["median_step_us"] == pytest.approx(10_000)
    assert said["images_per_second"] == pytest.approx(5000)


def test_a_loop_slower_than_a_window_still_runs_a_step() -> None:
    clock = Clock()
    window = windows.measure(FakeLoop("slow", clock, 3.0, []), 0.1, 1, clock)
    assert (window.steps, window.seconds) == (1, 3.0)


@pytest.mark.parametrize("preset", ["seed-fnn", "seed-cnn"])
def test_the_plain_model_has_our_numbers_in_the_notebooks_order(preset: str) -> None:
    config = resolve(preset=preset).config.model_copy(update={"dropout": 0.0})
    ours, theirs = build_module(config, 10, CPU), plain.plain_module(config, 10)
    names = [name for name, _layer in theirs.named_modules()]
    if preset == "seed-cnn":
        assert names.index("block_0.relu") < names.index("block_0.pool")
    state = theirs.state_dict()
    assert set(state) == set(ours.state_dict())
    pictures = torch.rand(8, 3, 32, 32)
    if preset == "seed-fnn":  # rows are channel by channel there
        weight = state["dense_0.weight"]
        state["dense_0.weight"] = weight.view(-1, 32, 32, 3).permute(0, 3, 1, 2).flatten(1)
    else:
        weight = state["dense_0.weight"]
        state["dense_0.weight"] = weight.view(-1, 4, 4, 64).permute(0, 3, 1, 2).flatten(1)
    theirs.load_state_dict(state)
    assert torch.allclose(ours(pictures), theirs(pictures), atol=1e-4)


def test_the_plain_optimizer_is_ours_in_its_default_implementation() -> None:
    config = resolve(preset="seed-fnn").config
    loop = plain.PlainLoop(config, subjects.random_split(100), CPU, plain.indexed_batches)
    (group,) = loop.optimizer.param_groups
    assert type(loop.optimizer) is torch.optim.AdamW
    assert (group["lr"], group["weight_decay"], group["eps"]) == (1e-4, 0.004, 1e-7)
    assert not group["fused"]
    assert not group["foreach"]


@pytest.mark.parametrize("name", list(subjects.PLAIN))
def test_the_plain_loops_feed_normalised_pictures_and_learn(name: str) -> None:
    config = resolve(preset="seed-fnn").config.model_copy(update={"learning_rate": 1e-3})
    split = subjects.random_split(100)
    images, labels = next(subjects.PLAIN[name][1](split, 50, CPU))
    assert images.shape == (50, 3, 32, 32)
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert abs(float(images.mean())) < 0.3
    assert 1.0 < float(images.std()) < 1.4  # uniform noise over the deviation of CIFAR
    loop = subjects.plain_subject(name, config, split, CPU).loop
    loop.run(1)
    first = loop.loss
    assert len(loop.run(40)) == 40
    assert loop.loss < first


def test_a_picture_of_the_plain_dataset_is_the_tensor_of_the_float_pictures() -> None:
    split = subjects.random_split(20)
    images, labels = plain.float_pictures(split)
    dataset = plain.PilPictures(split)
    for index in (0, 7, 19):
        picture, label = dataset[index]
        assert torch.allclose(picture, images[index], atol=1e-6)
        assert label == int(labels[index])


@pytest.mark.parametrize("written_by_hand", [False, True])
def test_parts_of_a_step_are_told_for_autograd_and_for_hand_written_steps(written_by_hand: bool) -> None:
    feed = [("aten::index_select", 1.0), ("aten::to", 2.0)]
    if written_by_hand:
        step = [("aten::addmm", 10.0), ("aten::sigmoid", 1.0), ("aten::log_softmax", 1.0)]
        step += [("aten::nll_loss", 2.0), ("aten::exp", 3.0), ("aten::mm", 30.0), ("aten::argmax", 0.5)]
        step += [("aten::eq", 0.5), ("aten::_fused_adamw_", 7.0)]
    else:
        step = [("aten::linear", 11.0), ("aten::sigmoid", 1.0), ("aten::cross_entropy_loss", 2.0)]
        step += [
            ("Optimizer.zero_grad#AdamW.zero_grad", 3.0),
            ("autograd::engine::evaluate_function: M", 30.0),
        ]
        step += [("aten::argmax", 0.5), ("aten::eq", 0.5), ("Optimizer.step#AdamW.step", 7.0)]
    parts: dict[str, float] = {}
    for part, duration in parts_in_order((feed + step) * 3):
        parts[part] = parts.get(part, 0.0) + duration
    assert parts == {"feed": 9.0, "forward": 42.0, "backward": 99.0, "metrics": 3.0, "optimizer": 21.0}


def test_an_engine_that_cannot_run_is_refused_with_its_reason() -> None:
    config = resolve(preset="seed-fnn").config
    found, refused = subjects.engine_subjects(config, subjects.random_split(100), CPU)
    names = [each.name for each in found]
    assert "eager" in names
    assert len(names) == len(set(names))
    assert "CUDA" in refused["graph"]
    losses = []
    for each in found:
        each.loop.run(5)
        losses.append(each.loop.loss)
    assert losses == pytest.approx([losses[0]] * len(losses), rel=1e-4)


def test_the_load_of_others_leaves_out_our_own_work() -> None:
    import os
    import subprocess
    import sys
    import time

    from cifar_tui.bench.load import OtherLoad

    def spin(seconds: float) -> None:
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    watch = OtherLoad([os.getpid()])
    spin(0.3)
    quiet = watch.look()
    program = "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass"
    began = time.perf_counter()
    watch.look()
    subprocess.run([sys.executable, "-c", program], check=True)
    other = watch.look() * (time.perf_counter() - began)
    assert other >= 0.4  # CPU seconds of a process that is not ours
    assert quiet >= 0.0


def test_a_whole_run_is_split_into_parts_that_sum_up_to_it() -> None:
    from tests.benchmarks.whole_run import split, text

    def event(at: float, kind: str, **more: object) -> dict[str, object]:
        return {"at": at, "event": kind, **more}

    seen = [
        event(10.3, "phase", phase="import"),
        event(12.3, "phase", phase="data"),
        event(12.8, "phase", phase="build"),
        event(13.0, "run_started", step=0),
        event(13.0, "save", seconds=0.01, waited=False),
        event(14.0, "evaluation", step=50, seconds=0.2),
        event(15.0, "checkpoint", step=50, seconds=0.05),
        event(18.0, "save", seconds=0.1, waited=True),
        event(19.0, "evaluation", step=100, seconds=0.4),
        event(19.5, "run_ended", step=100, seconds=4.0, steps_per_second=25.0),
    ]
    found = split({"events": seen}, 10.0, 20.0)
    parts = found["parts"]
    assert sum(parts.values()) == pytest.approx(found["total"]) == pytest.approx(10.0)
    assert parts["import of torch"] == pytest.approx(2.0)
    assert (parts["training steps"], parts["evaluations under way"], parts["final evaluation"]) == (
        4.0,
        0.2,
        0.4,
    )
    assert parts["report, charts, exit"] == pytest.approx(0.5)
    assert found["evaluation_share"] == pytest.approx(0.05)
    assert found["checkpoints"] == [0.01]  # the last one is after the training
    assert "5.0% of the steps' time" in text(found)
