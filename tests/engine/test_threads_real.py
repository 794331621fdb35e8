"""Thread counts with real steps: a probe without a trace, a change that is recorded, a busy neighbour."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from cifar_tui import events
from cifar_tui.engine.control import Control
from cifar_tui.engine.device import Device, usable_cores
from cifar_tui.engine.threads import (
    OTHERS,
    Finding,
    OtherPrograms,
    ThreadKeeper,
    ThreadPolicy,
)
from cifar_tui.engine.trainer import Trainer, TrainingData
from cifar_tui.engine.tuning import Tuner
from cifar_tui.recipe import resolve

from .conftest import World

MakeWorld = Callable[..., World]


def probed(world: World) -> Tuner:
    """The trainer's tuner, as a policy of measuring would have made it."""
    world.trainer.tuner._policy = ThreadPolicy(probe=True, watch=True)
    world.trainer.tuner.keeper.counts = (1, 2)
    world.trainer.tuner.probe_seconds = 2.0  # the first steps of a process take long
    return world.trainer.tuner


@pytest.mark.parametrize(
    ("preset", "values"),
    [
        ("seed-fnn", {}),
        ("seed-fnn", {"engine": "eager", "dropout": 0.5, "optimizer": "sgd", "momentum": 0.9}),
        ("seed-cnn", {"dropout": 0.2}),
    ],
)
def test_a_probe_leaves_no_trace(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, preset: str, values: dict[str, Any]
) -> None:
    one = "cifar_tui.engine.tuning.pick"
    monkeypatch.setattr(one, lambda rates, _margin: min(rates))  # as many as `fixed` has
    fixed, auto = (make_world(preset, steps=25, **values) for _ in range(2))
    files, random = auto.trainer._files(), torch.get_rng_state()
    rate = auto.trainer.optimizer.param_groups[0]["lr"]
    tuner = probed(auto)
    auto.trainer.target = 10**6  # a training worth a measurement
    auto.trainer.choose_threads()
    auto.trainer.target = 25
    assert tuner._found is not None
    assert set(tuner._found.rates) == {1, 2}
    assert auto.trainer._files() == files
    assert torch.equal(torch.get_rng_state(), random)
    assert auto.trainer.optimizer.param_groups[0]["lr"] == rate
    fixed.trainer.run()
    torch.set_num_threads(1)
    auto.trainer.run()
    assert auto.trainer._files() == fixed.trainer._files()
    note = next(note for note in auto.of(events.Note) if note.id == "I-THREADS")
    assert note.values["threads"] == 1
    assert set(note.values["rates"]) == {"1", "2"}
    assert auto.sink.newest()[2]["threads"] == 1


def test_a_change_under_way_is_told_and_recorded(make_world: MakeWorld) -> None:
    world = make_world(steps=10**6, checkpoint_seconds=0.05)
    tuner = world.trainer.tuner
    tuner.keeper = ThreadKeeper(1, (1, 2), watch=True, apply=lambda _count: None)
    counts = itertools.count()
    after = tuner.keeper.after

    def slow_at_first(steps: int, wall: float) -> Finding | None:
        """As if one thread had collapsed after a while, and two had not."""
        late = next(counts) > 20
        rate = 100.0 if late and tuner.keeper.count == 1 else 1000.0
        finding = after(steps, steps / rate)
        if finding is not None:
            world.control.stop()
        return finding

    tuner.keeper.after = slow_at_first  # type: ignore[method-assign]
    world.trainer.run()
    note = next(note for note in world.of(events.Note) if note.id == "W-THREADS")
    assert (note.level, note.values["before"], note.values["threads"]) == ("warning", 1, 2)
    assert world.trainer.device.threads == 2
    assert world.sink.newest()[2]["threads"] == 2
    assert world.sink.newest()[2]["device"]["threads"] == 2
    assert world.sink.newest()[2]["threads_settled"] is False


TRIES = 3
ABOVE_A_COLLAPSE = 1 / 3  # two threads that wait for each other beside a stranger fall to a quarter


def busy_process() -> subprocess.Popen[bytes]:
    """A stranger that spins on one core."""
    core = min(os.sched_getaffinity(0))
    program = f"import os\nos.sched_setaffinity(0, {{{core}}})\nprint(flush=True)\nwhile True: pass"
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    return child


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.xdist_group("alone")
@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or usable_cores() < 2, reason="needs Linux and two cores"
)
@pytest.mark.parametrize("preset", ["seed-fnn", "seed-cnn"])
def test_beside_a_busy_process_the_rate_falls_by_no_more_than_half(preset: str) -> None:
    import numpy as np

    from .conftest import NAMES, make_split

    data = TrainingData(make_split("train", 2000, 1), make_split("test", 50, 2), None, NAMES, "f" * 64)
    config = resolve(preset=preset, flags={"steps": "1000000", "evaluate": "end"}).config
    seen: list[events.Event] = []
    control = Control()

    def train() -> None:
        torch.set_num_threads(usable_cores())
        device = Device(torch.device("cpu"), "test", 1 << 30, usable_cores())
        policy = ThreadPolicy(probe=True, watch=True)
        trainer = Trainer(config, data, device, emit=seen.append, control=control, threads=policy)
        trainer.choose_threads()
        trainer.run()

    def rate(seconds: float) -> float:
        """Median over windows of half a second, from the progress events."""
        begin, windows = time.monotonic(), []
        while time.monotonic() - begin < seconds:
            points = [event for event in seen if isinstance(event, events.Progress)]
            first = points[-1] if points else None
            time.sleep(0.5)
            last = [event for event in seen if isinstance(event, events.Progress)][-1]
            if first is not None and last.seconds > first.seconds:
                windows.append((last.step - first.step) / (last.seconds - first.seconds))
        return float(np.median(windows))

    thread = threading.Thread(target=train, daemon=True)
    thread.start()
    try:
        limit = time.monotonic() + 60
        while not any(isinstance(event, events.Progress) for event in seen):
            assert time.monotonic() < limit
            time.sleep(0.05)
        time.sleep(1.0)
        fall, said = 0.0, []
        for _ in range(TRIES):  # where yet others come and go, the two rates are not of the same machine
            others = OtherPrograms()
            alone = rate(4.0)
            before = others.cores()
            stranger = busy_process()
            try:
                time.sleep(4.0)
                others = OtherPrograms()
                beside = rate(5.0)
                busy = max(before, others.cores() - 1.0)
            finally:
                stranger.kill()
                stranger.communicate()
            fall = beside / alone
            said.append(
                f"alone {alone:.0f}, beside {beside:.0f} steps/s, {fall:.2f}, others {busy:.1f} cores"
            )
            if fall >= 0.5 or (busy > OTHERS and fall >= ABOVE_A_COLLAPSE):
                break
    finally:
        control.kill()
        thread.join(30)
    said += [event.text for event in seen if isinstance(event, events.Note)]
    print(preset, *said, sep="\n")
    assert fall >= (0.5 if busy <= OTHERS else ABOVE_A_COLLAPSE), said
