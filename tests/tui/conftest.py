"""Data and evaluations that take no time."""

from __future__ import annotations

import functools

import pytest

from cifar_tui.datasets import store, synthetic
from tests.tui.answers_by_hand import Evaluate


@pytest.fixture
def small_synthetic(monkeypatch: pytest.MonkeyPatch) -> None:
    """A synthetic set of 160 pictures, made in no time."""
    store.reset_cache()
    monkeypatch.setattr(synthetic, "build", functools.partial(synthetic.build, train=120, test=40))


@pytest.fixture
def evaluate(monkeypatch: pytest.MonkeyPatch) -> Evaluate:
    found = Evaluate()
    monkeypatch.setattr("cifar_tui.session.evaluate.evaluate_run", found)
    return found
