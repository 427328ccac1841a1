"""The processes of a system under the fault campaign: found by their descent, killed by their id.

Only what descends from a daemon that the campaign started is ever signalled, each process known
by id and time of birth, so that an id that is used again is nobody's.
"""

from __future__ import annotations

import itertools
import random
import signal
import time
from collections import Counter
from contextlib import suppress

import psutil

__all__ = ["Prey"]


class Prey:
    """Finds and kills; remembers whom it killed when.

    Attributes
    ----------
    root : psutil.Process or None
        The daemon.
    killed : dict
        Process id to the time (ns, monotonic) of its kill.
    kills : Counter
        How many of each role.
    """

    def __init__(self) -> None:
        self.root: psutil.Process | None = None
        self.killed: dict[int, int] = {}
        self.kills: Counter[str] = Counter()
        self._seen: dict[tuple[int, float], psutil.Process] = {}
        self._last: dict[str, set[int]] = {}

    def look(self) -> dict[str, list[psutil.Process]]:
        """The living processes by role; workers of a killed nursery are remembered as such."""
        roles: dict[str, list[psutil.Process]] = {"writer": [], "nursery": [], "worker": []}
        roles["daemon"] = [self.root] if self.root is not None else []
        for process in [*self._descendants(), *self._orphans()]:
            role = self._role(process)
            if role and process not in roles[role]:
                roles[role].append(process)
        for process in itertools.chain.from_iterable(roles.values()):
            self._seen[process.pid, process.create_time()] = process
        return roles

    def _descendants(self) -> list[psutil.Process]:
        if self.root is None:
            return []
        with suppress(psutil.NoSuchProcess):
            return self.root.children(recursive=True)
        return []

    def _orphans(self) -> list[psutil.Process]:
        return [process for process in self._seen.values() if process.is_running()]

    def _role(self, process: psutil.Process) -> str:
        try:
            words, parent = process.cmdline(), process.ppid()
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            return ""
        if "h5daq.writer" in words:
            return "writer"
        if "h5daq.jobs.nursery" not in words:
            return ""
        return "nursery" if self.root is not None and parent == self.root.pid else "worker"

    def kill(self, *roles: str, one: random.Random | None = None) -> None:
        """Kill all of the roles at once, or one of them; without a choice of one, one worker."""
        found = self.look()
        victims = []
        for role in roles:
            several = found[role] if one is None or len(found[role]) < 2 else []
            victims += [(role, process) for process in several]
            if not several and found[role] and one is not None:
                victims.append((role, one.choice(found[role])))
        for role, process in victims:
            with suppress(psutil.NoSuchProcess):
                self.killed[process.pid] = time.monotonic_ns()
                process.kill()
                self.kills[role] += 1
        self._last = {role: {p.pid for p in found[role]} for role in roles}

    def await_new(self, role: str, seconds: float) -> None:
        """Wait until one of the role runs that did not run at the last kill."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if any(p.pid not in self._last.get(role, set()) for p in self.look()[role]):
                return
            time.sleep(0.01)

    def halt(self, role: str, seconds: float) -> None:
        """Stop for a while, as a debugger or a suspended machine does."""
        for process in self.look()[role]:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGSTOP)
                time.sleep(seconds)
                process.send_signal(signal.SIGCONT)

    def memory(self, role: str) -> int:
        """Bytes of memory of the largest process of a role; 0 if there is none."""
        most = 0
        for process in self.look()[role]:
            with suppress(psutil.NoSuchProcess):
                most = max(most, process.memory_info().rss)
        return most

    def await_end(self, seconds: float) -> None:
        """Wait until what a killed daemon left behind has ended by itself."""
        deadline = time.monotonic() + seconds
        while any(self._alive(p) for p in self._seen.values()) and time.monotonic() < deadline:
            time.sleep(0.1)

    def kill_rest(self) -> None:
        """End whatever still runs."""
        self.look()
        for process in self._seen.values():
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _alive(self, process: psutil.Process) -> bool:
        try:
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
