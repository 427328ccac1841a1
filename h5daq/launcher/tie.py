"""A host's tie to the writer: whether it is there, where it is, and our log lines for it.

The tie asks the writer now and then. From the answer it learns of another start, and of sockets
that have moved; while none comes it looks into the configuration again, since somebody may have
written other ports into it. Log lines wait here while the writer is away, the newest of them.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from h5daq.client import Client
from h5daq.config import Config, load
from h5daq.daemon.described import reachable, writer_address
from h5daq.daemon.reckoner import Reckoning
from h5daq.errors import ConfigError, H5daqError, NoAnswer
from h5daq.flow.wire import encode
from h5daq.launcher.timing import LOOK_SECONDS, Timekeeper
from h5daq.logs import SendingHandler
from h5daq.transports.locks import ClientKeys
from h5daq.transports.zmq import WorkerLink

__all__ = ["Tie"]

log = logging.getLogger("h5daq.host")

_MOST_LINES = 200
"""Log lines that wait for the writer; older ones stand in the host's own log only."""


class Tie(threading.Thread):
    """Keeps in touch with the writer of a configuration.

    Parameters
    ----------
    config : Config
        Says where it is.
    name : str
        This host's name in it.
    jobs : sequence of str
        The jobs of this host. In the name of the first log lines are sent: that is what its key
        permits.
    moved : callable
        Called with the new data and signals endpoints when the writer has others.
    keys : ClientKeys, optional
        What to show to the writer.
    met : callable
        Called with the `state` when the writer answers, at first and after each silence.

    Attributes
    ----------
    state : dict
        ``requests``, ``answers`` (bool), ``seen`` (time of the last answer), ``boot``, ``run``.
    """

    def __init__(
        self,
        config: Config,
        name: str,
        jobs: Sequence[str],
        moved: Callable[[str, str], None],
        keys: ClientKeys | None = None,
        met: Callable[[dict[str, Any]], None] = lambda _state: None,
    ) -> None:
        super().__init__(name="h5daq-tie", daemon=True)
        self._met, job = met, jobs[0]
        self._config, self._moved, self._keys = config, moved, keys
        self._read_at, self._complaint = _signature(config), ""
        requests = writer_address(config, "requests")
        self._data, self._signals = (writer_address(config, n) for n in ("data", "signals"))
        self._client = Client(requests, keys=keys)
        self._link = WorkerLink(self._data, self._signals, job, keys)
        self._lines: deque[bytes] = deque(maxlen=_MOST_LINES)
        self._inc = secrets.randbits(64)
        self._handler = SendingHandler(job, self._send)
        self._ending = threading.Event()
        self._times = Timekeeper(name, job)
        self.reckoning = Reckoning(str(config.directory), self._ask, jobs)
        self.state: dict[str, Any] = {"requests": requests, "answers": None, "seen": None}
        logging.getLogger("h5daq").addHandler(self._handler)

    def run(self) -> None:
        """Look, and look again; until closed."""
        while not self._ending.is_set():
            try:
                self._look()
            except (H5daqError, OSError) as error:
                log.warning("the writer can't be asked: %s", error)
            self._flush()
            self._ending.wait(LOOK_SECONDS)

    def close(self) -> None:
        """Send the last lines and let go."""
        self._ending.set()
        self._client.give_up()  # a writer that has ended would be waited for
        if self.is_alive():
            self.join()
        logging.getLogger("h5daq").removeHandler(self._handler)
        self._flush()
        self._link.close(linger=0.5)
        self._client.close()

    def _ask(self, verb: str, **args: Any) -> Any:
        return self._client.request(verb, **args)

    # -- where it is -------------------------------------------------------------------------

    def _look(self) -> None:
        requests = self.state["requests"]
        try:
            answer = self._times.exchange(self._client)
        except NoAnswer:
            self._silence()
            return
        self._news(answer)
        now = {name: reachable(answer[name], _host(requests)) for name in ("data", "signals")}
        self._go(now["data"], now["signals"])
        self.reckoning.report()

    def _news(self, answer: dict[str, Any]) -> None:
        before = self.state
        self.state = {
            "requests": before["requests"], "answers": True, "seen": time.time(),
            "boot": answer["boot"], "run": answer["run"],
        }  # fmt: skip
        if not before["answers"]:
            log.info("the writer answers at %s", before["requests"])
            self._met(self.state)
        elif before["boot"] != answer["boot"]:
            log.warning("the writer was started again")

    def _silence(self) -> None:
        if self.state["answers"] is not False:
            log.warning("no answer from the writer at %s; the workers hold their rows until "
                        "there is one", self.state["requests"])  # fmt: skip
        self.state = {**self.state, "answers": False}
        self._read_again()

    def _read_again(self) -> None:
        """Go where the configuration says now, if it was changed."""
        changed = _signature(self._config)
        if changed in (None, self._read_at):
            return
        try:
            config = load(self._config.path)
            where = [writer_address(config, n) for n in ("requests", "data", "signals")]
        except ConfigError as error:
            # Perhaps it is just being written: then it is whole the next time.
            if str(error) != self._complaint:
                log.warning("the configuration was changed, and can't be read: %s", error)
            self._complaint = str(error)
            return
        self._read_at = changed
        if where[0] != self.state["requests"]:
            self._client.close()
            self._client = Client(where[0], keys=self._keys)
            self.state = {**self.state, "requests": where[0]}
        self._go(where[1], where[2])

    def _go(self, data: str, signals: str) -> None:
        if (data, signals) == (self._data, self._signals):
            return
        log.warning("the writer is at %s now", data)
        self._data, self._signals = data, signals
        self._link.reconnect(data, signals)
        self._moved(data, signals)

    @property
    def clock(self) -> dict[str, float] | None:
        """``offset``: the writer's clock minus this machine's, its greatest ``error``, ``delay``;
        seconds."""
        return self._times.told

    # -- our lines -------------------------------------------------------------------------------

    def _send(self, fields: dict[str, Any]) -> None:
        """Keep a line and send what waits; called by whatever thread logs."""
        try:
            self._lines.append(encode("log", inc=self._inc, **fields))
        except ValueError:
            return  # not even its text is worth a host: it stands in the host's own log
        self._flush()

    def _flush(self) -> None:
        while self._lines:
            try:
                line = self._lines.popleft()
            except IndexError:
                return
            if not self._link.send(line):
                self._lines.appendleft(line)
                return


def _host(endpoint: str) -> str | None:
    scheme, _, address = endpoint.partition("://")
    return address.rpartition(":")[0] if scheme == "tcp" else None


def _signature(config: Config) -> tuple[int, int] | None:
    try:
        seen = config.path.stat()
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_size
