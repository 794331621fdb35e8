"""Devices: what is asked for is what is used, or an error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cifar_tui.engine import device
from cifar_tui.errors import UnavailableError, UsageError


def test_the_cpu_is_always_there() -> None:
    found = device.select("cpu", threads=1)
    assert (found.kind, found.threads) == ("cpu", 1)
    assert found.name
    assert found.memory > 1 << 28


def test_auto_takes_the_best_there_is() -> None:
    assert str(device.select("auto").torch_device) == device.available()[0]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7"])
def test_fault_044_an_absent_device_is_an_error_and_never_the_cpu(name: str) -> None:
    with pytest.raises(UnavailableError, match=r"there is .*cpu") as error:
        device.select(name)
    assert error.value.exit_code == 69


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "CUDA", "", "cpu:1", "cuda:99999"])
def test_fault_041_a_word_that_is_no_device_names_those_that_are(name: str) -> None:
    with pytest.raises(UsageError) as error:
        device.select(name)
    assert "auto" in str(error.value.hint)


def test_the_banner_is_strict_json() -> None:
    import json

    assert json.loads(json.dumps(device.select("cpu").to_json(), allow_nan=False))["precision"] == "float32"


@pytest.mark.parametrize(
    ("text", "cores"),
    [("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1), ("max 100000", 8), ("", 8), ("1 0", 8)],
)
def test_a_container_has_no_more_cores_than_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, cores: int
) -> None:
    limit = tmp_path / "cpu.max"
    limit.write_text(text)
    monkeypatch.setattr(device, "CONTAINER_LIMIT", limit)
    monkeypatch.setattr(device.os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)
    assert device.usable_cores() == cores
    limit.unlink()
    assert device.usable_cores() == 8


@pytest.mark.skipif(sys.platform != "linux", reason="about libgomp, which torch has on Linux")
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["ACTIVE", "300000"]),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, ["PASSIVE", None]),
        ({"GOMP_SPINCOUNT": "7"}, [None, "7"]),
    ],
)
def test_how_threads_wait_is_set_before_torch_is_loaded_unless_the_user_did(
    given: dict[str, str], expected: list[str | None]
) -> None:
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {name: value for name, value in os.environ.items() if name not in names} | given
    program = "import json, os, sys, cifar_tui.session\nassert 'torch' not in sys.modules\n"
    program += f"print(json.dumps([os.environ.get(name) for name in {names!r}]))"
    found = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(found.stdout) == expected
