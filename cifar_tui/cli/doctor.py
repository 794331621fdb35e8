"""``cifar-tui doctor``: what this machine has, and whether data and runs are well. It changes nothing."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from cifar_tui.cli import common
from cifar_tui.errors import CifarTuiError, DamagedError, UnavailableError
from cifar_tui.text import human_bytes, safe_text

if TYPE_CHECKING:
    from pathlib import Path

app = common.new_app()
PACKAGES = (
    "torch",
    "numpy",
    "textual",
    "rich",
    "plotext",
    "typer",
    "pydantic",
    "requests",
    "safetensors",
    "pillow",
)
# Names only of what changes how the program behaves; nothing else of the environment is shown.
VARIABLES = ("TERM", "COLORTERM", "NO_COLOR", "LANG", "LC_ALL", "COLUMNS", "TMUX", "CUDA_VISIBLE_DEVICES")
OWN_VARIABLES = ("CIFAR_TUI_DATA_DIR", "CIFAR_TUI_RUNS_DIR", "CIFAR_TUI_MIRROR")


@app.command(epilog="Example: cifar-tui doctor")
def doctor(
    data_dir: common.DataDir = None, runs_dir: common.RunsDir = None, as_json: common.Json = False
) -> None:
    """Show what this machine has, and check that all is well.

    Changes nothing. Exit code 65 where a dataset or run is damaged, 69 where torch cannot be loaded.
    """
    found = examine(common.data_dir(data_dir), common.runs_dir(runs_dir))
    if as_json:
        common.print_json(found)
    else:
        print(_text(found))
    datasets = [each["dataset"] for each in found["data"]["datasets"] if each["state"] == "damaged"]
    damaged = [f"dataset {name}" for name in datasets] + [f"run {name}" for name in found["runs"]["damaged"]]
    hints = [common.command(f"data download {name}", data_dir=data_dir) for name in datasets]
    hints += [common.command(f"runs show {name}", runs_dir=runs_dir) for name in found["runs"]["damaged"]]
    if damaged:
        raise DamagedError(f"damaged: {', '.join(damaged)}", state="nothing was changed", hint=hints[0])
    if found["torch"]["error"] is not None:
        raise UnavailableError(
            f"torch cannot be loaded: {found['torch']['error']}", hint="pip install --force-reinstall torch"
        )


def examine(data: Path, runs: Path) -> dict[str, Any]:
    """Everything, as JSON values. Nothing is written, and no folder is made.

    Args:
        data: the folder of datasets.
        runs: the folder of runs.
    """
    import platform

    import psutil

    import cifar_tui

    torch = _torch()
    memory = psutil.virtual_memory()
    return {
        "version": cifar_tui.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": _packages(),
        "torch": torch,
        "cores": _cores(),
        "memory": {"total": int(memory.total), "available": int(memory.available)},
        "native": _native(),
        "data": {"dir": str(data), "free": _free(data), "datasets": _datasets(data)},
        "runs": {"dir": str(runs), "free": _free(runs), **_runs(runs)},
        "terminal": _terminal(),
        "environment": _environment(),
    }


def _packages() -> dict[str, str | None]:
    from importlib import metadata

    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def _torch() -> dict[str, Any]:
    """Devices and how long loading torch took; a torch that cannot be loaded is a finding, not a crash."""
    import time

    started = time.perf_counter()
    try:
        from cifar_tui.engine import device
    except (ImportError, OSError) as error:
        return {
            "seconds": None,
            "devices": [],
            "error": safe_text(str(error).strip() or type(error).__name__, 200),
        }
    seconds = time.perf_counter() - started
    devices = []
    for name in device.available():
        found = device.select(name).to_json()
        devices.append({key: found[key] for key in ("device", "name", "memory", "threads")})
    return {"seconds": round(seconds, 3), "devices": devices, "error": None}


def _native() -> dict[str, Any]:
    """What native steps are compiled with, and whether they were; a compiler that is missing is a finding.

    `cuda_error` says why there are none on a CUDA device, whether there is one or not.
    """
    from cifar_tui.engine import native_build

    try:
        from cifar_tui.engine.cuda_kernels import why_not

        on_cuda = why_not()
    except (ImportError, OSError):
        on_cuda = "torch cannot be loaded"
    try:
        command = " ".join(native_build.compiler())
        found = {"compiler": command, "built": native_build.is_built(), "error": None}
    except native_build.NoNativeError as error:
        found = {"compiler": None, "built": False, "error": str(error)}
    return found | {"cuda_error": on_cuda}


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _datasets(folder: Path) -> list[dict[str, Any]]:
    from cifar_tui.datasets import names, status

    found = []
    for name in names():
        try:
            one = status(name, folder)
            found.append({**one.to_json(), "detail": safe_text(one.detail, 300)})
        except CifarTuiError as error:
            found.append({"dataset": name, "state": "unreadable", "detail": safe_text(error.message, 300)})
    return found


def _runs(folder: Path) -> dict[str, Any]:
    """How many runs there are, which are damaged and which are being trained. Reads each `run.json`."""
    from cifar_tui.runs.directory import iterate_runs
    from cifar_tui.runs.lock import holder

    count, damaged, running = 0, [], []
    try:
        for run in iterate_runs(folder):
            count += 1
            try:
                run.meta()
            except CifarTuiError:
                damaged.append(run.id)
            if holder(run) is not None:
                running.append(run.id)
    except CifarTuiError as error:
        return {"count": 0, "damaged": [], "running": [], "error": safe_text(error.message, 300)}
    return {"count": count, "damaged": sorted(damaged), "running": sorted(running), "error": None}


def _free(folder: Path) -> int | None:
    """Free bytes of the disk that holds a folder, or would hold it."""
    import shutil

    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place).free
        except OSError:
            continue
    return None


def _terminal() -> dict[str, Any]:
    from cifar_tui.pictures import colours_for

    terminal = common.on_terminal()
    return {
        "stdin": sys.stdin is not None and sys.stdin.isatty(),
        "stdout": terminal,
        "columns": common.terminal_width(),
        "encoding": getattr(sys.stdout, "encoding", None),
        "pictures": colours_for(os.environ, terminal),
    }


def _environment() -> dict[str, str]:
    from cifar_tui.datasets.sources import shown

    found = {name: safe_text(os.environ[name], 120) for name in VARIABLES if name in os.environ}
    for name in OWN_VARIABLES:
        if name in os.environ:
            text = os.environ[name]
            found[name] = safe_text(shown(text) if name.endswith("MIRROR") else text, 200)
    return found


def _text(found: dict[str, Any]) -> str:
    packages = [f"{name} {version or 'missing'}" for name, version in found["packages"].items()]
    memory = found["memory"]
    sections = [
        (
            "versions",
            [
                f"cifar-tui {found['version']}  python {found['python']}  {found['platform']}",
                "  ".join(packages[:5]),
                "  ".join(packages[5:]),
            ],
        ),
        ("devices", _device_lines(found["torch"])),
        (
            "machine",
            [
                f"{found['cores']} cores, {human_bytes(memory['total'])} memory, "
                f"{human_bytes(memory['available'])} available",
                _native_line(found["native"]),
                *_cuda_lines(found["native"], found["torch"]),
            ],
        ),
        ("data", _data_lines(found["data"])),
        ("runs", _run_lines(found["runs"])),
        ("terminal", _terminal_lines(found["terminal"])),
        (
            "environment",
            [f"{name}={value}" for name, value in found["environment"].items()] or ["nothing set"],
        ),
    ]
    blocks = []
    for title, lines in sections:
        blocks.append("\n".join([common.paint(title, "1"), *(f"  {line}" for line in lines)]))
    return "\n\n".join(blocks)


def _device_lines(torch: dict[str, Any]) -> list[str]:
    if torch["error"] is not None:
        return [common.paint(f"torch cannot be loaded: {torch['error']}", "31")]
    lines = [
        f"{each['device']:<8} {safe_text(each['name'], 60)}, {human_bytes(each['memory'])}"
        + (f", {each['threads']} threads" if each["device"] == "cpu" else "")
        for each in torch["devices"]
    ]
    return [*lines, f"loading torch took {torch['seconds']:.1f} s"]


def _native_line(native: dict[str, Any]) -> str:
    if native["error"] is not None:
        why = safe_text(native["error"], 80)
        return f"{why}: training on the CPU runs engine fused, about half as fast as native"
    when = "compiled and kept" if native["built"] else "compiled by the first training that can use it"
    return f"C compiler {safe_text(native['compiler'], 60)}; engine native is {when}"


def _cuda_lines(native: dict[str, Any], torch: dict[str, Any]) -> list[str]:
    if not any(each["device"].startswith("cuda") for each in torch["devices"]):
        return []
    if native["cuda_error"] is not None:
        return [
            f"{safe_text(native['cuda_error'], 80)}: training on CUDA runs engine graph, several times slower"
        ]
    return ["CUDA kernels of engine native are compiled by the first training of a shape, and kept"]


def _data_lines(data: dict[str, Any]) -> list[str]:
    lines = [f"{safe_text(data['dir'])}, {_free_text(data['free'])}"]
    for each in data["datasets"]:
        state = common.paint(f"{each['state']:<10}", common.STATE_COLOURS.get(each["state"], ""))
        lines.append(f"{each['dataset']:<10} {state} {each['detail']}".rstrip())
    return lines


def _run_lines(runs: dict[str, Any]) -> list[str]:
    lines = [f"{safe_text(runs['dir'])}, {_free_text(runs['free'])}"]
    if runs["error"] is not None:
        return [*lines, common.paint(runs["error"], "31")]
    words = "1 run" if runs["count"] == 1 else f"{runs['count']:,} runs"
    lines.append(f"{words}, {len(runs['running'])} in training, {len(runs['damaged'])} damaged")
    return lines + [common.paint(f"damaged: {name}", "31") for name in runs["damaged"]]


def _free_text(free: int | None) -> str:
    return "free space not known" if free is None else f"{human_bytes(free)} free"


def _terminal_lines(terminal: dict[str, Any]) -> list[str]:
    from cifar_tui.cli.terminal_card import card

    place = f"{terminal['columns']} columns" if terminal["stdout"] else "standard output is no terminal"
    lines = [f"{place}, encoding {terminal['encoding']}, pictures in {terminal['pictures']}"]
    return lines + (card(colour=common.use_colour()) if terminal["stdout"] else [])
