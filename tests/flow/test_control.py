"""Messages on a private pipe, in whatever pieces they come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.errors import WireError
from h5daq.flow.control import ControlDecoder, encode_control

FIELDS = st.dictionaries(
    st.text(min_size=1, max_size=5).filter(lambda name: name not in ("k", "kind")),
    st.integers(-(2**31), 2**31) | st.text(max_size=20) | st.binary(max_size=50),
    max_size=4,
)


@given(st.lists(st.tuples(st.text(max_size=8), FIELDS), max_size=6), st.integers(1, 40))
def test_messages_come_out_whole_however_they_are_cut(messages, piece):
    stream = b"".join(encode_control(kind, **fields) for kind, fields in messages)
    decoder, got = ControlDecoder(), []
    for start in range(0, len(stream), piece):
        got += decoder.feed(stream[start : start + piece])
    assert got == [{"k": kind, **fields} for kind, fields in messages]


@pytest.mark.parametrize(
    "data", [b"\xff\xff\xff\xff", b"\0\0\0\x01\xc1", b"\0\0\0\x01\x05", b"\0\0\0\x01\x80"]
)
def test_what_is_no_message_is_an_error(data):
    with pytest.raises(WireError):
        list(ControlDecoder().feed(data))
