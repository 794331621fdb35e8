"""Checkpoints go to a slow disk while the training goes on, and none is told before it is there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from cifar_tui import events
from cifar_tui.engine import checkpoint
from cifar_tui.engine.saving import Saver
from cifar_tui.errors import DamagedError, StorageError

from .conftest import World

MakeWorld = Callable[..., World]
FILES = {"model.safetensors": b"x" * 10}


class GatedSink:
    """A disk that writes only while the gate is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.on_disk: list[int] = []
        self.at_once = 0
        self.most_at_once = 0
        self.error: Exception | None = None

    def save(
        self, step: int, files: Mapping[str, bytes], manifest: dict[str, Any], *, best: bool = False
    ) -> Any:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        assert self.gate.wait(20)
        self.at_once -= 1
        if self.error is not None:
            raise self.error
        self.on_disk.append(step)
        self.manifest = manifest
        return SimpleNamespace(name=f"step-{step:09d}")


def make(sink: GatedSink) -> tuple[Saver, list[events.Event]]:
    seen: list[events.Event] = []
    return Saver(sink, 1e-9, seen.append, time.monotonic), seen


def wait_until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.002)


def test_a_checkpoint_is_told_only_when_it_is_on_the_disk() -> None:
    sink = GatedSink()
    saver, seen = make(sink)
    with saver:
        assert saver.save(5, lambda: FILES, {}, "interval", None)
        saver.poll()
        assert saver.busy
        assert (saver.saved_at, seen) == (-1, [])
        assert not saver.due(6)  # one at a time
        sink.gate.set()
        wait_until(lambda: bool(sink.on_disk))
        saver.settle()
    assert saver.saved_at == 5
    (event,) = seen
    assert isinstance(event, events.Checkpoint)
    assert (event.step, event.bytes, event.reason) == (5, 10, "interval")


def test_a_save_that_waits_returns_when_it_is_on_the_disk() -> None:
    sink = GatedSink()
    saver, seen = make(sink)
    threading.Timer(0.05, sink.gate.set).start()
    with saver:
        saver.save(5, lambda: FILES, {}, "interval", None)
        assert saver.save(7, lambda: FILES, {}, "end", None, wait=True)
        assert sink.on_disk == [5, 7]
    assert sink.most_at_once == 1
    assert [event.step for event in seen if isinstance(event, events.Checkpoint)] == [5, 7]


def test_what_the_training_changes_later_is_not_in_the_checkpoint() -> None:
    sink = GatedSink()
    saver, _seen = make(sink)
    state = {"last": {"test": {"accuracy": 0.5}}}
    with saver:
        saver.save(5, lambda: FILES, state, "interval", None)
        state["last"]["test"] = {"accuracy": 0.7}
        sink.gate.set()
    assert sink.manifest == {"last": {"test": {"accuracy": 0.5}}}


def test_a_refused_checkpoint_is_noted_and_tried_again_later() -> None:
    sink = GatedSink()
    sink.gate.set()
    sink.error = StorageError("no space left")
    saver, seen = make(sink)
    with saver:
        saver.save(5, lambda: FILES, {}, "interval", None)
        saver.settle()
        assert saver.saved_at == -1
        assert saver.failure is sink.error
        (note,) = seen
        assert isinstance(note, events.Note)
        assert (note.step, note.text) == (5, "checkpoint not written: no space left; training goes on")
        sink.error = None
        assert saver.due(6)
        assert saver.save(6, lambda: FILES, {}, "interval", None, wait=True)
    assert saver.failure is None


def test_an_error_that_is_not_the_disks_ends_the_training() -> None:
    sink = GatedSink()
    sink.gate.set()
    sink.error = DamagedError("the folder is a link")
    saver, _seen = make(sink)
    with pytest.raises(DamagedError), saver:
        saver.save(5, lambda: FILES, {}, "interval", None)


def test_an_error_of_the_training_is_not_hidden_by_one_of_the_disk() -> None:
    sink = GatedSink()
    sink.gate.set()
    sink.error = DamagedError("the folder is a link")
    saver, _seen = make(sink)
    with pytest.raises(MemoryError), saver:
        saver.save(5, lambda: FILES, {}, "interval", None)
        raise MemoryError


def test_a_slow_disk_does_not_hold_the_steps(make_world: MakeWorld) -> None:
    world = make_world(steps=10**6, checkpoint_seconds=0.05)
    sink = GatedSink()
    world.trainer._saver._sink = sink
    thread = threading.Thread(target=world.trainer.run, daemon=True)
    thread.start()
    wait_until(lambda: sink.at_once == 1 and world.trainer.step > 3)
    before = world.trainer.step
    time.sleep(0.3)  # the disk does nothing meanwhile
    assert world.trainer.step > before
    assert (sink.on_disk, sink.most_at_once) == ([], 1)
    assert not world.of(events.Checkpoint)
    world.control.checkpoint_now()
    world.control.stop()
    time.sleep(0.1)
    assert thread.is_alive()  # a stop waits for the disk
    sink.gate.set()
    thread.join(20)
    assert not thread.is_alive()
    assert sink.on_disk[0] == 0
    assert sink.on_disk[-1] == world.trainer.step
    assert [event.step for event in world.of(events.Checkpoint)] == sink.on_disk
    assert sink.most_at_once == 1


def test_a_kill_lets_a_checkpoint_on_its_way_arrive(make_world: MakeWorld) -> None:
    world = make_world(steps=10**6)
    sink = GatedSink()
    world.trainer._saver._sink = sink
    thread = threading.Thread(target=world.trainer.run, daemon=True)
    thread.start()
    wait_until(lambda: world.trainer.step > 3)
    world.control.kill()
    sink.gate.set()
    thread.join(20)
    assert sink.on_disk == [0]
    assert [event.step for event in world.of(events.Checkpoint)] == [0]


def test_a_checkpoint_blocks_the_steps_for_a_moment_only(make_world: MakeWorld) -> None:
    world = make_world("seed-fnn", steps=10, num_nodes=128, hidden_layers=8)
    world.trainer.run()
    times = []
    for _ in range(7):
        began = time.perf_counter()
        world.trainer._save("interval")
        times.append(time.perf_counter() - began)
        world.trainer._saver.settle()
    assert sorted(times)[3] < 0.05  # 4 ms on a quiet machine; 20 ms by design


def test_a_checkpoint_holds_the_state_of_its_step_though_it_is_made_later(make_world: MakeWorld) -> None:
    world = make_world("seed-fnn", steps=20)
    trainer = world.trainer
    trainer._engine.run(0, 5)
    wanted, gate, made = trainer._files(), threading.Event(), []
    sink = SimpleNamespace(save=lambda step, files, manifest, *, best=False: made.append(dict(files)))
    saver = Saver(sink, 60.0, lambda _event: None, time.monotonic)
    files = checkpoint.copies(trainer.module, trainer.optimizer)

    def late() -> dict[str, bytes]:
        gate.wait(20)
        return files()

    with saver:
        assert saver.save(5, late, {}, "interval", None)
        trainer._engine.run(5, 5)
        gate.set()
        saver.settle()
    assert made == [wanted]
    assert trainer._files() != wanted
