"""What a fault is to the campaign: a name, and something that is done to a living system.

Each module of faults (``fault_kills`` and others) offers lists of them; `benchmarks.faults` puts
the lists together. So a new kind of fault is an entry in a list, and the campaign, its report and
its account of rows stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.faults import Campaign

__all__ = ["Fault", "by_name"]


@dataclass(frozen=True)
class Fault:
    """Something bad that can happen.

    Parameters
    ----------
    name : str
        In reports; unique.
    act : callable
        Does it, and returns when it is done (or over, if it lasts a while). It finds the processes
        in ``campaign.prey``, the directory in ``campaign.folder / "data"``, the dice in
        ``campaign.random``; what must not be it adds to ``campaign.wrong``, in words.
    unfit : callable
        Says why it can't be done on this machine; empty if it can.
    network : bool
        Needs ``campaign.network``: workers that reach the writer through proxies.
    """

    name: str
    act: Callable[[Campaign], None]
    unfit: Callable[[], str] = lambda: ""
    network: bool = False


def by_name(*lists: Iterable[Fault]) -> dict[str, Fault]:
    """All of the lists, in order, by name."""
    return {fault.name: fault for faults in lists for fault in faults}
