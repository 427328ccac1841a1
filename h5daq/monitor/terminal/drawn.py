"""A widget made of lines, which sends to the terminal only those that have changed.

A run moves in a few figures; a terminal at the far end of a slow line need not be sent the rest
twice a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text
from textual.geometry import Region, Size
from textual.widget import Widget

__all__ = ["Drawn"]


class Drawn(Widget):
    """Lines of text; subclasses make them and `put` them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._drawn: list[Text] = []

    def put(self, lines: Sequence[Text]) -> None:
        """Show these lines from now on."""
        before, self._drawn = self._drawn, list(lines)
        if len(before) != len(self._drawn):
            self.refresh(layout=True)
            return
        pairs = enumerate(zip(before, self._drawn, strict=True))
        rows = [y for y, (old, new) in pairs if (old, old.style) != (new, new.style)]
        if rows:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in rows))

    def render(self) -> Text:
        """All lines."""
        return Text("\n", no_wrap=True, overflow="ellipsis").join(self._drawn)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        """As high as there are lines, if the layout lets it."""
        return max(1, len(self._drawn))
