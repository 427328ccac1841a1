"""What the launcher says of hosts that can't be used, and what it brings to those that can."""

import io
import json
import sys
import tarfile
from pathlib import Path

import pytest

import h5daq
from h5daq.config import load
from h5daq.errors import ConfigError, ProcessFailed, StorageError
from h5daq.launcher.hand import Hand
from h5daq.launcher.keycheck import check_keys
from h5daq.launcher.parcel import config_in, home_of, pack_parcel, unpack_parcel, write_config
from h5daq.launcher.posts import Post
from h5daq.launcher.shell import LocalShell, SshShell
from h5daq.launcher.talk import Talk

HELLO = {"python": "3.11.2", "h5daq": h5daq.__version__, "why": ""}
LOOK = {"time": 1000.0, "free": 10**12, "runs": False, "rsync": False}
POST = Post("pi1", "daq@pi1", "py", (), (), Path("lab.toml"))


class Told(SshShell):
    """The way to a program that says what it was told to, and ends."""

    def __init__(self, *said, code=0, err=""):
        super().__init__("daq@pi1")
        self.said, self.code, self.err = said, code, err

    def open(self, words):
        lines = ["motd", *(f"h5daq-answer:{json.dumps(said)}" for said in self.said)]
        script = f'printf "%s\\n" "$@"; echo "{self.err}" >&2; exit {self.code}'
        return Talk(["sh", "-c", script, "sh", *lines])


def look(look=None, **hello):
    with Hand(POST, Told({**HELLO, **hello}, {**LOOK, **(look or {})})) as hand:
        return hand.look()


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"python": "3.9.2"}, "Python 3.9.2 there, and h5daq needs 3.11"),
        ({"h5daq": None, "why": "ModuleNotFoundError: h5daq"}, "ssh daq@pi1 'py -m pip install"),
        ({"h5daq": "9.9.9"}, f"h5daq 9.9.9 is there, {h5daq.__version__} is here.*pip install"),
    ],
)
def test_a_host_with_another_h5daq_is_refused_with_the_command_that_mends_it(found, said):
    with pytest.raises(ProcessFailed, match=said):
        look(**found)


def test_a_clock_that_is_off_and_a_full_disk_are_told(monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1000.0)
    assert look() == []
    ahead, full = look({"time": 1060.0, "free": 1000})
    assert "at least 60.0 s ahead of the one here" in ahead
    assert "0 MB are free" in full


class Odd(SshShell):
    """A way whose ssh is this script."""

    def __init__(self, script):
        super().__init__("pi1", ["sh", "-c", script])


@pytest.mark.parametrize(
    ("shell", "said"),
    [
        (Odd("echo py: not found >&2; exit 127"), "py can't be run there: py: not found"),
        (Odd("echo denied >&2; exit 255"), "ssh can't get there: denied"),
        (Odd("exit 255"), "ssh can't get there: it says nothing"),
        (SshShell("x", ["no-such-ssh"]), "no-such-ssh can't be run"),
    ],
)
def test_a_host_that_does_not_answer_says_why(shell, said):
    with pytest.raises(ProcessFailed, match=said):
        Hand(POST, shell).look()


def test_a_program_that_says_nothing_is_ended():
    with (
        Talk(["sleep", "60"]) as talk,
        pytest.raises(ProcessFailed, match=r"no answer after 0\.2 s"),
    ):
        talk.hear(0.2)


def test_a_connection_that_ends_under_way_says_why_and_is_made_anew(tmp_path):
    way = Told(HELLO, LOOK, err="client_loop: Broken pipe", code=255)
    with Hand(POST, way) as hand:
        assert hand.look() is not None
        with pytest.raises(ProcessFailed, match="ssh can't get there: client_loop: Broken pipe"):
            hand.state()
        assert hand.look() is not None


def test_this_machine_is_looked_at_without_ssh(tmp_path):
    post = Post(
        "", "", sys.executable, (), (), tmp_path / "lab.toml", str(tmp_path / "not" / "yet")
    )
    with Hand(post, LocalShell()) as hand:
        assert hand.look() == []  # the disk of files that are still to come was looked at, too
        assert hand.state()["runs"] is False


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "lab.toml").write_text("[run]\n")
    (tmp_path / "mylab" / "__pycache__").mkdir(parents=True)
    (tmp_path / "mylab" / "__pycache__" / "x.pyc").touch()
    (tmp_path / "mylab" / "sensors.py").write_text("x = 1\n")
    (tmp_path / "pi1.key").write_text("secret")
    return tmp_path


def files(home):
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


def test_a_parcel_takes_the_place_of_the_one_before_it_but_a_key_stays(mine):
    config, modules = mine / "lab.toml", [mine / "mylab"]
    home = unpack_parcel("k", pack_parcel(config, modules, mine / "pi1.key"))
    assert home == home_of("k")
    assert files(home) == ["h5daq.toml", "keys/pi1.key", "mylab/sensors.py"]
    assert (home / "keys" / "pi1.key").stat().st_mode & 0o777 == 0o600
    unpack_parcel("k", pack_parcel(config, []))
    assert files(home) == ["h5daq.toml", "keys/pi1.key"]


def test_a_parcel_that_reaches_beyond_its_directory_is_refused(mine):
    evil = io.BytesIO()
    with tarfile.open(fileobj=evil, mode="w") as tar:
        tar.add(mine / "lab.toml", "../../escaped")
    home = unpack_parcel("k2", pack_parcel(mine / "lab.toml", []))
    with pytest.raises(StorageError, match="can't be unpacked"):
        unpack_parcel("k2", evil.getvalue())
    assert files(home) == ["h5daq.toml"]


def test_a_configuration_alone_takes_the_place_of_the_one_there(mine):
    home = unpack_parcel("k3", pack_parcel(mine / "lab.toml", [mine / "mylab"]))
    (mine / "lab.toml").write_text("[run]\nname = 'moved'\n")
    write_config("k3", pack_parcel(mine / "lab.toml", []))
    assert "moved" in (home / "h5daq.toml").read_text()
    assert files(home) == ["h5daq.toml", "mylab/sensors.py"]


@pytest.mark.parametrize("packed", [b"", b"no tar"])
def test_a_parcel_without_a_configuration_is_refused(packed):
    with pytest.raises(StorageError, match=r"has no h5daq\.toml"):
        config_in(packed)


@pytest.mark.parametrize(
    ("name", "said"), [("pi1", r"copy pi1\.key here"), ("", "h5daq keys init")]
)
def test_a_host_without_keys_is_told_how_to_come_by_them(mine, name, said):
    (mine / "lab.toml").write_text('[run]\n[security]\nkeys = "keys"\n')
    with pytest.raises(ConfigError, match=said):
        check_keys(load(mine / "lab.toml"), name)
