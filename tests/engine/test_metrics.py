"""The figures of step times: exact over the newest steps, and the recent rate."""

from __future__ import annotations

import numpy as np
import pytest

from cifar_tui.engine.metrics import StepTimes


def test_before_the_first_step_there_is_no_percentile_and_no_rate() -> None:
    times = StepTimes()
    assert times.percentile_us(50) is None
    assert times.rate == times.average_rate == times.newest_rate == 0.0


@pytest.mark.parametrize("chunks", [[1], [10, 40], [70, 60, 7], [250, 3], [99, 1, 100]])
def test_percentiles_are_those_of_the_newest_steps(
    chunks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StepTimes, "KEEP", 100)
    times, told, draw = StepTimes(), np.empty(0), np.random.default_rng(1)
    for count in chunks:
        durations = draw.random(count)
        times.add(durations, float(durations.sum()))
        told = np.concatenate([told, durations])[-100:]
        for percent in (0, 50, 95, 100):
            assert times.percentile_us(percent) == pytest.approx(np.percentile(told, percent) * 1e6)


def test_the_rate_forgets_what_is_older_than_its_window() -> None:
    times = StepTimes()
    for seconds in (0.1, 0.01):
        for _ in range(40):
            times.add(np.full(10, seconds), 10 * seconds)
    assert times.rate == pytest.approx(100, rel=0.01)
    assert times.newest_rate == pytest.approx(100)
    assert times.average_rate == pytest.approx(800 / 44)
