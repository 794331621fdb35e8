"""The native steps: C that is compiled once for this processor, by the C compiler of the machine, and kept.

The library is kept in the user's cache directory under a name made of its source, the flags and all that the
compiler says of itself and of the processor, so that nothing stale and nothing made for another machine is
loaded.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

SOURCES = Path(__file__).parent / "native_code"
COMPILE_SECONDS = 120.0
_FLAGS = ("-O3", "-std=gnu11", "-fno-math-errno", "-fPIC", "-shared", "-pthread")


class NoNativeError(Exception):
    """The steps cannot be compiled or loaded here; the text says why."""


def compiler() -> list[str]:
    """The command of the C compiler: `CC` where it is set, else `cc`, `gcc` or `clang`.

    Raises:
        NoNativeError: there is none.
    """
    wanted = shlex.split(os.environ.get("CC", ""))
    for command in [wanted] if wanted else [["cc"], ["gcc"], ["clang"]]:
        if shutil.which(command[0]):
            return command
    name = wanted[0] if wanted else "cc"
    raise NoNativeError(f"no C compiler: {name} was not found")


def can_compile() -> bool:
    """Whether there is a C compiler on a system that the steps are for."""
    if sys.platform == "win32":
        return False
    try:
        compiler()
    except NoNativeError:
        return False
    return True


def is_built() -> bool:
    """Whether `library` need not compile anything."""
    try:
        return (_cache() / _recipe().name).is_file()
    except NoNativeError:
        return False


@cache
def library() -> ctypes.CDLL:
    """The compiled steps, compiled now where they were not before; that takes a few seconds.

    Raises:
        NoNativeError: there is no compiler, it failed, or what it made cannot be loaded.
    """
    recipe = _recipe()
    reasons = []
    private = private_folder()
    if private is not None:
        try:
            return recipe.load(private)
        except OSError as error:  # a full disk, say, or one from which nothing may be run
            reasons.append(str(error))
    try:
        with tempfile.TemporaryDirectory(prefix="cifar-tui-") as folder:  # once loaded it needs no file
            return recipe.load(Path(folder))
    except OSError as error:
        reasons.append(str(error))
    raise NoNativeError("; ".join(reasons))


class _Recipe:
    """How the library is made here, and under which name.

    Raises:
        NoNativeError: it cannot be made.
    """

    def __init__(self) -> None:
        if sys.platform == "win32":
            raise NoNativeError("it is for Linux and macOS")
        command = compiler()
        macros, tuning = _processor(command)
        self._command = [*command, *_FLAGS, tuning]
        sources = [path.read_bytes() for path in sorted(SOURCES.glob("*.[ch]"))]
        whole = b"\0".join([macros, shlex.join(self._command).encode(), *sources])
        self.name = f"steps-{hashlib.sha256(whole).hexdigest()[:32]}.so"

    def load(self, folder: Path) -> ctypes.CDLL:
        """The library in a folder, made there where it is not.

        Raises:
            OSError: the folder cannot be written, or nothing in it can be loaded.
        """
        path = folder / self.name
        if path.is_file():
            try:
                return ctypes.CDLL(str(path))
            except OSError:  # damaged
                path.unlink()
        _compile(self._command, path)
        return ctypes.CDLL(str(path))


@cache
def _recipe() -> _Recipe:
    return _Recipe()


def _cache() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("cifar-tui", appauthor=False)) / "native"


def private_folder() -> Path | None:
    """Where compiled code is kept; None where somebody else could put some there, which would be run."""
    folder = _cache()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError:
        return None
    if sys.platform == "win32":
        return None
    return folder if status.st_uid == os.getuid() and not status.st_mode & 0o022 else None


def _processor(command: list[str]) -> tuple[bytes, str]:
    """What the compiler says of itself and of this processor, and the flag that means this processor."""
    for tuning in ("-march=native", "-mcpu=native"):
        found = _run([*command, tuning, "-dM", "-E", "-x", "c", os.devnull])
        if found.returncode == 0:
            return found.stdout, tuning
    raise NoNativeError(f"{command[0]} knows neither -march=native nor -mcpu=native")


def _compile(command: list[str], path: Path) -> None:
    handle, temporary = tempfile.mkstemp(suffix=".so", dir=path.parent)
    os.close(handle)
    try:
        found = _run([*command, *map(str, sorted(SOURCES.glob("*.c"))), "-o", temporary, "-lm"])
        if found.returncode != 0:
            lines = [line for line in found.stderr.decode(errors="replace").splitlines() if line.strip()]
            reason = next((line for line in lines if "error" in line), (lines or ["no reason given"])[0])
            raise NoNativeError(f"{command[0]} failed: {reason}")
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMPILE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoNativeError(f"{command[0]} could not be run: {error}") from None
