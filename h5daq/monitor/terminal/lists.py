"""Lists with a cursor, of which only the lines that are seen are made: jobs, columns, the log.

Four thousand jobs cost as much per drawing as forty. The cursor stays on its entry, whatever comes
and goes around it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.widget import Widget

__all__ = ["Entries"]


class Entries(Widget, can_focus=True):
    """A list; subclasses say what its entries are, and draw some of them.

    Parameters
    ----------
    moved : callable
        Called when the cursor is on another entry.

    Attributes
    ----------
    chosen : str or None
        The entry with the cursor, by its name.
    """

    ALLOW_MAXIMIZE = True
    COMPONENT_CLASSES: ClassVar[set[str]] = {"entries--cursor", "entries--chosen"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "up", show=False),
        Binding("down", "move(1)", "down", show=False),
        Binding("pageup", "page(-1)", "page up", show=False),
        Binding("pagedown", "page(1)", "page down", show=False),
        Binding("home", "move(-1_000_000_000)", "first", show=False),
        Binding("end", "move(1_000_000_000)", "last", show=False),
    ]
    TITLES = 0
    """Lines above the entries."""

    def __init__(self, moved: Callable[[], None], **options: Any) -> None:
        super().__init__(**options)
        self.chosen: str | None = None
        # Called at once: an order that follows the arrow key must be for the new entry.
        self._moved = moved
        self._names: list[str] = []
        self._top = 0

    @abstractmethod
    def names(self) -> list[str]:
        """The names of all entries."""

    @abstractmethod
    def lines(self, names: list[str], width: int) -> list[Text]:
        """The titles, and a line for each of the entries."""

    @property
    def place(self) -> int:
        """Where the cursor is; 0 if there is nothing."""
        return self._names.index(self.chosen) if self.chosen in self._names else 0

    def show(self) -> None:
        """Draw what is there now."""
        before = len(self._names)
        self._names = self.names()
        if self._names and self.chosen not in self._names:
            self.choose(self._names[0])
        self.refresh(layout=len(self._names) != before)

    def choose(self, name: str | None) -> None:
        """Put the cursor on an entry."""
        if name != self.chosen:
            self.chosen = name
            self._moved()

    def render(self) -> Text:
        """The lines that are seen."""
        room = max(1, self.size.height - self.TITLES)
        place, most = self.place, max(0, len(self._names) - room)
        self._top = min(max(self._top, place - room + 1), place, most)
        seen = self._names[self._top : self._top + room]
        lines = self.lines(seen, self.size.width)
        if self.chosen in seen:
            self._mark(lines[self.TITLES + seen.index(self.chosen)])
        hidden = len(self._names) - len(seen)
        self.border_subtitle = f"{len(seen)} of {len(self._names)}" if hidden else ""
        return Text("\n", no_wrap=True).join(lines)

    def _mark(self, line: Text) -> None:
        line.truncate(self.size.width, pad=True)
        name = "entries--cursor" if self.has_focus else "entries--chosen"
        line.stylize(self.get_component_rich_style(name, partial=True))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        """As high as there are lines, if the layout lets it."""
        return self.TITLES + max(1, len(self._names))

    def action_move(self, by: int) -> None:
        """Move the cursor by so many entries."""
        if self._names:
            self.choose(self._names[min(max(self.place + by, 0), len(self._names) - 1)])
            self.refresh()

    def action_page(self, by: int) -> None:
        """Move it by so many screens."""
        self.action_move(by * max(1, self.size.height - self.TITLES - 1))

    def on_click(self, event: events.Click) -> None:
        """The entry that was clicked at."""
        offset = event.get_content_offset(self)
        if offset is not None and offset.y >= self.TITLES:
            self.action_move(self._top + offset.y - self.TITLES - self.place)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Three entries on."""
        event.stop()
        self.action_move(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Three entries back."""
        event.stop()
        self.action_move(-3)
