"""Compiled steps: eager ones in number, compiled once, and left for eager ones where that fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from cifar_tui import events
from cifar_tui.engine import checkpoint, compiled, graph_body
from cifar_tui.engine.compiled import CompiledForward

from .conftest import World

MakeWorld = Callable[..., World]


class FakeCompiler:
    """Stands for `torch.compile`: hands back the function and keeps count."""

    def __init__(self, error: str = "") -> None:
        self.error = error
        self.threads: list[int] = []
        self.busy = 0
        self.most_busy = 0

    def __call__(self, function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        assert function is graph_body.forward
        self.options = options

        def first(*args: Any) -> Any:
            self.threads.append(threading.get_ident())
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
            try:
                if self.error:
                    raise RuntimeError(self.error)
                return function(*args)
            finally:
                self.busy -= 1

        return first


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> FakeCompiler:
    fake = FakeCompiler()
    monkeypatch.setattr(torch, "compile", fake)
    monkeypatch.setattr(compiled, "_options", lambda: {"triton.cudagraphs": False})
    return fake


@pytest.mark.parametrize("values", [{}, {"dropout": 0.3, "l2_reg": 0.01}, {"norm": "batch"}])
def test_steps_of_a_compiled_forward_equal_eager_ones(
    make_world: MakeWorld, compiler: FakeCompiler, values: dict[str, Any]
) -> None:
    ours = make_world(engine="compiled", steps=60, **values).trainer
    eager = make_world(engine="eager", steps=60, **values).trainer
    assert ours._engine.name == "compiled"
    np.testing.assert_allclose(ours._engine.run(0, 60).losses, eager._engine.run(0, 60).losses, rtol=1e-4)
    assert checkpoint.fingerprint(ours.module, ours.optimizer) == checkpoint.fingerprint(
        eager.module, eager.optimizer
    )


def test_the_compilers_own_graphs_are_off(make_world: MakeWorld, compiler: FakeCompiler) -> None:
    make_world(engine="compiled")
    assert compiler.options["options"]["triton.cudagraphs"] is False
    assert compiler.options["dynamic"] is False


def test_a_compiler_that_fails_leaves_eager_steps_and_a_note(
    make_world: MakeWorld, compiler: FakeCompiler
) -> None:
    compiler.error = "Failed to find C compiler"
    world = make_world(engine="compiled", steps=10, norm="batch", dropout=0.2)
    ended = world.trainer.run()
    (note,) = [note for note in world.of(events.Note) if note.id == "W-ENGINE"]
    assert note.text == (
        "engine compiled could not be prepared (Failed to find C compiler): engine eager runs instead"
    )
    assert ended.state == "done"
    eager = make_world(engine="eager", steps=10, norm="batch", dropout=0.2)
    assert eager.trainer.run().test == ended.test


def test_a_compiler_that_fails_under_way_loses_nothing(make_world: MakeWorld, compiler: FakeCompiler) -> None:
    values: dict[str, Any] = {"steps": 60, "norm": "batch", "dropout": 0.2}
    world = make_world(engine="compiled", **values)
    eager = make_world(engine="eager", **values).trainer
    found = [world.trainer._engine.run(0, 20).losses]
    compiler.error = "recompile limit reached"
    found.append(world.trainer._engine.run(20, 20).losses)
    assert world.trainer._engine.name == "eager"
    np.testing.assert_allclose(np.concatenate(found), eager._engine.run(0, 40).losses, rtol=1e-5)
    assert any("recompile limit reached" in note.text for note in world.of(events.Note))


def test_on_a_cpu_compiled_steps_come_with_a_warning_of_their_cost(
    make_world: MakeWorld, compiler: FakeCompiler
) -> None:
    world = make_world(engine="compiled", steps=2)
    world.trainer.run()
    (note,) = [note for note in world.of(events.Note) if note.id == "I-ENGINE"]
    assert "half a minute" in note.text
    assert [event.text for event in world.of(events.Phase) if event.phase == "compile"] == ["compiled"]


def test_two_trainings_never_compile_at_the_same_time() -> None:
    compiler = FakeCompiler()
    barrier = threading.Barrier(3)
    images, labels = torch.zeros((4, 32, 32, 3), dtype=torch.uint8), torch.zeros(4, dtype=torch.int64)
    numbers = torch.arange(2)

    def train() -> None:
        module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 10))
        forward = CompiledForward(compiler)
        barrier.wait()
        forward(module, images, labels, numbers)

    threads = [threading.Thread(target=train) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(set(compiler.threads)) == 3
    assert compiler.most_busy == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")  # of the compiler, which speaks to those who write models
def test_really_compiled_steps_equal_eager_ones_and_resume_with_the_same_bits(make_world: MakeWorld) -> None:
    values: dict[str, Any] = {"steps": 200, "dropout": 0.2, "hidden_layers": 2}
    world = make_world(engine="compiled", **values)
    notes = [note.text for note in world.of(events.Note) if note.id == "W-ENGINE"]
    if notes and "ompiler" in notes[0]:
        pytest.skip(f"no compiler on this machine: {notes[0]}")
    assert world.trainer._engine.name == "compiled", notes
    whole, eager = world.trainer, make_world(engine="eager", **values).trainer
    found = np.concatenate([whole._engine.run(first, 50).losses for first in range(0, 200, 50)])
    np.testing.assert_allclose(found, eager._engine.run(0, 200).losses, rtol=1e-4)
    first, second = (make_world(engine="compiled", **values).trainer for _ in range(2))
    first._account(first._engine.run(0, 73), 0.1)
    second.restore(73, first.state(), first._files(), "test")
    second._engine.run(73, 127)
    assert checkpoint.fingerprint(second.module, second.optimizer) == checkpoint.fingerprint(
        whole.module, whole.optimizer
    )
