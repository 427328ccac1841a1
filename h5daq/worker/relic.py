"""What an earlier worker of the job left in its spool: found, sent, deleted.

A `Relic` is one incarnation of the past. The worker that finds it says its hello, marked as
spooled, sends what the writer does not have yet, and ends it with a bye; once that is answered,
every row is committed and the spool goes. Only then comes the next relic, and at last the
worker's own incarnation, so that rows arrive in the order in which they were taken.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from h5daq.flow.delivery import WINDOW, Sender
from h5daq.flow.hold import Hold
from h5daq.flow.wire import decode_head, encode
from h5daq.jobs.spool import Spool
from h5daq.jobs.spool_places import job_places

__all__ = ["Relic", "find_relics"]

log = logging.getLogger("h5daq.worker")


class Relic:
    """An incarnation of which only the spool is left.

    Parameters
    ----------
    spool : Spool
        Adopted: no other worker sends it.
    """

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        about = spool.about
        head = decode_head(about.hello)
        self.order = about.turn, float(head.fields.get("time") or 0.0)
        sender = Sender(about.inc, hello=about.hello, first=spool.first)
        self.hold = Hold(sender, spool, memory=2 * WINDOW, left=True)
        self.hold.finish(self._bye)

    @property
    def done(self) -> bool:
        """Whether the writer has all of it."""
        return self.hold.sender.done

    def _bye(self, end: int) -> bytes:
        about = self.spool.about
        return encode("bye", job=about.job, inc=about.inc, end=end, spooled=True)


def find_relics(job: str, home: str) -> list[Relic]:
    """What earlier workers of `job` left for the same destination, oldest first."""
    return sorted(_relics(job, home), key=lambda relic: relic.order)


def _relics(job: str, home: str) -> Iterator[Relic]:
    for place in job_places(job):
        try:
            spool = Spool.adopt(place)
        except FileNotFoundError:
            # Another worker has just begun it, or just deleted it.
            continue
        except (OSError, ValueError, TypeError) as error:
            log.warning("job %s: %s is no spool that can be sent: %s", job, place, error)
            continue
        if spool is None:
            continue
        if (spool.about.job, spool.about.home) != (job, home):
            spool.close(keep=True)
            continue
        log.info("job %s: found %d bytes of an earlier worker in %s", job, spool.size, place)
        yield Relic(spool)
