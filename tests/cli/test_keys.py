"""``h5daq keys`` and the commands that use them, as somebody at a prompt meets them."""

import json
import stat

import pytest

from benchmarks.fault_proxy import free_port
from h5daq import cli

ON_TCP = """
[writer]
requests = "tcp://127.0.0.1:{}"
signals = "tcp://127.0.0.1:{}"
data = "tcp://127.0.0.1:{}"

[security]
keys = "keys"
"""


def keys(capsys, *words):
    code = cli.main(["keys", *map(str, words)])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture
def made(tmp_path, capsys):
    """A directory of keys, with one for a worker `pi1`."""
    path = tmp_path / "keys"
    assert keys(capsys, "init", path)[0] == 0
    options = ("--role", "worker", "--jobs", "room", "cam/*", "--keys", path)
    assert keys(capsys, "add", "pi1", *options)[0] == 0
    return path


def test_making_keys_says_what_goes_where(tmp_path, capsys):
    path = tmp_path / "k"
    _, out, _ = keys(capsys, "init", path)
    assert f"h5daq keys add pi1 --role worker --jobs 'tank/*' --keys {path}" in out
    _, out, _ = keys(capsys, "add", "pi1", "--role", "worker", "--jobs", "t/*", "--keys", path)
    assert f"{path}/pi1.key  private: move it to pi1" in out
    assert "h5daq worker lab.toml --job GROUP --keys pi1.key" in out
    assert stat.S_IMODE((path / "pi1.key").stat().st_mode) == 0o600
    assert (path / "pi1.key").read_text().split('secret = "')[1][:40] not in out


def test_keys_are_listed_and_revoked(made, capsys):
    listed = json.loads(keys(capsys, "list", "--keys", made, "--json")[1])
    assert [(k["name"], k["role"], k["jobs"]) for k in listed] == [
        ("operator", "operator", []),
        ("pi1", "worker", ["room", "cam/*"]),
    ]
    assert "revoked: pi1" in keys(capsys, "revoke", "pi1", "--keys", made)[1]
    assert "pi1" not in keys(capsys, "list", "--keys", made)[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("add", "pi1", "--role", "monitor"), "already"),
        (("add", "new", "--role", "worker"), "a worker needs jobs"),
        (("add", "../x", "--role", "monitor"), "can't be a key's name"),
        (("add", "new", "--role", "kind"), "invalid choice"),
        (("add", "new", "--role", "monitor", "--public", "short"), "40 characters"),
        (("revoke", "nobody"), "no key 'nobody'"),
        (("init", "."), "not empty"),
        (("lost",), "did you mean list?"),
    ],
)
def test_what_can_not_be_is_wrong_usage(made, capsys, words, told, monkeypatch):
    monkeypatch.chdir(made)
    monkeypatch.setenv("H5DAQ_KEYS", str(made))
    code, _, err = keys(capsys, *words)
    assert code == cli.WRONG
    assert told in err


def test_without_keys_a_socket_on_the_network_is_refused_with_the_command(command, lab):
    lab.write_text(lab.read_text() + ON_TCP.format(1, 2, 3).replace('keys = "keys"', ""))
    wrong = command("writer", lab)
    assert wrong.code == cli.WRONG
    assert "h5daq keys init keys" in wrong.err
    lab.write_text(lab.read_text() + 'keys = "keys"\n')
    wrong = command("writer", lab)
    assert wrong.code == cli.WRONG
    assert "has no writer's keys; make them: h5daq keys init" in wrong.err


def test_insecure_is_said_in_log_and_status(start, command, lab, data):
    endpoints = ON_TCP.format(0, 0, 0).replace('keys = "keys"', "insecure = true")
    lab.write_text(lab.read_text() + endpoints)
    run = start("run", lab, "--quiet")
    run.until_said("insecure: anyone who reaches tcp://127.0.0.1:")
    run.until_said("recording 2 jobs")
    assert "insecure" in command("status", "--directory", data).out


def test_writer_worker_and_status_find_each_other_by_keys(start, command, lab, made):
    free_ports = [free_port() for _ in range(3)]
    lab.write_text(lab.read_text() + ON_TCP.format(*free_ports))
    writer = start("writer", lab)
    writer.until_said("recording into")
    worker = start("worker", lab, "--job", "room", "--keys", made / "pi1.key")
    worker.until_said("reading room")
    requests = f"tcp://127.0.0.1:{free_ports[0]}"
    watched = command("watch", "--connect", requests, "--keys", made, "--count", "1")
    assert watched.code == 0, watched.err
    assert command("status", "--connect", requests).code == cli.FAILED
    refused = command("stop", "--connect", requests, "--keys", made / "pi1.key")
    assert refused.code == cli.FAILED
    assert "may not ask for 'stop'" in refused.err
    stopped = command("stop", "--connect", requests, "--keys", made)
    assert stopped.code == 0, stopped.err
    assert writer.end() == worker.end() == 0
