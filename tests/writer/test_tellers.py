"""Who is told of alarms: each hears of them, however often that fails, and nobody waits for it."""

import http.server
import json
import socket
import sys
import threading

import pytest

from h5daq.flow import alarm_queue
from h5daq.flow.alarm_options import AlarmOptions
from h5daq.writer.tellers import Messenger, messengers

ABOUT = {"run": {"name": "run-1"}}


def alarm(column="T", level="alarm", **more):
    return {"job": "tank", "column": column, "kind": "high", "level": level, "text": "ü", **more}


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(alarm_queue, "FIRST_PAUSE", 0.01)


@pytest.fixture
def begin():
    """Threads of these options, ended with the test."""
    begun = []

    def start(found):
        begun.extend(found)
        for messenger in found:
            messenger.start()
        return found[0]

    yield start
    for messenger in begun:
        messenger.close(0.0)


def told_to(command, begin, **options):
    told = {"command": command, "timeout": 120, **options}
    return begin(messengers(AlarmOptions.of(told), ABOUT))


FAILS_AT_FIRST = """
import pathlib, sys
place = pathlib.Path(sys.argv[1])
if not place.exists():
    place.touch()
    sys.exit("not yet")
place.write_bytes(sys.stdin.buffer.read())
"""


def test_a_command_that_fails_is_run_again(tmp_path, begin, wait_until):
    place = tmp_path / "told"
    messenger = told_to([sys.executable, "-c", FAILS_AT_FIRST, str(place)], begin)
    messenger.tell(alarm())
    wait_until(lambda: messenger.status()["delivered"] == 1)
    assert json.loads(place.read_bytes()) == {**alarm(), "missed": 0, **ABOUT}
    assert messenger.status()["trouble"] == ""


@pytest.mark.parametrize(
    ("command", "timeout", "words"),
    [
        (["/no/such/program"], 120, "No such file"),
        (["/bin/sh", "-c", "echo broken pump; exit 3"], 120, "exit code 3: broken pump"),
        (["/bin/sh", "-c", "read line; sleep 1000"], 0.2, "killed"),
    ],
)
def test_what_goes_wrong_with_a_command_is_said(command, timeout, words, begin, wait_until):
    messenger = told_to(command, begin, timeout=timeout)
    messenger.tell(alarm())
    wait_until(lambda: words in messenger.status()["trouble"])


def test_a_receiver_that_is_never_there_is_given_up_and_the_next_alarm_tried(begin, wait_until):
    tries = []
    messenger = begin([Messenger("webhook", lambda said: tries.append(said) or "away", 60.0, {})])
    for column in "ab":
        messenger.tell(alarm(column))
    wait_until(lambda: messenger.status()["failed"] == 2)
    assert len(tries) == 2 * alarm_queue.MOST_TRIES


def test_telling_waits_for_nobody_and_the_newest_change_is_what_is_told(begin, wait_until):
    told, may_go = [], threading.Event()

    def slow(said):
        told.append(json.loads(said))
        may_go.wait(60)
        return ""

    messenger = begin([Messenger("webhook", slow, 600.0, {})])
    messenger.tell(alarm("first"))
    wait_until(lambda: told)
    for number in range(50):
        messenger.tell(alarm(level=("alarm", "ok")[number % 2], id=number))
    may_go.set()
    wait_until(lambda: messenger.status()["delivered"] == 2)
    assert (told[1]["id"], told[1]["missed"]) == (49, 49)


def test_an_end_delivers_what_waits(begin):
    told = []
    messenger = begin([Messenger("webhook", lambda said: told.append(said) or "", 600.0, {})])
    for column in "abc":
        messenger.tell(alarm(column))
    messenger.close(60.0)
    assert len(told) == 3


@pytest.fixture
def hook():
    """A web server that refuses the first message; its address, and what it was told then."""
    told, tries = [], []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            tries.append(body)
            if len(tries) > 1:
                told.append((self.headers["Content-Type"], json.loads(body)))
            self.send_response(503 if len(tries) == 1 else 204)
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/alarm?token=secret", told
        server.shutdown()
        thread.join()


def test_a_webhook_is_posted_to_again_when_it_refuses(hook, begin, wait_until, caplog):
    address, told = hook
    messenger = begin(messengers(AlarmOptions.of({"webhook": address, "timeout": 120}), ABOUT))
    messenger.tell(alarm())
    wait_until(lambda: told)
    assert told == [("application/json", {**alarm(), "missed": 0, **ABOUT})]
    assert "503" in caplog.text
    assert "secret" not in caplog.text


def test_a_webhook_that_nobody_serves_is_said(begin, wait_until):
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        messenger = begin(messengers(AlarmOptions.of({"webhook": address}), ABOUT))
        messenger.tell(alarm())
        wait_until(lambda: "refused" in messenger.status()["trouble"])
