"""The CUDA kernels as C++ on a CPU: what they compute is tested where no GPU is."""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
COMPILER = shutil.which("g++")


class KernelsOnCpu:
    """Kernels of a source, compiled for these macros; stands in for `cuda_kernels.CudaKernels`.

    Args:
        source: file of kernels that take (Work, int).
        macros: of the config.

    Attributes:
        log: names of the kernels, in the order of their launches.
    """

    def __init__(self, source: Path, macros: Mapping[str, object]) -> None:
        assert COMPILER is not None
        text = "\n".join(f'#include "{file}"' for file in (HERE / "before.h", source, HERE / "after.h"))
        flags = [f"-D{name}={value}" for name, value in macros.items()]
        command = [COMPILER, "-O2", "-std=c++17", "-w", "-fPIC", "-shared", "-x", "c++", *flags]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{hashlib.sha256(repr(flags).encode()).hexdigest()[:16]}.so"
            subprocess.run(
                [*command, "-I", str(source.parent), "-", "-o", str(file)],
                input=text.encode(), check=True, timeout=120,
            )  # fmt: skip
            self._library = ctypes.CDLL(str(file))
        self._library.size_of_work.restype = ctypes.c_size_t
        self.log: list[str] = []

    def launch(self, name: str, blocks: int, threads: int, work: ctypes.Structure, slot: int) -> None:
        """Run a kernel to its end."""
        assert self._library.size_of_work() == ctypes.sizeof(work)
        self.log.append(name)
        kernel = ctypes.cast(self._library[name], ctypes.c_void_p)
        self._library.launch_on_cpu(kernel, blocks, threads, ctypes.byref(work), slot)
