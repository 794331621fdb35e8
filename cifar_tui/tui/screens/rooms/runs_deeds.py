"""What is done to a run from the room of runs; everything that touches the disk runs in a thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.message import Message

from cifar_tui.errors import CifarTuiError, UsageError
from cifar_tui.text import safe_text
from cifar_tui.tui.messages import RunOpened, RunResumed
from cifar_tui.tui.places import runs_folder
from cifar_tui.tui.widgets.runs_columns import begins_at, percent
from cifar_tui.tui.widgets.runs_table import RunsTable

if TYPE_CHECKING:
    from cifar_tui.runs.summary import RunSummary

TAKEN_SECONDS = 5.0  # a process looks for requests a few times a second
_MOST_STEPS = 999_999_999


class RunsDeeds(Vertical):
    """Opens, watches, steers, resumes, extends, forks, renames and deletes runs."""

    _runs_dir: Path | None = None

    class Done(Message):
        """Something was done, or was not.

        Attributes:
            text: what was done, in words.
            error: why it was not, else None.
            run: id of the run to put the cursor on; "" for none.
        """

        bubble = False

        def __init__(self, text: str, error: BaseException | None = None, run: str = "") -> None:
            super().__init__()
            self.text, self.error, self.run = text, error, run

    @property
    def folder(self) -> Path:
        """Where the runs are."""
        return self._runs_dir or runs_folder(self.app)

    def on_runs_table_asked(self, message: RunsTable.Asked) -> None:
        """A key or a button."""
        message.stop()
        run, what = message.run, message.what
        if what in {"open", "watch"}:
            self.post_message(RunOpened(run.run))
        elif what == "report":
            self.post_message(RunOpened(run.run, 3))
        elif what == "resume":
            self.post_message(RunResumed(run.run))
        elif what in {"pause", "unpause", "stop"}:
            self._steer(run, what)
        elif what == "extend":
            self._ask_how_long(run)
        elif what == "fork":
            self._ask_where_to_fork(run)
        elif what == "rename":
            self._ask_for_a_name(run)
        elif what == "delete":
            self._ask_to_delete(run)

    def _aside(self, work: Callable[[], tuple[str, str]]) -> None:
        """Do something in a thread; it returns what was done, and the run to go to."""

        def do() -> None:
            try:
                text, run = work()
                self.post_message(self.Done(text, run=run))
            except CifarTuiError as error:
                self.post_message(self.Done("", error))

        self.run_worker(do, thread=True, group="run-deed", exit_on_error=False)

    # ---- a run in training ----

    def _steer(self, run: RunSummary, what: str) -> None:
        self._aside(lambda: self._request(run.run, what))

    def _request(self, id: str, what: str) -> tuple[str, str]:
        from cifar_tui.runs import requests
        from cifar_tui.runs.directory import RunDirectory

        run = RunDirectory.open(self.folder, id)
        name = {"unpause": "resume"}.get(what, what)
        taken = requests.wait_taken(run, requests.ask(run, name), TAKEN_SECONDS)
        said = {"pause": "pauses", "unpause": "goes on", "stop": "saves and stops"}[what]
        name = safe_text(id, 60)
        if taken:
            return f"{name} {said}", ""
        return f"{name} was asked, but its process has not answered yet", ""

    # ---- more steps ----

    def _ask_how_long(self, run: RunSummary) -> None:
        from cifar_tui.tui.screens.dialogs import AskValue

        at = run.step or begins_at(run)

        def steps(text: str) -> int:
            plain = text.strip().replace(",", "").replace("_", "")
            if not plain.isascii() or not plain.isdigit() or not at < int(plain[:12]) <= _MOST_STEPS:
                raise UsageError(f"expected a number of steps above {at:,}", hint=f"try {2 * max(1, at):,}")
            return int(plain)

        def answered(text: str | None) -> None:
            if text is not None:
                self.post_message(RunResumed(run.run, {"steps": str(steps(text))}))

        name = safe_text(run.run, 40)
        said = f"{name} is at step {at:,} of {run.target:,}. Train until which step?"
        usual = max(run.target, 2 * max(1, at)) if at >= run.target else run.target
        self.app.push_screen(AskValue(f"Extend {name}", said, str(usual), steps), answered)

    # ---- a new run from this one ----

    def _ask_where_to_fork(self, run: RunSummary) -> None:
        from cifar_tui.tui.screens.dialogs import Choice, Dialog, Part

        name = safe_text(run.run, 40)
        best = f"test {percent(run.best_test_accuracy)}" if run.best_test_accuracy is not None else ""
        lines = ("A new run that begins with the weights of this one; this one is not touched.",)
        choices = [Choice("newest", "n", "From its newest checkpoint", f"step {run.step:,}")]
        choices.append(Choice("best", "b", "From its best checkpoint", best))

        def answered(choice: str | None) -> None:
            if choice in {"newest", "best"}:
                self._ask_what_to_change(run, best=choice == "best")

        self.app.push_screen(Dialog(f"Fork {name}", [Part("", lines)], choices), answered)

    def _ask_what_to_change(self, run: RunSummary, *, best: bool) -> None:
        from cifar_tui.tui.screens.dialogs import AskValue

        said = "What does it do differently? Words such as learning_rate=1e-4 steps=20000, or none."

        def answered(text: str | None) -> None:
            if text is not None:
                self._aside(lambda: self._fork(run.run, tuple(changes(text)), best=best))

        name = safe_text(run.run, 40)
        self.app.push_screen(AskValue(f"Fork {name}", said, "", changes), answered)

    def _fork(self, id: str, sets: tuple[str, ...], *, best: bool) -> tuple[str, str]:
        from cifar_tui.runs.directory import RunDirectory
        from cifar_tui.session.fork import fork

        source = RunDirectory.open(self.folder, id)
        new, info, _changed = fork(source, self.folder, at=None, name=None, flags={}, sets=sets, best=best)
        return f"{new.id} begins at step {info.step:,} of {safe_text(id, 60)}; r trains it", new.id

    # ---- names ----

    def _ask_for_a_name(self, run: RunSummary) -> None:
        from cifar_tui.runs.names import check_run_id
        from cifar_tui.tui.screens.dialogs import AskValue

        def check(text: str) -> None:
            check_run_id(text)
            if text != run.run and (self.folder / text).exists():
                raise UsageError(f'there is a run "{text}" already', hint="take another name")

        def answered(text: str | None) -> None:
            if text is not None and text != run.run:
                self._aside(lambda: self._rename(run.run, text))

        name = safe_text(run.run, 40)
        self.app.push_screen(
            AskValue(f"Rename {name}", "Letters, digits, dots, hyphens, underscores.", run.run, check),
            answered,
        )

    def _rename(self, id: str, new: str) -> tuple[str, str]:
        from cifar_tui.runs.directory import RunDirectory, rename_run

        renamed = rename_run(RunDirectory.open(self.folder, id), new)
        return f"{safe_text(id, 60)} is now {renamed.id}", renamed.id

    # ---- the end of a run ----

    def _ask_to_delete(self, run: RunSummary) -> None:
        from cifar_tui.tui.screens.dialogs import Choice, Dialog, Part

        name = safe_text(run.run, 60)
        lines = (
            f"{run.step:,} of {run.target:,} steps, {run.checkpoints} checkpoints, "
            f"best test {percent(run.best_test_accuracy)}",
            safe_text(run.path, 120),
        )
        dialog = Dialog(
            f"Delete {name}?",
            [Part("What goes", lines), Part("", ("It cannot be brought back.",))],
            [Choice("keep", "k", "Keep it"), Choice("delete", "d", "Delete it", "for ever")],
            bad=True,
        )

        def answered(choice: str | None) -> None:
            if choice == "delete":
                self._aside(lambda: self._delete(run.run))

        self.app.push_screen(dialog, answered)

    def _delete(self, id: str) -> tuple[str, str]:
        from cifar_tui.runs.directory import RunDirectory, delete_run

        delete_run(RunDirectory.open(self.folder, id))
        return f"{safe_text(id, 60)} deleted", ""


def changes(text: str) -> list[str]:
    """The words of a line as changes to a config.

    Raises:
        UsageError: a word that is no ``name=value`` of a known option.
    """
    from cifar_tui.config import OPTIONS
    from cifar_tui.session.resume import FIXED
    from cifar_tui.text import did_you_mean

    words = text.split()
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not value:
            raise UsageError(f'"{safe_text(word, 40)}" is no change', hint="such as learning_rate=1e-4")
        if name in FIXED:
            raise UsageError(f"a fork keeps its {name}", hint="start a new run to change it")
        if name not in OPTIONS:
            raise UsageError(f'there is no option "{safe_text(name, 40)}"', hint=did_you_mean(name, OPTIONS))
    return words
