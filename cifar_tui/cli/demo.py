"""``cifar-tui demo``: the whole loop with no network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_tui.cli import common
from cifar_tui.cli.console import Screen
from cifar_tui.cli.report_text import Places

if TYPE_CHECKING:
    from cifar_tui.session import Session

app = common.new_app()

# Chosen so that all of it, loading torch included, stays under a minute on two slow cores. The limit of
# seconds is for machines that are slower still; the steps are what ends it elsewhere.
RECIPE = {
    "dataset": "synthetic",
    "model": "cnn",
    "hidden_layers": "2",
    "norm": "layer",
    "learning_rate": "1e-3",
    "steps": "400",
    "threads": "1",
    "max_seconds": "25",
    "evaluate_first": "50",
    "evaluate_growth": "1.5",
    "eval_train_examples": "2000",
}
SAMPLES = 8


@app.command(epilog="Example: cifar-tui demo")
def demo(data_dir: common.DataDir = None, runs_dir: common.RunsDir = None) -> None:
    """Train a small network on drawn pictures: data, training, charts and report, in under a minute.

    It needs no network and no CIFAR: the pictures are synthetic, so the accuracies say nothing about CIFAR.
    The training is recorded as a run, like any other.
    """
    from cifar_tui.cli import driving
    from cifar_tui.recipe import resolve
    from cifar_tui.session import TrainRequest

    common.say(
        "cifar-tui demo: a small convolutional net learns ten classes of drawn pictures.\n"
        "The pictures are synthetic (drawn from a seed), not CIFAR; no network is needed."
    )
    screen = Screen.current()
    folder = common.data_dir(data_dir)
    if screen.terminal:
        _show_samples(screen, folder)
    request = TrainRequest(
        data_dir=folder,
        runs_dir=common.runs_dir(runs_dir),
        recipe=resolve(flags=RECIPE),
        title="demo",
    )
    places = Places(data_dir, runs_dir)
    session = driving.train(request, places, charts=True, next_commands=False)
    _say_next(session, places)


def _show_samples(screen: Screen, folder: Path) -> None:
    """Eight pictures with the names of their classes, one a class as far as they go."""
    import numpy as np

    from cifar_tui import pictures
    from cifar_tui.datasets import store

    train = store.load("synthetic", folder).train
    _, first = np.unique(train.labels, return_index=True)
    chosen = first[:SAMPLES]
    width = screen.size()[0] - 1
    columns = SAMPLES if width >= SAMPLES * 18 - 2 else SAMPLES // 2  # half size: 16 cells and a gap of 2
    names = [train.names[int(train.labels[index])] for index in chosen]
    print()
    print(
        pictures.grid(
            train.images[chosen],
            names,
            columns=columns,
            width=width,
            scale=2,
            colours=pictures.colours_for(os.environ, is_tty=True),
        ),
        flush=True,
    )
    print(flush=True)


def _say_next(session: Session, places: Places) -> None:
    """What to do with this run, and with real pictures."""
    ended = session.ended
    if ended is None or session.run_id is None:
        return
    longer = ["--steps", "1000"]
    if ended.seconds * 1000 > float(RECIPE["max_seconds"]) * max(1, ended.step):
        longer += ["--max-seconds", "none"]
    common.say("\nThese figures are for drawn pictures, not CIFAR. With this run:")
    common.say(f"  {places.command('evaluate', session.run_id)}")
    common.say(f"  {places.command('train', '--resume', session.run_id, *longer)}")
    common.say("With the real pictures, downloaded first where they are missing:")
    common.say(f"  {places.command('train', '--preset', 'seed-cnn')}")
