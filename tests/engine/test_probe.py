"""The probe that tells how fast a recipe would train here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from cifar_tui.config import RunConfig
from cifar_tui.engine import native_build
from cifar_tui.errors import UnavailableError, UsageError
from cifar_tui.recipe import resolve
from cifar_tui.session import probe

SMALL = {"hidden_layers": "1", "num_nodes": "8", "batch_size": "10", "device": "cpu", "threads": "1"}


def small(**flags: str) -> RunConfig:
    return resolve(preset="seed-fnn", flags=SMALL | flags).config


class Engine:
    """Takes so many seconds of a clock of its own for a step."""

    name = "fake"

    def __init__(self, seconds: Callable[[], float]) -> None:
        self.now, self.steps, self.calls = 0.0, 0, 0
        self._seconds = seconds

    def run(self, first: int, count: int) -> None:
        assert first == self.steps
        self.steps += count
        self.calls += 1
        self.now += count * self._seconds()

    def clock(self) -> float:
        return self.now


def put(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[], float]) -> Engine:
    engine = Engine(seconds)
    monkeypatch.setattr(probe, "_engine", lambda *_: engine)
    return engine


def test_a_probe_times_the_steps_of_the_engine_that_would_be_chosen() -> None:
    for name, engine in (("auto", "native" if native_build.can_compile() else "fused"), ("eager", "eager")):
        found = probe.measure(small(engine=name), seconds=0.02)
        assert found is not None
        assert (found.engine, found.device, found.threads) == (engine, "cpu", 1)
        assert found.steps_per_second > 1
        assert found.seconds < 30


def test_the_rate_is_that_of_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = put(monkeypatch, lambda: 0.005)
    found = probe.measure(small(), clock=engine.clock)
    assert found is not None
    assert found.steps_per_second == pytest.approx(200)
    assert found.seconds < 0.6


def test_a_long_step_is_timed_once_it_is_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = put(monkeypatch, lambda: 5.0)
    found = probe.measure(small(), clock=engine.clock)
    assert found is not None
    assert found.steps_per_second == pytest.approx(0.2)
    assert engine.steps <= 4


def test_more_threads_are_taken_where_they_are_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    set_now: list[int] = []
    monkeypatch.setattr(probe, "_set_threads", set_now.append)
    monkeypatch.setattr(
        "cifar_tui.engine.device.select",
        lambda *_: type("D", (), {"torch_device": torch.device("cpu"), "kind": "cpu", "threads": 4}),
    )
    for many, threads, rate in ((0.0025, 4, 400), (0.1, 1, 100)):
        engine = put(
            monkeypatch,
            lambda many=many: many if not set_now or set_now[-1] == 4 else 0.01,
        )
        found = probe.measure(small(threads="0"), clock=engine.clock)
        assert found is not None
        assert found.threads == threads
        assert found.steps_per_second == pytest.approx(rate)


def test_a_cancelled_probe_has_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = put(monkeypatch, lambda: 0.001)
    assert probe.measure(small(), cancelled=lambda: engine.calls > 3, clock=engine.clock) is None
    assert engine.calls == 4
    assert probe.measure(small(), cancelled=lambda: True, clock=engine.clock) is None
    assert engine.calls == 4


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"num_nodes": "65536", "hidden_layers": "1000"}, "FLOPs"),
        ({"engine": "compiled"}, "compiles for longer"),
    ],
)
def test_what_is_too_long_for_a_probe_is_refused(flags: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        probe.measure(small(**flags))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_here_is_named() -> None:
    with pytest.raises(UnavailableError, match="cuda"):
        probe.measure(small(device="cuda"))


def test_a_probe_leaves_the_random_numbers_of_others_alone() -> None:
    torch.manual_seed(5)
    before: Any = torch.get_rng_state()
    probe.measure(small(), seconds=0.01)
    assert torch.equal(before, torch.get_rng_state())


def test_the_module_loads_no_torch() -> None:
    code = (
        "import sys\nfrom cifar_tui.session import probe\n"
        "assert not probe.is_ready() and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
