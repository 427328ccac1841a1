"""The systemd units in deploy/: systemd takes them, and h5daq takes what they say."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

import h5daq
from h5daq.cli import _parser

UNITS = sorted((Path(h5daq.__file__).parents[1] / "deploy").glob("*.service"))


def test_there_is_one_for_the_writer_and_one_for_hosts():
    assert [unit.name for unit in UNITS] == ["h5daq-host@.service", "h5daq-run.service"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_command_of_a_unit_is_one_of_ours(unit):
    (line,) = [x for x in unit.read_text().splitlines() if x.startswith("ExecStart=")]
    program, *words = shlex.split(line.partition("=")[2])
    assert program.endswith("/h5daq")
    assert _parser().parse_args(words).command == words[0]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_a_unit(unit, tmp_path):
    copy = tmp_path / unit.name.replace("@", "@pi1")
    copy.write_text(unit.read_text().replace("/opt/h5daq/bin/h5daq", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_may_do_little_beyond_its_task(unit, tmp_path):
    # systemd's own mark, from 0 to 10: it is 9.2 without any precaution.
    copy = tmp_path / unit.name.replace("@", "@pi1")
    copy.write_text(unit.read_text())
    words = ["security", "--offline=true", "--threshold=50", copy]
    done = subprocess.run(["systemd-analyze", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
