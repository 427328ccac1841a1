"""LabRAD's values as bytes: known bytes, round trips, refusals, and pylabrad's own answers.

The comparison with pylabrad runs where ``H5DAQ_PYLABRAD`` names a Python that has it (0.98 wants
numpy < 1.24), or where it is installed beside h5daq.
"""

import importlib.util
import json
import math
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from h5daq.errors import LabradError
from h5daq.vault.labrad import (
    ErrorValue,
    Quantity,
    flatten,
    from_data_url,
    to_data_url,
    unflatten,
)
from h5daq.vault.labrad_tags import parse_tag

from .expected import expectations, same, tagged

PARAMETERS = [
    (name, parameter)
    for expected in expectations().values()
    for name, parameter in expected["parameters"].items()
    if "lr_tag" in parameter
]


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS, ids=[name for name, _ in PARAMETERS])
def test_p5_a_parameter_of_the_original_is_read_and_written_byte_by_byte(name, parameter):
    value = from_data_url(parameter["data_url"])
    wanted = tagged(parameter["value"])
    assert same(value, math.nan if name == "nan" else wanted)
    assert unflatten(bytes.fromhex(parameter["flat_hex"]), parameter["lr_tag"]) is not ...
    flat = flatten(value, parameter["lr_tag"])
    assert (flat.tag, flat.data.hex()) == (parameter["lr_tag"], parameter["flat_hex"])
    assert to_data_url(value) == parameter["data_url"]


@pytest.mark.parametrize(
    ("value", "tag", "data"),
    [
        (2**31, "w", "80000000"),
        (-(2**31), "i", "80000000"),
        ([1, 2**31], "*w", "000000020000000180000000"),
        ([], "*_", "00000000"),
        ([[], []], "*2_", "0000000200000000"),
        ([None, None], "*_", "00000002"),
        (((1,),), "((i))", "00000001"),
        ([(1, "a")], "*(is)", "00000001000000010000000161"),
        ([([],), ([1],)], "*(*i)", "0000000200000000" + "0000000100000001"),
        (np.zeros((2, 0)), "*2v[]", "0000000200000000"),
        (np.array([1, 2], "i2"), "*i", "000000020000000100000002"),
        (np.array(["a"]), "*s", "000000010000000161"),
        (ErrorValue(3, "x", (1, 2)), "E(ii)", "0000000300000001780000000100000002"),
        (ErrorValue(0, "x"), "E", "000000000000000178"),
        (Quantity(1j, "mV"), "c[mV]", "00000000000000003ff0000000000000"),
        ([Quantity(1.0, "V"), Quantity(2.0, "V")], "*v[V]", None),
        (datetime(2020, 1, 1, microsecond=1, tzinfo=UTC), "t", "00000000da319180000010c6f7a0b5ed"),
    ],
)
def test_a_value_has_these_bytes(value, tag, data):
    flat = flatten(value)
    assert flat.tag == tag
    assert data is None or flat.data.hex() == data


@pytest.mark.parametrize(
    "value",
    [{"a": 1}, [1, 2.0], [1, "a"], [True, 1], [[1], [2, 3]], [[1], 2], 2**32, -(2**31) - 1, (),
     [1, -1, 2**31], np.array([2**40]), np.array([-1, 2**31]), np.array([object()]), object(),
     [Quantity(1.0, "V"), Quantity(1.0, "mV")], [1.0, Quantity(1.0, "V")], Quantity("x", "V"),
     Quantity(1.0, "a]"), Quantity(1.0, "a:b"), "\ud800", np.array("2020", "M8[s]"),
     datetime(1903, 12, 31, tzinfo=UTC), np.zeros((1,) * 33), 3 + 2**33],
)  # fmt: skip
def test_p6_what_labrad_has_no_type_for_is_refused(value):
    with pytest.raises(LabradError):
        flatten(value)


@pytest.mark.parametrize(
    ("value", "tag"),
    [(1.5, "i"), (1, "b"), (True, "i"), ([True], "*v"), (None, "i"), (1, "_"), ("a", "y"),
     ((1,), "(ii)"), ([1], "i"), (1, "*i"), ([[1]], "*i"), (Quantity(1.0, "V"), "v[]"),
     (1.0, "v[V]"), (-1, "w"), (1j, "v"), ("1", "v"), ((1,), "E"), (5, "t"), ([1], "*s"),
     (2**31, "i"), ([[1]], "*s")],
)  # fmt: skip
def test_what_does_not_fit_a_given_type_is_refused(value, tag):
    with pytest.raises(LabradError):
        flatten(value, tag)


@pytest.mark.parametrize(
    ("tag", "canonical"),
    [("v", "v"), ("v [m]", "v[m]"), ("is", "(is)"), ("( i , s )", "(is)"), ("**i", "**i"),
     ("* 2 v", "*2v"), ("*1i", "*i"), ("*2i{2,3}: hello", "*2i"), ("i{foo}", "i"), ("", "_"),
     (" ", "_"), ("E(is)", "E(is)"), ("E", "E"), ("E?", "E?"), ("*2*i", "*2*i"), ("()", "()")],
)  # fmt: skip
def test_a_tag_is_read_as_pylabrad_reads_it(tag, canonical):
    assert str(parse_tag(tag)) == canonical


@pytest.mark.parametrize("tag", ["*0i", "*", "(i", "i)", "v[m", "x", "<i|s>", "*99i", "(" * 99])
def test_what_is_no_tag_is_refused(tag):
    with pytest.raises(LabradError, match="no LabRAD type tag"):
        parse_tag(tag)


def test_a_tag_may_leave_the_unit_open_and_an_integer_may_be_a_float():
    assert flatten(Quantity(1.0, "V"), "v").tag == "v[V]"
    assert flatten([1, 2], "*v") == flatten([1.0, 2.0])
    assert flatten(("x", [1]), "?") == flatten(("x", [1]))


def test_p7_a_naive_time_is_local_time_with_the_offset_of_its_own_day(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    for month, hours in ((1, 1), (7, 2)):
        there = datetime(2020, month, 1, tzinfo=timezone(timedelta(hours=hours)))
        assert flatten(datetime(2020, month, 1)) == flatten(there)
    monkeypatch.undo()
    time.tzset()


# -- any value ---------------------------------------------------------------------------------

units = st.text(st.characters(exclude_characters="]{}:", codec="utf-8"), min_size=1, max_size=5)
times = st.datetimes(datetime(1904, 1, 1), timezones=st.just(UTC))
floats, complexes = st.floats(), st.complex_numbers()
texts = st.text(st.characters(codec="utf-8"))
scalars = [
    st.none(), st.booleans(), st.integers(-(2**31), 2**32 - 1), floats, complexes, texts,
    st.binary(), times,
]  # fmt: skip
shapes = st.lists(st.integers(0, 3), min_size=1, max_size=3).map(tuple)


@st.composite
def arrays(draw, units):
    dtype = draw(st.sampled_from(["?", "i4", "u4", "f8", "c16"]))
    array = np.frombuffer(draw(st.binary(min_size=16 * 27, max_size=16 * 27)), dtype)
    if dtype == "?":
        array = array.view("u1") > 127
    if dtype == "u4":
        array = array | np.uint32(1 << 31)  # as a list it would be of type i otherwise
    shape = draw(shapes)
    array = array[: math.prod(shape)].reshape(shape).copy()
    unit = draw(st.one_of(st.none(), units))
    return Quantity(array, unit) if unit and dtype in ("f8", "c16") else array


def lists():
    of = st.sampled_from([st.none(), texts, st.binary(), times, st.tuples(texts, floats)])
    return of.flatmap(lambda one: st.lists(st.lists(one, min_size=2, max_size=2), min_size=1))


def nested(innermost, *more):
    """Values made of others, up to eight of them."""
    return st.recursive(
        st.one_of(innermost),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=4).map(tuple),
            inner.map(lambda value: [(value, 1), (value, 2)]),
            *(more_of(inner) for more_of in more),
        ),
        max_leaves=8,
    )


def faults(payloads):
    return st.builds(ErrorValue, st.integers(-(2**31), 2**31 - 1), texts, payloads)


quantities = st.builds(Quantity, st.one_of(floats, complexes), units)
values = nested([*scalars, quantities, arrays(units), lists()], faults)
# pylabrad changes complex numbers with a zero, an infinity or a NaN in them, and its times may be
# off by a microsecond: those are compared with the golden files.
proper = st.builds(complex, st.floats(1, 9), st.floats(-9, -1))
known_units = st.sampled_from(["V", "mV", "GHz", "ns"])
simple_values = nested([*scalars[:4], proper, texts, st.binary(), arrays(known_units)])


@settings(max_examples=150, deadline=None)
@given(values, st.sampled_from(["big", "little"]))
@example([[("a", 1.0)]], "little")
def test_any_value_comes_back_from_its_bytes(value, order):
    flat = flatten(value, byteorder=order)
    again = unflatten(flat.data, flat.tag, order)
    assert same(again, value)
    assert flatten(again, flat.tag, order) == flat
    assert str(parse_tag(flat.tag)) == flat.tag


@settings(max_examples=80, deadline=None)
@given(values, st.data())
def test_damaged_bytes_are_an_error_of_ours_and_nothing_else(value, data):
    tag, whole = flatten(value)
    cut = data.draw(st.integers(0, max(0, len(whole) - 1)))
    noise = data.draw(st.binary(max_size=8))
    for damaged in (whole[:cut], whole + b"\0", whole[:cut] + noise + whole[cut + len(noise) :]):
        try:
            unflatten(damaged, tag)
        except LabradError:
            continue


@pytest.mark.parametrize(
    ("tag", "data"),
    [("*_", "7fffffff"), ("*2s", "7fffffff00000000"), ("*3v", "000000007fffffff7fffffff"),
     ("s", "7fffffff"), ("*i", "7fffffff"), ("*s", "00100000"), ("*()", "ffffffff"), ("?", "00")],
)  # fmt: skip
def test_lengths_that_are_not_there_ask_for_no_memory(tag, data):
    with pytest.raises(LabradError):
        unflatten(bytes.fromhex(data), tag)


@pytest.mark.parametrize("text", ["", "data:text/plain,x", "data:application/labrad;base64,é",
                                  "data:application/labrad;base64,AAA"])  # fmt: skip
def test_a_text_that_is_no_parameter_is_refused(text):
    with pytest.raises(LabradError):
        from_data_url(text)


# -- pylabrad ----------------------------------------------------------------------------------

ORACLE = """
import json, sys, warnings
warnings.simplefilter("ignore")
from labrad import types as T
answers = []
for tag, data in json.load(sys.stdin):
    value = T.unflatten(bytes.fromhex(data), tag)
    flat = T.flatten(value, tag)
    answers.append([str(flat.tag), flat.bytes.hex()])
json.dump(answers, sys.stdout)
"""


def pylabrad():
    """A Python that has pylabrad, or None."""
    if os.environ.get("H5DAQ_PYLABRAD"):
        return os.environ["H5DAQ_PYLABRAD"]
    return sys.executable if importlib.util.find_spec("labrad") else None


@pytest.mark.skipif(pylabrad() is None, reason="pylabrad is not installed: set H5DAQ_PYLABRAD")
@settings(max_examples=3, deadline=None, phases=[Phase.generate])
@given(st.lists(simple_values, min_size=20, max_size=60))
def test_pylabrad_reads_and_writes_the_same_bytes(sample):
    flats = [flatten(value) for value in sample]
    known = [(value, *flatten(value)) for value in (Quantity(2.5, "mV"), Quantity([1j], "V"))]
    question = [[flat.tag, flat.data.hex()] for flat in flats]
    question += [[tag, data.hex()] for _, tag, data in known]
    done = subprocess.run(
        [pylabrad(), "-c", ORACLE], input=json.dumps(question), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert [pair for pair in zip(question, answers, strict=True) if pair[0] != pair[1]] == []


def test_a_client_that_sends_values_needs_no_hdf5():
    code = "import sys, h5daq.vault.labrad; sys.exit('h5py' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
