"""Clocks that are set: forth and back, by half a second and by hours, across the end of a file.

All processes of the campaign follow one clock (`benchmarks.fault_clock`), which jumps here. Rows
must keep their order, none may be lost, and what lies in a later file than its time says is
counted as late; deadlines must not notice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmarks.fault_kinds import Fault

if TYPE_CHECKING:
    from benchmarks.faults import Campaign

__all__ = ["KINDS"]

_SIZES = (0.4, 2.0, 3.0, 60.0, 3600.0, 5 * 3600.0)


def _jump(sign: int) -> Callable[[Campaign], None]:
    return lambda campaign: campaign.clock.jump(sign * campaign.random.choice(_SIZES))


def _right_again(campaign: Campaign) -> None:
    """Somebody notices that the clock is wrong."""
    campaign.clock.jump(-campaign.clock.offset)


def _flapping(campaign: Campaign) -> None:
    """Two time servers that disagree by a day."""
    for _ in range(4):
        campaign.clock.jump(86_400.0)
        time.sleep(campaign.random.uniform(0.0, 1.5))
        campaign.clock.jump(-86_400.0)
        time.sleep(campaign.random.uniform(0.0, 1.5))


def _at_the_end_of_a_file(campaign: Campaign) -> None:
    """Just when a file ends, the clock goes back into it, by hand."""
    period = 3.0
    time.sleep(period - (time.time() + campaign.clock.offset) % period)
    campaign.clock.jump(-2.0)


KINDS = [
    Fault("clock: forth", _jump(1)),
    Fault("clock: back", _jump(-1)),
    Fault("clock: right again", _right_again),
    Fault("clock: flapping", _flapping),
    Fault("clock: back at the end of a file", _at_the_end_of_a_file),
    Fault("clock: a second twice", lambda campaign: campaign.clock.repeat_second()),
]
"""Faults after which the run goes on."""
