"""`Launcher`: a configuration on all of its machines: looked at, started, asked, stopped.

Everything that is started runs by itself: the launcher is needed to begin, and for nothing else.
Hosts are gone through at the same time; the writer is begun before them. What fails on one host is
kept with its reason, and does not keep the others from being looked at.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from h5daq.config import Config
from h5daq.daemon.described import writer_address
from h5daq.errors import H5daqError, ProcessFailed
from h5daq.flow.closing import Closing
from h5daq.launcher.hand import Hand, ShellOf, ssh_shells
from h5daq.launcher.hostkeys import host_key
from h5daq.launcher.posts import Post, posts_of

__all__ = ["Launcher", "Tell"]

Tell = Callable[[str, str], None]
"""Takes the label of a post and what there is to say of it."""

_AT_ONCE = 32


class Launcher(Closing):
    """All posts of a configuration; `close` lets go of the connections, and of nothing else.

    Parameters
    ----------
    config : Config
        What is to run where.
    shell_of : callable, optional
        Gives the `Shell` to a post; ssh by default, and this machine directly.
    tell : callable, optional
        Hears of progress; from several threads, one at a time.

    Attributes
    ----------
    failures : dict of str to str
        Why a post could not be used, by its label.

    Raises
    ------
    ConfigError
        If the configuration can't say where the writer is.
    """

    def __init__(
        self, config: Config, shell_of: ShellOf | None = None, tell: Tell | None = None
    ) -> None:
        self.config = config
        self.failures: dict[str, str] = {}
        self._left: set[str] = set()
        shells = shell_of or ssh_shells()
        self.hands = [Hand(post, shells(post)) for post in posts_of(config)]
        self._tell, self._lock = tell or (lambda _label, _text: None), threading.Lock()

    @property
    def posts(self) -> list[Post]:
        """The posts, the writer's first."""
        return [hand.post for hand in self.hands]

    def reach(self) -> None:
        """Be on the way to all posts; nobody waits for it."""
        for hand in self.hands:
            hand.reach()

    def close(self) -> None:
        """Let go of all connections; what was prepared and not begun is given up."""
        self._each(self.hands, Hand.close)

    # -- starting --------------------------------------------------------------------------------

    def check(self) -> bool:
        """Look at all hosts, and have all ready to begin there; whether all can be used."""
        self.reach()
        self._each(self.hands, self._check)
        return not self.failures

    def _check(self, hand: Hand) -> None:
        for odd in hand.look():
            self.say(hand, odd)
        with self._lock:  # the list of keys is changed by one at a time
            key = host_key(self.config, hand.post)
        answer = hand.prepare(key)
        for odd in answer["odd"]:
            self.say(hand, odd)
        if answer["runs"]:
            self._check_running(hand, answer)
        else:
            self.say(hand, f"ready for {', '.join(answer['jobs']) or 'the rows of other hosts'}")

    def _check_running(self, hand: Hand, answer: dict[str, Any]) -> None:
        """What runs goes on; unless it feeds a writer at another place than the one here."""
        record = answer["record"]
        writer, text = record.get("writer") or {}, f"runs already (process {record.get('pid')})"
        has, wanted = writer.get("requests"), self._requests
        if not hand.post.name or has in (None, wanted):
            changed = ", by an older configuration: for it to go by this one, stop it first"
            self.say(hand, text + changed * bool(answer.get("changed")))
        elif writer.get("answers"):
            keys = f" --keys {self.config.keys}" if self.config.keys else ""
            raise ProcessFailed(
                f"it runs for the writer at {has}, which answers, and not for the one at {wanted} "
                "that the configuration has now. To move the writer, stop that run first, then "
                f"launch again: h5daq stop --connect {has}{keys}"
            )
        else:
            self._left.add(hand.post.label)
            self.say(hand, f"{text}; its writer at {has} is silent, and it will go to {wanted}")

    @property
    def _requests(self) -> str | None:
        names = [hand.post.name for hand in self.hands if hand.post.name]
        return writer_address(self.config, "requests") if names else None

    @property
    def idle(self) -> bool:
        """Whether a writer would have nothing to record, since all hosts failed."""
        writer, *hosts = self.hands
        return not writer.post.jobs and not any(map(self._can, hosts))

    def start(self) -> bool:
        """Start the writer, then the hosts that can be used; whether all run.

        What runs already is left as it is. Without a writer nothing is started.
        """
        writer, *hosts = self._usable()
        self._each([writer], self._begin)
        if writer.post.label in self.failures:
            return False
        self._each(hosts, self._begin)
        return not self.failures

    def _usable(self) -> list[Hand]:
        return [hand for hand in self.hands if hand is self.hands[0] or self._can(hand)]

    def _can(self, hand: Hand) -> bool:
        return hand.post.label not in self.failures

    def _begin(self, hand: Hand) -> None:
        if hand.post.label in self._left:
            answer = hand.follow(str(self._requests))
        else:
            answer = hand.begin()
        if answer.get("begun"):
            self.say(hand, f"runs: process {answer['record'].get('pid')}, log {answer['log']}")
        if hand.post.name:
            self._say_met(hand, answer["record"].get("writer") or {})

    def _say_met(self, hand: Hand, writer: dict[str, Any]) -> None:
        """Whether a host has heard the writer: a firewall may stand between them."""
        if writer.get("answers"):
            self.say(hand, f"has the writer at {writer['requests']}")
        else:
            self.say(hand, f"does not reach the writer at {writer.get('requests')} yet "
                           "(a firewall?); its workers hold their rows until they do")  # fmt: skip

    # -- asking and stopping ---------------------------------------------------------------------

    def states(self) -> dict[str, dict[str, Any]]:
        """Per post: ``runs``, and what its ``record`` says; a post out of reach is a failure."""
        answers: dict[str, dict[str, Any]] = {}
        self.reach()
        self._each(self.hands, lambda hand: answers.update({hand.post.label: hand.state()}))
        return {post.label: answers[post.label] for post in self.posts if post.label in answers}

    def end(self, hosts_only: bool = False) -> bool:
        """End what still runs, hosts first, in order; whether nothing does any more."""
        writer, *hosts = self.hands
        self._each(hosts, self._end)
        if not hosts_only:
            self._each([writer], self._end)
        return not self.failures

    def _end(self, hand: Hand) -> None:
        seconds = 2 * self.config.run.drain_timeout + 30
        answer = hand.end(seconds)
        if answer["runs"]:
            self._fail(hand, f"it still runs after {seconds:g} s; its log there: {answer['log']}")
        else:
            self.say(hand, "ended" if answer["was"] else "has ended")

    # -- inside ----------------------------------------------------------------------------------

    def say(self, hand: Hand, text: str) -> None:
        """Tell of a post."""
        with self._lock:
            self._tell(hand.post.label, text)

    def _fail(self, hand: Hand, text: str) -> None:
        self.failures[hand.post.label] = text
        self.say(hand, f"failed: {text}")

    def _each(self, hands: Sequence[Hand], do: Callable[[Hand], None]) -> None:
        """Do it for all at once; what fails is kept by its label."""

        def attempt(hand: Hand) -> None:
            try:
                do(hand)
            except H5daqError as error:
                self._fail(hand, str(error))

        with ThreadPoolExecutor(max(1, min(_AT_ONCE, len(hands)))) as pool:
            _consume(pool.map(attempt, hands))


def _consume(results: Iterable[None]) -> None:
    for _ in results:
        pass
