"""The playbook in deploy/ansible: linted, and run for real with this machine as all of them.

Runs where ansible-lint is on the PATH, as root; `.ci/run` makes an environment of its own for it.
"""

import getpass
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

import h5daq
from h5daq.keys import KeyDirectory

ROOT = Path(h5daq.__file__).parents[1]
PLAYBOOK = ROOT / "deploy" / "ansible"

pytestmark = [
    pytest.mark.skipif(
        shutil.which("ansible-lint") is None or os.geteuid() != 0,
        reason="needs ansible-lint on the PATH, and root",
    ),
    pytest.mark.timeout(1200),
]

INVENTORY = """
h5daq_writer: {{hosts: {{daq0: {{h5daq_etc: {here}/daq0, h5daq_units: {here}/daq0/units}}}}}}
h5daq_hosts:
  hosts: {{pi1: {{h5daq_etc: {here}/pi1, h5daq_units: {here}/pi1/units, h5daq_jobs: ["tank"]}}}}
all:
  vars:
    ansible_connection: local
    ansible_python_interpreter: {python}
    h5daq_version: "{version}"
    h5daq_wheel: {wheel}
    h5daq_extras: []
    h5daq_config: {here}/lab.toml
    h5daq_modules: [{here}/mylab.py]
    h5daq_directories: [{here}/data]
    h5daq_user: {user}
    h5daq_user_made: false
    h5daq_packages: []
    h5daq_python: {python}
    h5daq_prefix: {here}/opt
"""

SYSTEMCTL = """#!/bin/sh
# Plays systemd: remembers what is enabled and what runs, and writes down what it was told.
unit=$2
case "$1" in
    show)
        [ -e "{here}/$unit.active" ] && state=active || state=inactive
        printf "LoadState=loaded\\nActiveState=%s\\n" $state ;;
    is-enabled) [ -e "{here}/$unit.enabled" ] && echo enabled || {{ echo disabled; exit 1; }} ;;
    enable) touch "{here}/$unit.enabled" ;;
    start | restart) touch "{here}/$unit.active"; echo "$1 $unit" >> {here}/started ;;
esac
"""

LAB = """
[run]
name = "lab"
directory = "{here}/data"

[writer]
host = "127.0.0.1"
data = "tcp://127.0.0.1:{ports[0]}"
requests = "tcp://127.0.0.1:{ports[1]}"
signals = "tcp://127.0.0.1:{ports[2]}"

[security]
keys = "keys"

[hosts.pi1]
ssh = "pi1"

[[jobs]]
group = "tank"
host = "pi1"
getter = "mylab:read"
read_period = 0.01
columns = [{{ label = "T", unit = "K" }}]
"""


def run(*words, cwd, **env):
    # One host after the other: here they are one machine, and would make the same directories.
    plain = {"PYTHONPATH": "", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORKS": "1", "PIP_NO_COMPILE": "1"}
    env = {**os.environ, **plain, **env}
    done = subprocess.run(
        list(map(str, words)), cwd=cwd, capture_output=True, text=True,
        env={**env, "ANSIBLE_HOME": str(cwd / ".ansible")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture
def copied(tmp_path):
    """A copy of deploy/, since the tools leave caches beside what they look at."""
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    return tmp_path / "deploy" / "ansible"


def test_ansible_lint_has_nothing_to_say(copied):
    shutil.copy(copied / "inventory.example.yml", copied / "inventory.yml")
    run("ansible-playbook", "-i", "inventory.yml", "--syntax-check", "site.yml", cwd=copied)
    run("ansible-lint", "--offline", "--strict", ".", cwd=copied)


def wheel_of(folder, version):
    """A wheel of this tree that says it is of that version."""
    source = folder / f"source-{version}"
    left_out = shutil.ignore_patterns(".*", "tests", "benchmarks", "__pycache__")
    shutil.copytree(ROOT, source, ignore=left_out)
    for path in (source / "pyproject.toml", source / "h5daq" / "__init__.py"):
        path.write_text(path.read_text().replace(f'"{h5daq.__version__}"', f'"{version}"'))
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder)
    run(*pip, source, cwd=folder)
    return folder / f"h5daq-{version}-py3-none-any.whl"


@pytest.fixture
def play(copied, tmp_path):
    """`play(version)`: how many tasks of the playbook changed something; what it started."""
    (tmp_path / "mylab.py").write_text("def read():\n    return 4.2\n")
    (tmp_path / "lab.toml").write_text(LAB.format(here=tmp_path, ports=free_ports(3)))
    for place in ("daq0/units", "pi1/units", "bin"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "bin" / "systemctl").write_text(SYSTEMCTL.format(here=tmp_path))
    (tmp_path / "bin" / "systemctl").chmod(0o700)

    def once(version, skip="none", **env):
        (tmp_path / "started").write_text("")
        wheel = tmp_path / f"h5daq-{version}-py3-none-any.whl"
        (copied / "inventory.yml").write_text(
            INVENTORY.format(
                here=tmp_path, wheel=wheel if wheel.exists() else wheel_of(tmp_path, version),
                version=version, python=sys.executable, user=getpass.getuser(),
            )
        )  # fmt: skip
        words = ("ansible-playbook", "-i", "inventory.yml", "--skip-tags", skip, "site.yml")
        said = run(*words, cwd=copied, PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}", **env)
        changed = sum(int(count) for count in re.findall(r"changed=(\d+)", said))
        return changed, (tmp_path / "started").read_text().splitlines()

    return once


def command(unit):
    """What a unit runs, as this site has it."""
    site = (unit.parent / f"{unit.name}.d" / "site.conf").read_text()
    return re.findall(r"^ExecStart=(.+)$", site, re.MULTILINE)[-1].replace("%i", "pi1").split()


def recorded(folder, wait_until):
    """What the machines record when they are started as their units say, and stopped."""
    units = folder / "daq0/units/h5daq-run.service", folder / "pi1/units/h5daq-host@.service"
    started = [subprocess.Popen(command(unit), cwd=folder) for unit in units]
    try:
        operator = folder / "daq0" / "keys" / "operator.key"
        wait_until(lambda: rows(folder, operator) > 3)
    finally:
        for process in started:
            process.terminate()
        codes = [process.wait(60) for process in started]
    assert codes == [0, 0]
    (path,) = (folder / "data").glob("*.hdf5")
    with h5py.File(path) as file:
        return file["tank/T"][:]


def rows(folder, key):
    try:
        with h5daq.connect(directory=folder / "data", keys=key) as client:
            return client.request("status", timeout=2.0)["jobs"].get("tank", {}).get("rows", 0)
    except h5daq.H5daqError:
        return 0


@pytest.mark.processes
def test_the_playbook_sets_up_machines_that_record(play, tmp_path, wait_until):
    units = ["h5daq-run", "h5daq-host@pi1"]
    assert play("0.1.0")[1] == [f"start {unit}" for unit in units], "the writer comes first"
    key, kept = tmp_path / "pi1/keys/pi1.key", tmp_path / "daq0/keys"
    assert key.stat().st_mode & 0o777 == 0o600
    assert not (kept / key.name).exists()
    assert KeyDirectory(kept).load()["pi1"].jobs == ("tank",)
    assert set(recorded(tmp_path, wait_until)) == {4.2}
    # What is installed is the wheel, with the examples in it.
    assert "camera" in run(tmp_path / "opt/bin/h5daq", "examples", cwd=tmp_path)
    assert "mylab.py" in run(tmp_path / "opt/bin/h5daq", "init", "first", cwd=tmp_path)
    assert play("0.1.0") == (0, []), "a second time something was changed"
    assert play("0.2.0", skip="check", PIP_NO_DEPS="1")[1] == [f"restart {u}" for u in units]
    assert list(tmp_path.glob("opt/lib/*/site-packages/h5daq-0.2.0.dist-info"))
    assert list(tmp_path.glob("opt-0.1.0/bin/h5daq")), "the way back is gone"
