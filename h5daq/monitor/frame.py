"""What there is to draw on, and the few words that are drawn everywhere: states, losses, alarms.

Names and values are text of other people; they become `rich.text.Text` at once and never go
through rich's markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from h5daq.monitor import words
from h5daq.monitor.alarm import Alarm
from h5daq.monitor.job import ALARMING

__all__ = ["ALARMING", "Frame", "alarm_lines", "alarm_text", "lost_text", "state_text"]

_STATES = {
    "running": ("●", "green"), "reading": ("●", "green"), "paused": ("○", "yellow"),
    "new": ("○", "dim"), "starting": ("○", "dim"), "draining": ("●", "yellow"),
    "stopping": ("●", "yellow"), "ended": ("■", "dim"), "stopped": ("■", "dim"),
    "refused": ("✖", "bold red"), "down": ("✖", "bold red"),
    "failed": ("✖", "bold red"), "hanging": ("✖", "bold red"), "silent": ("✖", "bold red"),
    "given up": ("✖", "bold red"), "restarting": ("✖", "red"),
}  # fmt: skip
_ASCII = str.maketrans(
    {
        "▲": "^",
        "●": "*",
        "○": "o",
        "■": "-",
        "✖": "!",
        "–": "-",
        "…": "~",
        "·": ".",
        "µ": "u",
        "×": "x",
        "→": ">",
    }
)


_ALARMS = {"alarm": ("✖", "bold red"), "warn": ("▲", "yellow")}


@dataclass(frozen=True, slots=True)
class Frame:
    """Characters across and down (None: as many as needed), and whether only ASCII is possible."""

    width: int = 120
    height: int | None = None
    ascii_only: bool = False

    def text(self, plain: str, style: str = "") -> Text:
        """Text in a style, in characters that the terminal has."""
        return Text(plain.translate(_ASCII) if self.ascii_only else plain, style)


def state_text(state: str, frame: Frame) -> Text:
    """A state with its sign and colour."""
    sign, style = _STATES.get(state, ("●", ""))
    return frame.text(f"{sign} {words.clean(state, 12)}", style)


def lost_text(lost: dict[str, int], before: str = "") -> Text:
    """Losses by cause, in red; a dim 0 where there are none."""
    if not lost:
        return Text(f"{before}0", "dim")
    causes = ", ".join(f"{words.count(n)} {words.clean(cause, 20)}" for cause, n in lost.items())
    return Text(before + causes, "red")


def alarm_text(alarm: Alarm, frame: Frame) -> Text:
    """An alarm with its sign and colour: what is wrong, in one line."""
    sign, style = _ALARMS.get(alarm.level, ("○", "dim"))
    return frame.text(f"{sign} {words.clean(alarm.text or alarm.where)}", style)


def alarm_lines(worst: Sequence[Alarm], frame: Frame, most: int = 5) -> list[Text]:
    """The raised alarms, the worst first, a line each; and how many more there are."""
    lines = [alarm_text(alarm, frame) for alarm in worst[:most]]
    more = len(worst) - most
    return [*lines, frame.text(f"… and {more} more alarms", "yellow")] if more > 0 else lines
