"""Names on disk, numbers, tags, and the session file: one for one, and as the original has them."""

import configparser
import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.errors import BadArgument, EmptyName, LabradError
from h5daq.vault.literal import parse_literal
from h5daq.vault.names import decode, directory_file, encode, number_of, numbered
from h5daq.vault.session import Session, read_session, write_session
from h5daq.vault.tags import changed, chosen

from .expected import GOLDEN

names = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
tags = st.dictionaries(names, st.frozensets(names.filter(bool), max_size=3), max_size=4)


@given(names)
def test_d6_every_name_comes_back_and_never_leaves_its_directory(name):
    on_disk = encode(name)
    assert decode(on_disk) == name
    assert not set('/\\:*?"<>|') & set(on_disk)


@given(names, names)
def test_d6_two_names_are_never_one_on_disk(a, b):
    assert (encode(a) == encode(b)) == (a == b)


def test_d6_the_escapes_are_the_originals():
    assert encode('% / \\ : * ? " < > |') == "%p %f %b %c %a %q %r %l %g %v"
    assert encode(" \n.é") == " \n.é"
    assert decode("%pf %z") == "%f %z"


@pytest.mark.parametrize("name", ["..", ".", "../x", "a/../../b"])
def test_d4_no_name_is_a_way_out(name):
    assert directory_file(name) not in (".", "..")
    assert "/" not in directory_file(name)


@pytest.mark.parametrize("name", [".", "..", ".h5daq"])
def test_without_a_suffix_names_with_a_dot_in_front_are_refused(name):
    assert directory_file("a", suffix="") == "a"
    with pytest.raises(BadArgument):
        directory_file(name, suffix="")


@pytest.mark.parametrize(("name", "error"), [("", EmptyName), ("\0", BadArgument),
                                             ("\udc80", BadArgument)])  # fmt: skip
def test_d5_a_directory_needs_a_name_that_can_be_written(name, error):
    with pytest.raises(error):
        directory_file(name)


def test_n3_numbers_beyond_99999_are_numbers_too():
    assert numbered(1, "a") == "00001 - a"
    assert numbered(123456, "") == "123456 - "
    assert number_of("123456 - ") == 123456
    assert number_of("1 - a") is number_of("report") is number_of("٠٠٠٠١ - a") is None


# -- tags ----------------------------------------------------------------------------------------


def test_t1_tags_are_added_removed_and_toggled_in_order():
    before = {"a": frozenset({"x"})}
    after, told = changed(before, ["a", "b"], ["x", "-y", "^x", "^z"])
    assert after == {"a": {"z"}, "b": {"x", "z"} - {"x"}}
    assert told == [("a", ["z"]), ("b", ["z"])]
    assert changed(after, ["a"], ["z"])[1] == []


def test_d8_filters_apply_in_order_and_all_must_hold():
    known = {"a": frozenset({"x", "y"}), "b": frozenset({"x"})}
    assert chosen("abc", known, ["x"]) == ["a", "b"]
    assert chosen("abc", known, ["x", "-y"]) == ["b"]
    assert chosen("abc", known, []) == ["a", "b", "c"]


# -- session.ini -----------------------------------------------------------------------------------


def as_the_original(data, **options):
    """What the original reads in a session file: with interpolation, and with `eval`."""
    parser = configparser.ConfigParser(**options)
    parser.read_file(io.StringIO(data.decode("ascii")))
    assert parser.getint("File System", "Counter") > 0
    return [eval(parser.get("Tags", name)) for name in ("sessions", "datasets")]


@given(tags, tags, st.integers(1, 10**7))
def test_t5_what_is_written_is_read_back_and_by_the_original(directories, datasets, counter):
    session = Session(counter, 1e9, 1.1e9, 1.2e9, directories, datasets)
    data = write_session(session)
    assert read_session(data) == session
    # As Python 3 reads it, and as Python 2 did, where ; began a comment.
    for options in ({}, {"inline_comment_prefixes": (";",)}):
        assert as_the_original(data, **options) == [directories, datasets]


@pytest.mark.parametrize(
    "path", sorted(GOLDEN.rglob("session.ini")), ids=lambda path: path.parent.name
)
def test_t5_the_originals_files_are_read_and_written_byte_by_byte(path):
    data = path.read_bytes()
    assert write_session(read_session(data)) == data


@pytest.mark.parametrize(
    "text",
    ["{'a': set(['x', 'y'])}", "{u'a': set([u'x', u'y'])}", "{'a': {'x', 'y'}}",
     "{'a': ['x', 'y']}", "{'a': set(['x', 'y']), <datavault.Dataset object at 0x7f3a>: set()}"],
)  # fmt: skip
def test_t5_t2_tags_in_any_spelling_are_read(text):
    data = f"[File System]\r\nCOUNTER = 7L\r\n\r\n[Tags]\r\nsessions = {text}\r\n".encode()
    session = read_session(data)
    assert (session.counter, session.directories) == (7, {"a": {"x", "y"}})
    assert not session.damaged


def test_t5_python_2_wrote_bytes_and_python_3_writes_characters():
    old = b"[Tags]\nsessions = {'\\xc3\\xbc': set(['\\xc3\\xa9'])}\n"
    new = b"[Tags]\nsessions = {'\\xfc': {'\\xe9'}}\n"
    assert read_session(old).directories == read_session(new).directories == {"ü": {"é"}}


@pytest.mark.parametrize(
    "data",
    [b"rubbish", b"[Tags]\nsessions = __import__('os').system('touch /tmp/evil')\n",
     b"[Tags]\nsessions = {[]: 1}\n", b"[Tags]\nsessions = 5\n",
     b"[Tags]\nsessions = " + b"(" * 999],
)  # fmt: skip
def test_t5_a_damaged_file_is_no_reason_to_stay_out_and_is_never_evaluated(data):
    session = read_session(data)
    assert session == replace(Session(), damaged=True)


def test_t5_without_tags_and_with_any_dates_there_is_a_session():
    assert read_session(b"[File System]\ncounter = x\n[Information]\ncreated = then\n") == Session()
    assert read_session(b"") == Session()


@pytest.mark.parametrize("text", ["f(1)", "a", "1 + 1", "[x for x in y]", "().__class__", "'a' 'b",
                                  "{**{}}['x']", "lambda: 0", "-'a'", "{[]}"])  # fmt: skip
def test_only_literals_are_read(text):
    with pytest.raises(LabradError):
        parse_literal(text, {"g": print})


def test_old_spellings_of_numbers_are_read():
    assert parse_literal("[-1.#INF, 10L, 1.#INF000, '1.#IND 5L']") == [
        -float("inf"), 10, float("inf"), "1.#IND 5L",
    ]  # fmt: skip
    assert parse_literal("(1-2j)") == 1 - 2j
