"""The rows of the recipe form, laid out in one column or, where there is room, in two."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.geometry import NULL_OFFSET, Region, Size, Spacing
from textual.layout import Layout, WidgetPlacement

from cifar_tui.tui.widgets.cost import total_steps
from cifar_tui.tui.widgets.fields import ChoiceEditor, FieldRow, TextEditor
from cifar_tui.tui.widgets.rate_preview import RatePreview, curve, spark
from cifar_tui.tui.widgets.recipe_controls import GroupTitle

if TYPE_CHECKING:
    from textual.layout import ArrangeResult
    from textual.widget import Widget

    from cifar_tui.tui.settings import Settings
    from cifar_tui.tui.widgets.form_state import FormState

WIDE = 62
GUTTER = 3
PREVIEW_CELLS = 8


class Columns(Layout):
    """Field rows side by side in two columns from `WIDE` cells on; anything else takes a row of its own."""

    name = "columns"

    def arrange(
        self,
        parent: Widget,
        children: list[Widget],
        size: Size,
        greedy: bool = True,  # noqa: ARG002
    ) -> ArrangeResult:
        """Places for the children, from the top."""
        parent.pre_layout(self)
        is_wide = size.width >= WIDE
        column = (size.width - GUTTER) // 2 if is_wide else size.width
        placements: list[WidgetPlacement] = []
        y, left = 0, 0  # `left` is the height of a row in the left column whose neighbour is still to come
        for child in children:
            is_field = isinstance(child, FieldRow)
            width = column if is_field else size.width
            height = child.get_content_height(size, size, width)
            x = 0
            if left and is_field:
                x, height_of_both = column + GUTTER, max(left, height)
            else:
                y, height_of_both = y + left, height
            placements.append(
                WidgetPlacement(
                    Region(x, y, width, height), NULL_OFFSET, Spacing(), child, 0, False, False, False
                )
            )
            if is_wide and is_field and not x:
                left = height
            else:
                y, left = y + height_of_both, 0
        return placements


class FieldList(VerticalScroll, can_focus=False, inherit_bindings=False):
    """The rows. Up and down go from one to the next."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", "Previous field", show=False, id="recipe.up"),
        Binding("down", "app.focus_next", "Next field", show=False, id="recipe.down"),
        Binding("pageup", "page_up", "Page up", show=False),
        Binding("pagedown", "page_down", "Page down", show=False),
    ]

    def __init__(self, settings: Settings | None = None, *, id: str) -> None:
        super().__init__(id=id)
        self._settings = settings
        self.styles.set_rule("layout", Columns())  # the property takes only names that Textual knows
        self._known_state: FormState | None = None
        self._enabled = True

    @property
    def state(self) -> FormState:
        """What the form holds."""
        assert self._known_state is not None
        return self._known_state

    def row(self, name: str) -> FieldRow | None:
        """The row of a field, where it was made already."""
        return next(iter(self.query(f"#row-{name}").results(FieldRow)), None)

    def title(self, section: str, *, more: bool = False) -> GroupTitle | None:
        """The head of a group, or of what is folded within it."""
        return next(iter(self.query(f"#{'more' if more else 'group'}-{section}").results(GroupTitle)), None)

    async def build(self, state: FormState, usually_open: frozenset[str] = frozenset()) -> None:
        """Make the rows that are in sight. The others are made when their group is unfolded.

        Args:
            state: what the form holds.
            usually_open: groups that are unfolded unless the user folded them.
        """
        from cifar_tui.tui.widgets.form_state import ESSENTIAL, TITLES

        self._known_state = state
        rows: list[Widget] = [self._row(name) for name in ("preset", *ESSENTIAL)]
        rows += [GroupTitle(section, title) for section, title in TITLES.items()]
        await self.mount_all(rows)
        folds = self._settings.folds if self._settings is not None else {}
        for section in TITLES:
            if folds.get(section, "open" if section in usually_open else "") == "open":
                await self.unfold(section)
            if folds.get(f"{section}.more") == "open":
                await self.unfold(section, more=True)

    def set_enabled(self, enabled: bool) -> None:
        """Let the fields be edited, or only read."""
        self._enabled = enabled
        for row in self.query(FieldRow):
            row.editor.disabled = not enabled

    def show(self) -> None:
        """Show what the form holds."""
        state = self.state
        for row in self.query(FieldRow):
            row.update_from(state)
        for title in self.query(GroupTitle):
            self._show_title(title)
        for preview in self.query(RatePreview):
            preview.show(state.draft, total_steps(state.draft))

    async def reveal(self, name: str) -> None:
        """Unfold the group of a field, and focus it."""
        from cifar_tui.config import OPTIONS
        from cifar_tui.tui.widgets.form_state import ESSENTIAL

        section = OPTIONS[name].section
        if name not in ESSENTIAL:
            await self.unfold(section)
            if OPTIONS[name].advanced:
                await self.unfold(section, more=True)
        row = self.row(name)
        if row is not None:
            row.editor.focus()

    async def unfold(self, section: str, *, more: bool = False) -> None:
        """Unfold a group, or what is folded within it."""
        title = self.title(section, more=more)
        if title is not None and not title.is_open:
            title.is_open = True
            title.refresh()
            await self.show_group(section)

    async def show_group(self, section: str) -> None:
        """Show or hide the rows of a group, as its heads say; make them where they are needed first."""
        from cifar_tui.config import OPTIONS
        from cifar_tui.tui.widgets.form_state import group_fields

        title, more = self.title(section), self.title(section, more=True)
        if title is None:
            return
        advanced = [name for name in group_fields(section) if OPTIONS[name].advanced]
        plain = [name for name in group_fields(section) if name not in advanced]
        if title.is_open and self.row(plain[0]) is None:
            rows: list[Widget] = [self._row(name) for name in plain]
            if section == "schedule":
                rows.append(RatePreview(id="rate-preview"))
            if advanced:
                more = GroupTitle(section, "more", is_more=True)
                rows.append(more)
            await self.mount_all(rows, after=title)
        more_open = more is not None and more.is_open
        if title.is_open and more_open and self.row(advanced[0]) is None:
            await self.mount_all([self._row(name) for name in advanced], after=more)
        for name in group_fields(section):
            row = self.row(name)
            if row is not None:
                row.folded = not title.is_open or (name in advanced and not more_open)
        if section == "schedule":
            for preview in self.query(RatePreview):
                preview.display = title.is_open
        self.show()

    @on(GroupTitle.Toggled)
    async def _toggled(self, event: GroupTitle.Toggled) -> None:
        event.stop()
        title = event.title
        if self._settings is not None:
            name = f"{title.section}.more" if title.is_more else title.section
            self._settings.set(folds=self._settings.folds | {name: "open" if title.is_open else "folded"})
        await self.show_group(title.section)

    def _row(self, name: str) -> FieldRow:
        from cifar_tui.tui.widgets.form_state import choices, explain, label

        words, text = choices(name), self.state.text(name)
        editor = ChoiceEditor(name, text, words) if words else TextEditor(name, text)
        editor.disabled = not self._enabled
        row = FieldRow(name, editor, label(name))
        row.tooltip = explain(name)
        return row

    def _show_title(self, title: GroupTitle) -> None:
        from cifar_tui.config import OPTIONS
        from cifar_tui.tui.widgets.form_state import TITLES, group_fields, summary_of

        state, section = self.state, title.section
        if not title.is_more:
            summary = summary_of(state, section)
            if section == "schedule":
                summary += " " + spark(curve(state.draft, total_steps(state.draft), PREVIEW_CELLS))
            title.show(TITLES[section], summary.rstrip(), state.changed_in(section), state.wrong_in(section))
            return
        names = [name for name in group_fields(section) if OPTIONS[name].advanced and state.is_shown(name)]
        changed = sum(state.is_changed(name) for name in names)
        wrong = sum(name in state.problems and state.problems[name].is_error for name in names)
        title.show(f"{len(names)} more", "", changed, wrong)
        group = self.title(section)
        title.display = bool(names) and group is not None and group.is_open
