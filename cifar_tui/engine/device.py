"""Devices: what there is, which one was asked for, and what it is called."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from cifar_tui.errors import UnavailableError, UsageError
from cifar_tui.text import did_you_mean, safe_text

CONTAINER_LIMIT = Path("/sys/fs/cgroup/cpu.max")  # microseconds of CPU time in a period, and the period


@dataclass(frozen=True)
class Device:
    """A device that training can run on.

    Attributes:
        torch_device: for torch.
        name: of the hardware, for people.
        memory: bytes in all; of the machine for the CPU.
        threads: CPU threads of the engine.
    """

    torch_device: torch.device
    name: str
    memory: int
    threads: int

    @property
    def kind(self) -> str:
        """Its type: "cpu", "cuda" or "mps"."""
        return self.torch_device.type

    def to_json(self) -> dict[str, Any]:
        """The banner: device, name, memory, threads, precision and torch build."""
        return {
            "device": str(self.torch_device),
            "name": self.name,
            "memory": self.memory,
            "threads": self.threads,
            "precision": "float32",
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
        }


def available() -> list[str]:
    """Names that `select` takes on this machine, best first."""
    found = (
        [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    )
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]


def select(name: str = "auto", threads: int = 0) -> Device:
    """The device of this name; "auto" takes the first of CUDA, MPS and CPU.

    Args:
        name: "auto", "cpu", "cuda", "cuda:N" or "mps".
        threads: CPU threads of the calling thread's engine; 0 for as many as there are usable cores.

    Raises:
        UsageError: not a name of a device.
        UnavailableError: a device that is not here; the CPU is never taken in its place.
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,3})?", name):
        raise UsageError(
            f'device is "{safe_text(name, 80)}"',
            hint=did_you_mean(name, ["auto", "cpu", "cuda", "cuda:0", "mps"]),
            id="E-CONFIG-VALUE",
        )
    here = available()
    wanted = {"auto": here[0], "cuda": "cuda:0"}.get(name, name)
    if wanted not in here:
        reason = (
            "this build of torch has no CUDA"
            if wanted.startswith("cuda") and torch.version.cuda is None
            else ("it was not found")
        )
        raise UnavailableError(
            f"device {name} is not available: {reason}; there is {', '.join(here)}",
            hint="leave --device out, or use --device cpu",
            id="E-DEVICE",
        )
    count = threads or usable_cores()
    torch.set_num_threads(count)
    return Device(torch.device(wanted), _hardware_name(wanted), _memory(wanted), torch.get_num_threads())


def usable_cores() -> int:
    """Cores that this process may run on: those it is bound to, and no more than a container is given."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    try:
        quota, period = CONTAINER_LIMIT.read_text(encoding="ascii").split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError, ZeroDivisionError):  # no container, or "max": no limit
        return cores


def _hardware_name(name: str) -> str:
    if name.startswith("cuda"):
        return torch.cuda.get_device_name(torch.device(name))
    if name == "mps":
        return f"{platform.machine()} GPU"
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return safe_text(line.partition(":")[2].strip(), 60)
    except OSError:
        pass
    return platform.processor() or platform.machine() or "CPU"


def _memory(name: str) -> int:
    if name.startswith("cuda"):
        return int(torch.cuda.get_device_properties(torch.device(name)).total_memory)
    return int(psutil.virtual_memory().total)
