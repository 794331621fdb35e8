"""Devices: what is asked for is what is used, or an error."""

from __future__ import annotations

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
