"""The part of the app that starts, steers and ends trainings and downloads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import work
from textual.app import App
from textual.worker import get_current_worker

from cifar_tui.errors import CifarTuiError, InterruptedBySignal
from cifar_tui.text import safe_text
from cifar_tui.tui.live import LiveRun
from cifar_tui.tui.messages import StartRequested
from cifar_tui.tui.screens.dashboard import Dashboard
from cifar_tui.tui.worker import SessionLike, TrainingDesk, TrainingThread

if TYPE_CHECKING:
    from cifar_tui.engine.control import Control
    from cifar_tui.session import TrainRequest
    from cifar_tui.tui.guard import Guard


class Steering(App[None]):
    """Everything that a key does to a training.

    Attributes:
        desk: session, download and the run in the panes.
        guard: watches for signals; None in tests.
        quitting: the app ends once the training has saved.
        data_dir, runs_dir: where datasets and runs are.
    """

    desk: TrainingDesk
    data_dir: Path
    runs_dir: Path
    dashboard: Dashboard
    guard: Guard | None
    quitting: bool

    @property
    def live(self) -> LiveRun:
        """The run in the panes."""
        return self.desk.live

    # ---- begin ----

    def start_request(self, request: TrainRequest, live: LiveRun | None = None) -> None:
        """Begin a session, unless one is under way. A run of another process is then watched no longer."""
        if self.desk.busy:
            self.say("a training is under way; stop it first")
            return
        self.desk.leave_watched()
        self._train(self.desk.start(request, live))
        self.tick()

    @work(thread=True, exclusive=True, group="training", exit_on_error=False)
    def _train(self, thread: TrainingThread) -> None:
        worker = get_current_worker()
        thread.follow(lambda: worker.is_cancelled)

    def start_recipe(
        self, values: Mapping[str, str], preset: str | None, *, allow_unverified: bool = False
    ) -> None:
        """Train what a form says; a wrong value is a dialog."""
        from cifar_tui.recipe import resolve
        from cifar_tui.session import TrainRequest

        try:
            recipe = resolve(preset=preset, flags=values)
        except CifarTuiError as error:
            self.show_error(error)
            return
        self.start_request(
            TrainRequest(
                data_dir=self.data_dir,
                runs_dir=self.runs_dir,
                recipe=recipe,
                allow_unverified=allow_unverified,
            )
        )

    def on_start_requested(self, message: StartRequested) -> None:
        """The form's button."""
        self.start_recipe(message.values, message.preset)

    def action_start(self) -> None:
        """Start what the form says."""
        form = self.dashboard.pane("recipe")
        if self.desk.busy:
            self.say("a training is under way; stop it first")
        elif form is None:
            self.say("the panes are still loading")
        elif form.recipe is None:
            self.say("the recipe has a value that is not valid; the form says which", "warning")
        else:
            self.start_recipe(form.values, form.preset)

    def action_pause(self) -> None:
        """Pause or resume; start while nothing trains."""
        control = self.desk.control
        if control is None:
            self.action_start()
        elif control.paused:
            control.resume()
        else:
            control.pause()

    # ---- steer ----

    def _steered(self) -> Control | None:
        control = self.desk.control
        if control is None:
            self.say("nothing trains; space starts the recipe")
        return control

    def action_stop(self) -> None:
        """Stop and save."""
        if (control := self._steered()) is not None:
            control.stop()
            self.say("asked to stop" if self.live.watched else "stopping after this step, then saving")

    def action_stop_evaluate(self) -> None:
        """Stop, save and evaluate."""
        if (control := self._steered()) is not None:
            control.stop(evaluate=True)
            self.say("stopping after this step, then saving and evaluating")

    def action_evaluate_now(self) -> None:
        """Evaluate, then go on."""
        if (control := self._steered()) is not None:
            control.evaluate_now()
            self.say("evaluating on train and test after this step")

    def action_checkpoint_now(self) -> None:
        """Write a checkpoint, then go on."""
        if (control := self._steered()) is not None:
            control.checkpoint_now()
            self.say("writing a checkpoint after this step")

    def action_set_target(self) -> None:
        """Ask for another target step."""
        if self._steered() is not None:
            self._ask("steps", "Target step", str(self.live.target), self._set_target)

    def action_set_learning_rate(self) -> None:
        """Ask for another learning rate."""
        if self._steered() is not None:
            rate = self.live.progress.learning_rate if self.live.progress is not None else 1e-4
            self._ask("learning_rate", "Learning rate", f"{rate:g}", self._set_learning_rate)

    def _set_target(self, value: Any) -> None:
        if (control := self._steered()) is not None:
            control.set_target(int(value))
            self.say(f"the target is now step {int(value):,}")

    def _set_learning_rate(self, value: Any) -> None:
        if (control := self._steered()) is not None:
            control.set_learning_rate(float(value))
            self.say(f"the learning rate is now {float(value):g}")

    def _ask(self, option_name: str, title: str, value: str, take: Any) -> None:
        from cifar_tui.config import OPTIONS, parse_value
        from cifar_tui.tui.screens.dialogs import AskValue

        option = OPTIONS[option_name]

        def taken(text: str | None) -> None:
            if text is not None:
                take(parse_value(option, text))

        text = f"Now {value}. Range: {option.range}."
        self.push_screen(AskValue(title, text, value, lambda text: parse_value(option, text)), taken)

    # ---- Ctrl+C ----

    async def action_interrupt(self) -> None:
        """Ctrl+C: asks as q does; once more is "stop and save"; while that goes on it leaves at once."""
        from cifar_tui.tui.screens.dialogs import QuitDialog

        if self.quitting and self.guard is not None:
            self.guard.leave_at_once()
        elif isinstance(self.screen, QuitDialog):
            self.screen.dismiss("stop")
        else:
            await self.action_quit()

    # ---- the end of a session ----

    def session_ended(self, session: SessionLike) -> None:
        """Say how it ended: a dialog for what needs a decision, a notice for the rest."""
        error, ended = session.error, session.ended
        if error is not None and (pane := self.dashboard.pane("dataset")) is not None:
            pane.show_transfer(None)  # a download that the training began is over with it
        if isinstance(error, InterruptedBySignal):
            self.live.reset()
            self.say("stopped before the training began; nothing was recorded")
        elif error is not None:
            self._show_failure(error)
        elif ended is None:
            return
        elif ended.state == "diverged":
            self._show_diverged(session)
        else:
            test = ended.test or {}
            accuracy = test.get("accuracy")
            score = f", test accuracy {100 * accuracy:.2f}%" if isinstance(accuracy, float) else ""
            self.say(f"{ended.state} at step {ended.step:,}{score}: {ended.reason}")

    def _show_failure(self, error: BaseException) -> None:
        from cifar_tui.tui.screens.dialogs import Choice, error_dialog

        if not (isinstance(error, CifarTuiError) and error.id in {"E-DATA-UNVERIFIED", "E-DATA-HASH"}):
            self.show_error(error)
            return

        def answered(choice: str | None) -> None:
            form = self.dashboard.pane("recipe")
            if choice == "accept" and form is not None:
                self.start_recipe(form.values, form.preset, allow_unverified=True)

        accept = Choice("accept", "u", "Train on it all the same", "named in the run")
        self.push_screen(error_dialog(error, [accept]), answered)

    def _show_diverged(self, session: SessionLike) -> None:
        from cifar_tui.tui.screens.dialogs import diverged_dialog

        live, ended = self.live, session.ended
        assert ended is not None
        rate = live.learning_rate or (live.config or {}).get("learning_rate", 1e-3)
        run_id = session.run_id or ""
        kept = bool(run_id) and any(mark.kind in {"checkpoint", "best"} for mark in live.marks)

        def answered(choice: str | None) -> None:
            text = f"{rate / 10:.6g}"
            form = self.dashboard.pane("recipe")
            if choice == "slower":
                self.fork_and_resume(run_id, text)
            elif choice == "form" and form is not None:
                form.load(preset=form.preset, values={**form.values, "learning_rate": text})
                self.dashboard.focus_pane("recipe")

        self.push_screen(
            diverged_dialog(run_id or "without a name", ended.step, ended.reason, rate, kept), answered
        )

    # ---- what the rest of the app gives ----

    def tick(self) -> None:
        """Bring to the screen what the threads said."""
        raise NotImplementedError

    def fork_and_resume(self, run_id: str, rate: str) -> object:
        """Go on with a copy of a run at another learning rate."""
        raise NotImplementedError

    def say(self, text: str, severity: Any = "information") -> None:
        """A notice in the corner, of plain text."""
        if text.partition(" ")[0].isalpha():  # a name of a file or an address stays as it is
            text = text[:1].upper() + text[1:]
        self.notify(safe_text(text, 300), severity=severity, markup=False, timeout=4)

    def show_error(self, error: BaseException) -> None:
        """A dialog with the remedy."""
        from cifar_tui.tui.screens.dialogs import error_dialog

        self.push_screen(error_dialog(error))
