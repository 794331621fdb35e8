"""The part of the app that ends it: asked to, by a signal, or at an error that nobody caught."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from textual.app import ScreenStackError
from textual.css.query import NoMatches

from cifar_tui.tui.navigation import Navigation

if TYPE_CHECKING:
    from cifar_tui.tui.guard import Guard


class Leaving(Navigation):
    """Saves the run and gives the terminal back, whatever ends the app.

    Attributes:
        crash: the error that ended the app; None where none did.
    """

    guard: Guard | None = None
    quitting: bool = False
    crash: BaseException | None = None

    async def action_quit(self) -> None:
        """Leave; while training ask first."""
        from cifar_tui.tui.screens.dialogs import Dialog, quit_dialog

        thread = self.desk.thread
        if thread is None or thread.finished or thread.foreign:
            self.leave()
        elif self.quitting:
            self.say("saving, then leaving")
        elif not isinstance(self.screen, Dialog):
            live = self.live
            self.push_screen(quit_dialog(live.run_id, live.step, live.target), self._quit_answered)

    def _quit_answered(self, choice: str | None) -> None:
        if choice != "stop":
            return
        self.quitting = True
        self.desk.stop_everything("the app was closed")
        session = self.desk.session
        if session is None or session.run_id is None:
            self.leave()  # nothing was recorded; loading torch cannot be interrupted
        else:
            self.say("saving, then leaving")

    def leave(self) -> None:
        """End the app now."""
        self.desk.stop_everything("the app was closed")
        if not self._exit:
            self.exit()

    def terminal_gone(self) -> None:
        """The input has ended: the same as a hang-up."""
        if self.guard is not None:
            self.guard.raise_(signal.SIGHUP)
        else:
            self.leave()

    def stop_for_signal(self, number: int) -> None:
        """Ask the training to save and end; from any thread."""
        self.quitting = True
        if self.desk.download is not None:
            self.desk.download.cancel()
        control = self.desk.control
        if control is not None:
            control.stop_for_signal(number, signal.Signals(number).name)

    def is_saved(self) -> bool:
        """Whether nothing is left to save; from any thread."""
        thread = self.desk.thread
        return thread is None or thread.finished or thread.session.run_id is None

    def leave_from_thread(self) -> None:
        """End the app; from any thread."""
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self.leave)

    def _handle_exception(self, error: Exception) -> None:
        """An exception that nobody caught: save the run, give the terminal back, and let the command tell."""
        gone = self._exit or not self.is_running or self.is_closed_screen()
        if gone and isinstance(error, NoMatches | ScreenStackError):
            return  # the app is leaving, or a dialog was closed before it was seen
        self._return_code = 1
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        self.crash = self.crash or error
        self.desk.stop_everything("the screen failed")
        self._close_messages_no_wait()
