"""Every key of a TOML text is found on its line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from h5daq.config.lines import key_lines
from h5daq.config.mistakes import KeyPath

TEXT = '''# [no] table = 1
a = "x # [y] = 1"   # a comment = 2
"b c".'d' = 1
e.f = [ # comment ]
  1, "]",
  { g = 1, h = [2] },
]
s = """
k = 1
"quoted" """
[t.u]
v = \'\'\'
w = 2\'\'\'
w = 1979-05-27T07:32:00Z
[[j]]
x = 1
[[j.k]]
[j.k.z]
y = 1
[[j]]
[[j.k]]
y = -1.5e3
'''

EXPECTED = {
    ("a",): 2,
    ("b c",): 3,
    ("b c", "d"): 3,
    ("e", "f"): 4,
    ("e", "f", 0): 5,
    ("e", "f", 2, "g"): 6,
    ("e", "f", 2, "h", 0): 6,
    ("s",): 8,
    ("t", "u"): 11,
    ("t", "u", "v"): 12,
    ("t", "u", "w"): 14,
    ("j",): 15,
    ("j", 0): 15,
    ("j", 0, "x"): 16,
    ("j", 0, "k", 0): 17,
    ("j", 0, "k", 0, "z", "y"): 19,
    ("j", 1): 20,
    ("j", 1, "k", 0, "y"): 22,
}


def paths(value: Any, place: KeyPath = ()) -> Iterator[KeyPath]:
    """All key paths of what tomllib gave."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*place, key)
            yield from paths(item, (*place, key))


def test_keys_tables_and_entries_are_on_their_lines() -> None:
    lines = key_lines(TEXT)
    assert {key: lines[key] for key in EXPECTED} == EXPECTED


def test_every_key_of_the_text_is_found_and_no_other() -> None:
    found = set(key_lines(TEXT))
    tables = {("t",), ("j", 0, "k"), ("j", 1, "k"), ("e",)}
    assert found | tables == set(paths(tomllib.loads(TEXT)))


def string_of(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


STRINGS = st.text("ab#[]{}=,.'\"\\ ", max_size=6)
SCALARS = st.one_of(
    st.integers(-9, 9).map(str), STRINGS.map(string_of), st.sampled_from(["true", "1.5", "''"])
)
KEYS = st.one_of(st.text("abc-_1", min_size=1, max_size=3), STRINGS.map(string_of))
GAPS = st.sampled_from(["", " ", "\n", " # ]}\n", "\n\n"])


def list_of(items: list[tuple[str, str]]) -> str:
    return "[" + ",".join(gap + item + gap for item, gap in items) + "]"


def table_of(items: dict[str, str]) -> str:
    return (
        "{ "
        + ", ".join(f"k{n}.{key} = {item}" for n, (key, item) in enumerate(items.items()))
        + " }"
    )


LISTS = st.recursive(
    SCALARS, lambda inner: st.lists(st.tuples(inner, GAPS), max_size=3).map(list_of), max_leaves=5
)
ONE_LINE = st.dictionaries(KEYS, SCALARS, max_size=3).map(table_of)
VALUES = st.one_of(LISTS, ONE_LINE, st.lists(st.tuples(ONE_LINE, GAPS), max_size=3).map(list_of))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(KEYS, VALUES, GAPS), max_size=4))
def test_whatever_is_toml_has_a_line_for_each_key(pairs: list[tuple[str, str, str]]) -> None:
    text = "".join(f"[[t]]\nk{gap and ' '} . {key}= {value}\n{gap}" for key, value, gap in pairs)
    lines = key_lines(text)
    assert set(paths(tomllib.loads(text))) == set(lines)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())
