"""How a worker stands with the writer: heard or not, refused, locked out, or connected in vain.

ZeroMQ tells nothing of a connection that is dead. It shows in what comes over it: a writer says
each second that it lives, and answers what it is sent.
"""

from __future__ import annotations

import logging

__all__ = ["Contact"]

log = logging.getLogger("h5daq.worker")

ALIVE_SECONDS = 3.5
"""A writer that was heard within this time is alive: three heartbeats and a bit."""

RENEW_SECONDS = 8.0
"""After so long without a word of a writer that was heard, or without an answer of one that is
heard, a connection is taken for dead and made anew."""


class Contact:
    """What is known of the writer. Times are monotonic seconds.

    Parameters
    ----------
    job : str
        Whose worker, for messages.

    Attributes
    ----------
    refused : str
        Why the writer refuses the job's rows; empty if it does not.

    Examples
    --------
    >>> contact = Contact("tank")
    >>> contact.hear(10.0, stalled=False)
    >>> contact.is_alive(13.0), contact.is_dead(13.0, None), contact.is_dead(19.0, None)
    (True, False, True)
    """

    def __init__(self, job: str) -> None:
        self.refused = self._locked_out = ""
        self._job = job
        self._heard_at: float | None = None
        self._renewed_at, self._stalled = 0.0, False

    @property
    def trouble(self) -> str:
        """Why rows can't go to the writer; empty if they can."""
        return self.refused or self._locked_out

    @property
    def was_heard(self) -> bool:
        """Whether the writer was ever heard."""
        return self._heard_at is not None

    def is_alive(self, now: float) -> bool:
        """Whether it was heard of late."""
        return self._heard_at is not None and now - self._heard_at < ALIVE_SECONDS

    # -- what comes ------------------------------------------------------------------------------

    def hear(self, now: float, stalled: bool | None = None) -> None:
        """The writer is heard; its heartbeat says whether it is `stalled`."""
        self._heard_at = now
        if stalled is not None:
            self._stalled = stalled

    def refuse(self, cause: str) -> None:
        """The writer says why it takes no rows of this job."""
        if cause != self.refused:
            log.error("job %s: the writer refuses its rows: %s", self._job, cause)
        self.refused = cause

    def lock_out(self, why: str) -> None:
        """The door of the writer says why it lets this worker not in; rows wait until it does."""
        if why and why != self._locked_out:
            log.error("job %s: %s", self._job, why)
        self._locked_out = why

    # -- what is to be done ------------------------------------------------------------------------

    def is_dead(self, now: float, unanswered_since: float | None) -> bool:
        """Whether a connection seems dead though nobody has said so, and is to be made anew.

        Parameters
        ----------
        now : float
            Now.
        unanswered_since : float or None
            Since when nothing that was sent has brought an answer.
        """
        if self._heard_at is None or self.trouble:
            return False
        alive = self.is_alive(now)
        # A writer that says why it commits nothing is not to be met by a storm.
        if alive and self._stalled:
            return False
        since = unanswered_since if alive else self._heard_at
        if since is None or now - max(since, self._renewed_at) < RENEW_SECONDS:
            return False
        self._renewed_at = now
        if alive:
            log.warning("job %s: the writer is heard, but does not answer; connecting anew",
                        self._job)  # fmt: skip
        return True
