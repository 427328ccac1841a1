"""The writer's own rows: kept and told like any other, and never taken for a job's."""

import threading

import h5py
import numpy as np
import pytest

from h5daq.errors import JobValueError, ReadingError
from h5daq.flow.ledger import Ledger
from h5daq.flow.records import EndRecord
from h5daq.flow.schema import Column
from h5daq.storage.checkpoint import Builder, BuilderOptions
from h5daq.writer.desk import Desk
from h5daq.writer.ownrows import MOST_WAITING, OWN_INC, OwnRows
from h5daq.writer.settings import WriterSettings

COLUMNS = [Column("n", np.dtype("i8")), Column("text", np.dtype(object))]


def own_rows(front):
    return OwnRows(front.intake, lambda: front.now)


def put(own, *numbers, group="h5daq/events"):
    series = own.series(group, COLUMNS)
    for number in numbers:
        series.put(number, f"event {number}")
    own.flush()


def in_files(front, directory, group="h5daq/events"):
    """The numbers in each file, once all entries of the journal are in."""
    builder = Builder(front.journal, None, 0, BuilderOptions(directory, False))
    builder.advance(front.journal.last)
    builder.checkpoint()
    builder.close()
    found = []
    for path in sorted(directory.glob("*.h5")):
        with h5py.File(path) as file:
            found.append(file[group]["n"][:].tolist() if group in file else [])
    return found


def test_rows_are_journaled_told_and_in_the_file(front, tmp_path):
    put(own_rows(front), 1, 2)
    note = front.intake.collect()
    assert note.changes["h5daq/events"].total == 2
    assert note.signals[-1][2]["columns"] == ["time", "n", "text"]
    assert not note.positions
    assert in_files(front, tmp_path) == [[1, 2]]


def test_numbers_go_on_in_the_next_writer_and_in_the_next_run(front, tmp_path):
    put(own_rows(front), 1, 2)
    front.begin(Ledger.restore(front.intake.ledger.snapshot()))
    put(own_rows(front), 3)
    job = front.intake.ledger.jobs["h5daq/events"]
    assert job.next == {OWN_INC: 3}
    assert job.restarts == []
    assert in_files(front, tmp_path) == [[1, 2, 3]]


def test_rows_go_to_the_file_of_their_time(front, worker, tmp_path):
    own, tank = own_rows(front), worker()
    front.take(tank.hello(), tank.rows(11.0))
    put(own, 1)
    front.now = 3700.0
    front.take(tank.rows(3700.0))
    put(own, 2)
    assert in_files(front, tmp_path) == [[1], [2]]


def test_rare_rows_keep_no_file_from_being_sealed(front, worker):
    own, tank = own_rows(front), worker()
    front.take(tank.hello(), tank.rows(11.0))
    put(own, 1)
    front.now = 3601.0
    front.take(tank.rows(3601.0))
    front.intake.tick()
    assert len(front.intake.ledger.files) == 1


def test_they_are_no_job_in_a_status_and_no_stop_waits_for_them(front, worker, publisher, tmp_path):
    tank = worker()
    front.take(tank.hello(), tank.rows(11.0))
    put(own_rows(front), 1)
    settings = WriterSettings(str(tmp_path), "r", "", "", "")
    desk = Desk(
        settings, {"boot": "boot"}, front.intake, front.journal, None, publisher, None, None
    )
    publisher.know(front.intake.ledger.jobs.values())
    publisher.tell(front.intake.collect(), 0.0)
    assert desk.job_names() == desk.unfinished() == ["tank"]
    assert list(publisher.positions) == ["tank"]
    assert desk.newest("h5daq/events")["text"] == "event 1"


def test_a_worker_can_not_feed_them(front, worker):
    put(own_rows(front), 1)
    front.intake.collect()
    last, stranger = front.journal.last, worker("h5daq/events", inc=OWN_INC)
    note = front.take(stranger.hello(), stranger.rows(11.0), stranger.say("bye", end=0))
    assert "recorded by the writer itself" in note.refused["h5daq/events"]
    assert front.journal.last == last
    assert front.intake.refused == {"name": 3}


def test_rows_wait_for_a_full_journal_and_come_once(make_front, worker, tmp_path):
    front, tank = make_front(limit_bytes=2500), worker()
    own = own_rows(front)
    front.take(tank.hello())
    while not front.intake.stalled:
        front.take(tank.rows(11.0))
    put(own, 1, 2)
    assert "h5daq/events" not in front.intake.ledger.jobs
    front.journal.release(front.journal.last)
    put(own, 3)
    own.flush()
    assert front.intake.ledger.jobs["h5daq/events"].rows == 3


def test_what_is_too_much_to_wait_is_counted(front):
    own = own_rows(front)
    series = own.series("h5daq/events", COLUMNS)
    for number in range(MOST_WAITING + 5):
        series.put(number, "")
    own.flush()
    series.put(0, "")
    own.flush()
    job = front.intake.ledger.jobs["h5daq/events"]
    assert (job.rows, job.lost) == (MOST_WAITING + 1, {"overflow": 5})


def test_any_thread_may_put_rows_and_all_are_kept(front):
    own = own_rows(front)
    series = own.series("h5daq/events", COLUMNS)
    threads = [
        threading.Thread(target=lambda: [series.put(n, "x") for n in range(200)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        own.flush()
    own.flush()
    assert front.intake.ledger.jobs["h5daq/events"].rows == 800


def test_no_row_follows_the_end_of_the_run(front):
    own = own_rows(front)
    front.intake.record(EndRecord(front.now))
    last = front.journal.last
    put(own, 1)
    assert front.journal.last == last


def test_a_row_of_other_columns_is_refused_where_it_is_put(front):
    series = own_rows(front).series("h5daq/events", COLUMNS)
    with pytest.raises(ReadingError):
        series.put(1.5, "x")
    with pytest.raises(ReadingError):
        series.put(1)


@pytest.mark.parametrize("group", ["tank", "h5daq", "h5daq2/events"])
def test_a_series_stands_below_the_writers_group(front, group):
    with pytest.raises(JobValueError):
        own_rows(front).series(group, COLUMNS)


def test_they_are_not_what_a_file_plots_by_default(front, worker, tmp_path):
    put(own_rows(front), 1)
    tank = worker()
    front.take(tank.hello(), tank.rows(11.0))
    in_files(front, tmp_path)
    (path,) = tmp_path.glob("*.h5")
    with h5py.File(path) as file:
        assert file.attrs["default"] == "tank"
