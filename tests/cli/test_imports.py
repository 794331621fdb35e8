"""What a command loads: help is quick because it loads nothing heavy, and torch comes only with work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import environment

HEAVY = ("numpy", "torch", "textual", "plotext", "PIL", "requests", "rich", "safetensors")


def loaded(program: str) -> list[str]:
    """Top-level modules that a fresh interpreter has loaded after a program."""
    tail = (
        "\nimport json, sys\nsys.stderr.write(json.dumps(sorted({n.partition('.')[0] for n in sys.modules})))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program + tail],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=120,
        check=True,
    )
    names: list[str] = json.loads(found.stderr.splitlines()[-1])
    return names


@pytest.mark.parametrize(("model", "engine"), [("fnn", "auto"), ("fnn", "fused"), ("cnn", "auto")])
def test_a_training_on_the_cpu_does_not_load_the_compiler_of_torch(
    tmp_path: Path, model: str, engine: str
) -> None:
    words = ["train", "--dataset", "synthetic", "--model", model, "--engine", engine, "--device", "cpu"]
    words += ["--steps", "2", "--batch-size", "10", "--num-nodes", "8", "--hidden-layers", "2"]
    words += ["--threads", "1", "--data-dir", str(tmp_path), "--runs-dir", str(tmp_path / "runs")]
    program = running(words) + "\nimport sys\nassert 'torch' in sys.modules"
    assert "torch" in loaded(program + "\nassert 'torch._dynamo' not in sys.modules")


def running(*commands: list[str]) -> str:
    calls = "\n".join(f"assert main.run({words!r}) == 0, {words!r}" for words in commands)
    return f"from cifar_tui.cli import main\n{calls}"


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--version"]])
def test_help_and_version_load_nothing_heavy(words: list[str]) -> None:
    assert set(loaded(running(words))) & set(HEAVY) == set()


def test_no_help_of_any_command_loads_torch_or_a_screen_library() -> None:
    from cifar_tui.cli.main import COMMANDS

    commands = [[name, "--help"] for name in COMMANDS]
    commands += [["data", "download", "--help"], ["runs", "list", "--help"], ["models", "show", "--help"]]
    assert set(loaded(running(*commands))) & {"torch", "textual", "plotext", "PIL"} == set()


def test_looking_at_choices_data_and_runs_loads_no_torch(tmp_path: Path) -> None:
    runs, data = ["--runs-dir", str(tmp_path)], ["--data-dir", str(tmp_path)]
    program = running(
        ["models"],
        ["models", "show", "cnn"],
        ["optimizers"],
        ["presets"],
        ["presets", "show", "seed-fnn"],
        ["data", "status", *data],
        ["runs", "list", *runs],
        ["samples", "synthetic", "-n", "1", *data],
    )
    assert set(loaded(program)) & {"torch", "textual", "plotext", "PIL"} == set()


def test_the_datasets_library_alone_loads_no_torch_and_no_command_library() -> None:
    names = set(loaded("import cifar_tui.datasets as d\nd.load('synthetic', d.data_dir(None))"))
    assert names & {"torch", "textual", "typer", "plotext", "PIL", "pydantic"} == set()
    assert "numpy" not in loaded("import cifar_tui.datasets as d\nd.names()")
