"""Schedules: a file here is a course of the learning rate of that name.

A schedule module has a docstring whose first line is its summary, `OPTIONS` (the fields of `RunConfig` that
only some schedules have and this one does), and `learning_rate(step, total, config)`, a pure function.
"""

from __future__ import annotations


def warm_up(step: int, warmup_steps: int) -> float:
    """The share of the full rate at `step` (0 is the first): rises in equal parts to 1."""
    return 1.0 if step >= warmup_steps else (step + 1) / warmup_steps
