"""Every room in a real pseudo-terminal on real CIFAR: by keys alone, and again by mouse."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cifar_tui.datasets import store
from cifar_tui.datasets.download import fetch
from cifar_tui.runs.directory import RunDirectory, list_runs
from cifar_tui.runs.liveness import look
from cifar_tui.tui.widgets.confusion_matrix import CELL, LABEL
from tests.tui.journey import DOWN, LEFT, RIGHT, SLOW, UP, archive
from tests.tui.runs_hands import RunsHands
from tests.tui.terminal import Terminal

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs a Linux pseudo-terminal"),
    pytest.mark.slow,
    pytest.mark.real_data,
]

ARCHIVES = {"cifar10": "cifar-10-binary.tar.gz", "cifar100": "cifar-100-binary.tar.gz"}
SMALL = {"dataset": "cifar10", "model": "fnn", "num_nodes": "16", "hidden_layers": "1", "threads": "1"}
STEPS = 300
END, F2, F4, F8 = "\x1b[F", "\x1bOQ", "\x1bOS", "\x1b[19~"
DARK, LIGHT = "0e1116", "eef1f5"  # the screen behind everything


def train(folder: Path, data: Path, *more: str) -> None:
    """Train a small recipe as a user does at a shell."""
    recipe = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    command = [sys.executable, "-m", "cifar_tui", "train", *recipe, f"--data-dir={data}", *more]
    subprocess.run([*command, f"--runs-dir={folder / 'runs'}"], check=True, capture_output=True, timeout=SLOW)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both real datasets, unpacked once."""
    root = tmp_path_factory.mktemp("data")
    for name, file in ARCHIVES.items():
        fetch(name, root, from_file=archive(file), allow_unverified=True, offline=True)
    return root


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two finished runs that differ in one setting."""
    folder = tmp_path_factory.mktemp("trained")
    train(folder, data, "--steps=60", "--name=first")
    train(folder, data, "--steps=60", "--name=second", "--learning-rate=0.01")
    return folder


@pytest.fixture
def home(tmp_path: Path, trained: Path) -> Iterator[Path]:
    """The folders of a user who has trained before."""
    shutil.copytree(trained / "runs", tmp_path / "runs")
    form = "".join(f'{name} = "{value}"\n' for name, value in {**SMALL, "steps": str(STEPS)}.items())
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.toml").write_text(f"seen_start = true\n[form]\n{form}")
    yield tmp_path
    for run in list_runs(tmp_path / "runs"):  # a failed test leaves no training behind
        if (pid := look(run).pid) not in {None, os.getpid()}:
            os.kill(pid, signal.SIGKILL)


def most(confusion: list[list[int]], rows: list[int]) -> tuple[int, int]:
    """The greatest mistake in some rows of a confusion matrix."""
    cells = [(confusion[i][j], -i, -j) for i in rows for j in range(len(confusion)) if i != j]
    _, row, column = max(cells)
    return -row, -column


class Rooms(RunsHands):
    """What a user does in each room."""

    def __init__(self, terminal: Terminal, home: Path, data: Path, *, mouse: bool) -> None:
        super().__init__(terminal, home / "runs", mouse=mouse)
        self.home, self.data = home, data

    def confusion(self, run: str) -> tuple[list[str], list[list[int]]]:
        """Class names and counts of the report of a run on the test split."""
        report = json.loads((self.runs / run / "report.json").read_text())
        names = store.load("cifar10", self.data).test.names
        return list(names), report["splits"]["test"]["confusion"]

    # ---- 2 data ----

    def look_at_samples(self) -> None:
        """Pictures of CIFAR-10, one class of it, one of them large; then CIFAR-100."""
        terminal = self.terminal
        self.room(2, "Data")
        terminal.wait_for("1 of 50,000, file order", SLOW)
        self.wait_focus("CIFAR-10")
        self.choose_the_cats()
        self.zoom_a_cat()
        if self.mouse:
            self.click("CIFAR-100", rows=(2, 1000))  # below the header, which names it too
        else:
            self.press_until("\t", lambda: self.is_focused("Dataset"))
            terminal.press(DOWN)
        terminal.wait_for("CIFAR-100  train  all classes", SLOW)
        first = store.load("cifar100", self.data).train
        terminal.wait_for(rf"{first.names[first.labels[0]]} +#0\b")

    def choose_the_cats(self) -> None:
        """From the list of classes."""
        if not self.mouse or self.tabs:  # else it is in sight
            self.footer("/", "/ Classes")
        self.terminal.wait_for("balanced, 10 classes")
        if self.mouse:
            self.click("cat  ")
        else:
            self.wait_focus("Classes")
            self.terminal.press(DOWN * 4 + "\r")
        self.terminal.wait_for("CIFAR-10  train  cat")
        self.terminal.wait_for("1 of 5,000, file order")

    def zoom_a_cat(self) -> None:
        """The second cat; its first pixel has the colour that is in the file."""
        terminal, split = self.terminal, store.load("cifar10", self.data).train
        index = [place for place, label in enumerate(split.labels[:200]) if split.names[label] == "cat"][1]
        if self.mouse:
            self.click(f" #{index}", times=2)
        else:
            terminal.press(f"{RIGHT}\r")
        terminal.wait_for("esc closes")
        left, _right, top, _bottom = terminal.box(f"cat  #{index}")
        red, green, blue = split.images[index][0, 0]
        terminal.wait_until(
            lambda: terminal.look(left + 2, top + 1)[0] == f"{red:02x}{green:02x}{blue:02x}", "its pixels"
        )
        self.do("\x1b", "esc closes")
        terminal.wait_until(lambda: "esc closes" not in terminal.text, "the picture to close")

    # ---- 1 dashboard, 3 report ----

    def go_home(self) -> None:
        """To the dashboard."""
        self.room(1, "Dashboard")
        self.wait_home()

    def wait_home(self) -> None:
        """Wait until the dashboard takes the keys."""
        there = "Recipe   Dataset" if self.tabs else "╭─ Recipe"
        self.terminal.wait_until(
            lambda: there in self.terminal.text and self.focused(), "the dashboard to have the focus", SLOW
        )
        self.wait_silent(1.0)  # the keys of the footer come after the focus

    def train_and_see_the_worst_mistakes(self) -> float:
        """Three presses from the end of a training to the pictures; returns how many seconds they took."""
        terminal = self.terminal
        self.go_home()
        if self.mouse and self.tabs:
            self.pane("Recipe")
        self.do("\x13", "Start")
        terminal.wait_for(r"● (training|evaluating)", SLOW)
        terminal.wait_for("✓ done", SLOW)
        began = time.monotonic()
        if self.mouse:
            self.room(3, "Report")
            self.footer("m", "Worst cell")
            self.footer("\r", "Pictures")
        else:
            terminal.press("3m\r")
        names, confusion = self.confusion("fnn-cifar10-1")
        row, column = most(confusion, list(range(10)))
        self.see_pictures(names[row], names[column], confusion[row][column])
        return time.monotonic() - began

    def see_pictures(self, true: str, said: str, count: int) -> None:
        """As many pictures as the matrix counts, each with what was said of it."""
        self.terminal.wait_for(f"{true} taken for {said}  test", SLOW)
        self.terminal.wait_for(rf"1 to \d+ of {count:,}, surest first", SLOW)
        self.terminal.wait_for("✕ ")

    def walk_the_matrix(self) -> None:
        """The report of a finished run, to a cell, its pictures, and back."""
        terminal = self.terminal
        self.go_to_run("first")
        self.ask("t", "Report")
        terminal.wait_for("first, step 60")
        self.wait_focus("Confusion")
        names, confusion = self.confusion("first")
        row = next(i for i in (8, 7, 9) if sum(confusion[i]) > confusion[i][i])
        row, column = most(confusion, [row])
        if self.mouse:
            left, _right, top, _bottom = terminal.box("Confusion")
            terminal.click_at(left + 2 + LABEL + CELL * column + 2, top + 2 + row)
        else:
            terminal.press(UP * 9 + LEFT * 9)
            terminal.wait_for("airplane said airplane")
            terminal.press(DOWN * row + RIGHT * column)
        count = confusion[row][column]
        terminal.wait_for(rf"{names[row]} said {names[column]}  {count:,} of {sum(confusion[row]):,}")
        self.footer("\r", "Pictures")
        self.see_pictures(names[row], names[column], count)
        self.footer("\x1b", "Matrix")
        self.wait_focus("Confusion")

    # ---- 4 runs ----

    def watch_a_detached_run(self) -> int:
        """A run of another process: watched, paused and stopped from here; returns its last step."""
        terminal = self.terminal
        train(self.home, self.data, "--steps=10000000", "--name=far", "--evaluate=end", "--detach")
        run = RunDirectory.open(self.runs, "far")
        self.go_to_run("far")
        terminal.wait_for(r"▶ far +.*/ +10\.0M", SLOW)
        self.ask("\r", "Watch")
        terminal.wait_for("far  watched", SLOW)
        self.footer(" ", "Pause")
        terminal.wait_for("‖ paused", SLOW)
        terminal.wait_until(lambda: look(run).state == "paused", "the other process to pause", SLOW)
        self.footer(" ", "Resume")
        stood = self.step()
        terminal.wait_until(lambda: self.step() > stood, "it to go on", SLOW)
        self.footer("s", "Stop")
        terminal.wait_for("■ stopped", SLOW)
        terminal.wait_until(lambda: look(run).state == "stopped", "the other process to end", SLOW)
        return self.step()

    # ---- the whole app ----

    def command(self, key: str, name: str) -> None:
        """An action of the app: its key, or its line in the palette of commands."""
        if not self.mouse:
            self.terminal.press(key)
            return
        self.open_palette("")
        self.terminal.press(name)
        self.click(name, rows=(0, self.terminal.screen.lines - 1), last=True)

    def open_palette(self, key: str) -> None:
        """The palette, by key or by footer."""
        self.footer(key, "Commands")
        self.terminal.wait_for("Search for commands", SLOW)

    def change_theme_and_key(self) -> None:
        """The light theme, and f8 for the palette of commands."""
        terminal = self.terminal
        self.go_home()
        assert self.back == DARK
        self.command(F2, "Light or dark")
        terminal.wait_until(lambda: self.back == LIGHT, "the light theme", SLOW)
        self.command(F4, "Keys")
        terminal.wait_for("enter another key", SLOW)
        if self.mouse:
            left, _right, top, bottom = terminal.box("Keys")
            terminal.wheel_at(left + 4, top + 3, 30)
            self.click("Commands  ", rows=(top, bottom), last=True)
        else:
            terminal.press(f"{END}{UP}")
            terminal.wait_for("app.command_palette")
            terminal.press("\r")
        terminal.wait_for("A key for Commands", SLOW)
        terminal.press(F8)
        terminal.wait_for(r"f8 +usually", SLOW)
        terminal.press("\x1b")
        terminal.wait_for("f8 Commands", SLOW)

    @property
    def back(self) -> str:
        """The colour behind everything."""
        return self.terminal.look(0, 0)[1]

    def quit(self) -> None:
        """By footer where there is room for it, else by palette; the terminal is given back."""
        self.wait_silent(1.0)
        if self.mouse and self.spot("q Quit", last=True) is not None:
            self.click("q Quit", last=True)
        else:
            self.command("q", "Quit")
        assert self.terminal.wait_end(60) == 0
        self.terminal.assert_restored()

    def find_all_as_it_was(self, runs: list[str]) -> None:
        """Theme, key, form, list of runs and its order, dataset."""
        terminal = self.terminal
        self.wait_home()
        assert self.back == LIGHT
        self.open_palette(F8)
        terminal.press("\x1b")
        terminal.wait_until(lambda: "Search for commands" not in terminal.text, "the palette to close")
        self.pane("Recipe")
        terminal.wait_for(rf"Steps +was 2_?000 +{STEPS}\b")
        self.room(4, "Runs")
        terminal.wait_until(lambda: self.has_frame("Runs") and self.listed() == runs, f"{runs}", SLOW)
        terminal.wait_for(", by run up")
        self.room(2, "Data")
        terminal.wait_for("CIFAR-100  train  all classes", SLOW)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mouse", [False, True], ids=["keys", "mouse"])
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)], ids="{0[0]}x{0[1]}".format)
def test_through_every_room_and_back_after_a_restart(
    home: Path, data: Path, size: tuple[int, int], mouse: bool
) -> None:
    environment = {"CIFAR_TUI_DATA_DIR": str(data)}
    with Terminal(home, size=size, environment=environment) as terminal:
        user = Rooms(terminal, home, data, mouse=mouse)
        user.wait_home()
        user.look_at_samples()
        seconds = user.train_and_see_the_worst_mistakes()
        print(f"from the end of the training to the pictures: {seconds:.2f} s")
        stopped = user.watch_a_detached_run()
        user.walk_the_matrix()
        user.compare_two()
        user.resume("far", stopped)
        new = user.fork("first")
        user.rename(new, "slower")
        user.delete("second")
        user.sort_by_name()
        runs = user.listed()
        assert runs == ["far", "first", "fnn-cifar10-1", "slower"]
        user.change_theme_and_key()
        user.quit()
    with Terminal(home, size=size, environment=environment) as terminal:
        user = Rooms(terminal, home, data, mouse=mouse)
        user.find_all_as_it_was(runs)
        user.quit()
