"""Kernels of `cuda_code`, compiled for one config and one GPU, and launched where torch works.

NVRTC compiles them, which comes with every CUDA build of torch, as do its bindings; no compiler of the
machine is needed. What it made is kept in the user's cache directory under a name made of the source, the
macros and the compiler's version.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from cifar_tui import fsio
from cifar_tui.engine import native_build

SOURCES = Path(__file__).parent / "cuda_code"


class Kernels(Protocol):
    """Kernels that take a structure and the number of a step of a launch, see `graph.Slots`."""

    def launch(self, name: str, blocks: int, threads: int, work: ctypes.Structure, slot: int) -> None:
        """Run a kernel after all that was launched before it.

        Args:
            name: of the kernel.
            blocks: of the grid.
            threads: of a block.
            work: what it works with; copied.
            slot: which step of a launch.
        """
        ...


def why_not() -> str | None:
    """Why no kernel can be compiled here, in words; None where one can."""
    try:
        found = importlib.util.find_spec("cuda.bindings")
    except ModuleNotFoundError:
        found = None
    return None if found else "the Python package cuda-bindings is not installed"


class CudaKernels:
    """All kernels of a source.

    Args:
        source: a file of `SOURCES`.
        macros: sizes and settings, as the source names them.
        device: where they run.

    Raises:
        RuntimeError: they cannot be compiled or loaded.
    """

    def __init__(self, source: Path, macros: Mapping[str, object], device: torch.device) -> None:
        from cuda.bindings import driver, nvrtc

        self._driver, self._nvrtc, self._device = driver, nvrtc, device
        self._functions: dict[str, Any] = {}
        with torch.cuda.device(device):
            torch.cuda.synchronize()  # the context of torch is this thread's from now on
            image = self._image(source, macros)
            self._module = self._checked(driver.cuModuleLoadData(image))

    def launch(self, name: str, blocks: int, threads: int, work: ctypes.Structure, slot: int) -> None:
        """Launch on the present stream, which may be capturing."""
        if name not in self._functions:
            found = self._driver.cuModuleGetFunction(self._module, name.encode())
            self._functions[name] = self._checked(found)
        number = ctypes.c_int(slot)
        arguments = (ctypes.c_void_p * 2)(ctypes.addressof(work), ctypes.addressof(number))
        stream = self._driver.CUstream(torch.cuda.current_stream(self._device).cuda_stream)
        grid, block = (blocks, 1, 1), (threads, 1, 1)
        function = self._functions[name]
        launched = self._driver.cuLaunchKernel(
            function, *grid, *block, 0, stream, ctypes.addressof(arguments), 0
        )
        self._checked(launched)

    def _image(self, source: Path, macros: Mapping[str, object]) -> bytes:
        """The machine code, kept where nobody else can change it."""
        major, minor = torch.cuda.get_device_capability(self._device)
        options = [f"-arch=sm_{major}{minor}", "-std=c++17", f"-I{source.parent}"]
        options += [f"-D{name}={value}" for name, value in macros.items()]
        version = self._nvrtc.nvrtcVersion()[1:]
        parts = [path.read_bytes() for path in sorted(source.parent.glob("*.cu*"))]
        whole = b"\0".join([repr((source.name, options, version)).encode(), *parts])
        folder = native_build.private_folder()
        kept = folder and folder / f"kernels-{hashlib.sha256(whole).hexdigest()[:32]}.cubin"
        if kept and kept.is_file():
            return kept.read_bytes()
        image = self._compiled(source, [option.encode() for option in options])
        if kept:
            with contextlib.suppress(OSError):  # a full disk: it is compiled again next time
                fsio.replace_bytes(kept, image)
        return image

    def _compiled(self, source: Path, options: list[bytes]) -> bytes:
        nvrtc = self._nvrtc
        program = self._checked(
            nvrtc.nvrtcCreateProgram(source.read_bytes(), source.name.encode(), 0, [], [])
        )
        try:
            status = nvrtc.nvrtcCompileProgram(program, len(options), options)[0]
            if int(status):
                log = bytes(self._checked(nvrtc.nvrtcGetProgramLogSize(program)))  # is written into
                nvrtc.nvrtcGetProgramLog(program, log)
                lines = log.decode(errors="replace").splitlines()
                raise RuntimeError(next((line for line in lines if "error" in line), f"NVRTC: {status}"))
            image = bytes(self._checked(nvrtc.nvrtcGetCUBINSize(program)))
            self._checked(nvrtc.nvrtcGetCUBIN(program, image))
            return image
        finally:
            nvrtc.nvrtcDestroyProgram(program)

    @staticmethod
    def _checked(found: tuple[Any, ...]) -> Any:
        """What a call of the bindings gave.

        Raises:
            RuntimeError: it failed.
        """
        if int(found[0]):
            raise RuntimeError(f"{found[0]}")
        return found[1] if len(found) > 1 else None
