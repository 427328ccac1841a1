"""Tags on directories and datasets: changing them, and choosing by them.

A change is a text: ``t`` adds the tag t, ``-t`` takes it away, ``^t`` does the one or the other. In
a filter ``t`` keeps what has the tag and ``-t`` what has not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from h5daq.flow.variables import check_text

__all__ = ["Tagged", "Tags", "as_list", "changed", "chosen", "tags_of"]

Tags = Mapping[str, frozenset[str]]
"""Tags by the names of what has them."""

Tagged = list[tuple[str, list[str]]]
"""Names with their tags in order."""


def as_list(given: str | Iterable[str] | None) -> list[str]:
    """One text, or several, or none, as a list."""
    if given is None:
        return []
    found = [given] if isinstance(given, str) else list(given)
    for text in found:
        check_text(text, "a tag or a name")
    return found


def changed(
    tags: Tags, names: Iterable[str], changes: Sequence[str]
) -> tuple[dict[str, frozenset[str]], Tagged]:
    """Tags after some changes.

    Parameters
    ----------
    tags : mapping
        As they are.
    names : iterable of str
        What is changed; it need not exist, and may have had no tags.
    changes : sequence of str
        Applied in order.

    Returns
    -------
    tags : dict
        As they are then.
    told : list
        Those whose tags really changed, with all their tags.

    Examples
    --------
    >>> changed({"a": frozenset({"x"})}, ["a", "b"], ["-x", "^y"])[1]
    [('a', ['y']), ('b', ['y'])]
    """
    after = dict(tags)
    told: Tagged = []
    for name in dict.fromkeys(names):
        before = after.get(name, frozenset())
        after[name] = _apply(before, changes)
        if after[name] != before:
            told.append((name, sorted(after[name])))
    return after, told


def _apply(tags: frozenset[str], changes: Sequence[str]) -> frozenset[str]:
    for change in changes:
        if change.startswith("-"):
            tags -= {change[1:]}
        elif change.startswith("^"):
            tags ^= {change[1:]}
        else:
            tags |= {change}
    return tags


def chosen(names: Iterable[str], tags: Tags, filters: Iterable[str]) -> list[str]:
    """The names that pass every filter.

    Examples
    --------
    >>> chosen(["a", "b"], {"a": frozenset({"trash"})}, ["-trash"])
    ['b']
    """
    found = list(names)
    for one in filters:
        wanted, tag = not one.startswith("-"), one.removeprefix("-")
        found = [name for name in found if (tag in tags.get(name, ())) == wanted]
    return found


def tags_of(names: Iterable[str], tags: Tags) -> Tagged:
    """Names with their tags."""
    return [(name, sorted(tags.get(name, ()))) for name in names]
