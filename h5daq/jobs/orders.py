"""What a job has been told to do: stop, pause, go on, read once.

Orders come from other threads (the writer's commands, the daemon's pipe) and from signal
handlers; the thread that reads asks for them between two readings. An order has a sequence
number, and one that comes again is not done again.
"""

from __future__ import annotations

from h5daq.jobs.bell import Bell

__all__ = ["Orders"]


class Orders:
    """The orders of one job.

    Attributes
    ----------
    stopped, paused : bool
        Whether to end; whether to leave out readings.
    fresh : bool
        Whether any has come since this was last set to False. The thread that reads does so,
        before it asks what they are.
    seq : int
        The last order taken.

    Examples
    --------
    >>> orders = Orders()
    >>> orders.take(7, "trigger", n=2), orders.take(7, "trigger", n=2)
    (True, False)
    >>> orders.triggered(), orders.triggered(), orders.triggered()
    (True, True, False)
    """

    def __init__(self) -> None:
        self.stopped = False
        self.paused = False
        self.fresh = False
        self.seq = 0
        self._triggers = 0
        self._triggers_done = 0
        self._releases = 0
        self._releases_done = 0
        self._bell = Bell()

    def take(self, seq: int, verb: str, n: int = 1) -> bool:
        """Take an order unless it was taken before; whether it is new. One thread calls this."""
        if seq <= self.seq:
            return False
        if verb == "stop":
            self.stopped = True
        elif verb in ("pause", "resume"):
            self.paused = verb == "pause"
        elif verb == "trigger":
            self._triggers += n
        elif verb == "release":
            self._releases += 1
        self.seq = seq
        self.fresh = True
        self._bell.ring()
        return True

    def stop(self) -> None:
        """End reading; from any thread and from signal handlers."""
        self.stopped = self.fresh = True
        self._bell.ring()

    def triggered(self) -> bool:
        """Whether a reading was asked for that has not been taken; it counts as taken now."""
        if self.paused or self._triggers_done >= self._triggers:
            return False
        self._triggers_done += 1
        return True

    def released(self) -> bool:
        """Whether a row that is held back for folding is asked for, since the last time."""
        asked, self._releases_done = self._releases > self._releases_done, self._releases
        return asked

    def wait(self, timeout: float) -> None:
        """Until an order comes, at most `timeout` seconds."""
        self._bell.wait(timeout)
