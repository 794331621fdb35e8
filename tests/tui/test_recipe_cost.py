"""The cost of a recipe, and the preview of its learning rate."""

from __future__ import annotations

import psutil
import pytest

from cifar_tui.config import RunConfig
from cifar_tui.events import Progress, RunEnded, to_json
from cifar_tui.fsio import dump_json
from cifar_tui.recipe import resolve
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.tui.live import LiveRun
from cifar_tui.tui.widgets.cost import CostModel, describe, find_slow_facts, recorded_rates, total_steps
from cifar_tui.tui.widgets.rate_preview import braille_line, curve, spark


def _config(**flags: str) -> RunConfig:
    return resolve(preset="seed-cnn", flags=flags).config


def _progress(rate: float) -> Progress:
    figures = dict.fromkeys(
        ("loss", "loss_min", "loss_max", "moving_loss", "moving_accuracy", "mean_loss", "mean_accuracy"), 1.0
    )
    return Progress(
        step=10,
        target=100,
        epoch=0.1,
        learning_rate=0.1,
        steps_per_second=rate,
        images_per_second=rate * 50,
        seconds=1.0,
        **figures,
    )


def _run(root, config: RunConfig, rate: float, *, memory: int | None = None, ended: bool = False) -> None:
    total = psutil.virtual_memory().total if memory is None else memory
    meta = {"config": config.model_dump(), "device": {"device": "cpu", "name": "x", "memory": total}}
    run = RunDirectory.create(root, meta, name=None, stem="cnn")
    events = [_progress(1.0), _progress(rate)]
    if ended:
        events.append(
            RunEnded(
                run=run.id,
                state="done",
                step=10,
                seconds=1.0,
                steps_per_second=rate,
                median_step_us=None,
                train=None,
                test=None,
            )
        )
    run.events_path.write_text(
        "".join(dump_json(to_json(event)) + "\n" for event in events) + '{"event": "pro'
    )


def test_size_and_steps_need_nothing_but_the_recipe():
    cost = CostModel().cost(_config())
    assert (cost.parameters, cost.steps, cost.seconds) == (206_154, 20_000, None)
    assert cost.flops > 1_000_000
    assert "Time unknown: no run of this model and batch size here." in describe(cost)


def test_epochs_count_full_batches_of_what_is_not_held_out():
    assert total_steps(_config(epochs="2", batch_size="300", validation_examples="10000")) == 2 * 133


def test_memory_is_known_after_the_slow_facts_and_too_much_is_seen(tmp_path):
    model = CostModel()
    assert model.cost(_config()).memory is None
    model.set_slow_facts(find_slow_facts(tmp_path))
    assert model.cost(_config()).memory > 400_000_000
    assert not model.cost(_config()).too_large
    assert model.cost(_config(num_nodes="65536", hidden_layers="1000")).too_large


def test_time_comes_from_the_newest_run_of_the_same_model_and_batch(tmp_path):
    _run(tmp_path, _config(), 40.0)
    model = CostModel()
    model.set_slow_facts(find_slow_facts(tmp_path))
    assert model.cost(_config()).seconds == pytest.approx(20_000 / 40.0)
    assert model.cost(_config(steps="100", seed="9", dropout="0.3")).seconds == pytest.approx(2.5)
    assert model.cost(_config(max_seconds="60")).seconds == 60
    for other in ({"batch_size": "100"}, {"num_nodes": "64"}, {"device": "cuda"}, {"threads": "1"}):
        assert model.cost(_config(**other)).seconds is None


def test_the_rate_of_the_end_counts_and_another_machine_does_not(tmp_path):
    _run(tmp_path, _config(), 33.0, ended=True)
    _run(tmp_path, _config(batch_size="100"), 99.0, memory=1)
    rates = list(recorded_rates(tmp_path, psutil.virtual_memory().total))
    assert [rate.steps_per_second for rate in rates] == [33.0]


def test_a_damaged_run_and_a_missing_folder_are_no_trouble(tmp_path):
    _run(tmp_path, _config(), 33.0)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    assert len(list(recorded_rates(tmp_path, psutil.virtual_memory().total))) == 1
    assert list(recorded_rates(tmp_path / "none", 1)) == []


def test_the_training_that_just_ran_is_the_newest_rate():
    live = LiveRun()
    live.config, live.device, live.progress = _config().model_dump(), {"device": "cpu"}, _progress(50.0)
    model = CostModel()
    model.add_live(live)
    assert model.cost(_config()).seconds == pytest.approx(400.0)


def test_the_foot_says_from_how_many_runs_or_a_probe_the_time_comes(tmp_path):
    for rate in (40.0, 50.0, 20.0):
        _run(tmp_path, _config(), rate)
    model = CostModel()
    model.set_slow_facts(find_slow_facts(tmp_path))
    cost = model.cost(_config())
    assert (cost.source, cost.steps_per_second) == ("3 runs here", 40.0)
    assert "from 3 runs here with this model" in describe(cost)
    model.add_probe(_config(), "cpu", 80.0)
    model.add_probe(_config(), "cpu", 100.0)
    cost = model.cost(_config())
    assert (cost.source, cost.steps_per_second) == ("probe", 100.0)
    assert "from a probe with this model" in describe(cost)
    assert model.cost(_config(batch_size="100")).source == ""
    assert model.cost(_config(engine="eager")).source == ""


def test_the_preview_follows_warm_up_and_cosine():
    config = _config(schedule="cosine", warmup_steps="1000", min_learning_rate="1e-5")
    values = curve(config, 20_000, 41)
    assert values[0] == pytest.approx(1e-7)
    assert max(values) == pytest.approx(1e-4, rel=0.02)
    assert values[-1] == pytest.approx(1e-5)
    assert spark(values[::8])[0] == "▁"
    assert spark(curve(_config(), 100, 8)) == ""


@pytest.mark.parametrize("values", [[], [0.0] * 8, [1.0] * 8, [1e-300, 1e300] * 4, [1.0]])
def test_any_curve_is_drawn_in_its_place(values):
    drawn = braille_line(values, 2)
    assert [len(row) for row in drawn] == [len(values) // 2] * 2


def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right():
    upper, lower = braille_line([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 2)
    assert upper[0] == "⠀" and lower[0] != "⠀"
    assert upper[-1] != "⠀" and lower[-1] == "⠀"
    assert curve(_config(), 0, 10) == []
