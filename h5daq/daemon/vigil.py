"""The daemon's eye on its writer: who says that it died or fell silent, since it can't itself.

It hears the writer's heartbeats as everybody may, and knows of its death at once. What changes goes
to the command and the webhook of the alarms, without waiting for them, and to the writer that comes
after, which tells all who listen and records it in the file.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import Any

from h5daq.client import Subscription
from h5daq.daemon.supervisor import Child, Process
from h5daq.errors import NoAnswer, WireError
from h5daq.flow.alarm_options import AlarmOptions
from h5daq.flow.vigil import Vigil
from h5daq.flow.watched import Change
from h5daq.transports.locks import ClientKeys
from h5daq.writer.alerting import about_run
from h5daq.writer.settings import WriterSettings
from h5daq.writer.tellers import Messenger, messengers

__all__ = ["WriterVigil"]

log = logging.getLogger("h5daq.daemon")

_LOOK_SECONDS = 1.0
_HEAR_SECONDS = 0.01
_LAST_SECONDS = 5.0
"""How long the end of a daemon waits for alarms to be delivered."""


class WriterVigil:
    """Looks after the writer; for the supervisor's thread alone.

    Parameters
    ----------
    settings : WriterSettings
        Of the run: who is told of alarms.
    keys : ClientKeys or None
        To hear the writer by.

    Attributes
    ----------
    raised : dict or None
        The alarm, as PROTOCOL.md has it, while the writer is not there.
    """

    def __init__(self, settings: WriterSettings, keys: ClientKeys | None) -> None:
        options = AlarmOptions() if settings.alarms is None else AlarmOptions.of(settings.alarms)
        self._messengers: list[Messenger] = messengers(options, about_run(settings))
        self._keys, self._vigil = keys, Vigil(time.monotonic())
        self._ears: Subscription | None = None
        self._ears_at, self._looked_at = "", 0.0
        self._process: Process | None = None
        self._untold: list[dict[str, Any]] = []
        self.raised: dict[str, Any] | None = None

    def look(self, writer: Child, signals: str) -> None:
        """At the writer, whose signals are to be heard there."""
        now, process = time.monotonic(), writer.process
        if process is None:
            self._process = None
            self._tell(self._vigil.gone(writer.cause, now))
        elif process is not self._process:
            # Whoever was started has said that it is ready.
            self._process = process
            self._tell(self._vigil.heard(now))
        elif now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            beats = self._hear(signals)
            self._tell(self._vigil.heard(now) if beats else self._vigil.look(now))
        if process is not None:
            self._hand_on(process)

    def _hear(self, signals: str) -> bool:
        if self._ears is None or self._ears_at != signals:
            self.close_ears()
            self._ears = Subscription(signals, ("heartbeat",), keys=self._keys)
            self._ears_at = signals
        with suppress(NoAnswer, WireError):
            return bool(self._ears.receive(_HEAR_SECONDS))
        return False

    def _tell(self, change: Change | None) -> None:
        if change is None:
            return
        now = time.time()
        told = change.told(int(now * 1e6), now)
        self.raised = told if change.level != "ok" else None
        log.log(logging.INFO if self.raised is None else logging.ERROR, "alarm: %s", change.text)
        self._untold.append(told)
        for messenger in self._messengers:
            messenger.tell(told)
            if messenger.ident is None:
                messenger.start()

    def _hand_on(self, process: Process) -> None:
        """To a writer: it records what happened while there was none, or none that could."""
        while self._untold and process.send("alarm", told=self._untold[0]):
            del self._untold[0]

    def close_ears(self) -> None:
        """Hear no more: the run ends."""
        if self._ears is not None:
            self._ears.close()
            self._ears = None

    def close(self) -> None:
        """Deliver what is left, as far as that is soon done."""
        self.close_ears()
        for messenger in self._messengers:
            messenger.ask_end(_LAST_SECONDS)
        for messenger in self._messengers:
            messenger.close(_LAST_SECONDS)
