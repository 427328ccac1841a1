"""Keys on disk: their modes, which one is taken, and what is said when one can't be."""

import stat
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from h5daq.daemon.checks import check_security
from h5daq.errors import ConfigError, StorageError
from h5daq.flow.roles import Role
from h5daq.keys import KeyDirectory, find_keys
from h5daq.transports.zmq_curve import make_pair, public_of


@pytest.fixture
def keys(tmp_path):
    directory = KeyDirectory(tmp_path / "keys")
    directory.make()
    return directory


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_all_that_is_made_is_private_to_its_user(keys):
    keys.add("pi", Role.WORKER, ["tank/*"])
    assert mode(keys.path) == 0o700
    names = {path.name for path in keys.path.iterdir()}
    assert names == {"writer.key", "operator.key", "pi.key", "allowed.toml"}
    assert {mode(path) for path in keys.path.iterdir()} == {0o600}


def test_of_many_who_add_and_revoke_at_once_none_loses_what_another_did(keys):
    path, begin, seen = keys.path, threading.Barrier(9), []

    def change(number):
        mine = KeyDirectory(path)
        begin.wait()
        for n in range(4):
            mine.add(f"host-{number}-{n}", Role.WORKER, ["tank/*"])
            seen.append(len(KeyDirectory(path).load()))  # as a writer: a whole list, at any time
        mine.revoke(f"host-{number}-0")

    with ThreadPoolExecutor(9) as pool:
        changes = [pool.submit(change, number) for number in range(8)]
        begin.wait()
    assert [change.exception() for change in changes] == [None] * 8
    kept = {f"host-{number}-{n}" for number in range(8) for n in (1, 2, 3)}
    assert keys.load().keys() == {"operator", *kept}
    assert min(seen) >= 2


def test_a_key_file_has_the_pair_and_the_writer_it_trusts(keys):
    keys.add("pi", Role.WORKER, ["tank/*"])
    pi = find_keys(keys.path / "pi.key")
    assert public_of(pi.secret) == pi.public == keys.load()["pi"].public
    assert pi.writer == keys.public == public_of(keys.secret)
    assert pi.secret not in (keys.path / "allowed.toml").read_text()
    assert pi.secret not in repr(pi)


@pytest.mark.parametrize("loose", [0o640, 0o604, 0o660, 0o644])
@pytest.mark.parametrize("name", ["pi.key", "writer.key"])
def test_a_private_key_that_others_may_read_is_refused_with_the_mend(keys, loose, name):
    keys.add("pi", Role.MONITOR)
    path = keys.path / name
    path.chmod(loose)
    with pytest.raises(ConfigError, match=f"mode {loose:04o}.*chmod 600 {path}"):
        _ = find_keys(path) if name == "pi.key" else keys.secret


@pytest.mark.parametrize("loose", [("", 0o755), ("allowed.toml", 0o666)])
def test_a_list_that_others_may_change_is_refused_with_the_mend(keys, loose):
    path = keys.path / loose[0]
    path.chmod(loose[1])
    with pytest.raises(ConfigError, match=f"chmod [67]00 {path}"):
        keys.load()


def test_in_a_directory_the_preferred_key_is_taken_then_the_operators(keys):
    keys.add("pi", Role.WORKER, ["*"])
    assert find_keys(keys.path, "pi").name == "pi"
    assert find_keys(keys.path, "elsewhere").name == "operator"
    (keys.path / "operator.key").unlink()
    assert find_keys(keys.path).name == "pi"
    keys.add("other", Role.MONITOR)
    with pytest.raises(ConfigError, match=r"has other\.key, pi\.key: name the file of one"):
        find_keys(keys.path)


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "has no 'name'"), ("name = 3", "no key file"), ("\xff", "no key file"),
     ("name = 'a'\npublic = 'p'\nsecret = 's'\nwriter = 'w'", "40 characters")],
)  # fmt: skip
def test_what_is_no_key_file_is_named_and_never_shown(tmp_path, text, said):
    path = tmp_path / "x.key"
    path.write_text(text, encoding="latin-1")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=said):
        find_keys(path)


def test_a_directory_without_keys_is_named_with_the_command(tmp_path):
    with pytest.raises(ConfigError, match="h5daq keys init"):
        KeyDirectory(tmp_path).load()
    with pytest.raises(ConfigError, match="can't be read"):
        find_keys(tmp_path / "nowhere.key")


def test_what_is_there_is_never_overwritten(keys, tmp_path):
    with pytest.raises(ConfigError, match="not empty"):
        KeyDirectory(keys.path).make()
    keys.add("pi", Role.MONITOR)
    for name in ("pi", "operator", "writer", "../out"):
        with pytest.raises(ConfigError):
            keys.add(name, Role.MONITOR)
    assert sorted(tmp_path.iterdir()) == [keys.path]


def test_a_key_whose_private_half_is_elsewhere_leaves_no_file(keys):
    public, _ = make_pair()
    keys.add("anna", Role.OPERATOR, public=public)
    assert keys.load()["anna"].public == public
    assert not keys.has_private("anna")
    with pytest.raises(ConfigError, match="same key"):
        keys.add("twin", Role.MONITOR, public=public)


def test_a_revoked_key_is_off_the_list_and_its_file_is_gone(keys):
    keys.add("pi", Role.MONITOR)
    assert keys.changed() is not None
    assert keys.changed() is None
    keys.revoke("pi")
    assert set(keys.changed()) == {"operator"}
    assert not keys.has_private("pi")
    with pytest.raises(ConfigError, match=r"no key 'pi'.*operator"):
        keys.revoke("pi")


def test_a_list_that_vanished_is_said(keys):
    keys.load()
    (keys.path / "allowed.toml").unlink()
    with pytest.raises(StorageError, match=r"allowed\.toml can't be read"):
        keys.changed()


EXPOSED = ["tcp://*:5570", "tcp://10.0.0.1:5570", "tcp://127.0.0.1:5570", "ipc://@h5daq"]


@pytest.mark.parametrize("endpoint", EXPOSED)
def test_a_socket_that_others_can_reach_wants_keys(endpoint, keys):
    with pytest.raises(ConfigError, match=r"h5daq keys init keys.*insecure = true"):
        check_security([None, endpoint], insecure=False)
    check_security([endpoint], insecure=True)
    check_security([endpoint], insecure=False, keys=keys.path)
    check_security([None, "ipc:///run/user/1000/h5daq/data"], insecure=False)


def test_keys_that_can_not_be_used_are_no_keys(tmp_path):
    with pytest.raises(ConfigError, match="make them: h5daq keys init"):
        check_security(["tcp://*:5570"], insecure=False, keys=tmp_path)
