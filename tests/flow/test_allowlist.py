"""The allow-list as text: what is written is read, and mistakes name the key and the mend."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.errors import ConfigError
from h5daq.flow.allowlist import check_key_name, format_keys, parse_keys
from h5daq.flow.roles import Key, Role

Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
GOOD = "x" * 40

NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)
PUBLIC = st.text(Z85, min_size=40, max_size=40)
PATTERN = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30
)
WORKERS = st.builds(
    lambda name, public, jobs: Key(name, public, Role.WORKER, tuple(jobs)),
    NAMES, PUBLIC, st.lists(PATTERN, min_size=1, max_size=4),
)  # fmt: skip
OTHERS = st.builds(Key, NAMES, PUBLIC, st.sampled_from([Role.MONITOR, Role.OPERATOR]))


@given(st.lists(WORKERS | OTHERS, unique_by=(lambda k: k.name, lambda k: k.public), max_size=5))
def test_a_list_is_read_as_it_was_written(keys):
    keys = [key for key in keys if key.name != "writer"]
    assert parse_keys(format_keys(keys)) == {key.name: key for key in keys}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[keys.pi", "no TOML"),
        ("[key.pi]\nrole = 'worker'", "'key'"),
        ("keys = 3", "tables such as"),
        ("[keys]\npi = 3", r"write a table \[keys.pi\]"),
        (f"[keys.pi]\npublic = '{GOOD}'\nrole = 'king'", "'pi': role must be one of worker"),
        (f"[keys.pi]\npublic = '{GOOD}'", "'pi': role must be one of"),
        ("[keys.pi]\nrole = 'worker'\njobs = ['*']", "'pi': public must be the 40"),
        (f"[keys.pi]\npublic = '{GOOD}'\nrole = 'worker'", "'pi': a worker needs jobs"),
        (f"[keys.pi]\npublic = '{GOOD}'\nrole = 'worker'\njobs = 'x'", "must be a list"),
        (f"[keys.pi]\npublic = '{GOOD}'\nrole = 'worker'\njobs = ['']", "pattern of jobs is empty"),
        (f"[keys.pi]\npublic = '{GOOD}'\nrole = 'monitor'\njobs = ['x']", "jobs are for workers"),
        (f"[keys.pi]\npublic = '{GOOD}'\nrole = 'monitor'\nsecret = 's'", "unknown 'secret'"),
        (f"[keys.writer]\npublic = '{GOOD}'\nrole = 'monitor'", "can't be a key's name"),
        (f"[keys.'../x']\npublic = '{GOOD}'\nrole = 'monitor'", "can't be a key's name"),
        (f"[keys.a]\npublic = '{GOOD}'\nrole = 'monitor'\n"
         f"[keys.b]\npublic = '{GOOD}'\nrole = 'monitor'", "'a' and 'b' are the same key"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_what_would_be_right(text, said):
    with pytest.raises(ConfigError, match=said):
        parse_keys(text)


def test_a_wrong_key_is_not_repeated():
    with pytest.raises(ConfigError) as caught:
        parse_keys("[keys.pi]\npublic = 'a secret by mistake'\nrole = 'monitor'")
    assert "mistake" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", "-x", ".x", "writer", "a\n", "x" * 65]
)
def test_a_name_that_could_be_another_file_is_refused(name):
    with pytest.raises(ConfigError, match="can't be a key's name"):
        check_key_name(name)
