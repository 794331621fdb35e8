"""Learning rates, evaluation plans and stop rules."""

from __future__ import annotations

import pytest

from cifar_tui import catalog
from cifar_tui.config import RunConfig
from cifar_tui.engine.schedule import EvaluationPlan, target_step


def rates(name: str, total: int, **values: float) -> list[float]:
    config = RunConfig(learning_rate=0.1, schedule=name, **values)
    return [catalog.get("schedules", name).learning_rate(step, total, config) for step in range(total)]


def test_a_constant_rate_is_constant() -> None:
    assert rates("constant", 5) == [0.1] * 5


def test_the_warm_up_rises_in_equal_parts_to_the_full_rate() -> None:
    assert rates("constant", 6, warmup_steps=4) == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])


def test_a_cosine_falls_from_the_rate_to_its_minimum() -> None:
    values = rates("cosine", 101, min_learning_rate=0.01)
    assert values[0] == pytest.approx(0.1)
    assert values[50] == pytest.approx(0.055)
    assert values[-1] == pytest.approx(0.01)
    assert values == sorted(values, reverse=True)


def test_a_cosine_begins_after_its_warm_up() -> None:
    values = rates("cosine", 30, warmup_steps=10)
    assert values[9] == pytest.approx(0.1)
    assert values[10] == pytest.approx(0.1)
    assert values[-1] == pytest.approx(0.0)


def plan(**values: object) -> EvaluationPlan:
    return EvaluationPlan(RunConfig(**values), steps_per_epoch=100, clock=lambda: 0.0)


def steps_of(it: EvaluationPlan, count: int, start: int = 0) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        at = it.next_step(found[-1] if found else start)
        assert at is not None
        found.append(at)
    return found


def test_exponential_evaluations_can_be_at_the_notebooks_steps() -> None:
    assert steps_of(plan(evaluate_growth=1.1), 5) == [100, 210, 331, 464, 611]


def test_by_default_evaluations_under_way_see_less_than_a_tenth_of_the_arithmetic_of_10_000_steps() -> None:
    config = RunConfig()
    rounds = len([step for step in steps_of(plan(), 40) if step < 10_000])
    evaluated = rounds * (10_000 + config.eval_train_examples)
    assert rounds >= 10
    assert evaluated / 3 <= 0.1 * 10_000 * 50  # a step costs about three times a prediction, for each picture


def test_a_resumed_run_is_evaluated_where_it_would_have_been() -> None:
    whole = steps_of(plan(), 40)
    for start in (0, 99, 100, 101, 463, 5000):
        assert plan().next_step(start) == next(step for step in whole if step > start)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"evaluate": "steps", "evaluate_every": 30.0}, [30, 60, 90]),
        ({"evaluate": "epochs", "evaluate_every": 0.5}, [50, 100, 150]),
        ({"evaluate": "epochs", "evaluate_every": 0.003}, [1, 2, 3]),
        ({"evaluate_first": 7, "evaluate_growth": 1.0}, [7, 14, 21]),
    ],
)
def test_evaluations_every_n(values: dict[str, object], expected: list[int]) -> None:
    assert steps_of(plan(**values), 3) == expected


def test_a_plan_without_steps_has_none() -> None:
    assert plan(evaluate="end").next_step(0) is None
    assert plan(evaluate="seconds", evaluate_every=1.0).next_step(0) is None


def test_evaluations_by_the_clock() -> None:
    now = [0.0]
    it = EvaluationPlan(RunConfig(evaluate="seconds", evaluate_every=5.0), 100, lambda: now[0])
    assert not it.due_by_time()
    now[0] = 5.0
    assert it.due_by_time()
    it.evaluated()
    assert not it.due_by_time()


def test_the_plan_of_a_very_long_run_is_cheap() -> None:
    it = plan(evaluate_first=1, evaluate_growth=1.0)
    assert it.next_step(10**9) == 10**9 + 1
    assert it.count_between(0, 10**9) == 1000


def test_epochs_replace_steps() -> None:
    assert target_step(RunConfig(steps=7), 100) == 7
    assert target_step(RunConfig(steps=7, epochs=2.5), 100) == 250
