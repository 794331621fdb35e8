"""Captured steps: they are eager steps, and nothing of the capture shows.

No CUDA device is needed: captures go to a stand-in that records operations as CUDA graphs do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from cifar_tui import events
from cifar_tui.engine import checkpoint, engines, trainer
from cifar_tui.engine import graph as captured
from cifar_tui.engine.graph import LAUNCH_SECONDS, GraphStep, steps_a_launch
from cifar_tui.engine.graph_backend import Uncaptured
from cifar_tui.engine.snapshot import Snapshot

from .conftest import World
from .recorded import RecordedGraphs

MakeWorld = Callable[..., World]
MakeGraph = Callable[..., tuple[World, RecordedGraphs]]


@pytest.fixture
def make_graph(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> MakeGraph:
    """A world whose engine is "graph", on a CPU, and what it captured with."""

    def make(
        preset: str | None = None,
        /,
        *,
        backend: RecordedGraphs | None = None,
        at_once: int = 11,  # an epoch has 11 steps here
        **values: Any,
    ) -> tuple[World, RecordedGraphs]:
        backend = backend or RecordedGraphs()
        with monkeypatch.context() as patch:
            patch.setattr(trainer, "choose", partial(engines.choose, backend=backend))
            patch.setattr(captured, "steps_a_launch", lambda *_: at_once)  # however slow the machine is
            world = make_world(preset, **({"engine": "graph"} | values))
        return world, backend

    return make


def engine_of(world: World) -> GraphStep:
    """The captured engine in a world's ladder."""
    engine = world.trainer._engine._engine
    assert isinstance(engine, GraphStep)
    return engine


def losses(world: World, first: int, count: int, at_once: int = 40) -> list[float]:
    parts = [
        world.trainer._engine.run(step, min(at_once, first + count - step)).losses
        for step in range(first, first + count, at_once)
    ]
    return np.concatenate(parts).tolist()


def prints(world: World) -> str:
    return checkpoint.fingerprint(world.trainer.module, world.trainer.optimizer)


def launches(backend: RecordedGraphs, since: int) -> list[str]:
    return [entry for entry in backend.log[since:] if entry.startswith("launch")]


EQUAL: list[dict[str, Any]] = [
    {},
    {"dropout": 0.3, "l2_reg": 0.01},
    {"norm": "none", "optimizer": "adam", "weight_decay": 0.01},
    {"norm": "batch", "hidden_layers": 3},
    {"optimizer": "sgd", "momentum": 0.9, "nesterov": "true", "learning_rate": 0.01},
    {"schedule": "cosine", "warmup_steps": 20, "min_learning_rate": 1e-6},
    {"flip": "true", "crop": 4, "cutout": 8},
]


@pytest.mark.parametrize("values", EQUAL)
def test_captured_steps_equal_eager_ones(
    make_world: MakeWorld, make_graph: MakeGraph, values: dict[str, Any]
) -> None:
    graph, _backend = make_graph(steps=200, **values)
    eager = make_world(engine="eager", steps=200, **values)
    assert graph.trainer._engine.name == "graph"
    np.testing.assert_allclose(losses(graph, 0, 200), losses(eager, 0, 200), rtol=1e-4)
    for ours, theirs in zip(
        graph.trainer.module.parameters(), eager.trainer.module.parameters(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    rates = [world.trainer.optimizer.param_groups[0]["lr"] for world in (graph, eager)]
    assert rates[0] == pytest.approx(rates[1])


def test_a_captured_convolutional_net_equals_an_eager_one(
    make_world: MakeWorld, make_graph: MakeGraph
) -> None:
    values = {"steps": 30, "dropout": 0.2, "batch_size": 10}
    graph, _backend = make_graph("seed-cnn", at_once=4, **values)
    eager = make_world("seed-cnn", engine="eager", **values)
    np.testing.assert_allclose(losses(graph, 0, 30), losses(eager, 0, 30), rtol=1e-4)
    buffers = zip(graph.trainer.module.buffers(), eager.trainer.module.buffers(), strict=True)
    for ours, theirs in buffers:  # the running statistics of batch normalisation
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("values", [{"norm": "batch", "dropout": 0.2}, {"optimizer": "sgd", "momentum": 0.9}])
def test_the_warm_up_leaves_no_trace(
    make_world: MakeWorld, make_graph: MakeGraph, values: dict[str, Any]
) -> None:
    fresh = make_world(engine="eager", hidden_layers=2, **values)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    graph, backend = make_graph(hidden_layers=2, **values)
    assert backend.log[:2] == ["warm up", "capture 0"]
    assert torch.equal(torch.get_rng_state(), before)
    assert checkpoint.model_bytes(graph.trainer.module) == checkpoint.model_bytes(fresh.trainer.module)
    states = [state for state in graph.trainer.optimizer.state.values() if state]
    assert states  # they lie where the capture has them, and are what they are at the start
    for state in states:
        for value in state.values():
            assert not isinstance(value, torch.Tensor) or not value.any()


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_k_steps_in_one_launch_are_k_launches_of_one(make_graph: MakeGraph, dropout: float) -> None:
    many, _backend = make_graph(steps=40, dropout=dropout)
    single, _backend = make_graph(steps=40, dropout=dropout)
    assert engine_of(many).steps_per_launch == 11
    engine_of(single).steps_per_launch = 1
    assert losses(many, 0, 33) == losses(single, 0, 33)
    assert prints(many) == prints(single)


def test_what_a_launch_does_not_cover_runs_in_launches_of_one(make_graph: MakeGraph) -> None:
    world, backend = make_graph(steps=40)
    since = len(backend.log)
    losses(world, 0, 25)
    assert launches(backend, since) == ["launch 1"] * 2 + ["launch 0"] * 3


def test_a_launch_may_begin_in_one_epoch_and_end_in_the_next(
    make_world: MakeWorld, make_graph: MakeGraph
) -> None:
    world, _backend = make_graph(steps=40)
    eager = make_world(engine="eager", steps=40)
    assert losses(world, 0, 5) == pytest.approx(losses(eager, 0, 5))
    assert losses(world, 5, 22) == pytest.approx(losses(eager, 5, 22))


def test_a_new_learning_rate_takes_effect_without_another_capture(
    make_world: MakeWorld, make_graph: MakeGraph
) -> None:
    graph, backend = make_graph(steps=100)
    eager = make_world(engine="eager", steps=100)
    for world in (graph, eager):
        losses(world, 0, 22)
        world.trainer.rate_factor = 50.0
    captures = backend.captures
    assert losses(graph, 22, 44) == pytest.approx(losses(eager, 22, 44), rel=1e-5)
    assert backend.captures == captures
    assert graph.trainer.optimizer.param_groups[0]["lr"] == pytest.approx(50 * 1e-4)


def weight_decay(world: World) -> None:
    world.trainer.optimizer.param_groups[0]["weight_decay"] = 0.5


def moved_weight(world: World) -> None:
    parameter = next(world.trainer.module.parameters())
    parameter.data = parameter.data.clone()


@pytest.mark.parametrize("change", [weight_decay, moved_weight])
def test_a_change_that_a_capture_has_frozen_is_captured_anew(
    make_world: MakeWorld, make_graph: MakeGraph, change: Callable[[World], None]
) -> None:
    graph, _backend = make_graph(steps=100, norm="batch")
    eager = make_world(engine="eager", steps=100, norm="batch")
    for world in (graph, eager):
        losses(world, 0, 15)
        change(world)
    assert losses(graph, 15, 40) == pytest.approx(losses(eager, 15, 40), rel=1e-4)
    assert engine_of(graph).captures == 2
    losses(graph, 55, 11)
    assert engine_of(graph).captures == 2


def test_another_shape_of_pictures_is_captured_anew(make_world: MakeWorld, make_graph: MakeGraph) -> None:
    graph, _backend = make_graph(steps=100)
    split = engine_of(graph)._parts.split
    split.images, split.labels = split.images.repeat(2, 1, 1, 1), split.labels.repeat(2)
    eager = make_world(engine="eager", steps=100)
    assert losses(graph, 0, 11) == pytest.approx(losses(eager, 0, 11))
    assert engine_of(graph).captures == 2


def test_a_step_that_reads_on_the_host_cannot_be_captured_and_falls_to_eager(
    make_world: MakeWorld, make_graph: MakeGraph
) -> None:
    """On a CPU adamax reads its step count, which a stream that captures does not permit."""
    world, _backend = make_graph(steps=30, optimizer="adamax")
    assert world.trainer._engine.name == "eager"
    (note,) = [note for note in world.of(events.Note) if note.id == "W-ENGINE"]
    assert note.text.startswith("engine graph could not be prepared (operation not permitted")
    assert note.text.endswith("engine eager runs instead")
    assert note.values == {"engine": "eager"}
    eager = make_world(steps=30, optimizer="adamax", engine="eager")
    assert losses(world, 0, 30) == losses(eager, 0, 30)
    assert prints(world) == prints(eager)


@pytest.mark.parametrize("failing", [0, 1])
def test_a_failing_capture_falls_to_eager_without_a_trace(
    make_world: MakeWorld, make_graph: MakeGraph, failing: int
) -> None:
    backend = RecordedGraphs(fail=(failing,))
    values = {"steps": 30, "norm": "batch", "dropout": 0.3, "hidden_layers": 3}
    world, _backend = make_graph(backend=backend, **values)
    assert world.trainer.banner()["engine"] == "eager"
    ended = world.trainer.run()
    eager = make_world(engine="eager", **values)
    assert eager.trainer.run().test == ended.test
    assert prints(world) == prints(eager)


def test_a_launch_that_fails_under_way_loses_no_step_and_does_none_twice(
    make_world: MakeWorld, make_graph: MakeGraph
) -> None:
    values = {"steps": 60, "norm": "batch", "dropout": 0.3, "hidden_layers": 3}
    world, backend = make_graph(**values)
    eager = make_world(engine="eager", **values)
    found = losses(world, 0, 25)
    engine = engine_of(world)
    plain, calls = engine._launches[1], [0]

    def second_time() -> None:
        calls[0] += 1
        backend.failing = calls[0] == 2
        plain()

    engine._launches[1] = second_time
    found += losses(world, 25, 25)  # two launches of K, one of one, and then the one that fails
    assert calls[0] == 2
    assert world.trainer._engine.name == "eager"
    assert "launch failed" in next(n for n in world.of(events.Note) if n.id == "W-ENGINE").text
    assert found == pytest.approx(losses(eager, 0, 50), rel=1e-5)


def test_a_capture_that_fails_under_way_goes_on_as_if_nothing_had_been(
    make_world: MakeWorld, make_graph: MakeGraph
) -> None:
    world, backend = make_graph(steps=60, norm="batch")
    eager = make_world(engine="eager", steps=60, norm="batch")
    backend.fail = (2, 3)
    for each in (world, eager):
        losses(each, 0, 20)
        weight_decay(each)
    assert losses(world, 20, 30) == pytest.approx(losses(eager, 20, 30), rel=1e-4)
    assert world.trainer._engine.name == "eager"


@pytest.mark.parametrize(
    ("preset", "values"),
    [
        ("seed-fnn", {"hidden_layers": 3, "dropout": 0.4}),
        ("seed-cnn", {"dropout": 0.5, "batch_size": 10, "at_once": 3}),
        ("seed-fnn", {"optimizer": "sgd", "momentum": 0.9, "hidden_layers": 2}),
    ],
)
def test_a_resumed_training_ends_with_the_same_bits(
    make_graph: MakeGraph, preset: str, values: dict[str, Any]
) -> None:
    whole, _backend = make_graph(preset, steps=25, **values)
    whole.trainer.run()
    for stop_at in (0, 7, 11, 24):
        first, _backend = make_graph(preset, steps=25, **values)
        if stop_at:
            first.trainer._account(first.trainer._engine.run(0, stop_at), 0.01)
        second, _backend = make_graph(preset, steps=25, **values)
        losses(second, 0, 3)  # what it had before counts for nothing
        second.trainer.restore(stop_at, first.trainer.state(), first.trainer._files(), "test")
        second.trainer.run()
        assert prints(second) == prints(whole)
        assert second.trainer.metrics == whole.trainer.metrics


def test_a_training_saves_evaluates_and_stops_at_its_target(
    make_world: MakeWorld, make_graph: MakeGraph
) -> None:
    values = {"steps": 40, "evaluate": "steps", "evaluate_every": 15, "checkpoint_seconds": 0.001}
    world, _backend = make_graph(**values)
    eager = make_world(engine="eager", **values)
    ended, other = world.trainer.run(), eager.trainer.run()
    assert (ended.state, ended.step, ended.test) == ("done", 40, other.test)
    assert [e.step for e in world.of(events.Evaluation) if e.split == "test"] == [15, 30, 40]
    assert world.trainer.state()["engine"] == "graph"
    assert next(e.phase for e in world.of(events.Phase)) == "compile"


def test_evaluation_is_captured_and_reads_the_weights_of_the_moment(
    make_world: MakeWorld, make_graph: MakeGraph
) -> None:
    world, backend = make_graph(steps=60, norm="batch", eval_batch_size=30)  # the test split has 60
    eager = make_world(engine="eager", steps=60, norm="batch", eval_batch_size=30)
    captures = backend.captures
    for step in (0, 20, 40):
        for each in (world, eager):
            each.trainer._engine.run(step, 20)
            each.trainer.rounds.run(step, 0.0, final=False)
        assert world.trainer.rounds.last["test"] == pytest.approx(eager.trainer.rounds.last["test"], rel=1e-5)
    assert backend.captures == captures + 2  # batches of 30, and the rest of the training split


def test_an_evaluation_that_cannot_be_captured_runs_and_says_so(make_graph: MakeGraph) -> None:
    world, backend = make_graph(steps=10, eval_batch_size=30)
    backend.fail = tuple(range(2, 20))
    ended = world.trainer.run()
    assert ended.test is not None
    (note,) = [note for note in world.of(events.Note) if note.id == "W-ENGINE"]
    assert note.text.startswith("evaluation could not be captured")
    assert world.trainer._engine.name == "graph"


def test_steps_of_a_launch_divide_the_epoch_and_last_no_longer_than_a_control_may_wait() -> None:
    assert steps_a_launch(1000, 1e-4) == 50
    assert steps_a_launch(1000, 0.001) == 25
    assert steps_a_launch(997, 1e-4) == 50  # a prime: nothing divides it
    assert steps_a_launch(30, 1e-6) == 30
    assert steps_a_launch(1000, 0.5) == 1
    for seconds in (1e-5, 3e-4, 0.002, 0.007, 0.02):
        for epoch in (1, 11, 780, 1000, 1562):
            count = steps_a_launch(epoch, seconds)
            assert 1 <= count <= 50
            assert count == 1 or count * seconds <= LAUNCH_SECONDS


def test_the_trainer_asks_for_whole_launches(make_graph: MakeGraph) -> None:
    world, _backend = make_graph(steps=1000)
    engine_of(world).steps_per_launch = 11
    world.trainer.times.add(np.full(100, 0.001), 0.1)
    assert world.trainer._chunk_size() % 11 == 0


def test_without_a_capture_a_launch_runs_the_function() -> None:
    calls: list[int] = []
    backend = Uncaptured(torch.device("cpu"))
    launch = backend.capture(lambda: calls.append(1))
    assert not calls
    launch()
    backend.warm_up(launch, 3)
    backend.wait()
    assert len(calls) == 4


def test_a_snapshot_puts_back_what_it_took_and_clears_what_came_later(make_world: MakeWorld) -> None:
    world = make_world(engine="eager", norm="batch")
    module, optimizer = world.trainer.module, world.trainer.optimizer
    kept = Snapshot(module, optimizer)
    addresses = [parameter.data_ptr() for parameter in module.parameters()]
    before = prints(world)
    found = losses(world, 0, 5)
    kept.restore()
    assert [parameter.data_ptr() for parameter in module.parameters()] == addresses
    assert losses(world, 0, 5) == found
    kept.take()
    later = prints(world)
    assert later != before
    losses(world, 5, 5)
    kept.restore()
    assert prints(world) == later
