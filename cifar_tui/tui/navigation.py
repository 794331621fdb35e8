"""The part of the app that goes from room to room and pane to pane, and changes how they look."""

from __future__ import annotations

from typing import Any

from textual import constants, events
from textual._context import active_message_pump
from textual.await_complete import AwaitComplete
from textual.screen import Screen

from cifar_tui.tui import theme as themes
from cifar_tui.tui.library_bugs import is_of_library
from cifar_tui.tui.records import Records
from cifar_tui.tui.settings import Settings


class Navigation(Records):
    """Rooms, panes, sizes and themes.

    Attributes:
        settings: what is remembered.
    """

    settings: Settings

    async def on_event(self, event: events.Event) -> None:
        """Keys and clicks that come while the app leaves find no screen to act on, and are left alone.

        A key or click at which Textual itself fails, without any code of ours in between, ends nothing: such
        as a page down in a list that was not laid out yet, or a click on what was just removed.
        """
        if self._exit and isinstance(event, events.InputEvent | events.Paste):
            return
        try:
            await super().on_event(event)
        except Exception as error:
            if not isinstance(event, events.InputEvent) or not is_of_library(error):
                raise
            self.say(
                f"the screen library failed at this ({type(error).__name__}); nothing was lost", "warning"
            )

    def pop_screen(self) -> AwaitComplete:
        """Close the screen on top, unless who asks is a screen that was closed already.

        Two quick clicks beside a dialog, or two keys, ask twice; the second would close another screen, or
        end the app where there is none.
        """
        screen = self._asking_screen()
        if len(self.screen_stack) < 2 or (screen is not None and screen is not self.screen):
            return AwaitComplete()
        return super().pop_screen()

    def is_closed_screen(self) -> bool:
        """Whether what is being done now is done by a screen that was closed, or by a widget of one."""
        screen = self._asking_screen()
        return screen is not None and screen not in self.screen_stack

    @staticmethod
    def _asking_screen() -> Screen[Any] | None:
        pump: Any = active_message_pump.get(None)
        while pump is not None and not isinstance(pump, Screen):
            pump = pump._parent
        return pump

    async def action_room(self, number: int) -> None:
        """Go to a room."""
        await self.dashboard.show_room(int(number))

    def action_pane(self, name: str) -> None:
        """Go to a pane."""
        self.dashboard.focus_pane(name)

    def action_next_pane(self) -> None:
        """The next pane."""
        self.dashboard.next_pane(1)

    def action_previous_pane(self) -> None:
        """The pane before."""
        self.dashboard.next_pane(-1)

    def action_maximise(self) -> None:
        """One pane alone, and back."""
        self.dashboard.maximise()

    def action_narrower(self) -> None:
        """Less room for the left column."""
        self.dashboard.grid.change("left", -2)

    def action_wider(self) -> None:
        """More room for the left column."""
        self.dashboard.grid.change("left", 2)

    def action_shorter(self) -> None:
        """Less room for the focused pane."""
        self.dashboard.grid.change(self.dashboard.grid.focused_pane(), -1)

    def action_taller(self) -> None:
        """More room for the focused pane."""
        self.dashboard.grid.change(self.dashboard.grid.focused_pane(), 1)

    def action_usual_sizes(self) -> None:
        """Forget the sizes."""
        self.settings.set(left_width=0, dataset_height=0, chart_height=0, report_height=0)
        self.dashboard.fit()

    def action_estimate(self) -> None:
        """Time a few steps of the recipe in the form."""
        form = self.dashboard.pane("recipe")
        if form is None:
            self.say("the panes are still loading")
        elif self.desk.thread is not None:
            self.say("a training runs: its own time left is in the header")
        else:
            form.estimate()

    def action_theme(self) -> None:
        """Light or dark."""
        self._use_theme(themes.other_light(self.theme))

    def action_palette(self) -> None:
        """Colours that everyone can tell apart, or the usual ones."""
        self._use_theme(themes.other_palette(self.theme))

    def action_motion(self) -> None:
        """Nothing glides or fades, or the usual."""
        self.settings.set(reduced_motion=not self.settings.reduced_motion)
        self.use_motion()
        self.say("reduced motion: nothing glides" if self.settings.reduced_motion else "usual motion")

    def use_motion(self) -> None:
        """Move as the settings say."""
        if self.settings.reduced_motion:
            self.animation_level = "none"
        else:
            self.animation_level = constants.TEXTUAL_ANIMATIONS

    def action_keys(self) -> None:
        """Choose other keys."""
        from cifar_tui.tui.screens.keys import KeysScreen, entries

        if self.screen is self.dashboard:
            self.push_screen(KeysScreen(self.settings, entries(self.screen)))

    def use_keys(self) -> None:
        """Use the keys of the settings; what cannot be used is told."""
        if not self.settings.keys and not self._keymap:
            return
        from cifar_tui.tui.keys import keymap

        found, problems = keymap(self.settings.keys)
        self.set_keymap(found)
        if problems:
            self.say(f"keys in the settings: {problems[0]}", "warning")

    def _use_theme(self, name: str) -> None:
        self.theme = name
        self.settings.set(theme=name)
