"""A whole session in a real pseudo-terminal on real CIFAR-10: by keys alone, and again by mouse."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.fault_server import FaultServer, Reply
from tests.tui.journey import SLOW, Hands, archive
from tests.tui.terminal import Terminal

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs a Linux pseudo-terminal"),
    pytest.mark.slow,
    pytest.mark.real_data,
]

ARCHIVE = "cifar-10-binary.tar.gz"
STEPS = 6000  # enough for a pause, a stop and a look at the curves; about ten seconds of training


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A mirror that serves the real archive at a pace that lets its progress be seen."""
    content = archive(ARCHIVE).read_bytes()
    found = FaultServer()
    found.files[f"/{ARCHIVE}"] = content
    found.always[f"/{ARCHIVE}"] = Reply(chunk=1 << 21, pause=0.03)
    yield found
    found.close()


class Journey(Hands):
    """What a user does at each station."""

    def curve(self, title: str) -> str:
        """The cells of a chart."""
        return "".join(re.findall(r"[\u2801-\u28ff]|\n", self.terminal.inside(title)))

    # ---- stations ----

    def take_the_first_steps(self) -> None:
        """Data, recipe, and a look at the form."""
        terminal = self.terminal
        terminal.wait_for("Welcome to cifar-tui")
        self.do("g", "10 classes, 170 MB")
        terminal.wait_for("Quick look")
        self.do("c", "The notebook's convolutional net")
        terminal.wait_for("Look at the recipe first")
        self.do("e", "Look at the recipe first")
        terminal.wait_until(lambda: "Welcome" not in terminal.text, "the first start to close")
        terminal.wait_until(lambda: self.is_focused("Recipe"), "the form to have the focus")

    def get_the_data(self) -> None:
        """Download; what it is not the official archive is taken all the same."""
        terminal = self.terminal
        self.pane("Dataset")
        terminal.wait_for(r"CIFAR-10 is not on this disk")
        self.do("g", "Get")
        self.see_progress()
        terminal.wait_for(r"uses it anyway|CIFAR-10 +ready", SLOW)
        if "uses it anyway" in terminal.text:
            self.do("u", "uses it anyway")
        terminal.wait_for(r"CIFAR-10 +(unverified|ready) +50k \+ 10k", SLOW)

    def see_progress(self) -> None:
        """The amount that arrived grows."""
        terminal = self.terminal
        seen: set[str] = set()

        def grows() -> bool:
            seen.update(re.findall(r"([\d.]+) of 17\d\.\d MB", terminal.text))
            return len(seen) > 1

        terminal.wait_until(grows, "progress of the download", 60)

    def fill_the_form(self) -> None:
        """Another preset, and fewer steps."""
        terminal = self.terminal
        self.pane("Recipe")
        terminal.wait_for(r"Preset +seed-cnn")
        self.do("\r", "seed-cnn")
        terminal.wait_for(r"seed-fnn ")
        self.do("\x1b[A\r", "seed-fnn")
        terminal.wait_until(
            lambda: re.search(r"Preset +seed-fnn", terminal.text) and "seed-cnn" not in terminal.text,
            "the preset, and the list to close",
        )
        terminal.wait_for("10_000")
        x, y = terminal.find("10_000")
        if self.mouse:
            terminal.click_at(x, y)
        else:
            unfocused = terminal.look(x, y)
            self.press_until("\x1b[B", lambda: terminal.look(x, y) != unfocused)
        terminal.press("\x1b[F")
        terminal.pump(0.3)
        self.press_until("\x15", lambda: "expected an integer" in terminal.text)  # delete to the start
        terminal.press(str(STEPS))
        terminal.wait_for(rf"Steps +(was )?10_000 +{STEPS}\b")

    def start(self) -> None:
        """Begin, and see that it is the real data."""
        self.do("\x13", "Start")
        self.terminal.wait_for(r"● (training|evaluating)", SLOW)

    def watch(self, title: str) -> None:
        """The cells of a chart change."""
        terminal = self.terminal
        if self.tabs:
            self.pane(title)
        terminal.wait_until(lambda: self.curve(title).strip(), f"a curve in {title}", SLOW)
        first = self.curve(title)
        terminal.wait_until(lambda: self.curve(title) != first, f"{title} to move", SLOW)

    def pause_and_resume(self) -> None:
        """The step stands still, and goes on."""
        terminal = self.terminal
        self.footer(" ", "Pause")
        terminal.wait_for("‖ paused")
        terminal.pump(0.3)
        stood = self.step()
        terminal.pump(1.5)
        assert 0 < self.step() == stood < STEPS
        self.footer(" ", "Resume")
        terminal.wait_until(lambda: self.step() > stood, "the step to go on", SLOW)

    def stop(self) -> int:
        """Stop and save; returns the step."""
        self.footer("s", "Stop")
        self.terminal.wait_for("■ stopped", SLOW)
        return self.step()

    def resume_the_run(self, stopped: int) -> None:
        """From the list of runs, to its end."""
        terminal = self.terminal
        self.room(4, "Runs")
        terminal.wait_for(rf"■ [\w-]+ .*{stopped:,} +/ +{STEPS:,}")
        if self.mouse:
            terminal.click("■ ")
        self.footer("r", "Resume")
        terminal.wait_for(r"● (training|evaluating)", SLOW)
        terminal.wait_until(lambda: self.step() >= stopped, "the step to go on", SLOW)
        terminal.wait_for("✓ done", SLOW)
        assert self.step() == STEPS

    def read_the_report(self, runs: Path) -> None:
        """Loss and accuracy on train and test are those of the run's report."""
        terminal = self.terminal
        self.pane("Report")
        (path,) = runs.glob("*/report.json")
        splits: dict[str, Any] = json.loads(path.read_text())["splits"]
        for name in ("train", "test"):
            loss, accuracy = splits[name]["loss"], splits[name]["accuracy"]
            terminal.wait_for(rf"\b{name} +{loss:.3f} +{100 * accuracy:.1f}%")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mouse", [False, True], ids=["keys", "mouse"])
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)], ids="{0[0]}x{0[1]}".format)
def test_from_no_data_to_a_report_of_a_resumed_run(
    tmp_path: Path, server: FaultServer, size: tuple[int, int], mouse: bool
) -> None:
    away = dict.fromkeys(("https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9")  # never to the real host
    environment = {"CIFAR_TUI_MIRROR": server.url, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", **away}
    with Terminal(tmp_path, size=size, environment=environment) as terminal:
        journey = Journey(terminal, mouse=mouse)
        journey.take_the_first_steps()
        journey.get_the_data()
        journey.fill_the_form()
        journey.start()
        journey.watch("Loss")
        journey.watch("Accuracy")
        journey.pause_and_resume()
        stopped = journey.stop()
        journey.resume_the_run(stopped)
        journey.read_the_report(tmp_path / "runs")
        journey.footer("q", "Quit")
        assert terminal.wait_end(60) == 0
        terminal.assert_restored()
