"""Topics say what a signal is about; a subscription is a prefix of one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.errors import WireError
from h5daq.flow.topics import parse, prefixes, topic

KINDS = st.from_regex(r"[a-z][a-z-]{0,20}", fullmatch=True)
SEGMENTS = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1)
PATHS = st.lists(SEGMENTS, max_size=4).map("/".join)


@given(KINDS, PATHS)
def test_a_topic_is_read_as_it_was_written(kind: str, path: str) -> None:
    assert parse(topic(kind, path)) == (kind, path)


@given(KINDS, PATHS, PATHS)
def test_a_subscription_hears_its_path_and_what_is_below_and_nothing_else(
    kind: str, path: str, other: str
) -> None:
    heard = topic(kind, other).startswith(tuple(prefixes([kind], path)))
    below = path == "" or other == path or other.startswith(path + "/")
    assert heard == below


@given(KINDS, KINDS, PATHS)
def test_a_subscription_to_one_kind_does_not_hear_another(kind: str, other: str, path: str) -> None:
    heard = topic(other, path).startswith(tuple(prefixes([kind])))
    assert heard == (kind == other)


@pytest.mark.parametrize(("path", "found"), [("tank2", False), ("tank/top", True), ("tank", True)])
def test_tank_does_not_mean_tank2(path: str, found: bool) -> None:
    [prefix] = prefixes(["position"], "tank/")
    assert topic("position", path).startswith(prefix) is found


@pytest.mark.parametrize("bad", [b"", b"/", b"kind", b"Kind/", b"kind x", b"kind \xff/", b" x/"])
def test_what_is_no_topic_is_refused(bad: bytes) -> None:
    with pytest.raises(WireError) as caught:
        parse(bad)
    assert caught.value.cause == "topic"
