"""The writer's own records: what goes in comes out, and no worker's message passes for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.errors import FileDamaged
from h5daq.flow import wire
from h5daq.flow.records import (
    DeathRecord,
    EndRecord,
    FileRecord,
    MarkRecord,
    RowsForm,
    RunRecord,
    SealRecord,
    VaultRecord,
    decode_record,
    encode_record,
    is_record,
    is_vault,
)

IDS = st.integers(0, 2**63 - 1)
TIMES = st.floats(0, 1e10)
RECORDS = st.one_of(
    st.builds(FileRecord, IDS, IDS, IDS, TIMES, TIMES, st.text(), st.text(), st.booleans()),
    st.builds(RunRecord, st.text(), st.text(), TIMES,
              st.dictionaries(st.text(), st.integers(-9, 9) | st.text() | st.lists(st.text()))),
    st.builds(SealRecord, IDS, TIMES, IDS),
    st.builds(EndRecord, TIMES, st.booleans()),
    st.builds(DeathRecord, st.text(), IDS, IDS, st.sampled_from(["killed", "undelivered"])),
    st.builds(MarkRecord, IDS, IDS),
    st.builds(VaultRecord, st.text(), st.text(), IDS, TIMES, st.lists(st.text()), st.text(),
              st.dictionaries(st.text(), st.text()), st.binary(), st.none() | st.lists(st.text())),
)  # fmt: skip


@given(RECORDS)
def test_a_record_comes_back_as_it_was(record):
    message = encode_record(record)
    assert is_record(message)
    assert decode_record(message) == record


def test_a_message_of_a_worker_is_no_record():
    assert not is_record(wire.encode("status", job="a", inc=1, j="run"))


@pytest.mark.parametrize("message", [b"\x81\xa1j\xa3odd", b"\x82\xa1j\xa3end\xa4more\x01"])
def test_an_unknown_record_is_damage(message):
    with pytest.raises(FileDamaged):
        decode_record(message)


@given(IDS, TIMES, st.sampled_from([0, 1, 64, 255, 256, 5000, 65535, 65536]), st.text(), st.text())
def test_an_add_that_is_packed_by_its_form_is_the_record_to_the_byte(number, time, size, ctx, name):
    data, path, args = bytes(range(256)) * 257, ["", name], {"n": 1, "columns": [["<f8", []]]}
    data = data[:size]
    packed = RowsForm(ctx, path, name, args, size).pack(number, time, data)
    record = VaultRecord("add", ctx, number, time, path, name, args, data)
    assert b"".join(packed.parts) == encode_record(record)
    assert packed.size == len(encode_record(record))


@given(RECORDS)
def test_changes_of_the_vault_are_told_from_other_records_by_their_first_bytes(record):
    assert is_vault(encode_record(record)) == isinstance(record, VaultRecord)
