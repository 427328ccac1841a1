"""How far this host's clock is from the writer's: measured by questions, and told with the next.

Each question carries what the ones before it have shown; its answer says when the writer had it and
when it answered. `Timekeeper` does one such exchange for whoever asks the writer anyway; `Timing`
is a thread for a process that otherwise never would.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from h5daq.client import Client
from h5daq.errors import H5daqError, NoAnswer, RequestError
from h5daq.flow.clock_offset import ClockOffset
from h5daq.flow.closing import Closing
from h5daq.transports.locks import ClientKeys

__all__ = ["LOOK_SECONDS", "Timekeeper", "Timing"]

log = logging.getLogger("h5daq.host")

LOOK_SECONDS, _ASK_SECONDS = 2.0, 2.0


class Timekeeper:
    """The exchanges of one host with its writer.

    Parameters
    ----------
    host : str
        What the host is called in the configuration.
    job : str
        A job of it, as which it may speak: that is what its key permits.
    """

    def __init__(self, host: str, job: str) -> None:
        self._who = {"host": host, "job": job}
        self._clock = ClockOffset()
        self._refusal = ""

    def exchange(self, client: Client, timeout: float = _ASK_SECONDS) -> dict[str, Any]:
        """Ask the writer who and where it is; the times in its answer are taken.

        Raises
        ------
        NoAnswer
            If there is none in time.
        RequestError
            If it answers nobody.
        """
        # By a clock of ours that nobody sets.
        sent = time.monotonic()
        try:
            answer = client.request("clock", timeout=timeout, **self._who, **(self.told or {}))
        except NoAnswer:
            raise
        except RequestError as error:
            return self._plainly(client, timeout, str(error))
        self._clock.take(sent, answer["received"], answer["answered"], time.monotonic())
        return dict(answer)

    def _plainly(self, client: Client, timeout: float, why: str) -> dict[str, Any]:
        """Our word on the clock is not taken: still we want to know it, and where the writer is."""
        if why != self._refusal:
            log.warning("the writer does not record this host's clock: %s", why)
        self._refusal, sent = why, time.monotonic()
        answer = client.request("ping", timeout=timeout)
        self._clock.take(sent, answer["time"], answer["time"], time.monotonic())
        return dict(answer)

    @property
    def told(self) -> dict[str, float] | None:
        """``offset``: the writer's clock minus this host's wall clock as it is now; its greatest
        ``error``; ``delay``: the round trip. Seconds; None before an exchange."""
        now = time.monotonic()
        found = self._clock.at(now)
        if found is None:
            return None
        ahead = found.offset + now - time.time()
        return {"offset": ahead, "error": found.error, "delay": found.delay}


class Timing(threading.Thread, Closing):
    """Exchanges times with a writer every two seconds, for a worker without a host agent.

    Parameters
    ----------
    requests : str
        The writer's endpoint for requests.
    host, job : str
        See `Timekeeper`.
    keys : ClientKeys, optional
        What to show to the writer.
    """

    def __init__(self, requests: str, host: str, job: str, keys: ClientKeys | None = None) -> None:
        super().__init__(name="h5daq-timing", daemon=True)
        self._client, self._keeper = Client(requests, keys=keys), Timekeeper(host, job)
        self._ending = threading.Event()

    def run(self) -> None:
        """Ask, and ask again; until closed."""
        while not self._ending.wait(LOOK_SECONDS):
            try:
                self._keeper.exchange(self._client)
            except (H5daqError, OSError) as error:
                log.debug("no times from the writer: %s", error)

    def close(self) -> None:
        """End it."""
        self._ending.set()
        if self.is_alive():
            self.join()
        self._client.close()
