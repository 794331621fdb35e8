"""Random keys, clicks, resizes and pastes as bytes of a pseudo-terminal, with a training under way.

Every few of them it goes to another room or dialog, so that each gets its share; the app's process counts
where they went. ``CIFAR_TUI_RANDOM_EVENTS`` is how many (400), ``CIFAR_TUI_RANDOM_SEED`` which ones; a
failure names the seed.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import random
import shutil
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from textual.screen import Screen

import cifar_tui.tui
from cifar_tui.events import Event
from cifar_tui.runs.checkpoints import CheckpointStore
from cifar_tui.runs.directory import list_runs
from cifar_tui.runs.reader import read_events
from cifar_tui.tui.screens.modal import Modal
from cifar_tui.tui.settings import Settings
from cifar_tui.tui.widgets.recipe_files import write_recipe
from tests.cli.command import spawn
from tests.tui.places import PlaceNotes
from tests.tui.run_maker import make_run
from tests.tui.terminal import Terminal
from tests.tui.visits import PLACES, Visitor, some_order

EVENTS = int(os.environ.get("CIFAR_TUI_RANDOM_EVENTS", "400"))
SEED = int(os.environ.get("CIFAR_TUI_RANDOM_SEED", "0")) or time.time_ns() % 1_000_000
LIFE, VISIT, PAINT = 1000, 40, 250  # events until the app is left, until another place, until it is looked at
FULL, SHARE, TRAINED = 2000, 1000, 0.5  # from so many on each place gets one in 1,000, half while training
SIZES = ((80, 24), (120, 40), (200, 50))
FORM = {
    "dataset": "synthetic", "model": "fnn", "hidden_layers": "1", "num_nodes": "16", "steps": "1000000",
    "optimizer": "sgd", "learning_rate": "0.05", "l2_reg": "0.1",
}  # fmt: skip

LETTERS = [*"abcdefghijklmnoprtuvwxyzERTFO12345+-[]{}=?/.", " "]
SPECIAL = [
    *("\r", "\t", "\x1b[Z", "\x1b", "\x7f", "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b[H", "\x1b[F"),
    *("\x1b[5~", "\x1b[6~", "\x1b[3~", "\x1bOP", "\x1bOQ", "\x1bOR", "\x1b[17~", "\x1b[17;2~", "\x1b[20~"),
    *("\x01", "\x05", "\x07", "\x0b", "\x0e", "\x0f", "\x10", "\x12", "\x13", "\x14", "\x15", "\x17", "\x19"),
]
LEAVING = ["q", "\x11", "\x03"]
START = (
    "import os, sys\n"
    "from cifar_tui.cli.start import main\n"
    "from tests.tui.places import note_places\n"
    "os.register_at_fork(after_in_child=lambda: note_places({notes!r}))\n"  # below the app's supervisor
    "os.chdir({folder!r})\n"  # files that are saved by chance go there
    "sys.exit(main())\n"
)


@dataclass
class Tally:
    """What was sent, and what the app made of it.

    Attributes:
        sent: events so far.
        lives: how often the app was started.
        given, kinds: how many events each place was given, and how many of each kind.
        trained: how many were given while the app trained.
        missed: how often the way to a place did not lead there.
        at_once: how often Ctrl+C left while a run was being saved: it has no end then, and can be resumed.
        slowest: longest time in seconds until the app had handled what was sent.
    """

    sent: int = 0
    lives: int = 0
    given: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    trained: int = 0
    at_once: int = 0
    slowest: float = 0.0

    def add(self, visitor: Visitor) -> None:
        """Take over what was counted in one life."""
        self.given += visitor.given
        self.kinds += visitor.kinds
        self.missed += visitor.missed
        self.trained += visitor.trained
        self.slowest = max(self.slowest, visitor.slowest)

    def told(self) -> str:
        """All of it, a line a place."""
        lines = [f"{self.sent:,} events were sent in {self.lives} lives of the app, seed {SEED}"]
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in self.kinds.most_common())
        lines.append(
            f"it was given {self.kinds.total():,} ({kinds}), {self.trained:,} of them while training"
        )
        lines.append(f"it answered after at most {self.slowest:.1f} s")
        for place in sorted({*PLACES, *self.given}, key=lambda place: -self.given[place]):
            missed = f"   {self.missed[place]} visits failed" if self.missed[place] else ""
            lines.append(f"  {self.given[place]:>6,}  {place}{missed}")
        return "\n".join(lines)


def one_event(terminal: Terminal, choose: random.Random) -> None:
    """Something that a user, a cat or a terminal may send."""
    columns, lines = terminal.screen.columns, terminal.screen.lines
    x, y = choose.randint(1, columns), choose.randint(1, lines)
    kind = choose.random()
    if kind < 0.45:
        data = choose.choice(LETTERS).encode()
    elif kind < 0.70:
        data = choose.choice(SPECIAL).encode()
    elif kind < 0.71:
        data = choose.choice(LEAVING).encode()
    elif kind < 0.83:
        data = f"\x1b[<0;{x};{y}M\x1b[<0;{x};{y}m".encode()
    elif kind < 0.87:
        to_x, to_y = choose.randint(1, columns), choose.randint(1, lines)
        data = f"\x1b[<0;{x};{y}M\x1b[<32;{to_x};{to_y}M\x1b[<0;{to_x};{to_y}m".encode()
    elif kind < 0.91:
        data = f"\x1b[<{choose.choice((64, 65, 66, 67, 35, 2, 1))};{x};{y}M".encode()
    elif kind < 0.94:
        letters = "".join(
            chr(choose.choice((choose.randint(32, 126), choose.randint(160, 0x2FFF)))) for _ in range(40)
        )
        data = b"\x1b[200~" + letters.replace("/", " ").encode() * choose.choice((1, 1, 20)) + b"\x1b[201~"
    elif kind < 0.96:
        data = bytes(choose.randrange(128, 256) for _ in range(choose.randint(1, 8)))
    elif kind < 0.98:
        resize(terminal, choose)
        return
    else:
        data = choose.choice(
            (b"\x1b[<0;5", b"\x1b[", b"\x1bO", b"\x1b[200~x", b"\x1b]0;t\x07", b"\x1b[I\x1b[O", b"\x00")
        )
    for start in range(0, len(data), 2048):
        terminal.child.send(data[start : start + 2048])
        terminal.pump(0.005, show=False)


def resize(terminal: Terminal, choose: random.Random) -> None:
    """Another size, mostly a usual one."""
    usual = choose.random() < 0.7
    terminal.resize(*choose.choice(SIZES) if usual else (choose.randint(1, 220), choose.randint(1, 60)))


def see(terminal: Terminal) -> str:
    """The screen, painted anew; "" where the app has ended."""
    terminal.resize(100, 31)
    terminal.pump(0.3)
    terminal.resize(120, 40)
    return terminal.text if terminal.pump(0.7) else ""


def check_painted(terminal: Terminal) -> None:
    """Something is on the screen, however small it was before."""
    end = time.monotonic() + 30  # a busy machine may need seconds
    while not see(terminal).strip() and terminal.child.isalive():
        assert time.monotonic() < end, "nothing is painted"


def leave(terminal: Terminal) -> int:
    """As a user would: out of what is open, quit, save; returns the exit code."""
    end = time.monotonic() + 120
    while terminal.child.isalive() and time.monotonic() < end:
        terminal.press("\x1b[201~\x1b")
        if not terminal.pump(0.3, show=False):
            break
        terminal.press("\x11")  # ctrl+q
        text = see(terminal)
        if "Stop and save" in text:
            terminal.press("s")
        elif not text:
            break
    return terminal.wait_end(60)


def prepare(folder: Path) -> None:
    """Runs to look at, in a folder that each life copies from, and a recipe to load."""
    made = folder / "made"
    folders = (f"--runs-dir={made}", f"--data-dir={folder / 'data'}")
    form = [f"--{name.replace('_', '-')}={value}" for name, value in (FORM | {"steps": "400"}).items()]
    found = spawn("train", *form, "--name=trained", *folders)
    assert found.code == 0, found.err
    make_run(made, "other", accuracy=0.5)
    hollow = make_run(made, "hollow").checkpoints / "step-000001000"
    hollow.mkdir(parents=True)
    (hollow / "manifest.json").write_text("{")
    (folder / "work").mkdir()
    write_recipe(folder / "recipe.toml", None, FORM)


def life(folder: Path, choose: random.Random, tally: Tally, left: int) -> None:
    """One life of the app: at most `left` events, to wherever they lead."""
    settings = Settings.load(folder / "config" / "settings.toml")
    settings.set(form=FORM, preset="", seen_start=True, keys={})
    settings.save()
    for run in (folder / "made").iterdir():
        if not (folder / "runs" / run.name).exists():
            shutil.copytree(run, folder / "runs" / run.name)
    dead = "http://127.0.0.1:9"
    environment = {"CIFAR_TUI_MIRROR": dead, "http_proxy": dead, "https_proxy": dead}
    notes = folder / f"notes-{tally.lives}"
    code = START.format(folder=str(folder / "work"), notes=str(notes))
    with Terminal(folder, size=choose.choice(SIZES), code=code, environment=environment) as terminal:
        visitor = Visitor(terminal, PlaceNotes(notes))
        terminal.wait_for("Welcome|Recipe|no run yet", 60)
        terminal.pump(0.5)
        try:
            send(terminal, visitor, choose, tally, left, folder / "recipe.toml")
            code_at_end = leave(terminal)
        finally:
            visitor.finish_counting()
            tally.add(visitor)
            tally.lives += 1
        check_end(folder, terminal)
        assert code_at_end in {0, 130}, f"exit code {code_at_end}:\n{terminal.text}"
        tally.at_once += code_at_end == 130
        terminal.assert_restored()


def send(
    terminal: Terminal, visitor: Visitor, choose: random.Random, tally: Tally, left: int, recipe: Path
) -> None:
    """Events in rounds, each at another place and while it trains, until the last or the end of the app."""
    places: list[str] = []
    for number in range(left):
        if number % VISIT == 0:
            places = places or some_order(choose)
            visitor.train(recipe)
            visitor.visit(places.pop())
            if choose.random() < 0.3:
                resize(terminal, choose)
        if number % PAINT == PAINT - 1:
            check_painted(terminal)
        if not terminal.child.isalive():
            return
        one_event(terminal, choose)
        tally.sent += 1


def check_end(folder: Path, terminal: Terminal) -> None:
    """No log of a bug, and no word of one on the screen."""
    log = "".join(path.read_text() for path in (folder / "state").rglob("cifar-tui.log"))
    assert not log, log
    for word in (b"Traceback", b"a bug in cifar-tui"):
        place = terminal.raw.find(word)
        said = bytes(terminal.raw[max(0, place - 200) : place + 3000]).decode(errors="replace")
        assert place < 0, said


def check_runs(folder: Path, at_once: int) -> None:
    """Every run has its end, but for one each time that Ctrl+C left at once; checkpoints can be read."""
    without: dict[str, Event] = {}  # the last event of a run without an end
    runs = [run for run in list_runs(folder / "runs") if run.meta().get("title") != "hollow"]
    assert runs
    for run in runs:
        found = read_events(run.events_path)
        assert found.damaged == 0, run.id
        if found.events and found.events[-1].kind != "run_ended":
            without[run.id] = found.events[-1]
        store = CheckpointStore(run.checkpoints)
        for info in store.list():
            store.verify(info)
        assert run.id in without or not list(run.checkpoints.glob(".*tmp*")), run.id
    assert len(without) <= at_once, without


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs a Linux pseudo-terminal")
@pytest.mark.timeout(300 + EVENTS)
def test_random_input_on_every_screen_while_training_ends_no_life_badly_and_no_record(tmp_path: Path) -> None:
    prepare(tmp_path)
    choose, tally = random.Random(SEED), Tally()
    try:
        while tally.sent < EVENTS:
            life(tmp_path, choose, tally, min(LIFE, EVENTS - tally.sent))
            print(f"{tally.sent} events, {tally.lives} lives", flush=True)
        check_runs(tmp_path, tally.at_once)
    except AssertionError as error:
        raise AssertionError(f"seed {SEED}, after {tally.sent} events: {error}") from error
    finally:
        print(tally.told(), flush=True)
    if EVENTS >= FULL:
        least = EVENTS // SHARE
        too_few = {place: tally.given[place] for place in PLACES if tally.given[place] < least}
        assert not too_few, f"seed {SEED}: places that were given fewer than {least} events: {too_few}"
        assert tally.trained >= TRAINED * tally.kinds.total(), tally.told()


def test_there_is_a_way_to_every_screen_of_the_app() -> None:
    for module in pkgutil.walk_packages(cifar_tui.tui.__path__, "cifar_tui.tui."):
        importlib.import_module(module.name)
    left, found = [Screen], set()
    while left:
        for kind in left.pop().__subclasses__():
            left.append(kind)
            found.add(kind)
    screens = {
        kind.__name__ for kind in found if kind.__module__.startswith("cifar_tui.") and kind is not Modal
    }
    reached = {place.partition(" ")[0] for place in PLACES} | {"Dashboard"}
    assert screens - {"BelowTooltips", "FrameScreen"} <= reached
