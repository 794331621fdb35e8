"""The app on a pseudo-terminal with a real training, and a probe in its event loop. Run as a script.

Writes one JSON object to the file of its first argument: lateness of a 10 ms timer in milliseconds, and the
steps a second of the training, both from when it trains. With "stay" among the last arguments the app stays
open and trains on, for someone who presses keys; with "rate" there is no timer, which takes time itself.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from cifar_tui.tui.app import CifarTuiApp


class Probed(CifarTuiApp):
    """Starts a recipe at once, watches its own event loop for a while, and leaves."""

    def __init__(
        self, out: Path, recipe: dict[str, str], seconds: float, data: Path, runs: Path, modes: list[str]
    ) -> None:
        super().__init__(data, runs, first_start=False)
        self.out, self.recipe, self.length, self.modes = out, recipe, seconds, modes

    def on_mount(self) -> None:
        super().on_mount()
        self.set_timer(1.5, self.begin)

    def begin(self) -> None:
        """Start the training and the probe."""
        from cifar_tui.recipe import resolve
        from cifar_tui.session import TrainRequest

        values = dict(self.recipe)
        recipe = resolve(preset=values.pop("preset", None), flags=values)
        self.start_request(
            TrainRequest(
                data_dir=self.data_dir,
                runs_dir=self.runs_dir,
                recipe=recipe,
                allow_unverified=True,
                offline=True,
            )
        )
        self.run_worker(self.probe(), group="probe")

    async def probe(self) -> None:
        """Sleep 10 ms at a time while the training runs, or all the time at once."""
        nap = self.length if "rate" in self.modes else 0.01
        while self.live.step < 20:
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.0)
        late, began, first = [], time.perf_counter(), (self.live.step, self.live.progress.seconds)
        while time.perf_counter() - began < self.length:
            before = time.perf_counter()
            await asyncio.sleep(nap)
            late.append((time.perf_counter() - before - nap) * 1e3)
        last = (self.live.step, self.live.progress.seconds)
        late.sort()
        rate = (last[0] - first[0]) / max(1e-9, last[1] - first[1])
        wall = (last[0] - first[0]) / (time.perf_counter() - began)
        found = {f"p{p}": late[min(len(late) - 1, int(len(late) * p / 100))] for p in (50, 95, 99)}
        found |= {"max": late[-1], "rate": rate, "wall_rate": wall}
        self.out.with_suffix(".part").write_text(json.dumps(found))
        self.out.with_suffix(".part").rename(self.out)
        if "stay" in self.modes:
            return
        self.desk.session.control.kill()
        await asyncio.sleep(0.3)
        self.exit()


if __name__ == "__main__":
    out, recipe, seconds, data, runs = sys.argv[1:6]
    Probed(Path(out), json.loads(recipe), float(seconds), Path(data), Path(runs), sys.argv[6:]).run()
