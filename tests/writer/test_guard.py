"""The guard over a list that changes: what is looked up, what is logged, who is cut off."""

import logging

import pytest

from h5daq.errors import NotAllowed
from h5daq.flow.roles import Role
from h5daq.keys import KeyDirectory
from h5daq.writer.guard import Guard


@pytest.fixture
def keys(tmp_path):
    directory = KeyDirectory(tmp_path / "keys")
    directory.make()
    return directory


def change(keys, name, **fields):
    """Edit one entry of the list by hand."""
    path = keys.path / "allowed.toml"
    text = path.read_text()
    for old, new in fields.values():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def test_a_permission_is_gone_with_the_entry_that_gave_it(keys):
    pi = keys.add("pi", Role.WORKER, ["tank/*"])
    guard = Guard(str(keys.path))
    assert guard.may_send(pi.public, "tank/T")
    assert not guard.may_send(pi.public, "other")
    change(keys, "pi", jobs=("tank/*", "other"))
    assert guard.refresh()
    assert not guard.may_send(pi.public, "tank/T")
    assert guard.may_send(pi.public, "other")


def test_only_who_may_do_less_or_otherwise_makes_others_reconnect(keys):
    pi = keys.add("pi", Role.WORKER, ["tank/*"])
    guard = Guard(str(keys.path))
    assert not guard.refresh()
    keys.add("late", Role.MONITOR)
    assert not guard.refresh()
    change(keys, "late", role=("monitor", "operator"))
    assert guard.refresh()
    guard.cut = False
    keys.revoke("pi")
    assert guard.refresh()
    assert not guard.locks.admits(pi.public, "10.0.0.1")


def test_a_name_that_is_given_to_another_key_lets_the_first_in_no_more(keys):
    old = keys.add("pi", Role.WORKER, ["*"])
    guard = Guard(str(keys.path))
    keys.revoke("pi")
    new = keys.add("pi", Role.WORKER, ["*"])
    assert guard.refresh()
    assert guard.may_send(new.public, "tank")
    assert not guard.may_send(old.public, "tank")


@pytest.mark.parametrize("harm", ["broken", "loose", "gone"])
def test_a_list_that_can_not_be_used_changes_nothing_and_is_said_once(keys, harm, caplog):
    guard = Guard(str(keys.path))
    operator, path = keys.load()["operator"], keys.path / "allowed.toml"
    if harm == "broken":
        path.write_text("[keys")
    elif harm == "loose":
        path.write_text("")
        path.chmod(0o666)
    else:
        path.unlink()
    for _ in range(3):
        assert not guard.refresh()
    assert guard.knows(operator.public)
    assert caplog.text.count("The keys stay as they were") == 1


def test_refusals_are_logged_by_name_and_ever_more_seldom(keys, caplog):
    caplog.set_level(logging.INFO)
    pi = keys.add("pi", Role.WORKER, ["tank"])
    guard = Guard(str(keys.path))
    for _ in range(50):
        why = guard.turn_away(pi.public, "other")
    assert guard.turned_away() == [("other", "pi", why)]
    assert guard.turned_away() == []
    assert caplog.text.count("'pi'") == 2
    assert pi.public not in caplog.text


def test_keys_of_the_daemon_are_let_in_beside_the_list(keys):
    trusted = {"name": "local:T", "public": "k" * 40, "role": "worker", "jobs": ["T"]}
    guard = Guard(str(keys.path), [trusted])
    keys.add("late", Role.MONITOR)
    assert not guard.refresh()
    assert guard.may_send("k" * 40, "T")
    assert guard.locks.may_hear("k" * 40, b"position T/")


def test_only_who_may_feed_or_command_a_job_speaks_for_its_host_and_its_dead(keys):
    pi, anna = keys.add("pi", Role.WORKER, ["tank/*"]), keys.add("anna", Role.OPERATOR)
    guard = Guard(str(keys.path))
    for user in (pi.public, anna.public):
        guard.check_speaker(user, "tank/T")
    for user, job in ((pi.public, "other"), (pi.public, "None"), ("x" * 40, "tank/T")):
        with pytest.raises(NotAllowed):
            guard.check_speaker(user, job)
    assert guard.turned_away() == []
