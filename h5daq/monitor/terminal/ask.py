"""A question with one line of text for an answer."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label

__all__ = ["Question"]


class Question(ModalScreen[str | None]):
    """Gives what was typed, or None if that was left with Escape."""

    BINDINGS = [("escape", "dismiss(None)", "leave")]  # noqa: RUF012 - as textual has it

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """The question, and a place for the answer."""
        with Vertical(id="question"):
            yield Label(self._question, markup=False)
            yield Input(placeholder="Enter sends, Esc leaves")

    def on_input_submitted(self, submitted: Input.Submitted) -> None:
        """Done."""
        submitted.stop()
        self.dismiss(submitted.value.strip() or None)
