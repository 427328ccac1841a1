"""Messages of all processes end in one place."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from logging.handlers import RotatingFileHandler, TimedRotatingFileHandler
from pathlib import Path
from typing import Any

import pytest

from h5daq.errors import ConfigError, ConfigKeyError, StorageError
from h5daq.logs import CountingHandler, LogRelay, SendingHandler, log_remote, setup_logging

log = logging.getLogger("tests.logs")


@pytest.fixture(autouse=True)
def root_as_before() -> Iterator[None]:
    """End what a test set up, and give the root logger its level back."""
    root = logging.getLogger()
    level = root.level
    yield
    for handler in [handler for handler in root.handlers if isinstance(handler, LogRelay)]:
        handler.close()
    root.setLevel(level)


def test_messages_go_to_the_file_in_the_format_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "h5daq.log"
    relay = setup_logging("INFO", False, file, msg_formatter_file="%(levelname)s|%(message)s")
    log.debug("left out")
    log.info("row %d", 7)
    relay.close()
    assert file.read_text() == "INFO|row 7\n"


def test_messages_go_to_the_console(capsys: pytest.CaptureFixture[str]) -> None:
    relay = setup_logging(msg_formatter_console=logging.Formatter("<%(message)s>"))
    log.warning("hot")
    relay.close()
    assert capsys.readouterr().err == "<hot>\n"


def test_a_traceback_is_in_the_file(tmp_path: Path) -> None:
    relay = setup_logging(to_console=False, file_name=tmp_path / "log")
    try:
        raise ValueError("odd")
    except ValueError:
        log.exception("reading failed")
    relay.close()
    assert "ValueError: odd" in (tmp_path / "log").read_text()


def test_counts_by_level_are_in_a_json_file(tmp_path: Path) -> None:
    relay = setup_logging("DEBUG", to_console=False, msg_counter_file=tmp_path / "counts.json")
    for level in (logging.INFO, logging.INFO, logging.ERROR):
        log.log(level, "message")
    relay.close()
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert counts == {"DEBUG": 0, "INFO": 2, "WARNING": 0, "ERROR": 1, "CRITICAL": 0}
    assert [path.name for path in tmp_path.iterdir()] == ["counts.json"]


def test_counts_are_written_when_no_further_message_comes(tmp_path: Path) -> None:
    handler = Watched(tmp_path / "counts.json")
    relay = LogRelay([handler])
    for _ in range(3):
        relay.handle(logging.makeLogRecord({"levelname": "INFO", "levelno": 20, "msg": "m"}))
    assert handler.three_written.wait(30)
    assert json.loads((tmp_path / "counts.json").read_text())["INFO"] == 3
    relay.close()


class Watched(CountingHandler):
    """Says when three messages are in the file."""

    def __init__(self, path: Path) -> None:
        self.three_written = threading.Event()
        super().__init__(path)

    def _write(self) -> None:
        super()._write()
        if self.counts["INFO"] == 3:
            self.three_written.set()


def test_a_full_disk_does_not_end_the_log(tmp_path: Path) -> None:
    directory = tmp_path / "gone"
    handler = CountingHandler(directory / "counts.json")
    (directory / "counts.json").unlink()
    directory.rmdir()
    handler.emit(logging.makeLogRecord({"levelname": "INFO"}))
    handler.flush()
    directory.mkdir()
    handler.close()
    assert json.loads((directory / "counts.json").read_text())["INFO"] == 1


def test_a_second_call_takes_the_place_of_the_first(tmp_path: Path) -> None:
    setup_logging(to_console=False, file_name=tmp_path / "one")
    relay = setup_logging(to_console=False, file_name=tmp_path / "two")
    log.info("once")
    relay.close()
    assert (tmp_path / "one").read_text() == ""
    assert (tmp_path / "two").read_text().count("once") == 1


@pytest.mark.parametrize(
    ("rollover", "kind", "name", "value"),
    [
        (None, TimedRotatingFileHandler, "interval", 7 * 86400),
        ({"days": 2}, TimedRotatingFileHandler, "interval", 2 * 86400),
        ({"hours": 1}, TimedRotatingFileHandler, "interval", 3600),
        ({"size": 4096}, RotatingFileHandler, "maxBytes", 4096),
    ],
)
def test_the_file_is_rolled_over_by_time_or_size(
    tmp_path: Path, rollover: dict[str, int] | None, kind: type, name: str, value: int
) -> None:
    relay = setup_logging(to_console=False, file_name=tmp_path / "log", rollover=rollover, keep=3)
    (handler,) = relay.handlers
    assert isinstance(handler, kind)
    assert (getattr(handler, name), getattr(handler, "backupCount")) == (value, 3)  # noqa: B009
    relay.close()


def test_as_many_old_files_are_kept_as_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "log"
    relay = setup_logging(to_console=False, file_name=file, rollover={"size": 100}, keep=2)
    for number in range(50):
        log.info("message number %d", number)
    relay.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    assert "number 49" in file.read_text()


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"log_level": "LOUD"}, ConfigError, "'LOUD'.*WARNING"),
        ({"rollover": {"weeks": 1}}, ConfigKeyError, "weeks.*days, hours, size"),
        ({"rollover": {"days": 1, "size": 5}}, ConfigKeyError, "one of"),
        ({"rollover": {"days": 0}}, ConfigError, "whole number, not 0"),
        ({"msg_formatter_file": "%(message"}, ConfigError, "log format"),
    ],
)
def test_a_wrong_option_is_told(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    given: dict[str, Any] = {"file_name": tmp_path / "log", "to_console": False} | options
    with pytest.raises(error, match=text):
        setup_logging(**given)


def test_a_file_that_can_not_be_written_is_told_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"log file can't be written.*file/log"):
        setup_logging(to_console=False, file_name=tmp_path / "file" / "log")
    with pytest.raises(StorageError, match="counts of messages"):
        setup_logging(to_console=False, msg_counter_file=tmp_path / "file" / "counts")


def remote(caplog: pytest.LogCaptureFixture, **fields: Any) -> logging.LogRecord:
    """The record that a remote message becomes."""
    with caplog.at_level(logging.DEBUG):
        log_remote(fields)
    return caplog.records[-1]


def test_a_remote_message_keeps_its_name_level_and_time(caplog: pytest.LogCaptureFixture) -> None:
    record = remote(
        caplog, job="tank", level="ERROR", name="mylab.sensors", time=1.5e9, text="no %s"
    )
    assert (record.name, record.levelno, record.created) == ("mylab.sensors", logging.ERROR, 1.5e9)
    assert record.getMessage() == "no %s"


@pytest.mark.parametrize(
    "fields",
    [{}, {"level": True}, {"level": "X", "time": "now"}, {"text": 5, "time": float("nan")}],
)
def test_an_odd_remote_message_is_taken_as_information(
    caplog: pytest.LogCaptureFixture, fields: dict[str, Any]
) -> None:
    record = remote(caplog, job="tank", **fields)
    assert (record.levelno, record.name) == (logging.INFO, "h5daq.worker.tank")


def test_no_line_of_a_remote_message_passes_for_another(caplog: pytest.LogCaptureFixture) -> None:
    record = remote(caplog, name="a\nb", text="one\n2026 ERROR faked\r\x1b[2J")
    assert record.getMessage() == "one\n    2026 ERROR faked\ufffd\ufffd[2J"
    assert record.name == "a\ufffdb"


def test_remote_names_make_no_loggers(caplog: pytest.LogCaptureFixture) -> None:
    remote(caplog, name="stranger.17", text="hello")
    assert "stranger.17" not in logging.Logger.manager.loggerDict


def test_what_a_worker_sends_arrives_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    sent: list[dict[str, Any]] = []
    record = logging.makeLogRecord({"name": "mylab", "levelname": "WARNING", "msg": "hot"})
    SendingHandler("tank", sent.append).handle(record)
    arrived = remote(caplog, **sent[0])
    assert (arrived.name, arrived.levelname, arrived.getMessage()) == ("mylab", "WARNING", "hot")
    assert arrived.created == record.created
