"""The clients that a monitor asks by, also when the next run is at another place.

A daemon that starts anew has sockets of its own. Where the writer is found by its directory, that
tells where they are; so when nobody answers, `Connection.look_again` looks there again.
"""

from __future__ import annotations

from collections.abc import Callable

from h5daq.client import Client
from h5daq.flow.closing import Closing

__all__ = ["Connection"]


class Connection(Closing):
    """Three clients of one running system, since a request keeps its client until it is answered.

    Parameters
    ----------
    connect : callable
        Gives a new client.

    Attributes
    ----------
    status, look, order : Client
        For the state, for rows and the vault, for what an operator orders.
    """

    def __init__(self, connect: Callable[[], Client]) -> None:
        self._connect = connect
        self._before: list[Client] = []
        self.status, self.look, self.order = connect(), connect(), connect()

    def look_again(self) -> bool:
        """Whether the system is at another place now; then the clients are others.

        Raises
        ------
        NoAnswer
            If it is nowhere.
        """
        found = self._connect()
        if found.endpoint == self.status.endpoint:
            found.close()
            return False
        # Somebody may be asking by these at this moment: they are let go of at the next time.
        old, self._before = self._before, [self.status, self.look, self.order]
        self.status, self.look, self.order = found, self._connect(), self._connect()
        for client in old:
            client.close()
        return True

    def close(self) -> None:
        """Let go of all of them."""
        for client in (*self._before, self.status, self.look, self.order):
            client.close()
