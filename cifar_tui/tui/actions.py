"""Every action of the app under one name: for the footer, the command palette and the help."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True)
class Action:
    """Something the user can do.

    Attributes:
        id: stable name; the app's method is ``action_<id>``.
        key: keys, separated by commas.
        name: what footer, palette and help call it.
        help: one sentence.
        footer: whether the footer shows it.
        shown_key: the key as the footer writes it; "" for the first of `key`.
    """

    id: str
    key: str
    name: str
    help: str
    footer: bool = False
    shown_key: str = ""

    @property
    def binding(self) -> Binding:
        """As Textual wants it."""
        action = self.id if not self.id.startswith("room_") else f"room({self.id[-1]})"
        return Binding(
            self.key,
            action,
            self.name,
            show=self.footer,
            id=f"app.{self.id}",
            key_display=self.shown_key or None,
            tooltip=self.help,
        )


ACTIONS: tuple[Action, ...] = (
    Action("pause", "space", "Pause", "Start the recipe; pause or resume the training.", True),
    Action("stop", "s", "Stop", "Stop the training after the step and save.", True),
    Action("evaluate_now", "e", "Evaluate", "Evaluate on train and test now, then go on.", True),
    Action("checkpoint_now", "c", "Checkpoint", "Write a checkpoint now, then go on.", True),
    Action("start", "ctrl+s", "Start training", "Start a training with the recipe in the form."),
    Action(
        "stop_evaluate", "E", "Stop and evaluate", "Stop, save and evaluate on all pictures.", shown_key="E"
    ),
    Action("set_target", "T", "Set the target step", "Change how long the training goes.", shown_key="T"),
    Action(
        "set_learning_rate",
        "R",
        "Set the learning rate",
        "Change the learning rate from here on; it is recorded.",
        shown_key="R",
    ),
    Action(
        "estimate",
        "ctrl+g",
        "Estimate time",
        "Time a few steps of the recipe on this device.",
        shown_key="^g",
    ),
    Action("maximise", "z", "Maximise", "Give the focused pane the whole screen, and back.", True),
    Action("next_pane", "f6", "Next pane", "Go to the next pane.", shown_key="f6"),
    Action("previous_pane", "shift+f6", "Previous pane", "Go to the pane before.", shown_key="shift+f6"),
    Action("narrower", "left_square_bracket", "Narrower left column", "Move the border left.", shown_key="["),
    Action("wider", "right_square_bracket", "Wider left column", "Move the border right.", shown_key="]"),
    Action("shorter", "left_curly_bracket", "Shorter pane", "Make the focused pane shorter.", shown_key="{"),
    Action("taller", "right_curly_bracket", "Taller pane", "Make the focused pane taller.", shown_key="}"),
    Action("usual_sizes", "equals_sign", "Usual pane sizes", "Forget the sizes of the panes.", shown_key="="),
    Action("room_1", "1", "Dashboard", "Data, recipe, curves and report at a glance."),
    Action("room_2", "2", "Data", "Pictures and statistics of the datasets."),
    Action("room_3", "3", "Report", "What the model gets right and wrong."),
    Action("room_4", "4", "Runs", "All runs: open, resume, compare, delete."),
    Action("room_5", "5", "Log", "What happened, and what the machine does."),
    Action("theme", "f2", "Light or dark", "Switch between the light and the dark theme."),
    Action("palette", "f3", "Colour-blind palette", "Colours that can be told apart by everyone."),
    Action("motion", "f7", "Reduced motion", "Nothing glides or fades, or the usual."),
    Action("keys", "f4", "Keys", "Choose other keys."),
    Action("copy", "y", "Copy", "Copy what the focused pane shows."),
    Action("first_start", "f9", "First steps", "Data, recipe, go: the three steps of the first start."),
    Action(
        "help",
        "question_mark,f1",
        "Explain",
        "What the focused pane is, its keys, and every number.",
        True,
        "?",
    ),
    Action("command_palette", "ctrl+p", "Commands", "Every action by name.", True, "^p"),
    Action("quit", "q,ctrl+q", "Quit", "Leave; asks first while training.", True, "q"),
)
BY_ID = {action.id: action for action in ACTIONS}
