"""ls, show, plot and export on a file that a run made."""

import json

import pytest

import h5daq
from h5daq.cli import main

QUIET = {"disk": {"warn": 0}, "down": False}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    directory = tmp_path_factory.mktemp("look")
    limits = {"T": {"warn": {"high": 20.0}}}
    job = h5daq.DAQJob("tank/top", "T", lambda: 20.5, 0.01, units="K", limits=limits)
    with h5daq.DAQDaemon(job, "lab", directory=directory, alarms=QUIET) as daemon:
        while daemon.job_rows("tank/top") < 20:
            daemon.flush()
    return directory


def said(capsys, *words):
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def test_ls_names_run_state_and_files(recorded, capsys):
    [run] = json.loads(said(capsys, "ls", recorded, "--json"))
    assert (run["name"], run["state"], len(run["files"])) == ("lab", "ended", 1)
    text = "tank/top/T = 20.5 K: above 20 K"
    events = run["events"]
    assert (events["count"], events["newest"]["text"], events["raised"]) == (1, text, [text])
    shown = said(capsys, "ls", recorded)
    assert "lab" in shown
    assert "1, 1 raised" in shown


def test_show_tells_columns_rate_and_rows(recorded, capsys):
    text = said(capsys, "show", recorded)
    assert "tank/top" in text
    assert "float64 [K]" in text
    shown = json.loads(said(capsys, "show", recorded, "tank/top", "--json"))["tank/top"]
    assert shown["rows"] >= 20
    assert shown["last"] == {"T": 20.5}


def test_show_ends_with_what_happened(recorded, capsys):
    text = said(capsys, "show", recorded)
    assert "events  1\n" in text
    assert "warn   tank/top/T = 20.5 K: above 20 K\n" in text
    assert text.rstrip().endswith("raised  tank/top/T = 20.5 K: above 20 K")
    told = json.loads(said(capsys, "show", recorded, "--json"))["h5daq/events"]
    assert (told["count"], len(told["raised"])) == (1, 1)
    assert "events" not in said(capsys, "show", recorded, "tank/top")
    assert "events" not in said(capsys, "show", recorded, "--to", "2000-01-01")
    assert "text" in said(capsys, "show", recorded, "h5daq/events")


def test_show_of_a_stretch_of_time_has_its_rows_alone(recorded, capsys):
    shown = json.loads(said(capsys, "show", recorded, "--to", "2000-01-01", "--json"))
    assert shown["tank/top"]["rows"] == 0


def test_plot_draws_in_the_terminal_and_into_a_picture(recorded, capsys, tmp_path):
    assert "tank/top/T [K]" in said(capsys, "plot", recorded, "tank/top/T")
    said(capsys, "plot", recorded, "tank/top/T", "--png", tmp_path / "T.png")
    assert (tmp_path / "T.png").read_bytes().startswith(b"\x89PNG")


def test_plot_of_an_unknown_column_names_those_there_are(recorded, capsys):
    assert main(["plot", str(recorded), "tank/top/U"]) == 2
    assert "time, T" in capsys.readouterr().err


def test_export_writes_what_its_suffix_says(recorded, capsys, tmp_path):
    out = said(capsys, "export", recorded, tmp_path / "t.csv", "--every", 10)
    assert out.strip() == str(tmp_path / "t.csv")
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines[0] == "time,T"
    assert all(line.endswith(",20.5") for line in lines[1:])
    assert main(["export", str(recorded), str(tmp_path / "t.csv")]) == 1


def test_export_of_a_run_that_goes_on_has_what_is_in_the_file(start, lab, data, tmp_path, capsys):
    run = start("run", lab, "--quiet")
    run.until_said("recording 2 jobs")
    with h5daq.connect(directory=data) as client:
        while client.status()["jobs"].get("room", {}).get("rows", 0) < 5:
            client.request("ping")
        client.request("flush")
    said(capsys, "export", data, tmp_path / "r.csv", "--group", "room")
    assert len((tmp_path / "r.csv").read_text().splitlines()) >= 6
