"""The launcher's side of `there`: one post, reached by its shell, told one verb at a time.

What goes wrong is raised as one sentence that says what to do about it, so that a person at the
launching machine need not go to the host to find out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5daq
from h5daq.errors import ProcessFailed
from h5daq.flow.closing import Closing
from h5daq.launcher.ahead import Ahead
from h5daq.launcher.parcel import pack_parcel
from h5daq.launcher.posts import Post
from h5daq.launcher.probe import Found, greet, least_difference, words_of
from h5daq.launcher.shell import LocalShell, Shell, SshShell
from h5daq.launcher.sync import LARGE, can_rsync, rsync_modules, size_of
from h5daq.launcher.talk import Talk

__all__ = ["Hand", "ShellOf", "ssh_shells"]

ShellOf = Callable[[Post], Shell]

LEAST_FREE = 200 << 20
"""Free bytes below which a host is warned of: what can't be delivered is kept on its disk."""

MOST_CLOCK = 0.5
"""Seconds by which a host's clock may differ before that is said."""

_LEAST_PYTHON = (3, 11)
_ASK_SECONDS = 60.0
_LOAD_SECONDS = 180.0
"""A getter may take its time to import."""


def ssh_shells(ssh: Sequence[str] = ("ssh",), ahead: Ahead | None = None) -> ShellOf:
    """Posts by ssh, perhaps on connections that were opened ahead; of this machine directly."""
    opened = [ahead.take] if ahead is not None else []
    return lambda post: SshShell(post.ssh, ssh, *opened) if post.ssh else LocalShell()


class Hand(Closing):
    """One post at arm's length; for one thread at a time.

    Parameters
    ----------
    post : Post
        Which.
    shell : Shell
        How to get there.
    """

    def __init__(self, post: Post, shell: Shell) -> None:
        self.post, self.shell = post, shell
        self._talk: Talk | None = None
        self._greeted = False
        self._seen: dict[str, Any] = {}

    def reach(self) -> None:
        """Be on the way there; nobody waits for it."""
        if self._talk is None:
            post = self.post
            config = {} if post.ssh else {"config": str(post.config)}
            words = words_of(post.python, key=post.key, name=post.name, **config)
            self._talk, self._greeted = self.shell.open(words), False

    def look(self) -> list[str]:
        """See whether it could be used at all; what is odd about it, in words.

        Raises
        ------
        ProcessFailed
            If it can't be reached, or has no Python with the h5daq that is here.
        """
        self._reached()
        before = time.time()
        seen = self._seen = self._ask("look", files=self.post.files)
        return self._odd(least_difference(before, seen["time"], time.time()), seen["free"])

    def _odd(self, clock: float, free: int | None) -> list[str]:
        odd = []
        if abs(clock) > MOST_CLOCK:
            way = "ahead of" if clock > 0 else "behind"
            odd.append(f"its clock is at least {abs(clock):.1f} s {way} the one here; "
                       "rows carry its time: set it by NTP")  # fmt: skip
        if free is not None and free < LEAST_FREE:
            use = "the run's files go" if self.post.files else "rows are kept that can't be sent"
            odd.append(f"only {free / 1e6:.0f} MB are free on its disk, where {use}")
        return odd

    def _check_versions(self, found: Found) -> None:
        ours, python, version = h5daq.__version__, found.python, found.h5daq
        mend = self.shell.shown([self.post.python, "-m", "pip", "install", f"h5daq=={ours}"])
        if tuple(map(int, python.split(".")[:2])) < _LEAST_PYTHON:
            raise ProcessFailed(
                f"{self.post.python} is Python {python} there, and h5daq needs 3.11 or later; "
                'name another one in the configuration: python = "/path/to/python"'
            )
        if not version:
            why = found.why
            raise ProcessFailed(f"h5daq can't be imported there ({why}). To install it: {mend}")
        if version != ours:
            raise ProcessFailed(f"h5daq {version} is there, {ours} is here. To mend it: {mend}")

    def prepare(self, key: Path | None = None) -> dict[str, Any]:
        """Send what is needed, and have the jobs loaded, ready to begin.

        Returns
        -------
        dict
            ``runs``: whether it runs already, and nothing was touched; else ``jobs``, and as
            ``odd`` what was odd about it, in words.

        Raises
        ------
        ProcessFailed
            With what the configuration says wrong on that host.
        """
        if not self.post.ssh:
            return {"odd": [], **self._ask("prepare", timeout=_LOAD_SECONDS)}
        staged, odd = False, []
        try:
            staged = self._by_rsync()
        except ProcessFailed as error:
            odd.append(f"{error}; all modules are copied instead")
        modules = () if staged or self._seen.get("runs") else self.post.sync
        parcel = pack_parcel(self.post.config, modules, key)
        return {"odd": odd, **self._ask("prepare", parcel, _LOAD_SECONDS, staged=staged)}

    def _by_rsync(self) -> bool:
        """Bring large modules by rsync, where both sides have it; whether that was done."""
        shell, seen = self.shell, self._seen
        if seen.get("runs") or not seen.get("rsync") or not isinstance(shell, SshShell):
            return False
        if not can_rsync(shell.destination) or size_of(self.post.sync) < LARGE:
            return False
        place, sync = self._ask("stage"), self.post.sync
        rsync_modules(shell.program, shell.destination, sync, place["fresh"], place["old"])
        return True

    def follow(self, requests: str) -> dict[str, Any]:
        """Bring the configuration to one that runs, whose writer has moved to `requests`.

        Raises
        ------
        ProcessFailed
            If it does not go there.
        """
        parcel = pack_parcel(self.post.config, ()) if self.post.ssh else b""
        return self._ask("follow", parcel, requests=requests)

    def begin(self, seconds: float = 60.0) -> dict[str, Any]:
        """Start it; returns when it runs, and has the writer's answer if there is one soon.

        Raises
        ------
        ProcessFailed
            If it ended at once: with what it said last.
        """
        return self._ask("begin", timeout=seconds + 60, seconds=seconds)

    def state(self) -> dict[str, Any]:
        """``runs`` and ``record``."""
        return self._ask("state")

    def end(self, seconds: float = 60.0) -> dict[str, Any]:
        """Tell it to end in order and wait for that; ``was`` and ``runs``."""
        return self._ask("end", timeout=seconds + 30, seconds=seconds)

    def close(self) -> None:
        """Let go of the connection; what was prepared and not begun is given up there."""
        talk, self._talk = self._talk, None
        if talk is not None:
            talk.close()

    # -- inside ----------------------------------------------------------------------------------

    def _reached(self) -> Talk:
        self.reach()
        assert self._talk is not None
        if not self._greeted:
            try:
                self._check_versions(greet(self.shell, self._talk, self.post.python))
            except ProcessFailed:
                self.close()  # the next one who asks tries anew
                raise
            self._greeted = True
        return self._talk

    def _ask(
        self, verb: str, parcel: bytes = b"", timeout: float = _ASK_SECONDS, **more: Any
    ) -> dict[str, Any]:
        talk = self._reached()
        answer = talk.ask(timeout, parcel, verb=verb, **more)
        if answer is None:
            done, self._talk = talk.done(), None
            self.shell.check(done)
            raise ProcessFailed(f"{verb}: no answer: {done.err.strip()[-1000:] or done.last}")
        if "error" in answer:
            raise ProcessFailed(answer["error"])
        return answer
