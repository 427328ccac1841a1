"""``h5daq verify``: in words or as JSON, with an exit code that a cron job can go by."""

from __future__ import annotations

import io
import json
import signal
import sys

import h5py
import pytest

from h5daq import cli
from h5daq.testing.runs import make_run


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    make_run(tmp_path / "data")
    return tmp_path / "data"


def damage(path):
    with h5py.File(path) as file:
        at = file["tank/T1/T"].id.get_chunk_info(1).byte_offset
    content = bytearray(path.read_bytes())
    content[at + 5] ^= 1
    path.write_bytes(content)


def test_a_whole_directory_is_said_to_be_whole(data, capsys):
    assert cli.main(["verify", str(data)]) == cli.DONE
    told = capsys.readouterr()
    assert "DAQ_2.hdf5: whole, sealed, 1 job, 40 rows" in told.out
    assert "3 files: no damage" in told.out
    assert told.err == ""


def test_damage_is_told_with_place_and_mend(data, capsys):
    damage(data / "DAQ_2.hdf5")
    assert cli.main(["verify", str(data)]) == cli.FAILED
    told = capsys.readouterr().out
    assert "DAQ_2.hdf5: DAMAGED" in told
    assert "error    /tank/T1/T: the chunk from row 16 on" in told
    assert "→ restore the file" in told
    assert "1 of 3 files damaged (1 error)" in told


def test_json_says_the_same_for_programs(data, capsys):
    damage(data / "DAQ_1.hdf5")
    assert cli.main(["verify", "--json", str(data / "DAQ_1.hdf5")]) == cli.FAILED
    answer = json.loads(capsys.readouterr().out)
    (file,) = answer["files"]
    assert (answer["ok"], file["ok"], file["rows"]) == (False, False, {"tank/T1": 40})
    assert [finding["kind"] for finding in file["findings"]] == ["chunk"]


def test_quick_reads_no_values(data, capsys):
    damage(data / "DAQ_1.hdf5")
    assert cli.main(["verify", "--quick", str(data)]) == cli.DONE
    assert "values not read" in capsys.readouterr().out


def test_warnings_fail_only_where_that_is_wanted(data):
    (data / "DAQ_3.hdf5").unlink()
    assert cli.main(["verify", str(data)]) == cli.DONE
    assert cli.main(["verify", "--strict", str(data)]) == cli.FAILED


def test_wrong_usage_and_missing_files_are_told(data, capsys):
    assert cli.main(["verify"]) == cli.WRONG
    assert cli.main(["verify", str(data / "none.h5")]) == cli.WRONG
    assert "none.h5: there is no such file" in capsys.readouterr().err


def test_help_has_examples(capsys):
    assert cli.main(["verify", "--help"]) == cli.DONE
    assert "h5daq verify data --quick" in capsys.readouterr().out


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_sees_how_far_it_is(data, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert cli.main(["verify", str(data)]) == cli.DONE
    assert "DAQ_" in terminal.getvalue()
    assert "━" in terminal.getvalue()


@pytest.mark.processes
def test_a_run_is_whole_while_it_goes_on_and_after_it(running, command, tmp_path):
    folder = tmp_path / "data"
    assert command("flush", "--directory", folder).code == cli.DONE
    live = command("verify", folder, "--strict")
    assert (live.code, "whole, recording" in live.out) == (cli.DONE, True), live.out
    assert running.end(signal.SIGTERM) == cli.DONE
    done = command("verify", folder, "--strict")
    assert (done.code, "whole, sealed, 1 job" in done.out) == (cli.DONE, True), done.out
