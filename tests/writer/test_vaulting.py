"""The vault's desk: nothing is answered before its commit, and nothing is let go of too early."""

import errno
import fcntl
import itertools
import os

import msgpack
import numpy as np
import pytest

from h5daq.cli import DONE, main
from h5daq.errors import ConfigError, FileBusy, JournalFull, StorageError
from h5daq.files.recover import recover
from h5daq.flow.ledger import Ledger
from h5daq.flow.packing import pack
from h5daq.flow.planner import Planner
from h5daq.flow.records import VaultRecord, encode_record
from h5daq.flow.requests import ErrorCode, Failure, Note, Reply, Request, decode_answer
from h5daq.flow.rollover import Calendar
from h5daq.flow.vaultwire import encode_columns
from h5daq.storage.checkpoint import Builder, BuilderOptions
from h5daq.storage.disk import Disk
from h5daq.storage.journal import Journal, MemoryJournal
from h5daq.storage.layouts.datavault import VaultFile
from h5daq.transports.base import Asked
from h5daq.vault.labrad import to_data_url
from h5daq.vault.replay import replay_vault
from h5daq.vault.tree import ROOT, Tree
from h5daq.writer import vaulting
from h5daq.writer.intake import Intake
from h5daq.writer.owed import Owed
from h5daq.writer.vaulting import VaultDesk

SIMPLE = {"independents": [["f", "GHz"]], "dependents": [["S21", "", "dB"]]}
NEW = {
    "title": "x" * 300, "extended": False, "independents": [],
    "dependents": [["S21", "", [1], "v", "dB"]],
}  # fmt: skip


class SlowJournal(MemoryJournal):
    """A journal in memory that is synced when somebody says so."""

    reached = 0

    @property
    def synced(self):
        return self.reached

    def sync(self):
        self.reached = self.last
        return self.last


class Port:
    """Where answers go; it may be closed for some."""

    def __init__(self):
        self.sent, self.gone = [], set()

    def reply(self, identity, frames):
        if identity in self.gone:
            return False
        self.sent.append((identity, decode_answer([bytes(frame) for frame in frames])))
        return True

    def take(self):
        sent, self.sent = self.sent, []
        return sent


class Bench:
    def __init__(self, root, journal=None):
        self.root, self.journal, self.port = root, journal or SlowJournal(), Port()
        planner = Planner(
            Calendar({"days": 1}), "{date_from}.h5", 0, 60.0, itertools.count().__next__
        )
        self.intake = Intake(self.journal, Ledger(), planner, "run", lambda: 1.0)
        self.desk = VaultDesk(
            root, self.journal, self.intake, self.port, "boot", durable=False, clock=lambda: 1.0
        )
        self.numbers = itertools.count(1)

    def ask(self, who, verb, frames=(), **args):
        request = Request(next(self.numbers), verb, args, 1, who, tuple(frames))
        assert self.desk.knows(request)
        self.desk.take(Asked(who.encode(), []), request)

    def add(self, who, value):
        fields, frames = encode_columns([np.array([value]), np.array([value])])
        self.ask(who, "add", frames, **fields)

    def done(self, who, verb, **args):
        """Ask, commit, and see it done."""
        self.ask(who, verb, **args)
        self.journal.sync()
        self.desk.send_ready()
        assert isinstance(self.port.take()[-1][1], Reply)


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    bench.done("anna", "context")
    bench.done("anna", "new", name="scan", **SIMPLE)
    yield bench
    bench.desk.close()


def test_nothing_is_answered_before_it_is_committed_and_the_order_stays(bench):
    bench.add("anna", 1.0)
    bench.ask("anna", "get_name")
    bench.desk.send_ready()
    assert bench.port.take() == []
    assert bench.desk.waiting
    bench.journal.sync()
    bench.desk.send_ready()
    assert [answer.result for _, answer in bench.port.take()] == [None, "00001 - scan"]
    assert not bench.desk.waiting


def test_c3_requests_of_a_context_are_answered_in_order_whoever_asks_between(bench):
    bench.done("ben", "context")
    for value in range(5):
        bench.add("anna", float(value))
        bench.ask("ben", "cd")
        bench.ask("anna", "get", limit=1)
    bench.journal.sync()
    bench.desk.send_ready()
    mine = [answer for who, answer in bench.port.take() if who == b"anna"]
    assert [answer.id for answer in mine] == sorted(answer.id for answer in mine)
    assert [answer.result and answer.result["n"] for answer in mine] == [None, 1] * 5


def blocks(bench, rows):
    """Rows for anna, whose pages are large."""
    fields, frames = encode_columns([np.arange(float(rows)), np.zeros(rows)])
    bench.ask("anna", "add", frames, **fields)
    bench.journal.sync()
    bench.desk.send_ready()
    bench.port.take()


def test_a_large_page_is_on_its_way_before_the_next_request_is_looked_at(bench):
    blocks(bench, 40_000)
    bench.ask("anna", "get", limit=30_000)
    assert [answer.result["n"] for _, answer in bench.port.take()] == [30_000]
    bench.add("anna", 1.0)
    bench.ask("anna", "get", first=0)
    # What came before it is not committed.
    assert bench.port.take() == []


def test_who_takes_none_of_his_pages_gets_no_more_and_nobody_else_waits(bench, monkeypatch):
    held, reply = [], bench.port.reply
    monkeypatch.setattr(
        bench.port, "reply", lambda who, frames: held.append(frames) or reply(who, frames)
    )
    bench.done("ben", "context")
    bench.done("ben", "open", name="00001 - scan")
    blocks(bench, 40_000)
    bench.desk._owed = Owed(most=1_000_000)
    for who in ("anna", "anna", "anna", "ben"):
        bench.ask(who, "get", first=0)
    bench.desk.send_ready()
    answers = [answer for _, answer in bench.port.take()]
    assert [type(answer) for answer in answers] == [Reply, Reply, Failure, Reply]
    assert answers[2].code == ErrorCode.TOO_MANY_REQUESTS
    held.clear()
    bench.ask("anna", "get", first=0)
    assert isinstance(bench.port.take()[0][1], Reply)


def test_s2_a_note_is_sent_before_the_answer_of_the_request_that_caused_it(bench):
    bench.done("anna", "signal", kind="data-available", mid=4)
    bench.add("anna", 1.0)
    bench.journal.sync()
    bench.desk.send_ready()
    assert [type(answer) for _, answer in bench.port.take()] == [Note, Reply]


@pytest.mark.parametrize(
    ("code", "verb", "args"),
    [
        (2, "get_name", {}),
        (3, "open", {"name": "x"}),
        (4, "mkdir", {"name": "a"}),
        (5, "cd", {"path": "x"}),
        (6, "mkdir", {"name": ""}),
        (9, "get_parameter", {"name": "x"}),
    ],
)
def test_section_9_errors_have_their_declared_codes_on_the_wire(bench, code, verb, args):
    bench.done("anna", "mkdir", name="a")
    if code != 2:
        bench.done("anna", "open", name=1)
    else:
        bench.done("anna", "forget")
        bench.done("anna", "context")
    bench.ask("anna", verb, **args)
    bench.desk.send_ready()
    ((_, failure),) = bench.port.take()
    assert (failure.code, failure.name) == (code, ErrorCode(code).wire_name)


def test_many_adds_share_one_sync(bench):
    for value in range(100):
        bench.add("anna", float(value))
    bench.journal.sync()
    bench.desk.send_ready()
    assert len(bench.port.take()) == 100


def test_a_full_journal_refuses_the_change_and_nothing_of_it_stays(bench, monkeypatch):
    def full(message):
        raise JournalFull("full")

    with monkeypatch.context() as patch:
        patch.setattr(bench.journal, "append", full)
        bench.add("anna", 1.0)
        bench.ask("anna", "mkdir", name="a")
        bench.desk.send_ready()
        codes = [answer.code for _, answer in bench.port.take()]
    assert codes == [ErrorCode.STORAGE, ErrorCode.STORAGE]
    bench.ask("anna", "dir")
    bench.ask("anna", "get")
    bench.desk.send_ready()
    listed, got = (answer.result for _, answer in bench.port.take())
    assert (listed, got["n"]) == ([[], ["00001 - scan"]], 0)


def test_a_note_to_a_client_that_is_gone_waits_for_its_resume(bench):
    bench.done("ben", "context")
    bench.done("ben", "open", name=1)
    bench.done("ben", "signal", kind="data-available", mid=4)
    bench.port.gone.add(b"ben")
    bench.add("anna", 1.0)
    bench.journal.sync()
    bench.desk.send_ready()
    bench.port.gone.clear()
    bench.port.take()
    bench.ask("ben", "resume")
    bench.desk.send_ready()
    note, reply = (answer for _, answer in bench.port.take())
    assert isinstance(note, Note)
    assert (note.mid, reply.result) == (4, None)


def test_news_of_many_adds_wait_as_one_signal(bench):
    bench.intake.collect()
    for value in range(3):
        bench.add("anna", float(value))
    note = bench.intake.collect()
    assert note.signals == []
    news = note.news["00001 - scan"]
    assert (news["rows"], news["total"], news["last"]["f"]) == (3, 3, 2.0)


def test_the_newest_row_of_adds_that_are_alike_is_made_out_when_it_is_told(bench):
    fields, frames = encode_columns([np.array([1.0]), np.array([2.0])])
    for number in range(3):
        request = Request(number + 100, "add", fields, 1, "anna", tuple(frames))
        bench.desk.take(Asked(b"anna", []), request)
    (news,) = bench.intake.collect().news.values()
    told = msgpack.unpackb(pack(news))
    assert (told["rows"], told["total"], told["last"]) == (3, 3, {"f": 1.0, "S21": 2.0})


def test_the_desk_commits_by_itself_what_it_has_taken(bench):
    assert not bench.desk.commit()
    bench.add("anna", 1.0)
    assert bench.desk.commit()
    assert bench.journal.synced == bench.journal.last
    assert not bench.desk.commit()


def test_a_sync_that_fails_is_left_to_the_committer_and_nothing_is_answered(bench, monkeypatch):
    def fails():
        raise StorageError(errno.ENOSPC, "no space")

    bench.add("anna", 1.0)
    with monkeypatch.context() as patch:
        patch.setattr(bench.journal, "sync", fails)
        assert not bench.desk.commit()
    bench.desk.send_ready()
    assert bench.port.take() == []
    # And for a while it does not try again.
    assert not bench.desk.commit()
    bench.journal.sync()
    bench.desk.send_ready()
    assert len(bench.port.take()) == 1


def test_a_request_that_comes_again_after_adds_that_are_alike_is_done_once(bench):
    fields, frames = encode_columns([np.array([1.0]), np.array([2.0])])
    for number in (100, 101, 101, 100, 102):
        request = Request(number, "add", fields, 1, "anna", tuple(frames))
        bench.desk.take(Asked(b"anna", []), request)
    bench.journal.sync()
    bench.desk.send_ready()
    assert all(isinstance(answer, Reply) for _, answer in bench.port.take())
    bench.desk.checkpoint()
    assert Tree(bench.root).open(ROOT, 1).rows == 3


def test_the_journal_keeps_what_only_the_vault_still_needs(bench, tmp_path):
    builder = Builder(bench.journal, None, 0, BuilderOptions(tmp_path, durable=False))
    builder.others_reach = bench.desk.reaches
    before = bench.journal.last
    bench.add("anna", 1.0)
    builder.advance(bench.journal.last)
    builder.checkpoint()
    assert bench.journal.oldest == before + 1
    assert bench.desk.kept == before
    bench.desk.checkpoint()
    builder.release()
    assert bench.journal.waiting_bytes == 0
    assert bench.desk.kept == bench.journal.last


def test_a_dataset_that_cant_be_written_is_said_and_tried_again(bench, monkeypatch):
    def fails(*_args):
        raise StorageError(errno.ENOSPC, "no space")

    bench.add("anna", 1.0)
    with monkeypatch.context() as patch:
        patch.setattr(VaultFile, "_write", fails)
        bench.desk.checkpoint()
        assert "no space" in bench.desk.trouble
        assert bench.desk.reaches() is not None
    bench.desk.checkpoint()
    assert not bench.desk.trouble
    assert Tree(bench.root).open(ROOT, 1).rows == 1


def test_what_ends_takes_nothing_more(bench):
    bench.add("anna", 1.0)
    bench.desk.close()
    bench.add("anna", 2.0)
    bench.desk.send_ready()
    _, (_, last) = bench.port.take()
    assert isinstance(last, Failure)
    assert last.code == ErrorCode.NOT_RUNNING
    assert Tree(bench.root).open(ROOT, 1).rows == 1


def test_a_run_does_not_begin_where_the_vault_has_a_directory_of_its_name(bench):
    bench.done("anna", "cd", path=["cold", "x"], create=True)
    bench.desk.check_run("warm")
    for name in ("cold", "cold/x"):
        with pytest.raises(ConfigError, match="another name"):
            bench.desk.check_run(name)


def test_a_replay_may_be_broken_off_anywhere_and_doubles_nothing(tmp_path):
    journal = Journal.open(tmp_path / "journal", durability="os")
    bench = Bench(tmp_path, journal)
    bench.done("anna", "context")
    bench.done("anna", "new", name="scan", **SIMPLE)
    for value in range(30):
        bench.add("anna", float(value))
        if value % 7 == 0:
            bench.desk.checkpoint()
    journal.sync()
    bench.desk._live.close()
    for _ in range(3):
        replay_vault(journal, tmp_path, durable=False)
    rows = Tree(tmp_path).open(ROOT, 1).store.read(0, 100)
    assert rows["f0"].tolist() == list(map(float, range(30)))
    journal.close()


def test_the_sessions_of_one_key_together_have_no_more_contexts_than_they_may(bench, monkeypatch):
    monkeypatch.setattr(vaulting, "MAX_KEY_CONTEXTS", 4)

    def refused(session, ctx, user):
        request = Request(1, "context", {}, ctx=ctx, session=session)
        bench.desk.take(Asked(b"somebody", [], user), request)
        bench.desk.send_ready()
        answer = bench.port.take()[-1][1]
        return isinstance(answer, Failure) and "one key" in answer.message

    made = [refused(session, ctx, "anna's") for session in "abc" for ctx in (1, 2)]
    assert made == [False] * 4 + [True] * 2
    assert not refused("a", 1, "anna's")
    assert not refused("d", 1, "ben's")


@pytest.fixture
def left(tmp_path):
    """What a dead writer has left: changes that are in its journal, and partly in its files."""
    journal = Journal.open(tmp_path / ".h5daq" / "journal", durability="os")
    bench = Bench(tmp_path, journal)
    bench.done("anna", "context")
    bench.done("anna", "cd", path="a", create=True)
    bench.done("anna", "new", name="scan", **SIMPLE)
    bench.add("anna", 1.0)
    bench.desk.checkpoint()
    for value in (2.0, 3.0):
        bench.add("anna", value)
    bench.done("anna", "add_parameter", name="p", value=to_data_url(2.5))
    bench.done("anna", "update_tags", tags="star", dirs=[], datasets=["00001 - scan"])
    bench.desk._live.close()
    journal.close()
    return tmp_path


def snapshot(root):
    return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in root.rglob("*") if p.is_file()}


def test_a_dry_run_tells_what_a_recovery_brings_into_the_vault_and_changes_nothing(left, capsys):
    before = snapshot(left)
    assert main(["recover", str(left), "--dry-run"]) == DONE
    told = capsys.readouterr().out
    assert "vault: a/00001 - scan: 2 rows, 1 parameter would be brought in" in told
    foreseen = recover(left, dry_run=True).vault
    assert snapshot(left) == before
    assert foreseen.brought == {"a/00001 - scan": {"row": 2, "parameter": 1}}
    assert recover(left).vault == foreseen
    assert Tree(left).open(("", "a"), 1).rows == 3
    assert recover(left, dry_run=True).vault.brought == {}


def test_a_dry_run_tells_of_what_is_not_there_at_all(left):
    (left / "a.dir" / "00001 - scan.hdf5").unlink()
    (left / "a.dir" / "session.ini").unlink()
    (left / "a.dir").rmdir()
    foreseen = recover(left, dry_run=True).vault
    assert foreseen.brought == {
        "a": {"directory": 1, "tags": 1},
        "a/00001 - scan": {"dataset": 1, "row": 3, "parameter": 1},
    }
    assert recover(left).vault == foreseen
    assert Tree(left).open(("", "a"), 1).get_parameters() == {"p": 2.5}


def test_changes_of_a_dataset_that_is_gone_are_kept_aside_and_counted(left):
    (left / "a.dir" / "00001 - scan.hdf5").unlink()
    foreseen = recover(left, dry_run=True).vault
    found = recover(left).vault
    assert (found.aside, found.brought) == (foreseen.aside, {}) == (5, {})
    assert len(list((left / ".h5daq" / "refused").iterdir())) == found.aside
    # It is not made again, empty, under a number that was given; nor are they tried again.
    assert Tree(left).dir(("", "a")) == ([], [])
    assert recover(left).vault.entries == 0


def test_a_dataset_that_another_program_holds_is_waited_for(left):
    with open(left / "a.dir" / "00001 - scan.hdf5", "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(FileBusy, match="scan"):
            recover(left)
    assert recover(left).vault.brought["a/00001 - scan"]["row"] == 2


def test_a_disk_that_fails_while_a_directory_or_dataset_is_made_leaves_nothing(bench, monkeypatch):
    def fails(*_args):
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patch:
        patch.setattr(Disk, "rename", fails)
        for verb, args in (("mkdir", {"name": "a"}), ("new", {"name": "more", **SIMPLE})):
            bench.ask("anna", verb, **args)
            bench.journal.sync()
            bench.desk.send_ready()
            assert bench.port.take()[-1][1].code == ErrorCode.STORAGE
    left = {".00001 - scan.hdf5.redo", "00001 - scan.hdf5", "session.ini"}
    assert set(os.listdir(bench.root)) == left
    bench.done("anna", "mkdir", name="a")
    bench.done("anna", "new", name="more", **SIMPLE)
    assert Tree(bench.root).dir(ROOT) == (["a"], ["00001 - scan", "00002 - more"])


def test_a_refusal_that_a_dead_writer_could_not_note_is_no_success_after_it(tmp_path):
    journal = Journal.open(tmp_path / ".h5daq" / "journal", durability="os")
    bench = Bench(tmp_path, journal)
    bench.done("anna", "context")
    record = VaultRecord("new", "anna", 7, 1.0, [""], "00001 - " + "x" * 300, NEW, b"", ["", "x"])
    journal.append(encode_record(record))
    journal.sync()
    assert replay_vault(journal, tmp_path, durable=False).aside == 1
    ledger = Ledger()
    for entry in journal.entries(0, journal.last):
        ledger.apply(entry.message)
    assert ledger.answered.find("anna", 7) is None
    journal.close()
