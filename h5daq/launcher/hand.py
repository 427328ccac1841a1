"""The launcher's side of `there`: one post, reached by its shell, told one verb at a time.

What goes wrong is raised as one sentence that says what to do about it, so that a person at the
launching machine need not go to the host to find out.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5daq
from h5daq.errors import ProcessFailed
from h5daq.launcher.parcel import pack_parcel
from h5daq.launcher.posts import Post
from h5daq.launcher.probe import probe
from h5daq.launcher.shell import LocalShell, Shell, SshShell
from h5daq.launcher.there import MARK

__all__ = ["Hand", "ShellOf", "ssh_shells"]

ShellOf = Callable[[Post], Shell]

LEAST_FREE = 200 << 20
"""Free bytes below which a host is warned of: what can't be delivered is kept on its disk."""

MOST_CLOCK = 0.5
"""Seconds by which a host's clock may differ before that is said."""

_LEAST_PYTHON = (3, 11)


def ssh_shells(ssh: tuple[str, ...] = ("ssh",)) -> ShellOf:
    """Posts by ssh, and those of this machine directly."""
    return lambda post: SshShell(post.ssh, ssh) if post.ssh else LocalShell()


class Hand:
    """One post at arm's length.

    Parameters
    ----------
    post : Post
        Which.
    shell : Shell
        How to get there.
    """

    def __init__(self, post: Post, shell: Shell) -> None:
        self.post, self.shell = post, shell

    def look(self) -> list[str]:
        """See whether it could be used at all; what is odd about it, in words.

        Raises
        ------
        ProcessFailed
            If it can't be reached, or has no Python with the h5daq that is here.
        """
        found = probe(self.shell, self.post.python, self.post.files)
        self._check_versions(found.python, found.h5daq, found.why)
        odd = []
        if abs(found.clock) > MOST_CLOCK:
            way = "ahead of" if found.clock > 0 else "behind"
            odd.append(f"its clock is at least {abs(found.clock):.1f} s {way} the one here; "
                       "rows carry its time: set it by NTP")  # fmt: skip
        if found.free is not None and found.free < LEAST_FREE:
            use = "the run's files go" if self.post.files else "rows are kept that can't be sent"
            odd.append(f"only {found.free / 1e6:.0f} MB are free on its disk, where {use}")
        return odd

    def _check_versions(self, python: str, version: str, why: str) -> None:
        ours = h5daq.__version__
        mend = self.shell.shown([self.post.python, "-m", "pip", "install", f"h5daq=={ours}"])
        if tuple(map(int, python.split(".")[:2])) < _LEAST_PYTHON:
            raise ProcessFailed(
                f"{self.post.python} is Python {python} there, and h5daq needs 3.11 or later; "
                'name another one in the configuration: python = "/path/to/python"'
            )
        if not version:
            raise ProcessFailed(f"h5daq can't be imported there ({why}). To install it: {mend}")
        if version != ours:
            raise ProcessFailed(f"h5daq {version} is there, {ours} is here. To mend it: {mend}")

    def prepare(self, key: Path | None = None) -> dict[str, Any]:
        """Send what is needed, and see whether all getters can be imported.

        Raises
        ------
        ProcessFailed
            With what the configuration says wrong on that host.
        """
        local = not self.post.ssh
        parcel = b"" if local else pack_parcel(self.post.config, self.post.sync, key)
        return self._ask("prepare", given=parcel)

    def follow(self, requests: str) -> dict[str, Any]:
        """Bring the configuration to one that runs, whose writer has moved to `requests`.

        Raises
        ------
        ProcessFailed
            If it does not go there.
        """
        parcel = pack_parcel(self.post.config, ()) if self.post.ssh else b""
        return self._ask("follow", given=parcel, requests=requests)

    def begin(self, seconds: float = 60.0) -> dict[str, Any]:
        """Start it; returns when it runs, and has the writer's answer if there is one soon.

        Raises
        ------
        ProcessFailed
            If it ended at once: with what it said last.
        """
        answer = self._ask("begin", timeout=seconds + 60, seconds=seconds)
        if not answer["runs"]:
            said = answer["said"] or f"exit code {answer.get('code')}"
            raise ProcessFailed(f"it does not run: {said}\nIts log there: {answer['log']}")
        return answer

    def state(self) -> dict[str, Any]:
        """``runs`` and ``record``."""
        return self._ask("state")

    def end(self, seconds: float = 60.0) -> dict[str, Any]:
        """Tell it to end in order and wait for that; ``was`` and ``runs``."""
        return self._ask("end", timeout=seconds + 30, seconds=seconds)

    def _ask(
        self, verb: str, given: bytes = b"", timeout: float = 60.0, **more: Any
    ) -> dict[str, Any]:
        arguments = {"key": self.post.key, "name": self.post.name, **more}
        if not self.post.ssh:
            arguments["config"] = str(self.post.config)
        words = [self.post.python, "-P", "-m", "h5daq.launcher.there", verb, json.dumps(arguments)]
        done = self.shell.run(words, given, timeout)
        lines = done.out.decode("utf-8", "replace").splitlines()
        told = [line.removeprefix(MARK) for line in lines if line.startswith(MARK)]
        if not told:
            said = done.err.strip()[-1000:] or f"exit code {done.code}"
            raise ProcessFailed(f"{verb}: no answer: {said}")
        answer: dict[str, Any] = json.loads(told[-1])
        if "error" in answer:
            raise ProcessFailed(answer["error"])
        return answer
