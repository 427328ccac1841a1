"""Who may do what: the whole table of roles and verbs, kinds of signals, jobs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.flow.requests import Request
from h5daq.flow.roles import (
    VERBS,
    Key,
    Role,
    exactly,
    may_ask,
    may_hear,
    may_send,
    permission,
    refusal,
)
from h5daq.vault.service import Service
from h5daq.writer.answers import Answers

VAULT_READING = (
    "context", "forget", "cd", "dir", "open", "get", "get_ex", "get_ex_t", "variables",
    "variables_ex", "row_type", "transpose_type", "get_version", "get_name", "parameters",
    "get_parameter", "get_parameters", "get_comments", "get_tags", "dump_existing_sessions",
    "signal",
)  # fmt: skip
VAULT_CHANGING = (
    "mkdir", "new", "new_ex", "add", "add_ex", "add_ex_t", "add_parameter", "add_parameters",
    "add_comment", "update_tags",
)  # fmt: skip

EXPECTED = {
    "ping": {"worker", "operator", "monitor"},
    "clock": {"worker"},
    "death": {"worker", "operator"},
    "status": {"operator", "monitor"},
    "peek": {"operator", "monitor"},
    "glimpse": {"operator", "monitor"},
    "flush": {"operator"},
    "trigger": {"operator"},
    "pause": {"operator"},
    "resume": {"operator"},
    "set_write_period": {"operator"},
    "stop": {"operator"},
    "a_verb_that_is_not_decided_on": {"operator"},
    **{verb: {"operator", "monitor"} for verb in VAULT_READING},
    **{verb: {"operator"} for verb in VAULT_CHANGING},
}


def key(role, *jobs):
    return Key("k", "x" * 40, role, jobs)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("verb", EXPECTED)
def test_a_role_may_ask_for_what_the_table_says(verb, role):
    assert may_ask(key(role), verb) is (role in EXPECTED[verb])


def test_the_table_has_every_verb_that_the_writer_answers():
    verbs = {*Answers(None, None, None)._verbs, *Service(None, None, None, None).verbs}
    assert verbs == set(VERBS) == set(EXPECTED) - {"a_verb_that_is_not_decided_on"}


@pytest.mark.parametrize(
    ("request_", "verb"),
    [
        (Request(1, "cd", {"path": "a"}), "cd"),
        (Request(1, "cd", {"path": "a", "create": True}), "mkdir"),
        (Request(1, "open", {"name": "a", "append": True}), "add"),
        (Request(1, "resume", ctx=1), "context"),
        (Request(1, "resume"), "resume"),
    ],
)
def test_a_verb_that_does_more_with_one_argument_needs_more(request_, verb):
    assert permission(request_) == verb


@pytest.mark.parametrize(
    ("pattern", "job", "may"),
    [
        ("tank", "tank", True),
        ("tank", "tank/T", False),
        ("tank", "Tank", False),
        ("tank/*", "tank/T", True),
        ("tank/*", "tank/a/b", True),
        ("tank/*", "tank", False),
        ("tank/*", "tank2/T", False),
        ("tank*", "tank2/T", True),
        ("line?", "line1", True),
        ("line[12]", "line3", False),
        ("*", "anything/at all", True),
        ("*", "line\nbreak", True),
    ],
)
def test_a_worker_sends_rows_of_the_jobs_that_it_is_named_for(pattern, job, may):
    assert may_send(key(Role.WORKER, "other", pattern), job) is may


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.MONITOR])
def test_others_send_none_whatever_their_patterns(role):
    assert not may_send(key(role, "*"), "tank")


HEARD = {
    b"heartbeat/": True,
    b"position tank/": True,
    b"command tank/": True,
    b"refused tank/": True,
    b"refused other/": True,
    b"position other/": False,
    b"command other/": False,
    b"position tank": False,
    b"position ": False,
    b"data-available tank/": False,
    b"status tank/": False,
    b"": False,
    b"h": False,
    b"\xff\xff": False,
}


@pytest.mark.parametrize("prefix", HEARD)
def test_a_worker_hears_what_concerns_its_jobs_and_others_hear_all(prefix):
    assert may_hear(key(Role.WORKER, "tank"), prefix) is HEARD[prefix]
    assert may_hear(key(Role.MONITOR), prefix)
    assert may_hear(key(Role.OPERATOR), prefix)


@given(st.text(min_size=1), st.text(min_size=1))
def test_an_exact_pattern_means_one_job(job, other):
    exact = key(Role.WORKER, *exactly([job]))
    assert may_send(exact, job)
    assert may_send(exact, other) is (other == job)


def test_a_refusal_names_the_key_and_never_shows_it():
    text = refusal(key(Role.WORKER, "a", "b/*"), "send rows of job 'c'")
    assert "'k' (worker for a, b/*)" in text
    assert "xxxx" not in text
