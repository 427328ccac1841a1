"""Whether the writer is there: the alarm that it can't raise itself.

A writer beats once a second. Who looks after it says when a beat was heard, when it is known to be
dead, and looks now and then; when that changes whether it is there, the answer is a `Change` like
those of the writer's own alarms. Pure; times are seconds of a clock that never goes back.
"""

from __future__ import annotations

from h5daq.flow.watched import Change

__all__ = ["SILENT_SECONDS", "WRITER", "Vigil"]

WRITER = "writer"
"""The kind of an alarm about the writer itself."""

SILENT_SECONDS = 10.0
"""A writer that was not heard for so long has raised an alarm."""

_LONGEST_STEP = 1.0
"""So much silence is counted between two looks, however long we were stopped ourselves."""


class Vigil:
    """Says when the writer has gone, and when it is back.

    Parameters
    ----------
    now : float
        When it begins; the writer counts as heard then.
    patience : float
        Seconds without a beat that are an alarm.

    Attributes
    ----------
    raised : Change or None
        The alarm, while the writer is not there.

    Examples
    --------
    >>> vigil = Vigil(now=0.0, patience=3.0)
    >>> [vigil.look(float(now)) and vigil.raised.text for now in range(1, 5)]
    [None, None, None, 'writer: not heard for 4 s']
    >>> vigil.heard(7.0).text
    'writer: heard again after 7 s'
    >>> vigil.gone("killed by signal 9 (SIGKILL)", 9.0).text
    'writer: killed by signal 9 (SIGKILL)'
    """

    def __init__(self, now: float, patience: float = SILENT_SECONDS) -> None:
        self.raised: Change | None = None
        self._patience = patience
        self._heard = self._looked = now
        self._silence = 0.0

    def heard(self, now: float) -> Change | None:
        """It was heard, or is known to be there; what that changes."""
        away, self._heard, self._silence = now - self._heard, now, 0.0
        self._looked = now
        if self.raised is None:
            return None
        self.raised = None
        return self._change("ok", away, f"heard again after {away:.0f} s")

    def gone(self, why: str, now: float) -> Change | None:
        """It is known to be dead; what that changes."""
        if self.raised is not None:
            return None
        self.raised = self._change("alarm", now - self._heard, why)
        return self.raised

    def look(self, now: float) -> Change | None:
        """What the time that has passed changes."""
        step, self._looked = now - self._looked, now
        self._silence += min(step, _LONGEST_STEP)
        if self._silence <= self._patience:
            return None
        return self.gone(f"not heard for {now - self._heard:.0f} s", now)

    def _change(self, level: str, seconds: float, text: str) -> Change:
        return Change("", "", WRITER, level, seconds, self._patience, f"{WRITER}: {text}")
