"""``cifar-tui bench``: figures side by side, as a table, as JSON and as a trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cifar_tui.bench import measure, subjects
from tests.cli.command import Outcome, call

QUICK = ["--windows", "2", "--seconds", "0.02", "--threads", "1", "--device", "cpu"]
SMALL = ["--model", "fnn", "--hidden-layers", "2", "--num-nodes", "16"]


@pytest.fixture(autouse=True)
def few_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure.Settings, "__init__", _with_few(measure.Settings.__init__))


def _with_few(init: Any) -> Any:
    def smaller(self: measure.Settings, **values: Any) -> None:
        init(self, **values, pictures=200)

    return smaller


def bench(capsys: pytest.CaptureFixture[str], *words: object) -> Outcome:
    return call(capsys, "bench", *QUICK, "--no-startup", *words)


def by_name(model: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each for each in model["loops"]}


def test_json_has_the_machine_every_window_and_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    found = bench(capsys, *SMALL, "--json")
    assert found.code == 0, found.err
    values = found.json
    assert {"cpu", "cores", "threads", "torch", "device", "python"} <= set(values["machine"])
    assert values["machine"]["threads"] == 1
    (model,) = values["models"]
    assert model["config"]["num_nodes"] == 16
    loops = by_name(model)
    assert {"eager", *subjects.PLAIN} <= set(loops)
    for each in loops.values():
        assert len(each["windows"]) == 2
        rate = each["steps_per_second"]
        assert 0 < rate["min"] <= rate["median"] <= rate["max"]
        assert each["images_per_second"] == pytest.approx(rate["median"] * 50)
        assert 0 < each["median_step_us"] <= each["p95_step_us"]
        assert set(each["profile"]["parts"]) == {
            "feed", "forward", "backward", "metrics", "optimizer", "between"
        }  # fmt: skip
        assert len(each["profile"]["costliest"]) == 10
    engines = [each["name"] for each in loops.values() if each["kind"] == "engine"]
    assert [(each["engine"], each["to"]) for each in model["ratios"]] == [
        (engine, other) for engine in engines for other in subjects.PLAIN
    ]
    first = model["ratios"][0]
    rates = [
        [window["steps"] / window["seconds"] for window in loops[name]["windows"]]
        for name in (first["engine"], first["to"])
    ]
    assert first["rounds"] == pytest.approx([ours / theirs for ours, theirs in zip(*rates, strict=True)])
    assert first["min"] <= first["median"] <= first["max"]


def test_every_loop_spends_time_in_the_parts_that_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    (model,) = bench(capsys, *SMALL, "--json").json["models"]
    for each in model["loops"]:
        parts = each["profile"]["parts"]
        for name in ("feed", "forward", "backward", "optimizer"):
            assert parts[name] > 0, (each["name"], name)
        if each["kind"] == "engine" and each["name"] != "native":  # it counts hits on the way
            assert parts["metrics"] > 0, each["name"]
    loops = by_name(model)
    assert loops["loader-pil"]["profile"]["parts"]["feed"] > loops["index"]["profile"]["parts"]["feed"]


def test_the_table_says_how_many_times_as_fast_and_what_did_not_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = bench(capsys, *SMALL)
    assert found.code == 0, found.err
    lines = found.out.splitlines()
    assert "1 thread, torch" in lines[0]
    assert "2 windows of 0.02 s" in lines[1]
    for title in ("steps/s", "median us", "p95 us", "ratio", "part of a step"):
        assert title in found.out
    assert "plain loop, PIL DataLoader" in found.out
    assert "not run: compiled" in found.out
    assert "round 2 of 2" in found.err
    assert "\x1b" not in found.out + found.err
    assert max(len(line) for line in lines if not line.startswith("warning")) <= 100


def test_figures_taken_beside_busy_programs_come_with_a_warning(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure.load.OtherLoad, "look", lambda _self: 0.9)
    busy = bench(capsys, *SMALL, "--engine", "eager")
    assert "warning: other programs were busy in 8 of 8 windows, with up to 0.9 cores" in busy.out
    monkeypatch.setattr(measure.load.OtherLoad, "look", lambda _self: 0.01)
    assert "warning" not in bench(capsys, *SMALL, "--engine", "eager").out


def test_the_profile_is_a_trace_with_a_range_for_each_engine(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "trace.json"
    file.write_text("old")
    found = bench(capsys, *SMALL, "--engine", "eager", "--profile", file)
    assert found.code == 0, found.err
    trace = json.loads(file.read_text())
    names = {str(event.get("name")) for event in trace["traceEvents"]}
    assert "loop fnn eager" in names
    assert any(name.startswith("aten::") for name in names)
    assert [path.name for path in tmp_path.iterdir()] == ["trace.json"]
    table = found.out.split("fnn, engine eager\n")[1].split("\n\n")[0].splitlines()
    assert table[0].split() == ["operation", "us", "a", "step", "calls", "share"]
    assert len(table) == 11
    assert "perfetto" in found.err


def test_only_the_engines_asked_for_run(capsys: pytest.CaptureFixture[str]) -> None:
    (model,) = bench(capsys, *SMALL, "--engine", "eager", "--json").json["models"]
    assert [each["name"] for each in model["loops"] if each["kind"] == "engine"] == ["eager"]
    assert model["refused"] == {}


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["--engine", "eagre"], 2, "eager"),
        (["--preset", "seed"], 2, "seed-fnn"),
        (["--windows", "0"], 2, "windows"),
        (["--device", "cuda:7"], 69, "cuda:7"),
        (["--engine", "graph"], 2, "CUDA"),
        (["--preset", "seed-fnn", "--preset", "seed-cnn", "--model", "cnn"], 2, "--model"),
        (["--profile", "no/such/folder/trace.json"], 66, "trace.json"),
        (["--profile", "."], 73, "folder"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_measured(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    part: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    found = call(capsys, "bench", "--no-startup", *words)
    assert found.code == code, found.err
    assert part in found.err
    assert "round" not in found.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_start_up_and_memory_come_from_fresh_processes(capsys: pytest.CaptureFixture[str]) -> None:
    found = call(capsys, "bench", *QUICK, *SMALL, "--engine", "eager", "--json")
    assert found.code == 0, found.err
    loops = by_name(found.json["models"][0])
    for name in ("eager", "loader-pil"):
        assert loops[name]["startup_seconds"] > 0.2  # a process that loads torch
        assert 100e6 < loops[name]["peak_memory"] < 2e9
    assert "startup_seconds" not in loops["index"]
