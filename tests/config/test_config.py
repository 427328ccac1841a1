"""A configuration: what a right one gives, and how a wrong one is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from h5daq.config import Config, Mistake, examine, load
from h5daq.config.kinds import parse_size
from h5daq.errors import ConfigError

JOB = '[[jobs]]\ngroup = "tank"\ngetter = "time:time"\ncolumns = [{ label = "T" }]\n'

DESIGNED = """
[run]
name = "tank-a"
directory = "data"
file_format = "DAQ_{date_from}_{date_to}.hdf5"
rollover = { days = 1, size = "16 GiB" }    # whichever comes first
write_period = 60                            # seconds between checkpoints
write_period_jitter = 5
compression = { filter = "gzip", level = 4, shuffle = true }
attrs = { experiment = "cooldown 3" }

[writer]
host = "daq0"                                # absent: this machine
requests = "tcp://*:5570"
signals = "tcp://*:5571"
data = "tcp://*:5572"
durability = "fsync"                         # "fsync" | "os" | "none"

[security]
keys = "keys"                                # made by: h5daq keys

[logging]
file = "logs/h5daq.log"
level = "INFO"
format = "%(asctime)s %(levelname)s %(name)s %(message)s"
rollover = { days = 7, keep = 10 }

[hosts.pi1]
ssh = "daq@pi1"
python = "/opt/h5daq/bin/python"

[[jobs]]
group = "tower/line1/temperature"
getter = "mylab.sensors:read_temperature"    # or: command = "./read.sh -v"
host = "pi1"
read_period = 0.5
columns = [ { label = "T", dtype = "f8", unit = "K" },
            { label = "wave", dtype = "i2", shape = [1024], unit = "mV" } ]
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a text as lab.toml and give its path."""

    def write(text: str) -> Path:
        path = tmp_path / "lab.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def right(write: Write) -> Callable[[str], Config]:
    """The configuration of a text."""
    return lambda text: load(write(text))


@pytest.fixture
def wrong(write: Write) -> Callable[[str], Mistake]:
    """The only mistake of a text."""

    def wrong(text: str) -> Mistake:
        config, mistakes = examine(write(text))
        assert config is None
        assert len(mistakes) == 1, mistakes
        return mistakes[0]

    return wrong


def test_the_designed_configuration_is_right(right: Callable[[str], Config]) -> None:
    config = right(DESIGNED)
    assert config.run.rollover.interval() == {"days": 1}
    assert config.writer_arguments()["rollover_size"] == 16 << 30
    assert config.hosts["pi1"].ssh == "daq@pi1"
    assert config.jobs[0].columns[1].shape == [1024]


def test_the_run_becomes_the_arguments_of_a_daemon(
    right: Callable[[str], Config], tmp_path: Path
) -> None:
    assert right(DESIGNED).daemon_arguments() == {
        "name": "tank-a",
        "directory": str(tmp_path / "data"),
        "write_period": 60,
        "write_period_jitter": 5,
        "file_format_str": "DAQ_{date_from}_{date_to}.hdf5",
        "rollover_interval_dict": {"days": 1},
        "compression_dict": {"compression": "gzip", "compression_opts": 4, "shuffle": True},
        "attrs": {"experiment": "cooldown 3"},
    }


def test_an_empty_file_is_a_configuration_of_defaults(right: Callable[[str], Config]) -> None:
    config = right("")
    assert config.run.rollover.interval() == {"days": 1}
    assert config.run.compression is None
    assert config.jobs == []


def test_logging_becomes_the_arguments_of_setup_logging(
    right: Callable[[str], Config], tmp_path: Path
) -> None:
    arguments = right('[logging]\nfile = "h5daq.log"\nrollover = { size = "1 MiB" }')
    assert arguments.logging_arguments() == {
        "log_level": "INFO",
        "to_console": True,
        "file_name": tmp_path / "h5daq.log",
        "msg_counter_file": None,
        "msg_formatter_file": None,
        "msg_formatter_console": None,
        "rollover": {"size": 1 << 20},
        "keep": 10,
    }


def test_relative_paths_mean_from_the_file_not_from_where_one_stands(
    right: Callable[[str], Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    assert right('[run]\ndirectory = "data"').directory == tmp_path / "data"


@pytest.mark.parametrize(
    ("text", "size"),
    [("16 GiB", 16 << 30), ("500MB", 500_000_000), ("1.5 kib", 1536), ("10 B", 10), (4096, 4096)],
)
def test_a_size_is_read(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "16", "16 GiX", "-1 B", "0 B", 0, -5, 1.5, True, None])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


WRONG: list[tuple[str, str, int, str, str, str]] = [
    # text, key, line, part of the problem, of what was found, of what would be right
    ("[run]\nwrite_perod = 60", "run.write_perod", 2, "unknown key", "60", "write_period"),
    ("[rum]\nname = 'a'", "rum", 1, "unknown key", "name", "run"),
    ("[run]\n\ninsecure = true", "run.insecure", 3, "unknown key", "true", "[security]"),
    ("[run]\nwrite_period = '1 min'", "run.write_period", 2, "not a number", '"1 min"', "seconds"),
    ("[run]\nwrite_period = true", "run.write_period", 2, "not a number", "true", "seconds"),
    ("[run]\nwrite_period = 0", "run.write_period", 2, "not above 0", "0", "above 0"),
    ("[run]\nwrite_period = inf", "run.write_period", 2, "not a finite", "inf", "seconds"),
    ("[run]\nname = 5", "run.name", 2, "quotes", "5", "text"),
    ("run = 5", "run", 1, "not a table", "5", "[run]"),
    ("[run]\nattrs = { a = { b = 1 } }", "run.attrs.a", 2, "not a text", "{ b = 1 }", "lists"),
    ("[run]\nattrs = { a = [1, 'b'] }", "run.attrs.a", 2, "mixed", "[1, ", "lists"),
    ("[run]\nwrite_period_jitter = 60", "run.write_period_jitter", 2, "longer", "60", "below 60"),
    ("[run]\nwrite_period = 1\nwrite_period_jitter = 2", "run.write_period_jitter", 3, "", "2", ""),
    ("[run]\nrollover = { days = 0 }", "run.rollover.days", 2, "below 1", "0", "at least 1"),
    ("[run]\nrollover = { day = 1 }", "run.rollover.day", 2, "unknown", "1", "days"),
    ("[run]\nrollover = { days = 1, hours = 2 }", "run.rollover.hours", 2, "one unit", "h", "one"),
    ("[run]\nrollover = { size = '1 GX' }", "run.rollover.size", 2, "'GX'", "1 GX", "GiB"),
    ("[run]\nfile_format = 'DAQ.hdf5'", "run.file_format", 2, "share a name", "DAQ", "{date_from}"),
    ("[run]\nfile_format = '{date_form}'", "run.file_format", 2, "date_form", "form", "{date_to}"),
    ("[run]\nfile_format = '{date_to'", "run.file_format", 2, "expected", "{date", "{date_to}"),
    ("[run]\nfile_format = 'a/{date_to}'", "run.file_format", 2, "directory", "a/", "name"),
    ("[run.compression]\nfilter = 'gzp'", "run.compression.filter", 2, "nearest", "gzp", '"gzip"'),
    ("[run.compression]\nlevel = 10", "run.compression.level", 2, "above 9", "10", "0 (fast)"),
    (
        "[run.compression]\nfilter = 'lzf'\nlevel = 1",
        "run.compression.level", 3, "only gzip", "lzf", "gzip",
    ),
    ("[run.compression]\noptions = [1]", "run.compression.options", 2, "plugin", "[1]", "leave"),
    ("[writer]\ndurability = 'sync'", "writer.durability", 2, "not one", "sync", '"fsync"'),
    ("[writer]\ndata = '*:5572'", "writer.data", 2, "not an endpoint", "*:5572", "tcp://"),
    ("[writer]\ndata = 'tcp://*'\n[security]\ninsecure = true", "writer.data", 2, "port", "*", ""),
    ("[writer]\ndata = 'tcp://*:5572'", "writer.data", 2, "without keys", "5572", "h5daq keys"),
    (
        "[writer]\ndata = 'ipc:///a'\nsignals = 'ipc:///a'",
        "writer.data", 2, "twice", "ipc:///a", "signals",
    ),
    ("[logging]\nlevel = 'info'", "logging.level", 2, "not one", "info", '"INFO"'),
    (
        "[logging.rollover]\ndays = 1\nsize = '1 MB'",
        "logging.rollover.size", 3, "one rule", "days = 1", "days, hours or size",
    ),
    ("[hosts.pi]\npython = 'p'", "hosts.pi.ssh", 1, "missing", "", "daq@pi1"),
]  # fmt: skip

WRONG_JOBS: list[tuple[str, str, int, str, str, str]] = [
    # what stands in place of or after the lines of JOB, then as above
    (JOB + "read_perid = 1", "jobs[0].read_perid", 5, "unknown", "1", "read_period"),
    (JOB + "label = 'T'", "jobs[0].label", 5, "unknown", "T", "columns"),
    (JOB + "command = './a'", "jobs[0].command", 5, "both", "time:time", "one of them"),
    (JOB.replace('getter = "time:time"', ""), "jobs[0].getter", 1, "neither", "", "command ="),
    (JOB.replace("time:time", "time.time"), "jobs[0].getter", 3, "'time:time'", "time.time", ""),
    (JOB + JOB.replace("tank", "/tank/"), "jobs[1].group", 6, "jobs[0]", "/tank/", "own"),
    (
        JOB + JOB.replace("tank", "tank/T/x"),
        "jobs[0].columns[0].label", 4, "name of a group", "T", "another",
    ),
    (JOB.replace("tank", "h5daq/x"), "jobs[0].group", 2, "writer itself", "h5daq/x", "HDF5 group"),
    (JOB.replace("tank", "a//b"), "jobs[0].group", 2, "empty", "a//b", "tank/temperature"),
    (JOB.replace("'T'", "'time'").replace('"T"', '"time"'), "jobs[0].columns[0].label", 4,
     "reserved", "time", "not"),
    (JOB.replace("}]", "},\n{ label = 'T' }]"), "jobs[0].columns[1].label", 5, "twice", "T", ""),
    (JOB.replace("}", ", dtype = 'flot32' }"), "jobs[0].columns[0].dtype", 4, "'float32'", "flot",
     "numpy"),
    (JOB.replace("}", ", dtype = 'M8[s]' }"), "jobs[0].columns[0].dtype", 4, "type", "M8", "numpy"),
    (JOB.replace("}", ", shape = [0] }").replace("[0]", "[2, 0]"), "jobs[0].columns[0].shape", 4,
     "below 1", "[2, 0]", "[2, 2]"),
    (JOB.replace("{ label = \"T\" }", ""), "jobs[0].columns", 4, "empty", "[]", "label"),
    (JOB.replace("{ label = \"T\" }", "'T'"), "jobs[0].columns[0]", 4, "table", "T", "label"),
    (JOB + "host = 'pi1'\n[hosts.pi2]\nssh = 'pi'\n[security]\ninsecure = true", "jobs[0].host", 5,
     "not in [hosts]", "pi1", "pi2"),
    (JOB + "host = 'pi'\n[hosts.pi]\nssh = 'pi'", "jobs[0].host", 5, "without keys", "pi", "keys"),
    (JOB + "comment = '%'", "jobs[0].comment", 5, "for a command", "%", "leave it out"),
    (JOB + "read_mode = 'constnt'", "jobs[0].read_mode", 5, "not one", "constnt", '"constant"'),
    (JOB + "read_mode = 'constant'\nalign = true", "jobs[0].align", 6, "align", "true", "schedule"),
    (JOB + "extend_mode = true\ncompress = true", "jobs[0].compress", 6, "extend_mode", "", ""),
    (JOB + "overflow = 'drop'", "jobs[0].overflow", 5, "not one", "drop", "drop-oldest"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "key", "line", "problem", "found", "expected"), [*WRONG, *WRONG_JOBS]
)
def test_a_mistake_names_line_key_what_was_found_and_what_is_right(
    wrong: Callable[[str], Mistake],
    text: str, key: str, line: int, problem: str, found: str, expected: str,
) -> None:  # fmt: skip
    mistake = wrong(text)
    told = mistake.as_dict()
    assert (told["key"], told["line"]) == (key, line)
    assert problem in told["problem"]
    assert found in told["found"]
    assert expected in told["right"]


@pytest.mark.parametrize(
    ("text", "line", "problem", "expected"),
    [
        ("[run]\nname = tank", 2, "Invalid value", "quotes"),
        ("[run]\nname 'tank'", 2, "Expected '='", "key = value"),
        ("[run]\nname = 'a'\nname = 'b'", 3, "Cannot overwrite", "once"),
        ("[run]\n[run]", 2, "Cannot declare", "once"),
        ("a = [1,\n2", 2, "Unclosed array", "]"),
    ],
)
def test_what_is_not_toml_is_told_with_its_line(
    wrong: Callable[[str], Mistake], text: str, line: int, problem: str, expected: str
) -> None:
    mistake = wrong(text)
    assert mistake.line == line
    assert problem in mistake.problem
    assert expected in mistake.right
    assert text.split("\n")[line - 1] in mistake.found


def test_all_mistakes_are_told_at_once_in_the_order_of_the_lines(write: Write) -> None:
    path = write("[run]\nnam = 'a'\nrollover = { day = 1 }\n" + JOB.replace('"tank"', "5"))
    with pytest.raises(ConfigError) as caught:
        load(path)
    lines = str(caught.value).split("\n")
    assert lines[0] == f"{path}: 3 mistakes"
    heads = [line.partition(":")[0] for line in lines if line.startswith("line ")]
    assert heads == ["line 2, run.nam", "line 3, run.rollover.day", "line 5, jobs[0].group"]


def test_a_rule_is_not_told_of_a_key_that_is_wrong_in_itself(
    wrong: Callable[[str], Mistake],
) -> None:
    assert "not a number" in wrong("[run]\nwrite_period_jitter = 'much'").problem


def test_a_mistake_in_a_job_names_its_group(wrong: Callable[[str], Mistake]) -> None:
    assert "(job tank)" in str(wrong(JOB + "read_period = -1"))


def test_a_file_that_is_not_there_is_told_with_its_neighbour(write: Write) -> None:
    path = write("")
    with pytest.raises(ConfigError, match=r"no such file; perhaps .*lab\.toml"):
        load(path.with_name("lap.toml"))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        load(tmp_path / "lab.toml")


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        load(tmp_path)


def test_a_date_becomes_text_in_attributes(right: Callable[[str], Config]) -> None:
    assert right("[run]\nattrs = { day = 2026-11-21 }").run.attrs == {"day": "2026-11-21"}


def test_a_shape_may_begin_with_the_axis_of_the_rows(right: Callable[[str], Config]) -> None:
    job: Any = right(JOB.replace("}", ", shape = [0, 2, 2] }")).jobs[0]
    assert job.columns[0].shape == [2, 2]
