"""The page that a worker shares: what the other side sees, also when the worker is dead."""

import faulthandler
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import h5daq
from h5daq.jobs.pulse import Pulse, PulseReader
from h5daq.jobs.stack import Place, call_of, in_words, of_dump, of_frame

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(h5daq.__file__).parents[1])}


@pytest.fixture
def reader(tmp_path):
    reader = PulseReader(tmp_path / "pulse")
    yield reader
    reader.close()


def run(reader, code):
    """Code of a worker that has its pulse as `pulse`."""
    head = (
        "import os, sys, faulthandler\n"
        "from pathlib import Path\n"
        "from h5daq.jobs.pulse import Pulse\n"
        "pulse = Pulse(Path(sys.argv[1]))\n"
    )
    command = [sys.executable, "-c", head + code, str(reader.path)]
    return subprocess.run(command, env=ENVIRONMENT, check=False, timeout=60).returncode


def test_a_pulse_without_a_file_is_its_own(tmp_path):
    pulse = Pulse()
    pulse.begin(5.0)
    assert pulse.busy_since == 5.0
    pulse.end()
    assert pulse.busy_since is None
    assert pulse.fd is None


@given(st.lists(st.tuples(st.booleans(), st.floats(1.0, 1e9))))
def test_what_was_marked_last_is_seen(marks):
    pulse = Pulse()
    for begins, now in marks:
        pulse.begin(now) if begins else pulse.end()
    assert pulse.busy_since == (marks[-1][1] if marks and marks[-1][0] else None)


def test_beat_and_reading_are_seen_after_a_death(reader):
    assert (reader.beat, reader.busy_since) == (0.0, 0.0)
    assert run(reader, "pulse.beat(3.5); pulse.begin(2.5); os._exit(7)") == 7
    assert (reader.beat, reader.busy_since) == (3.5, 2.5)
    assert not reader.closed_foreign


def test_whoever_closes_all_descriptors_is_found_out_after_the_reading(reader):
    assert run(reader, "pulse.begin(1.0); os.closerange(3, 256); pulse.end()") == 1
    assert reader.closed_foreign


def test_a_copy_that_comes_back_ends_and_leaves_the_marks_alone(reader):
    code = (
        "os.register_at_fork(after_in_child=pulse.leave)\n"
        "pulse.begin(1.0)\n"
        "if os.fork() == 0:\n"
        "    pulse.begin(9.0)\n"
        "    pulse.end()\n"
        "    os.abort()\n"
        "assert os.wait()[1] == 0\n"
        "assert (pulse.copies, pulse.busy_since) == (1, 1.0)\n"
    )
    assert run(reader, code) == 0
    assert reader.busy_since == 1.0


def test_the_stack_of_a_crash_is_read_from_behind_the_page(reader):
    code = "faulthandler.enable(pulse.fd)\ndef getter():\n    os.abort()\ngetter()\n"
    assert run(reader, code) == -6
    assert [place.function for place in reader.stack()] == ["getter", "<module>"]


# -- stacks -------------------------------------------------------------------------------------


def waits(began, over):
    began.set()
    over.wait()


def test_the_stack_of_a_waiting_thread_is_the_same_from_within_and_from_a_dump(tmp_path):
    began, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=waits, args=(began, over))
    thread.start()
    began.wait()
    with open(tmp_path / "dump", "w+") as file:
        faulthandler.dump_traceback(file)
        file.seek(0)
        dumped = of_dump(file.read(), thread.ident)
    framed = of_frame(sys._current_frames()[thread.ident])
    over.set()
    thread.join()
    assert dumped == framed
    assert any(place.function == "waits" for place in framed)


@given(st.text())
def test_what_is_no_dump_has_no_stack(text):
    assert of_dump(text, 1) == [] or "Thread 0x" in text


def test_a_dump_without_python_in_the_thread_that_died_names_the_one_that_reads():
    text = (
        "Fatal Python error: Aborted\n\nCurrent thread 0x1 (most recent call first):\n"
        '  <no Python frame>\n\nThread 0x2 (most recent call first):\n  File "a.py", line 3 in f\n'
    )
    assert of_dump(text, 2) == [Place("a.py", 3, "f")]


def test_a_dump_that_is_being_written_leaves_what_the_one_before_said():
    whole = 'Thread 0x2a (most recent call first):\n  File "lab.py", line 7 in read\n'
    for end in range(len(whole)):
        assert of_dump(whole + whole[:end], 42) == [Place("lab.py", 7, "read")]


def test_words_leave_out_the_loop_that_calls_the_getter():
    loop = str(Path(h5daq.__file__).parent / "jobs" / "readers.py")
    ours = str(Path(h5daq.__file__).parent / "worker" / "machine.py")
    places = [Place(ours, 1, "write"), Place("lab.py", 2, "read"), Place(loop, 3, "_read")]
    assert in_words(places) == f"in write ({ours}:1), called by read (lab.py:2)"
    assert in_words(places[1:]) == "in read (lab.py:2)"
    assert in_words([]) == ""


def test_a_getter_is_the_outermost_call_that_is_not_ours():
    def getter():
        return call_of(sys._getframe())

    assert getter().f_code.co_name != "getter"  # nothing of the loop is above a test
