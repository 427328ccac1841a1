"""Which requests were done, and what they were answered: so that a repeated one is not done again.

A client that lost an answer sends its request once more, with the same (session, id). Each journal
entry of a change carries both and the answer, so this memory is as safe as the change. It keeps
the newest requests of the newest sessions: a client waits for few answers at a time.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Answered"]

_MOST_SESSIONS = 256
_MOST_REQUESTS = 1024


class Answered:
    """Answers by session and id.

    Examples
    --------
    >>> answered = Answered()
    >>> answered.remember("s", 7, ["", "a"])
    >>> answered.find("s", 7), answered.find("s", 8)
    ((['', 'a'],), None)
    """

    def __init__(self) -> None:
        self._sessions: dict[str, dict[int, Any]] = {}

    def remember(self, session: str, number: int, answer: Any) -> None:
        """A request was done."""
        answers = self._sessions.pop(session, {})
        self._sessions[session] = answers
        answers[number] = answer
        if len(answers) > _MOST_REQUESTS:
            del answers[next(iter(answers))]
        if len(self._sessions) > _MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]

    def forget(self, session: str, number: int) -> None:
        """A request was not done after all."""
        self._sessions.get(session, {}).pop(number, None)

    def find(self, session: str, number: int) -> tuple[Any] | None:
        """The answer, in a tuple since it may be None; None if the request is not known."""
        answers = self._sessions.get(session, {})
        return (answers[number],) if number in answers else None

    def state(self) -> list[Any]:
        """All of it, in order, for a snapshot."""
        return [[name, list(answers.items())] for name, answers in self._sessions.items()]

    @classmethod
    def restore(cls, state: list[Any]) -> Answered:
        """The memory that `state` describes."""
        answered = cls()
        answered._sessions = {name: dict(map(tuple, pairs)) for name, pairs in state}
        return answered
