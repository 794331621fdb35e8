"""The part of the app that reads recorded runs and fetches datasets, both off the event loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from textual import work
from textual.message import Message

from cifar_tui.errors import CifarTuiError
from cifar_tui.text import human_bytes, safe_text
from cifar_tui.tui.live import LiveRun
from cifar_tui.tui.messages import CancelDownload, DownloadRequested, RunOpened, RunResumed
from cifar_tui.tui.steering import Steering
from cifar_tui.tui.widgets.header import TITLES
from cifar_tui.tui.worker import Download

if TYPE_CHECKING:
    from cifar_tui.tui.watching import WatchedRun


class Records(Steering):
    """Opens, resumes and forks runs; downloads datasets."""

    class RunLoaded(Message):
        """A run was read.

        Attributes:
            live: the run.
            resume: go on with it.
            watched: follows it, where another process trains it.
            changes: to the config of a resumed run.
            room: where to go then.
        """

        def __init__(
            self,
            live: LiveRun,
            resume: bool,
            watched: WatchedRun | None = None,
            changes: Mapping[str, str] | None = None,
            room: int = 1,
        ) -> None:
            super().__init__()
            self.live, self.resume, self.watched = live, resume, watched
            self.changes, self.room = dict(changes or {}), room

    class WorkFailed(Message):
        """Something off the event loop failed."""

        def __init__(self, error: BaseException) -> None:
            super().__init__()
            self.error = error

    # ---- recorded runs ----

    def action_open_run(self, run_id: str, room: int = 1) -> None:
        """Show a run in the panes."""
        if self.live.run_id == run_id and self.live.is_live:
            self.call_later(self.dashboard.show_room, room)
        elif self.desk.busy:
            self.say("a training is under way; stop it before opening another run")
        else:
            self.load_run(run_id, resume=False, room=room)

    def action_resume_run(self, run_id: str, changes: Mapping[str, str] | None = None) -> None:
        """Go on with a recorded run."""
        if self.desk.busy:
            self.say("a training is under way; stop it first")
        else:
            self.load_run(run_id, resume=True, changes=changes)

    def on_run_opened(self, message: RunOpened) -> None:
        """From the list of runs."""
        self.action_open_run(message.run_id, message.room)

    def on_run_resumed(self, message: RunResumed) -> None:
        """From the list of runs."""
        self.action_resume_run(message.run_id, message.changes)

    @work(thread=True, exclusive=True, group="open", exit_on_error=False)
    def load_run(
        self, run_id: str, *, resume: bool, changes: Mapping[str, str] | None = None, room: int = 1
    ) -> None:
        """Read a run off the event loop."""
        from cifar_tui.runs.directory import RunDirectory
        from cifar_tui.tui.watching import open_run

        try:
            live, watched = open_run(RunDirectory.open(self.runs_dir, run_id))
        except CifarTuiError as error:
            self.post_message(self.WorkFailed(error))
        else:
            self.post_message(self.RunLoaded(live, resume, watched, changes, room))

    async def on_records_run_loaded(self, message: RunLoaded) -> None:
        """Show it, and go on with it where that was asked for."""
        if self.desk.busy:
            return
        self.desk.leave_watched()
        if message.watched is not None:
            self._train(self.desk.watch(message.watched, message.live))
            self.tick()
            self.say(f"watching {message.live.run_id}: another process trains it")
        elif message.resume:
            from cifar_tui.session import TrainRequest

            request = TrainRequest(
                data_dir=self.data_dir,
                runs_dir=self.runs_dir,
                resume=message.live.run_id,
                changes=message.changes,
            )
            self.start_request(request, message.live)
        else:
            self.desk.show(message.live)
            self.tick()
        await self.dashboard.show_room(message.room)

    def on_records_work_failed(self, message: WorkFailed) -> None:
        """A dialog, and the app lives on."""
        self.show_error(message.error)

    @work(thread=True, exclusive=True, group="open", exit_on_error=False)
    def fork_and_resume(self, run_id: str, rate: str) -> None:
        """A new run from the newest good checkpoint of another, at another learning rate."""
        from cifar_tui.runs.directory import RunDirectory
        from cifar_tui.session.fork import fork

        try:
            source = RunDirectory.open(self.runs_dir, run_id)
            new, _info, _changed = fork(
                source, self.runs_dir, at=None, name=None, flags={"learning_rate": rate}
            )
            live = LiveRun.from_run(new)
        except CifarTuiError as error:
            self.post_message(self.WorkFailed(error))
        else:
            self.post_message(self.RunLoaded(live, resume=True))

    # ---- downloads ----

    def action_download(self, dataset: str, allow_unverified: bool = False) -> None:
        """Fetch a dataset in a thread; `allow_unverified` takes an archive of unknown hash too."""
        if self.desk.download is not None:
            self.say(f"{self.desk.download.dataset} is being fetched; wait for it or cancel it")
            return
        self.desk.download = Download(dataset, self.data_dir, allow_unverified=allow_unverified)
        self._fetch(self.desk.download)

    def on_download_requested(self, message: DownloadRequested) -> None:
        """From the dataset pane."""
        self.action_download(message.dataset, message.allow_unverified)

    def on_cancel_download(self, _message: CancelDownload) -> None:
        """From the dataset pane."""
        if self.desk.download is not None:
            self.desk.download.cancel()

    @work(thread=True, exclusive=True, group="download", exit_on_error=False)
    def _fetch(self, download: Download) -> None:
        download.run()

    def show_download(self) -> None:
        """Bring the state of the download to the panes; part of the tick."""
        download = self.desk.download
        if download is None:
            return
        panes = [pane for pane in (self.dashboard.pane("dataset"), *self.dashboard.query("RoomData")) if pane]
        while download.notes:
            self.say(download.notes.pop(0))
        transfer = download.transfer
        if transfer is not None and transfer is not download.shown and not download.done:
            download.shown = transfer
            for pane in panes:
                if hasattr(pane, "show_transfer"):
                    pane.show_transfer(transfer)
            share = (
                f"{100 * transfer.done / transfer.total:3.0f}%"
                if transfer.total
                else human_bytes(transfer.done)
            )
            self.dashboard.header.show_download(f"{safe_text(download.dataset, 12)} {transfer.phase} {share}")
        if not download.done:
            return
        self.desk.download = None
        self.dashboard.header.show_download("")
        for pane in panes:
            if hasattr(pane, "show_transfer"):
                pane.show_transfer(None)
            if download.error is not None and hasattr(pane, "show_error"):
                pane.show_error(download.error)
        if download.error is None:
            self.say(f"{TITLES.get(download.dataset, download.dataset)} is ready")
        elif not download.cancelled and not isinstance(download.error, CifarTuiError):
            self.show_error(download.error)
