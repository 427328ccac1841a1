"""What is packed once is, byte by byte, what it would be each time."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from h5daq.flow.often import NotePacker, Often
from h5daq.flow.requests import MAX_ID, Note, encode_note, encode_reply

NUMBERS = st.integers(0, MAX_ID - 1)
FIELDS = st.dictionaries(st.text(max_size=8), st.none() | st.integers(0, 99) | st.text(max_size=40))


@given(FIELDS, st.lists(NUMBERS, min_size=2, max_size=4), st.lists(st.binary(), max_size=2))
def test_a_result_that_is_given_often_is_answered_as_any_other(
    fields: dict[str, Any], numbers: list[int], frames: list[bytes]
) -> None:
    result = Often(fields)
    for number in numbers:
        assert result.reply(number, frames) == encode_reply(number, fields, frames)


@given(st.lists(FIELDS, min_size=1, max_size=3), st.data())
def test_notes_in_a_row_are_as_notes_alone(payloads: list[dict[str, Any]], data: Any) -> None:
    notes = data.draw(
        st.lists(
            st.builds(
                Note,
                NUMBERS,
                st.sampled_from(["new-dir", "data-available"]),
                st.integers(0, 3),
                st.sampled_from(payloads),
            ),
            max_size=20,
        )
    )
    packer = NotePacker()
    assert [packer.pack(note) for note in notes] == [encode_note(note) for note in notes]
