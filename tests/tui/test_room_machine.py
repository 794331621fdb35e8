"""The room of log and machine: the GPU."""

from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cifar_tui.tui import machine_data
from cifar_tui.tui.machine_data import Gpu, Sampler
from cifar_tui.tui.screens.rooms.machine import RoomMachine
from tests.tui.room_tools import app_with
from tests.tui.waiting import until

CARD = Gpu("Card [b]X\x1b", 0.5, 4_000_000_000, 80_000_000_000, 54.0, 312.4, 700.0)


class Nvml:
    """NVML with a card that does not tell its power."""

    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception):
        pass

    def nvmlDeviceGetName(self, _handle: object) -> bytes:
        return b"Card"

    def nvmlDeviceGetMemoryInfo(self, _handle: object) -> Any:
        return SimpleNamespace(used=2, total=8)

    def nvmlDeviceGetUtilizationRates(self, _handle: object) -> Any:
        return SimpleNamespace(gpu=75)

    def nvmlDeviceGetTemperature(self, _handle: object, _kind: int) -> int:
        return 41

    def nvmlDeviceGetPowerUsage(self, _handle: object) -> int:
        raise self.NVMLError("Not Supported")

    nvmlDeviceGetEnforcedPowerLimit = nvmlDeviceGetPowerUsage  # noqa: N815


def test_what_a_card_does_not_tell_is_left_out() -> None:
    assert machine_data.gpu(Nvml(), object()) == Gpu("Card", 0.75, 2, 8, 41, None, None)


@pytest.mark.parametrize(("size", "run"), [((80, 24), False), ((120, 40), False), ((200, 50), True)])
async def test_use_memory_temperature_and_power_of_a_gpu_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], run: bool
) -> None:
    take = Sampler.take
    monkeypatch.setattr(Sampler, "take", lambda self: dataclasses.replace(take(self), gpu=CARD))
    app = app_with(RoomMachine(), tmp_path)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "GPU" in app.text and "50%" in app.text)
        assert "4.0 GB of 80.0 GB" in app.text
        assert "54 °C" in app.text and "312 of 700 W" in app.text
        assert ("─ Run ─" in app.text) == run


async def test_without_a_gpu_there_is_no_box_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take = Sampler.take
    monkeypatch.setattr(Sampler, "take", lambda self: dataclasses.replace(take(self), gpu=None))
    app = app_with(RoomMachine(), tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: " cores" in app.text)
        assert "GPU" not in app.text and "─ Run ─" in app.text


def test_the_use_of_the_processor_is_known_whichever_thread_asks(tmp_path: Path) -> None:
    sampler, found = Sampler(tmp_path), []
    for _ in range(3):  # the room asks from whichever worker is free
        thread = threading.Thread(target=lambda: found.append(sampler.take().cpu))
        thread.start()
        thread.join()
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            pass
    assert found[0] == 0.0
    assert all(0.0 < share <= 1.0 for share in found[1:])
