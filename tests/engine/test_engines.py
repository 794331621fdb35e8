"""Which engine runs: the one asked for, the fastest that can, or the next one, which is always said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from torch import nn

from cifar_tui import events
from cifar_tui.config import RunConfig
from cifar_tui.engine import engines, fused, native_build
from cifar_tui.engine.ladder import Ladder, Rung, failure_text
from cifar_tui.engine.step import ChunkResult
from cifar_tui.errors import UsageError

from .conftest import World

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda"), torch.device("mps")
NATIVE = ("native",) if native_build.can_compile() else ()
MakeWorld = Callable[..., World]


@pytest.mark.parametrize(
    ("engine", "device", "steps", "expected"),
    [
        ("auto", CPU, 10**9, (*NATIVE, "fused", "eager")),
        ("auto", CUDA, 10_000, ("graph", "eager")),
        ("auto", CUDA, 1_000_000, ("graph+compiled", "graph", "eager")),
        ("auto", MPS, 10_000, ("eager",)),
        ("eager", CUDA, 10_000, ("eager",)),
        ("graph", CUDA, 1_000_000, ("graph", "eager")),
        ("graph+compiled", CUDA, 10, ("graph+compiled", "graph", "eager")),
        ("compiled", CUDA, 10, ("compiled", "eager")),
        ("compiled", CPU, 10, ("compiled", "eager")),
        ("fused", CPU, 10, ("fused",)),
        ("native", CPU, 10, ("native", "fused")),
    ],
)
def test_the_ladder_of_each_engine(
    engine: Any, device: torch.device, steps: int, expected: tuple[str, ...]
) -> None:
    assert engines.ladder_of(RunConfig(engine=engine), device, steps) == expected


@pytest.mark.parametrize(
    ("engine", "device"),
    [
        ("graph", CPU),
        ("graph", MPS),
        ("graph+compiled", CPU),
        ("compiled", MPS),
        ("fused", CUDA),
        ("native", CUDA),
    ],
)
def test_an_engine_that_is_not_for_a_device_is_refused_by_name(engine: Any, device: torch.device) -> None:
    with pytest.raises(
        UsageError, match=f"engine {engine.replace('+', '.')} cannot run this: .*{device}"
    ) as found:
        engines.ladder_of(RunConfig(engine=engine), device, 10)
    assert found.value.hint == "--engine auto"


def test_every_engine_of_the_schema_has_a_ladder() -> None:
    names = set(get_args(RunConfig.model_fields["engine"].annotation)) - {"auto"}
    assert names == set(engines._LADDERS)


def test_auto_says_why_a_cpu_does_not_run_the_fused_steps(make_world: MakeWorld) -> None:
    world = make_world(optimizer="rmsprop", steps=2)
    world.trainer.run()
    (note,) = [note for note in world.of(events.Note) if note.id == "I-ENGINE"]
    assert (note.level, world.trainer._engine.name) == ("info", "eager")
    assert (
        note.text == f"engine eager runs: the fused one cannot ({fused.why_not(world.trainer.config, CPU)})"
    )


def test_an_engine_that_runs_as_asked_says_nothing(make_world: MakeWorld) -> None:
    for engine in ("auto", "eager", "fused", *NATIVE):
        world = make_world(engine=engine, steps=2)
        world.trainer.run()
        assert not [note for note in world.of(events.Note) if note.id.endswith("ENGINE")]


def test_fused_steps_that_cannot_be_made_fall_to_eager_ones(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: Any) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(fused.FusedStep, "adopt", broken)  # half of it is made by then
    world = make_world(steps=10, norm="batch")
    ended = world.trainer.run()
    (note,) = [note for note in world.of(events.Note) if note.id == "W-ENGINE"]
    assert note.text == "engine fused could not be prepared (no such kernel): engine eager runs instead"
    assert (note.level, note.values) == ("warning", {"engine": "eager"})
    assert world.trainer.banner()["engine"] == "eager"
    monkeypatch.undo()
    assert make_world(steps=10, engine="eager", norm="batch").trainer.run().test == ended.test


class Broken:
    """An engine that spoils its weights, and then fails."""

    name = "broken"

    def __init__(self, module: nn.Module, good: int) -> None:
        self.module, self.good, self.calls = module, good, 0

    def run(self, first: int, count: int) -> ChunkResult:
        self.calls += 1
        with torch.no_grad():
            for parameter in self.module.parameters():
                parameter.zero_()
        raise RuntimeError("\n\x1b[31mno luck\x1b[0m, " + "very " * 100 + "long\nsecond line")

    def adopt(self) -> None: ...


def test_a_chunk_that_fails_runs_again_on_the_next_engine_from_where_it_began(make_world: MakeWorld) -> None:
    world, other = make_world(engine="eager", dropout=0.3), make_world(engine="eager", dropout=0.3)
    trainer, told = world.trainer, []
    eager = trainer._engine
    ladder = Ladder(
        [Rung("broken", lambda: Broken(trainer.module, 0)), Rung("eager", lambda: eager)],
        trainer.module,
        trainer.optimizer,
        lambda text, name: told.append((text, name)),
    )
    assert (ladder.name, ladder.steps_per_launch, ladder.scores) == ("broken", 1, None)
    eager.run(0, 4)
    found = ladder.run(4, 6).losses
    assert ladder.name == "eager"
    other.trainer._engine.run(0, 4)
    assert found.tolist() == other.trainer._engine.run(4, 6).losses.tolist()
    ((text, name),) = told
    assert name == "eager"
    assert text.startswith("engine broken could not be kept going (")
    assert text.isprintable()
    assert len(text) < 260


def test_the_last_engine_of_a_ladder_raises_what_it_meets(make_world: MakeWorld) -> None:
    trainer = make_world(engine="eager").trainer
    ladder = Ladder(
        [Rung("broken", lambda: Broken(trainer.module, 0))],
        trainer.module,
        trainer.optimizer,
        lambda _text, _name: None,
    )
    with pytest.raises(RuntimeError, match="no luck"):
        ladder.run(0, 1)


def test_a_usage_error_is_no_reason_to_fall(make_world: MakeWorld) -> None:
    trainer = make_world(engine="eager").trainer

    def refuse() -> Any:
        raise UsageError("not like this")

    with pytest.raises(UsageError):
        Ladder(
            [Rung("one", refuse), Rung("two", lambda: trainer._engine)],
            trainer.module,
            trainer.optimizer,
            lambda _text, _name: None,
        )


def test_a_failure_without_words_is_named_by_its_type() -> None:
    assert failure_text("graph", "prepared", RuntimeError(""), "eager") == (
        "engine graph could not be prepared (RuntimeError): engine eager runs instead"
    )
