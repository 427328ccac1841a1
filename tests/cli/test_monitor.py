"""The command `h5daq monitor`, but for its keys: those are in tests/monitor/test_terminal.py."""

import sys

import pytest

from h5daq import cli


def test_it_saves_a_picture_of_a_run_without_a_terminal(running, command, data, tmp_path):
    path = tmp_path / "monitor.svg"
    words = ["--screenshot", path, "--after", 0.5, "--size", "100x30", "--select", "room/T"]
    monitor = command("monitor", data, *words)
    assert (monitor.code, monitor.out.strip()) == (cli.DONE, str(path)), monitor.err
    picture = path.read_text()
    for piece in ("lab", "room", "cam", "room/T"):
        assert f">{piece}" in picture or f"{piece}&#160;" in picture


def test_without_textual_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "textual", None)
    assert cli.main(["monitor", "data"]) == cli.FAILED
    assert "pip install 'h5daq[terminal]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["nowhere"], cli.FAILED, "no writer is running in"),
        (["data", "--connect", "tcp://127.0.0.1:1"], cli.WRONG, "which system is meant"),
        (["--size", "big"], cli.WRONG, "as 120x40"),
    ],
)
def test_what_can_not_be_shown_is_said(words, code, text, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["monitor", *words]) == code
    assert text in capsys.readouterr().err
