"""How often a connection, or a key, may ask: a bucket of tokens each, and this writer's limits.

A bucket holds up to `burst` tokens and gets `rate` of them per second; a request takes one. Who
asks one question after the other never empties it, and `h5daq.client` waits when it does; who
floods is answered with an error, which costs next to nothing.
"""

from __future__ import annotations

__all__ = [
    "KEY_SHARE",
    "MAX_CONTEXTS",
    "MAX_KEY_CONTEXTS",
    "MAX_WAITING",
    "PRICES",
    "REQUEST_BURST",
    "REQUEST_RATE",
    "RateLimit",
]

REQUEST_RATE = 2_000.0
"""Requests per second and connection, in the long run."""

REQUEST_BURST = 10_000.0
"""Requests of one connection that may come at once."""

PRICES = {
    **dict.fromkeys(("add", "add_ex", "add_ex_t", "get", "get_ex", "get_ex_t"), 0.02),
    "glimpse": 20.0,
}
"""Rows of the vault come and go one by one, and cost little each; a glimpse is up to 2 MiB."""

MAX_WAITING = 64
"""Answers that one connection may wait for at a time (flush, stop)."""

MAX_CONTEXTS = 1_000
"""Contexts that one session may hold; more are to be refused with TOO_MANY_REQUESTS."""

MAX_KEY_CONTEXTS = 4_000
"""Contexts that all sessions of one key may hold together."""

KEY_SHARE = 4
"""All connections of one key together may do as much as so many of them."""

_MOST_BUCKETS = 4_096


class RateLimit:
    """A token bucket per connection or key; pure, `now` is any clock that never goes back.

    Parameters
    ----------
    rate : float
        Tokens per second.
    burst : float
        Most tokens.

    Examples
    --------
    >>> limit = RateLimit(rate=10, burst=2)
    >>> [limit.wait(b"a", now=0.0) for _ in range(3)]
    [0.0, 0.0, 0.1]
    >>> limit.wait(b"b", now=0.0), limit.wait(b"a", now=0.1)
    (0.0, 0.0)
    """

    def __init__(self, rate: float = REQUEST_RATE, burst: float = REQUEST_BURST) -> None:
        self.rate, self.burst = rate, burst
        self._buckets: dict[bytes, tuple[float, float]] = {}

    def wait(self, who: bytes, now: float, price: float = 1.0) -> float:
        """Take a token, or `price` of one: 0 if there was as much, else the seconds until then."""
        tokens, then = self._buckets.get(who, (self.burst, now))
        tokens = min(self.burst, tokens + (now - then) * self.rate)
        if len(self._buckets) >= _MOST_BUCKETS and who not in self._buckets:
            self._forget(now)
        granted = tokens >= price - 1e-9
        self._buckets[who] = (tokens - price if granted else tokens, now)
        return 0.0 if granted else (price - tokens) / self.rate

    def _forget(self, now: float) -> None:
        """Drop the buckets that are full by now; if there are none, those that are fullest."""
        level = {who: t + (now - then) * self.rate for who, (t, then) in self._buckets.items()}
        fullest = sorted(level, key=level.__getitem__)[_MOST_BUCKETS // 2 :]
        for who in {*fullest, *(who for who, tokens in level.items() if tokens >= self.burst)}:
            del self._buckets[who]
