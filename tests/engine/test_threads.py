"""Thread counts: measured without a trace, changed when the rate collapses, and said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from cifar_tui.engine.threads import (
    Finding,
    Probe,
    ThreadKeeper,
    counts_up_to,
    pick,
)


@dataclass
class Machine:
    """A clock, and steps that take as long as the thread count says."""

    seconds: dict[int, float]  # of a step, by thread count
    now: float = 0.0
    count: int = 1
    steps: dict[int, int] = field(default_factory=dict)

    def apply(self, count: int) -> None:
        self.count = count

    def run(self, steps: int) -> None:
        self.now += steps * self.seconds[self.count]
        self.steps[self.count] = self.steps.get(self.count, 0) + steps

    def probe(self, steps: int = 10**6) -> dict[int, float]:
        return Probe(tuple(self.seconds), self.run, self.apply, steps=steps, clock=lambda: self.now).rates()


@pytest.mark.parametrize(
    ("cores", "counts"), [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (8, (1, 2, 4, 8)), (12, (1, 2, 4, 8, 12))]
)
def test_powers_of_two_and_all_cores_are_tried(cores: int, counts: tuple[int, ...]) -> None:
    assert counts_up_to(cores) == counts


@pytest.mark.parametrize(
    ("rates", "margin", "count"),
    [
        ({1: 500, 2: 750}, 1.05, 2),
        ({1: 500, 2: 510}, 1.05, 1),
        ({1: 500, 2: 16}, 1.05, 1),
        ({1: 500, 2: 600}, 1.25, 1),
        ({1: 500, 2: 750}, 1.25, 2),
        ({1: 100, 2: 104, 4: 130, 8: 90}, 1.05, 4),
    ],
)
def test_more_threads_must_be_worth_it(rates: Mapping[int, float], margin: float, count: int) -> None:
    assert pick(rates, margin) == count


@pytest.mark.parametrize(
    ("seconds", "count"),
    [
        ({1: 0.002, 2: 0.0014}, 2),
        ({1: 0.002, 2: 0.06}, 1),  # another program has one of the cores
        ({1: 0.002, 2: 0.25}, 1),
        ({1: 0.002, 2: 0.48}, 1),
        ({1: 0.025, 2: 0.016}, 2),
        ({1: 0.1, 2: 0.06, 4: 0.04, 8: 0.03}, 8),
        ({1: 0.001, 2: 0.0009, 4: 0.0011, 8: 0.02}, 2),
    ],
)
def test_a_probe_finds_the_fastest_count_within_a_second(seconds: dict[int, float], count: int) -> None:
    machine = Machine(seconds)
    rates = machine.probe()
    assert pick(rates, 1.05) == count
    assert rates[count] == pytest.approx(1 / seconds[count])
    assert machine.now <= 1.0


def test_a_model_whose_steps_take_seconds_is_not_probed_for_long() -> None:
    machine = Machine({1: 5.0, 2: 2.5, 4: 1.3})
    assert machine.probe() == {}
    assert sum(machine.steps.values()) == 2


def test_a_training_of_less_than_a_second_is_not_probed() -> None:
    machine = Machine({1: 0.002, 2: 0.0014, 4: 0.0012})
    assert set(machine.probe(steps=100)) == {2}
    assert machine.now < 0.05


def test_a_short_training_is_probed_for_a_tenth_of_its_time() -> None:
    machine = Machine({1: 0.002, 2: 0.0014})
    assert pick(machine.probe(steps=1500), 1.05) == 2
    assert machine.now < 0.4


class Course:
    """A keeper over a machine, in chunks of 40 ms as a training makes them."""

    def __init__(
        self,
        machine: Machine,
        count: int,
        *,
        watch: bool = True,
        others: Callable[[], float] | None = None,
    ) -> None:
        self.machine = machine
        machine.count = count
        self.keeper = ThreadKeeper(
            count, tuple(machine.seconds), watch=watch, apply=machine.apply, others=others
        )
        self.found: list[Finding] = []
        self.rate = 1 / machine.seconds[count]

    def go(self, seconds: float) -> None:
        end = self.machine.now + seconds
        while self.machine.now < end:
            assert self.machine.count == self.keeper.count
            steps = max(1, int(0.04 * self.rate))
            if self.keeper.limit is not None:
                steps = min(steps, self.keeper.limit)
            began = self.machine.now
            self.machine.run(steps)
            wall = self.machine.now - began
            self.rate = steps / wall
            finding = self.keeper.after(steps, wall)
            if finding is not None:
                self.found.append(finding)


def test_a_quiet_run_never_tries_another_count() -> None:
    course = Course(Machine({1: 0.002, 2: 0.0014}), 2)
    course.go(2000)
    assert course.found == []
    assert set(course.machine.steps) == {2}


def test_a_collapse_is_noticed_within_seconds_and_the_other_count_taken() -> None:
    course = Course(Machine({1: 0.0016, 2: 0.0014}), 2)
    course.go(30)
    course.machine.seconds[2] = 0.0056
    course.go(3)
    (finding,) = course.found
    assert (finding.cause, finding.before, finding.count) == ("collapse", 2, 1)
    assert course.machine.count == 1
    assert finding.text == (
        "rate fell from 714 to 179 steps/s with 2 threads while other programs use the cores: "
        "going on with 1 thread, 625 steps/s"
    )
    assert finding.to_json() == {
        "threads": 1, "before": 2, "cause": "collapse", "rates": {"1": 625.0, "2": 178.571}
    }  # fmt: skip


def test_the_old_count_is_tried_ever_less_often_and_taken_back_when_it_is_fast_again() -> None:
    course = Course(Machine({1: 0.002, 2: 0.0014}), 2)
    course.go(5)
    course.machine.seconds[2] = 0.03
    course.go(1000)
    retries = [found for found in course.found if found.cause == "retry"]
    assert 5 <= len(retries) <= 8  # after 10, 20, 40, ... 300 s
    assert {found.count for found in retries} == {1}
    assert sum(course.machine.steps.values()) > 0.97 * 1000 / 0.002  # trying costs next to nothing
    course.machine.seconds[2] = 0.0014
    course.go(310)
    assert course.found[-1].count == course.machine.count == 2
    assert course.keeper.settled
    tried = len(course.found)
    course.go(2000)
    assert len(course.found) == tried


def test_a_rate_that_fell_for_another_reason_keeps_its_threads_and_says_so() -> None:
    course = Course(Machine({1: 0.002, 2: 0.0014}), 2)
    course.go(5)
    course.machine.seconds.update({1: 0.006, 2: 0.004})  # a hot machine
    course.go(400)
    assert [found.count for found in course.found] == [2]
    assert "no other number of threads is faster" in course.found[0].text


def test_fewer_threads_are_taken_where_more_are_no_faster_beside_another_program() -> None:
    course = Course(Machine({1: 0.002, 2: 0.001}), 2)
    course.go(5)
    course.machine.seconds[2] = 0.00195
    course.go(3)
    (finding,) = course.found
    assert (finding.cause, finding.before, finding.count) == ("collapse", 2, 1)


def test_the_old_count_is_tried_at_once_when_other_programs_leave_the_cores() -> None:
    busy = [1.0]
    course = Course(Machine({1: 0.002, 2: 0.001}), 2, others=lambda: busy[0])
    course.go(5)
    course.machine.seconds[2] = 0.004
    course.go(400)
    tried = len(course.found)
    assert course.machine.count == 1
    course.machine.seconds[2] = 0.001
    busy[0] = 0.0
    course.go(2)
    assert [(found.cause, found.count) for found in course.found[tried:]] == [("retry", 2)]


def test_cores_that_are_free_all_along_are_no_reason_to_try() -> None:
    course = Course(Machine({1: 0.002, 2: 0.001}), 2, others=lambda: 0.0)
    course.go(5)
    course.machine.seconds[2] = 0.004
    course.go(1000)
    assert len(course.found) <= 8


def test_one_long_stall_is_no_collapse() -> None:
    course = Course(Machine({1: 0.002, 2: 0.0014}), 2)
    course.go(5)
    course.keeper.after(20, 60.0)  # stopped by job control for a minute
    course.go(20)
    assert course.found == []


def test_a_fixed_count_is_never_changed() -> None:
    course = Course(Machine({1: 0.002, 2: 0.0014}), 2, watch=False)
    course.go(5)
    course.machine.seconds[2] = 0.06
    course.go(60)
    assert course.found == []
    assert course.machine.count == 2


def test_a_count_chosen_on_a_busy_machine_is_looked_at_again() -> None:
    course = Course(Machine({1: 0.002, 2: 0.0014}), 1)
    course.keeper.adopt(1, settled=False)
    course.go(15)
    assert [(found.cause, found.count) for found in course.found] == [("retry", 2)]
    assert course.found[0].text == "going on with 2 threads, 714 steps/s (500 with 1)"


def test_a_probe_is_told_with_its_figures() -> None:
    finding = Finding("probe", 2, 1, {1: 502.0, 2: 48.4}, others=0.93)
    assert finding.text == (
        "measured the steps: 1 thread, 502 steps/s (48 with 2); other programs use 0.9 cores"
    )
