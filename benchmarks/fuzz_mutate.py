"""Mutations of messages that know what a message is made of. Pure: dice in, bytes out.

A message is plain values (maps, lists, numbers, texts), packed here by hand, so that what no
library would send can be sent as well: keys twice, keys that are no text, lengths that lie. Half of
the mutations change the values, the others the bytes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import msgpack

__all__ = ["HOSTILE", "LARGE", "Mutator", "Pairs", "Raw", "damage", "pack"]


class Raw(bytes):
    """Bytes that go into a message as they are."""


class Pairs(list[tuple[Any, Any]]):
    """A map as its pairs, which may have a key twice."""


def pack(value: Any) -> bytes:
    """A value as msgpack, whatever it is."""
    if isinstance(value, Raw):
        return bytes(value)
    if isinstance(value, dict):
        value = Pairs(value.items())
    if isinstance(value, Pairs):
        body = b"".join(pack(key) + pack(item) for key, item in value)
        return _header(len(value), 0x80, b"\xde", b"\xdf") + body
    if isinstance(value, list | tuple):
        return _header(len(value), 0x90, b"\xdc", b"\xdd") + b"".join(map(pack, value))
    packed: bytes = msgpack.packb(value, unicode_errors="surrogatepass")
    return packed


def _header(n: int, fix: int, two: bytes, four: bytes) -> bytes:
    if n < 16:
        return bytes([fix + n])
    return two + n.to_bytes(2, "big") if n < 1 << 16 else four + n.to_bytes(4, "big")


HOSTILE: tuple[Any, ...] = (
    0, 1, -1, 2, 255, 2**31, 2**32 - 1, 2**53 + 1, 2**62, 2**62 + 1, 2**63 - 1, 2**63, 2**64 - 1,
    -(2**31), -(2**63), 0.0, -0.0, 1.5, 5e-324, 1e-310, 1e300, 1.7e308, -1e308, float("nan"),
    float("inf"), float("-inf"), True, False, None, "", "\0", "a\0b", "..", "../..", "/", "//",
    "/a", "a/", "a/../b", ".", " ", "\n", "a\nb", "\ud800", "\u202e", "time", "dim_3", "x" * 300,
    "ä" * 200, "{0.__class__}", "%s%n%s", "__import__('os')", "os.system",
    "cos\nsystem\n(S'false'\ntR.", b"", b"\0", b"\x80\x04\x95", b"x" * 100, [], {}, [[]],
    [None], [0, 0], [-1], [2**40, 2**40],
    [2**63], {"": 0}, {"a": {"b": {"c": []}}}, "<f8", ">f8", "|O", "O", "<M8[ns]", "|V8", "<U5",
    "f8,i4", "|S0", "|S99999999", "<f16", "text", "(2,3)f8", [[[[[[[[[[1]]]]]]]]]],
    Raw(b"\xc1"), Raw(b"\xd4\x05\x00"), Raw(b"\xc7\x05\x01hello"), Raw(b"\xd6\xff\x00\x00\x00\x01"),
    Raw(b"\xd7\xff" + bytes(8)), Raw(b"\xdd\xff\xff\xff\xff"), Raw(b"\xdf\xff\xff\xff\xff"),
    Raw(b"\xdb\xff\xff\xff\xff"), Raw(b"\xc6\xff\xff\xff\xff"), Raw(b"\xc9\xff\xff\xff\xff\x01"),
    Raw(b"\xdc\xff\xff"), Raw(b"\xa5\xff\xfe\xfd\xfc\xfb"), Raw(b"\xa3\xed\xa0\x80"),
    Raw(b"\x91" * 600), Raw(b"\x91" * 600 + b"\xc0"), Raw(b"\x81\xa1a" * 300 + b"\xc0"),
    Raw(b"\xcb" + b"\xff" * 8), Raw(b"\xca\x7f\x80\x00\x00"),
)  # fmt: skip
"""Values that may stand where another was meant."""

LARGE: tuple[Any, ...] = (
    "x" * (1 << 20), "\x01" * (1 << 20), "a/" * (1 << 18) + "a", bytes(1 << 20),
    Raw(b"\xdd\x00\x0f\x42\x40" + b"\x80" * 1_000_000), [0] * 8192, [0] * 8193, ["x"] * 8192,
    {str(n): n for n in range(8192)}, [[0] * 1000] * 1200, Raw(b"\x91" * 100_000 + b"\xc0"),
    [{"label": f"c{n}", "dtype": "<f8"} for n in range(9000)],
    [{"label": "time", "dtype": "<f8"}] + [{"label": "c", "dtype": "<f8"}] * 8000,
)  # fmt: skip
"""The same, but it takes a receiver some time to see what is wrong."""


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to each value inside a value, itself excepted."""
    found = []
    keys = value if isinstance(value, dict) else range(len(value)) if type(value) is list else ()
    for key in keys:
        found += [(*path, key), *_places(value[key], (*path, key))]
    return found


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if type(value) is list else value


class Mutator:
    """Makes a message that is wrong, or nearly right, out of one that is right.

    Parameters
    ----------
    dice : random.Random
        Decides everything.
    large : float
        Share of mutations that make a message large.
    """

    def __init__(self, dice: random.Random, large: float = 0.0005) -> None:
        self.dice, self.large = dice, large
        self._changes: list[Callable[[Any], Any]] = [
            self._replace, self._replace, self._replace, self._drop, self._twice, self._odd_key,
            self._swap, self._more, self._lie, self._nudge, self._nudge,
        ]  # fmt: skip

    def mutate(self, message: dict[str, Any], others: Sequence[bytes] = ()) -> bytes:
        """One message; `others` are what it may be spliced with."""
        dice = self.dice
        if dice.random() < 0.6:
            changed: Any = _copy(message)
            for _ in range(1 if dice.random() < 0.8 else dice.randint(2, 4)):
                if not isinstance(changed, dict) or not changed:
                    break
                changed = dice.choice(self._changes)(changed)
            packed = pack(changed)
            return damage(packed, dice) if dice.random() < 0.05 else packed
        packed = pack(message)
        if others and dice.random() < 0.2:
            other = dice.choice(others)
            return packed[: dice.randint(0, len(packed))] + other[dice.randint(0, len(other)) :]
        return damage(packed, dice)

    def _value(self) -> Any:
        # A copy: it becomes part of a message that is mutated further.
        return _copy(self.dice.choice(LARGE if self.dice.random() < self.large else HOSTILE))

    def _at(self, message: dict[str, Any]) -> tuple[Any, Any]:
        """A random value inside the message: what holds it, and its key there."""
        path = self.dice.choice(_places(message) or [("v",)])
        holder: Any = message
        for key in path[:-1]:
            holder = holder[key]
        return holder, path[-1]

    def _replace(self, message: dict[str, Any]) -> Any:
        holder, key = self._at(message)
        holder[key] = self._value()
        return message

    def _nudge(self, message: dict[str, Any]) -> Any:
        """A value of the right type that is a little wrong."""
        holder, key = self._at(message)
        value = holder[key] if key in holder or isinstance(holder, list) else 0
        if isinstance(value, bool) or value is None:
            holder[key] = self._value()
        elif isinstance(value, float):
            holder[key] = value + self.dice.choice((-1, 1, 1 << 20))
        elif isinstance(value, int):
            holder[key] = min(max(value + self.dice.choice((-1, 1, 1 << 20)), -(2**63)), 2**64 - 1)
        elif isinstance(value, bytes | str):
            part = self.dice.choice((value[:-1], value + value[:1], value * 2, value[1:]))
            holder[key] = part
        return message

    def _drop(self, message: dict[str, Any]) -> Any:
        if message:
            holder, key = self._at(message)
            del holder[key]
        return message

    def _twice(self, message: dict[str, Any]) -> Any:
        pairs = Pairs(message.items())
        pairs.insert(self.dice.randint(0, len(pairs)), self.dice.choice(list(pairs)))
        return pairs

    def _odd_key(self, message: dict[str, Any]) -> Any:
        pairs = Pairs(message.items())
        at = self.dice.randrange(len(pairs))
        pairs[at] = (self._value(), pairs[at][1])
        return pairs

    def _swap(self, message: dict[str, Any]) -> Any:
        pairs = list(message.items())
        self.dice.shuffle(pairs)
        return dict(pairs)

    def _more(self, message: dict[str, Any]) -> Any:
        holder, key = self._at(message)
        value = holder[key] if key in holder or isinstance(holder, list) else None
        if type(value) is list and value:
            value += [_copy(self.dice.choice(value)) for _ in range(self.dice.choice((1, 3, 20)))]
        else:
            message[self.dice.choice(("extra", "text", "first", "cause", "spooled"))] = (
                self._value()
            )
        return message

    def _lie(self, message: dict[str, Any]) -> Any:
        packed = pack(message)
        n = self.dice.choice((0, len(message) - 1, len(message) + 1, 2**16 - 1, 2**32 - 1))
        return Raw(_header(n, 0x80, b"\xde", b"\xdf") + packed[1 if len(message) < 16 else 3 :])


def damage(data: bytes, dice: random.Random) -> bytes:
    """Bytes with bits flipped, cut, or with something put in."""
    broken = bytearray(data or b"\0")
    kind = dice.randrange(6)
    if kind <= 1:
        for _ in range(dice.choice((1, 1, 2, 8))):
            broken[dice.randrange(len(broken))] ^= 1 << dice.randrange(8)
    elif kind == 2:
        broken[dice.randrange(len(broken))] = dice.choice((0, 0x7F, 0x80, 0xC1, 0xDD, 0xDF, 0xFF))
    elif kind == 3:
        del broken[dice.randrange(len(broken)) :]
    elif kind == 4:
        broken += dice.randbytes(dice.choice((1, 2, 30, 3000)))
    else:
        at, n = dice.randrange(len(broken)), dice.choice((1, 4, 16, 200))
        broken[at : at + dice.choice((0, n))] = dice.randbytes(n)
    return bytes(broken)
