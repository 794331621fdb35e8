"""The loop: what it emits, when it stops, and that it loses nothing."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from cifar_tui import catalog, events
from cifar_tui.engine import checkpoint
from cifar_tui.engine.trainer import TrainingData
from cifar_tui.errors import DamagedError, StorageError

from .conftest import World, make_split

MakeWorld = Callable[..., World]


def prints(world: World) -> str:
    return checkpoint.fingerprint(world.trainer.module, world.trainer.optimizer)


def test_a_training_ends_at_its_target_with_a_checkpoint_and_both_evaluations(make_world: MakeWorld) -> None:
    world = make_world(steps=12)
    ended = world.trainer.run()
    assert (ended.state, ended.step, ended.exit) == ("done", 12, 0)
    assert ended.train is not None
    assert ended.test is not None
    assert world.sink.newest()[0] == 12
    final = [e for e in world.of(events.Evaluation) if e.final]
    assert [(e.split, e.examples) for e in final] == [("train", 230), ("test", 60)]
    assert ended.median_step_us > 0
    assert ended.p95_step_us >= ended.median_step_us
    assert world.of(events.Progress)[-1].step == 12


def test_every_event_survives_its_json(make_world: MakeWorld) -> None:
    import json

    world = make_world(evaluate="steps", evaluate_every=5)
    ended = world.trainer.run()
    for event in [*world.events, ended]:
        assert events.from_json(json.loads(json.dumps(events.to_json(event), allow_nan=False))) == event


def test_the_metrics_are_the_notebooks(make_world: MakeWorld) -> None:
    world, twin = make_world(steps=150), make_world(steps=150)
    world.trainer.run()
    losses = twin.trainer._engine.run(0, 150).losses
    moving = 0.0
    for n, loss in enumerate(losses, start=1):
        moving += max(0.01, 1 / n) * (loss - moving)
    last = world.of(events.Progress)[-1]
    assert last.moving_loss == pytest.approx(moving)
    assert last.mean_loss == pytest.approx(losses.mean())
    assert 0 <= last.moving_accuracy <= 1


def test_fault_038_zero_steps_evaluate_and_save_only(make_world: MakeWorld) -> None:
    world = make_world(steps=0)
    ended = world.trainer.run()
    assert (ended.state, ended.step, ended.exit) == ("done", 0, 0)
    assert [entry[0] for entry in world.sink.saved if not entry[3]] == [0]
    assert {e.split for e in world.of(events.Evaluation)} == {"train", "test"}
    assert ended.median_step_us is None


def test_evaluations_under_way_are_at_the_planned_steps(make_world: MakeWorld) -> None:
    world = make_world(steps=12, evaluate="steps", evaluate_every=5, eval_train_examples=40)
    world.trainer.run()
    tests = [(e.step, e.final) for e in world.of(events.Evaluation) if e.split == "test"]
    assert tests == [(5, False), (10, False), (12, True)]
    assert [e.examples for e in world.of(events.Evaluation) if e.split == "train"] == [40, 40, 230]


def test_a_validation_split_is_evaluated_and_judges(make_world: MakeWorld, data: TrainingData) -> None:
    held = replace(data, validation=make_split("validation", 30, 9))
    world = make_world(data=held, steps=4)
    ended = world.trainer.run()
    assert ended.validation is not None
    assert ended.best == {"step": 4, "split": "validation", "accuracy": ended.validation["accuracy"]}


def test_the_best_checkpoint_is_the_best_evaluations(make_world: MakeWorld) -> None:
    world = make_world(steps=40, evaluate="steps", evaluate_every=4, learning_rate=0.01)
    world.trainer.run()
    best, improvements = -1.0, []
    for e in world.of(events.Evaluation):
        if e.split == "test" and e.accuracy > best:
            best = e.accuracy
            improvements.append(e.step)
    assert [entry[0] for entry in world.sink.saved if entry[3]] == improvements


def test_a_target_accuracy_ends_the_training(make_world: MakeWorld) -> None:
    world = make_world(
        steps=4000, evaluate="steps", evaluate_every=10, target_accuracy=0.5, learning_rate=0.005
    )
    ended = world.trainer.run()
    assert ended.state == "done"
    assert ended.step < 4000
    assert ended.test is not None
    assert ended.test["accuracy"] >= 0.5
    assert "accuracy 0.5" in ended.reason


def test_a_time_limit_ends_the_training(make_world: MakeWorld) -> None:
    began = time.monotonic()
    ended = make_world(steps=10**6, max_seconds=0.3).trainer.run()
    assert ended.state == "done"
    assert 0.3 <= ended.seconds < 1.0
    assert time.monotonic() - began < 5.0


def run_in_thread(world: World) -> tuple[threading.Thread, list[Any]]:
    result: list[Any] = []
    thread = threading.Thread(target=lambda: result.append(world.trainer.run()), daemon=True)
    thread.start()
    wait_for(lambda: world.trainer.step > 3)
    return thread, result


def wait_for(condition: Callable[[], bool], timeout: float = 20.0) -> None:
    limit = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < limit, "nothing happened"
        time.sleep(0.005)


def test_a_stop_saves_where_it_is(make_world: MakeWorld) -> None:
    world = make_world(steps=10**6)
    thread, result = run_in_thread(world)
    world.control.stop()
    thread.join(10)
    (ended,) = result
    assert ended.state == "stopped"
    assert world.sink.newest()[0] == ended.step > 3
    assert not world.of(events.Evaluation)


def test_a_stop_can_evaluate(make_world: MakeWorld) -> None:
    world = make_world(steps=10**6)
    thread, result = run_in_thread(world)
    world.control.stop(evaluate=True)
    thread.join(10)
    assert result[0].test["step"] == result[0].step


def test_a_signal_stops_with_its_exit_code(make_world: MakeWorld) -> None:
    world = make_world(steps=10**6)
    thread, result = run_in_thread(world)
    world.control.stop_for_signal(15, "SIGTERM")
    thread.join(10)
    assert result[0].exit == 143
    assert [e.reason for e in world.of(events.Checkpoint)][-1] == "signal"


def test_a_kill_saves_nothing(make_world: MakeWorld) -> None:
    world = make_world(steps=10**6)
    thread, result = run_in_thread(world)
    world.control.kill()
    thread.join(10)
    assert result[0].state == "stopped"
    assert [entry[0] for entry in world.sink.saved] == [0]


def test_pause_holds_the_step_and_resume_goes_on(make_world: MakeWorld) -> None:
    world = make_world(steps=10**6)
    thread, result = run_in_thread(world)
    world.control.pause()
    wait_for(lambda: any(e.paused for e in world.of(events.Progress)))
    held = world.trainer.step
    time.sleep(0.3)
    assert world.trainer.step == held
    world.control.resume()
    wait_for(lambda: world.trainer.step > held)
    world.control.stop()
    thread.join(10)
    assert result[0].state == "stopped"


def test_requests_are_served_within_a_chunk_even_while_paused(make_world: MakeWorld) -> None:
    world = make_world(steps=10**6)
    thread, _result = run_in_thread(world)
    world.control.pause()
    wait_for(lambda: any(e.paused for e in world.of(events.Progress)))
    world.control.checkpoint_now()
    wait_for(lambda: len(world.sink.saved) == 2)
    world.control.evaluate_now()
    wait_for(lambda: len(world.of(events.Evaluation)) == 2)
    world.control.stop()
    thread.join(10)


def test_a_stop_answers_within_a_tenth_of_a_second(make_world: MakeWorld) -> None:
    world = make_world(steps=10**6)
    thread, _result = run_in_thread(world)
    time.sleep(0.3)
    began = time.monotonic()
    world.control.kill()
    thread.join(10)
    assert time.monotonic() - began < 0.25  # 50 ms by design; CI machines are noisy


def test_a_new_target_is_taken_under_way(make_world: MakeWorld) -> None:
    world = make_world(steps=10**6)
    thread, result = run_in_thread(world)
    target = world.trainer.step + 50
    world.control.set_target(target)
    thread.join(20)
    assert result[0].state == "done"
    assert result[0].step >= target


def test_random_presses_leave_one_final_state(make_world: MakeWorld) -> None:
    rng = np.random.default_rng(0)
    world = make_world(steps=10**6)
    thread, result = run_in_thread(world)
    presses = [world.control.pause, world.control.resume, world.control.checkpoint_now, lambda: None]
    for _ in range(1000):
        presses[rng.integers(len(presses))]()
    world.control.stop()
    thread.join(10)
    assert [e.state for e in result] == ["stopped"]


@pytest.mark.parametrize(
    ("preset", "values"),
    [
        ("seed-fnn", {"hidden_layers": 3}),
        ("seed-cnn", {"dropout": 0.5}),
        ("seed-fnn", {"optimizer": "sgd", "momentum": 0.9, "nesterov": "true"}),
        ("seed-fnn", {"optimizer": "adamax", "dropout": 0.3}),
        ("seed-fnn", {"optimizer": "rmsprop"}),
        ("seed-fnn", {"optimizer": "adam", "schedule": "cosine", "warmup_steps": 3}),
    ],
)
def test_a_resumed_training_ends_with_the_same_bits(
    make_world: MakeWorld, preset: str, values: dict[str, Any]
) -> None:
    whole = make_world(preset, steps=25, **values)
    whole.trainer.run()
    expected, expected_metrics = prints(whole), whole.trainer.metrics
    for stop_at in (1, 7, 11, 12, 24):  # an epoch has 11 steps here
        first = make_world(preset, steps=25, **values)
        first.trainer.target = 25
        while first.trainer.step < stop_at:
            result = first.trainer._engine.run(first.trainer.step, 1)
            first.trainer._account(result, 0.01)
        second = make_world(preset, steps=25, **values)
        second.trainer.restore(stop_at, first.trainer.state(), first.trainer._files(), "test")
        second.trainer.run()
        assert prints(second) == expected
        assert second.trainer.metrics == expected_metrics


def test_the_state_is_strict_json(make_world: MakeWorld) -> None:
    import json

    world = make_world(steps=5)
    world.trainer.run()
    state = json.loads(json.dumps(world.trainer.state(), allow_nan=False))
    other = make_world(steps=5)
    other.trainer.restore(5, state, world.trainer._files(), "test")
    assert other.trainer.metrics == world.trainer.metrics
    assert other.trainer.rounds.best == world.trainer.rounds.best


def diverging(make_world: MakeWorld, at: int, **values: Any) -> World:
    """A training whose loss is not finite from step `at` on (counted from 0)."""
    world = make_world(steps=200, engine="eager", **values)
    engine = world.trainer._engine
    plain = engine._one

    def one(step: int, losses: torch.Tensor, correct: torch.Tensor, index: int) -> None:
        plain(step, losses, correct, index)
        if step >= at:
            losses[index] = math.nan

    engine._one = one
    return world


@pytest.mark.parametrize("at", [0, 1, 37, 120])
def test_fault_046_divergence_names_the_step_and_keeps_the_last_finite_weights(
    make_world: MakeWorld, at: int
) -> None:
    world = diverging(make_world, at)
    ended = world.trainer.run()
    assert (ended.state, ended.step, ended.exit) == ("diverged", at, 3)
    assert f"step {at + 1}" in ended.reason
    twin = make_world(steps=200, engine="eager")
    if at:
        twin.trainer._engine.run(0, at)
    assert prints(world) == prints(twin)
    step, files, _state, _best = world.sink.newest()
    assert step == at
    assert files == twin.trainer._files()


def test_fault_046_weights_that_overflow_are_noticed_before_they_are_saved(make_world: MakeWorld) -> None:
    world = make_world(
        steps=500, optimizer="sgd", learning_rate=100, l2_reg=100, norm="none", checkpoint_seconds=0.001
    )
    ended = world.trainer.run()
    assert ended.state == "diverged"
    for _step, files, _state, _best in world.sink.saved:
        checkpoint.load_model(world.trainer.module, files[checkpoint.MODEL_FILE], "saved")  # refuses NaN


def test_fault_056_a_full_disk_does_not_stop_the_training(make_world: MakeWorld) -> None:
    world = make_world(steps=60, checkpoint_seconds=0.001)
    world.sink.fail = lambda step: step < 60
    ended = world.trainer.run()
    assert ended.state == "done"
    assert world.sink.newest()[0] == 60
    assert any(note.id == "E-STORAGE" for note in world.of(events.Note))


def test_fault_056_a_last_checkpoint_that_cannot_be_written_is_an_error(make_world: MakeWorld) -> None:
    world = make_world(steps=6)
    world.sink.fail = lambda _step: True
    with pytest.raises(StorageError):
        world.trainer.run()


def test_a_checkpoint_of_another_shape_is_refused_whole(make_world: MakeWorld) -> None:
    small, large = make_world(num_nodes=16), make_world(num_nodes=32)
    before = prints(large)
    with pytest.raises(DamagedError, match="expected"):
        large.trainer.restore(1, small.trainer.state(), small.trainer._files(), "run/step-1")
    assert prints(large) == before


@pytest.mark.parametrize("data_bytes", [b"", b"\x00" * 7, b"\xff" * 64, b"not a checkpoint at all"])
def test_bytes_that_are_no_checkpoint_are_refused(make_world: MakeWorld, data_bytes: bytes) -> None:
    world = make_world()
    with pytest.raises(DamagedError):
        checkpoint.load_model(world.trainer.module, data_bytes, "x")


def test_weights_that_are_not_finite_are_refused(make_world: MakeWorld) -> None:
    world = make_world()
    with torch.no_grad():
        next(world.trainer.module.parameters()).fill_(math.nan)
    with pytest.raises(DamagedError, match="not finite"):
        checkpoint.load_model(make_world().trainer.module, checkpoint.model_bytes(world.trainer.module), "x")


def test_initial_weights_come_from_the_seed(make_world: MakeWorld) -> None:
    assert prints(make_world(seed=1)) == prints(make_world(seed=1)) != prints(make_world(seed=2))


def test_the_learning_rate_shown_is_the_optimizers(make_world: MakeWorld) -> None:
    world = make_world(steps=10, schedule="cosine", min_learning_rate=1e-5)
    world.trainer.run()
    schedule = catalog.get("schedules", "cosine")
    expected = schedule.learning_rate(9, 10, world.trainer.config)
    assert world.of(events.Progress)[-1].learning_rate == pytest.approx(expected)
