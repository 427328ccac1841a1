"""The desk: what is reported is committed, and an order is repeated until it is confirmed."""

import pytest

from h5daq.writer.desk import Desk
from h5daq.writer.settings import WriterSettings


class Store:
    """A store at rest."""

    done_lsn, trouble, last_checkpoint, checkpoint_seconds = 0, "", None, 0.0


class Committer:
    """A committer at rest."""

    trouble = ""


class Builder:
    """A builder that has sealed nothing."""

    redo_bytes, sealed, in_file, refused_rows = 0, (), {}, {}


@pytest.fixture
def desk(front, publisher, tmp_path):
    settings = WriterSettings(str(tmp_path), "r", "", "", "")
    parts = (front.intake, front.journal, Store(), publisher, Committer(), Builder())
    return Desk(settings, {"boot": "boot"}, *parts)


@pytest.fixture
def tank(front, worker):
    tank = worker()
    front.take(tank.hello())
    return tank


def orders(told):
    return [(fields["verb"], fields["n"], fields["seq"]) for _, fields in told()]


def test_rows_count_once_they_are_committed(desk, front, publisher, tank):
    note = front.take(tank.rows(11.0, 12.0))
    assert desk.status()["jobs"]["tank"]["rows"] == 0
    assert desk.newest("tank") is None
    publisher.tell(note, 0.0)
    assert desk.status()["jobs"]["tank"]["rows"] == 2
    assert desk.newest("tank") == {"time": 12.0, "T": 12.0}


def test_an_order_is_said_at_once_and_again_until_it_is_confirmed(desk, hear, tank):
    told = hear("command tank/")
    desk.order("tank", "pause", 1)
    desk.repeat_orders()
    first, second = orders(told)
    assert first == second
    desk.order_done("tank", first[2])
    desk.repeat_orders()
    assert orders(told) == []


def test_one_order_is_under_way_at_a_time_and_triggers_that_wait_become_one(desk, hear, tank):
    told = hear("command tank/")
    for _ in range(5):
        desk.order("tank", "trigger", 1)
    ((_, n, seq),) = orders(told)
    assert n == 1
    desk.order_done("tank", seq)
    ((verb, n, later),) = orders(told)
    assert (verb, n) == ("trigger", 4)
    assert later > seq


def test_a_worker_that_has_obeyed_a_writer_with_a_clock_ahead_obeys_this_one_too(desk, hear, tank):
    told = hear("command tank/")
    desk.order("tank", "pause", 1)
    ((_, _, seq),) = orders(told)
    ahead = seq + 3_600_000
    desk.order_done("tank", ahead)
    ((verb, _, again),) = orders(told)
    assert verb == "pause"
    assert again > ahead
    desk.order_done("tank", again)
    desk.repeat_orders()
    assert orders(told) == []


def test_near_the_end_of_a_file_what_is_held_back_for_folding_is_asked_for(desk, hear, tank):
    told = hear("command tank/")
    end = 3600.0
    said = []
    for now in (end - 60, end - 1, end - 0.5, end, end + 1):
        desk.order_release(now)
        said += orders(told)
        desk.order_done("tank", said[-1][2] if said else 0)
    assert [verb for verb, _, _ in said] == ["release", "release"]


def test_releases_that_wait_for_a_dead_worker_become_one(desk, hear, tank):
    told = hear("command tank/")
    for _ in range(5):
        desk.order("tank", "release", 1)
    (first,) = orders(told)
    desk.order_done("tank", first[2])
    (second,) = orders(told)
    desk.order_done("tank", second[2])
    assert orders(told) == []


def test_orders_keep_their_order(desk, hear, tank):
    told, verbs = hear("command tank/"), []
    for verb in ("pause", "resume", "trigger", "pause"):
        desk.order("tank", verb, 1)
    for _ in range(4):
        ((verb, _, seq),) = orders(told)
        verbs.append(verb)
        desk.order_done("tank", seq)
    assert verbs == ["pause", "resume", "trigger", "pause"]


def test_an_order_is_new_to_a_worker_that_has_seen_a_clock_ahead_of_ours(desk, hear, front, tank):
    told, ahead = hear("command tank/"), 1 << 50
    front.take(tank.say("status", cmd=ahead))
    desk.order("tank", "pause", 1)
    assert orders(told) == [("pause", 1, ahead + 1)]


def test_a_worker_that_comes_while_all_stop_is_told_to_stop(desk, hear, front, worker, tank):
    told = hear("command ")
    desk.stopping = True
    front.take(worker("late").hello())
    desk.repeat_orders()
    assert {topic for topic, _ in told()} == {"command tank/", "command late/"}


def test_who_has_said_goodbye_is_told_nothing_and_not_waited_for(desk, hear, front, tank):
    told = hear("command ")
    front.take(tank.say("bye", end=0))
    desk.order_stop()
    assert told() == []
    assert desk.unfinished() == []


def test_rows_that_were_taken_since_a_worker_last_spoke_are_not_reported_as_held(desk, front, tank):
    front.take(tank.say("status", held=3), tank.rows(11.0, 12.0))
    assert desk.stop_report()["held"] == {"tank": 1}
    assert desk.status()["jobs"]["tank"]["held"] == 1
    front.take(tank.rows(13.0))
    assert desk.stop_report()["held"] == {}


def test_held_rows_of_who_did_not_say_goodbye_are_reported(desk, front, worker, tank):
    other = worker("other")
    front.take(other.hello(), other.say("status", held=5), other.say("bye", end=0))
    front.take(tank.say("status", held=3))
    assert desk.stop_report() == {"files": [], "held": {"tank": 3}}


def test_a_directory_that_has_vanished_does_not_keep_it_from_answering(desk, tmp_path):
    tmp_path.rmdir()
    assert desk.status()["writer"]["disk_free"] is None


def test_trouble_of_every_part_is_said(desk, front):
    assert desk.trouble() == ""
    desk._committer.trouble = "no space"
    assert desk.status()["writer"]["trouble"] == "no space"


def test_a_worker_of_which_nothing_is_heard_is_silent_until_it_ends(desk, front, tank):
    front.take(tank.say("status", state="reading"))
    assert desk.status()["jobs"]["tank"]["state"] == "reading"
    front.intake.heard["tank"] -= 60.0
    told = desk.status()["jobs"]["tank"]
    assert (told["state"], told["message"]) == ("silent", "nothing was heard of it for 60 s")
    front.take(tank.say("bye", end=0))
    assert desk.status()["jobs"]["tank"]["state"] == "ended"


def test_what_the_parent_knows_of_a_worker_is_said_before_its_own_words(desk, front, tank):
    front.take(tank.say("status", state="reading", rss=5))
    desk.fates = lambda: {"tank": {"state": "given up", "message": "killed by signal 9"}}
    told = desk.status()["jobs"]["tank"]
    assert (told["state"], told["message"], told["rss"]) == ("given up", "killed by signal 9", 5)
