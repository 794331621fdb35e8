"""Runs a session in a worker thread while the main thread shows it and minds the signals."""

from __future__ import annotations

import errno
import json
import signal
import threading
import time
from typing import TYPE_CHECKING

from cifar_tui.cli import common
from cifar_tui.cli.console import Screen, View, make_view
from cifar_tui.cli.report_text import Places, charts_text, run_events, training_report
from cifar_tui.cli.signals import SignalWatch, leave_at_once
from cifar_tui.errors import CifarTuiError, DivergedError, InterruptedBySignal
from cifar_tui.memory import keep_freed_memory
from cifar_tui.text import safe_text

if TYPE_CHECKING:
    from cifar_tui.session import Session, TrainRequest

TICK_SECONDS = 0.1
GRACE_SECONDS = (
    2.5  # for work that cannot be interrupted, such as importing torch, when there is nothing to save
)


def train(
    request: TrainRequest,
    places: Places,
    *,
    as_json: bool = False,
    charts: bool | None = None,
    next_commands: bool = True,
    quiet: bool = False,
    view: View | None = None,
) -> Session:
    """Run a request to its end and print its report.

    Args:
        request: what to train.
        places: folders for the commands that are shown.
        as_json: print the events in place of lines and report.
        charts: whether to draw charts at the end; None where there is a terminal.
        next_commands: whether to say what to do next.
        quiet: show nothing while it runs nor at its end.
        view: shows the events; None for the usual one.

    Returns:
        The session, at its end.

    Raises:
        InterruptedBySignal: a signal ended it; what there was to save is saved.
        CifarTuiError: the training did not begin, failed, or diverged.
    """
    from cifar_tui.session import Session

    session, screen = Session(request), Screen.current()
    view = view or (View() if quiet else make_view(screen, as_json))
    with SignalWatch() as watch:
        _drive(session, view, watch, as_json or quiet)
    ended, error = session.ended, session.error
    if isinstance(error, InterruptedBySignal) and watch.number:
        raise InterruptedBySignal(
            watch.number, error.message, where=error.where, state=error.state, hint=error.hint
        ) from None
    if error is not None:
        raise error
    assert ended is not None
    if ended.state == "diverged":
        raise _diverged(session, view, places)
    if watch.number and ended.state != "done":
        raise _stopped(session, view, watch, places)
    if not (as_json or quiet):
        _print_end(session, screen, charts=screen.terminal if charts is None else charts)
        if next_commands:
            say_next(session, places)
    return session


def _drive(session: Session, view: View, watch: SignalWatch, as_json: bool) -> None:
    worker = threading.Thread(target=session.run, name="training", daemon=True)
    keep_freed_memory()
    worker.start()
    shown: View = view
    told_at = 0.0
    try:
        while worker.is_alive():
            worker.join(TICK_SECONDS)
            try:
                _show(session, shown)
                if watch.number and not told_at:
                    told_at = time.monotonic()
                    session.control.stop_for_signal(watch.number, watch.name)
                    shown.say(_stopping_text(session, watch))
            except OSError as error:
                if error.errno != errno.EIO and watch.number != signal.SIGHUP:
                    raise
                shown = View()  # the terminal is gone; the training is still to be saved
                watch.number = watch.number or signal.SIGHUP
            watch.cost = _cost(shown, as_json)
            if told_at and session.run_id is None and time.monotonic() - told_at > GRACE_SECONDS:
                leave_at_once(watch.number, _nothing_recorded(watch, as_json))
        _show(session, shown)
        shown.close()
    except BaseException:
        session.control.stop(reason="the output was closed")
        worker.join()
        raise


def _show(session: Session, view: View) -> None:
    for event in session.mailbox.drain():
        view.take(event)
    view.draw()


def _stopping_text(session: Session, watch: SignalWatch) -> str:
    if session.run_id is None:
        return f"{watch.name}: stopping before the training begins"
    again = "; Ctrl+C again leaves at once without saving" if watch.number == signal.SIGINT else ""
    return f"{watch.name}: finishing the step and saving{again}"


def _cost(view: View, as_json: bool) -> str:
    """What a second Ctrl+C loses."""
    step = view.progress.step if view.progress else 0
    run = view.started.run if view.started else ""
    if not run:
        text = "left at once; nothing was recorded"
    elif view.saved is None:
        text = f'left at once; run "{run}" has no checkpoint: {step:,} steps are lost'
    else:
        lost = max(0, step - view.saved)
        text = f'left at once; run "{run}" goes on from step {view.saved:,}: {lost:,} steps are lost'
    if not as_json:
        return text
    return json.dumps(InterruptedBySignal(signal.SIGINT, text).to_json())


def _nothing_recorded(watch: SignalWatch, as_json: bool) -> str:
    error = _stopped_early(watch.number, watch.name)
    return json.dumps(error.to_json()) if as_json else error.block()


def _stopped_early(number: int, name: str) -> InterruptedBySignal:
    return InterruptedBySignal(
        number, f"stopped by {name} before the training began", state="nothing changed"
    )


def _diverged(session: Session, view: View, places: Places) -> CifarTuiError:
    ended = session.ended
    assert ended is not None
    if not session.run_id:
        return DivergedError(f"training diverged: {ended.reason}", hint="use a smaller --learning-rate")
    rate = view.progress.learning_rate / 10 if view.progress else 1e-4
    return DivergedError(
        f"training diverged: {ended.reason}",
        state=f'the checkpoint of step {ended.step:,} is kept in run "{session.run_id}"',
        hint=places.command("fork", session.run_id, "--learning-rate", f"{rate:.3g}", data=False),
    )


def _stopped(session: Session, view: View, watch: SignalWatch, places: Places) -> InterruptedBySignal:
    ended = session.ended
    assert ended is not None
    target = view.started.target if view.started else ended.step
    message = f"stopped by {watch.name} at step {ended.step:,} of {target:,}"
    if not session.run_id:
        return InterruptedBySignal(watch.number, message)
    if view.saved is None:
        state = f'run "{session.run_id}" keeps no checkpoint to go on from'
        return InterruptedBySignal(watch.number, message, state=state)
    return InterruptedBySignal(
        watch.number,
        message,
        state=f'step {view.saved:,} is saved in run "{session.run_id}"',
        hint=places.command("train", "--resume", session.run_id),
    )


def _print_end(session: Session, screen: Screen, *, charts: bool) -> None:
    """The charts and the report of a training that ended by itself."""
    ended, trainer = session.ended, session.trainer
    assert ended is not None
    assert trainer is not None
    run_path = session.request.runs_dir / session.run_id if session.run_id else None
    if charts and run_path is not None:
        text = charts_text(run_events(run_path), screen)
        if text:
            print(f"\n{text}\n")
    if ended.step == 0:
        common.say("steps is 0: the initial weights were evaluated and saved, nothing was trained\n")
    else:
        common.say(f"{ended.state}: {safe_text(ended.reason)}\n")
    print(training_report(ended, trainer.reports, screen, run_path=run_path), flush=True)


def say_next(session: Session, places: Places) -> None:
    """Commands to go on with, on stderr."""
    ended = session.ended
    if ended is None or session.run_id is None:
        return
    longer = str(max(2 * ended.step, 1000))
    common.say("")
    common.say(f"next  {places.command('evaluate', session.run_id)}")
    common.say(f"      {places.command('train', '--resume', session.run_id, '--steps', longer)}")
