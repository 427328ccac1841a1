"""The vault as its clients see it, without a network: the cases of the specification, by number."""

import numpy as np
import pytest

from h5daq.errors import (
    BadArgument,
    BadData,
    BadParameter,
    DatasetNotFound,
    DataVersionMismatch,
    DirectoryExists,
    DirectoryNotFound,
    EmptyName,
    NoDataset,
    ParameterInUse,
    ReadOnly,
    RequestError,
    StorageError,
    VaultError,
    WireError,
)
from h5daq.flow.ratelimit import MAX_CONTEXTS
from h5daq.flow.requests import ErrorCode
from h5daq.flow.vaultwire import decode_columns
from h5daq.vault.labrad import from_data_url, to_data_url
from h5daq.vault.tree import Tree

from .served import ALL_SIGNALS, EXTENDED, SIMPLE, Served


@pytest.fixture
def served(tmp_path):
    vault = Served(tmp_path)
    yield vault
    vault.live.close()


@pytest.fixture
def anna(served):
    return served.client("anna", listen=ALL_SIGNALS)


@pytest.fixture
def ben(served):
    return served.client("ben", listen=ALL_SIGNALS)


def scan(client, rows=0):
    """A new dataset, open for writing."""
    _, name = client("new", name="scan", **SIMPLE)
    if rows:
        client.add(np.arange(rows), np.arange(rows) * 2.0)
    client.served.notes.clear()
    return name


# -- contexts -------------------------------------------------------------------------------------


def test_c1_a_context_begins_at_the_root_without_a_dataset(anna):
    assert anna("cd") == [""]
    with pytest.raises(NoDataset):
        anna("get_name")


def test_c2_positions_belong_to_contexts_and_rows_to_the_dataset(anna, ben):
    scan(anna, rows=3)
    ben("open", name=1)
    assert ben.get(2)[0].tolist() == [[0, 0], [1, 2]]
    assert anna.get(1)[0].tolist() == [[0, 0]]
    anna.add([9.0], [9.0])
    assert ben.get()[0].tolist() == [[2, 4], [9, 9]]


def test_c4_cd_does_not_close_the_dataset(anna):
    name = scan(anna)
    anna("mkdir", name="a")
    anna("cd", path="a")
    assert anna("get_name") == name
    anna("add_comment", comment="still here")


def test_c5_an_expired_context_hears_nothing_any_more(served, anna, ben):
    name = scan(anna)
    ben("open", name=name)
    served.tick = 50.0
    anna("cd")
    served.tick = 100.0
    served.service.expire(served.tick)
    anna.add([1.0], [1.0])
    assert ben.heard() == []
    with pytest.raises(RequestError) as refusal:
        ben("get_name")
    assert refusal.value.code == ErrorCode.CONTEXT_LOST


def test_c6_the_same_context_after_its_end_is_a_new_one(anna):
    scan(anna)
    anna("forget")
    anna("context")
    with pytest.raises(NoDataset):
        anna.get()


def test_c7_a_dataset_is_closed_when_nobody_looks_at_it_and_nothing_waits(served, anna):
    scan(anna, rows=1)
    anna("forget")
    assert served.live.paths() == [""]
    served.checkpoint()
    assert served.live.paths() == []
    assert not served.live.dirty


def test_c8_live_directories_are_those_that_somebody_is_in(anna, ben):
    ben("cd", path=["a", "b"], create=True)
    assert anna("dump_existing_sessions") == ["", "/a/b"]


@pytest.mark.parametrize(("session", "ctx"), [("", 1), ("s", 0)])
def test_a_request_without_a_context_is_refused(served, session, ctx):
    with pytest.raises(BadArgument):
        served.ask(session, ctx, "context", {})


def test_one_session_has_no_more_contexts_than_it_may(served):
    for ctx in range(1, 1 + MAX_CONTEXTS):
        served.client("greedy", ctx)
    with pytest.raises(RequestError) as refusal:
        served.client("greedy", 5000)
    assert refusal.value.code == ErrorCode.TOO_MANY_REQUESTS


# -- directories ----------------------------------------------------------------------------------


def test_d1_to_d4_cd_goes_down_up_and_makes_what_is_missing(anna):
    assert anna("cd", path=["", "m", "", "n"], create=True) == ["", "n"]
    assert anna("cd", path=5) == [""]
    assert anna("cd", path="m") == ["", "m"]
    assert anna("cd", path=-1) == ["", "m"]
    with pytest.raises(DirectoryNotFound):
        anna("cd", path="x")
    assert anna("cd") == ["", "m"]
    assert anna("cd", path="..", create=True) == ["", "m", ".."]


def test_d11_python_2s_session_is_rewritten_by_the_first_change_and_not_by_a_look(
    served, anna, tmp_path
):
    anna("mkdir", name="old")
    file, ours = (
        tmp_path / "old.dir" / "session.ini",
        (tmp_path / "old.dir/session.ini").read_bytes(),
    )
    old = ours.replace(b"datasets = {}", b"datasets = {'x': set([u'star'])}")
    file.write_bytes(old)
    anna("cd", path="old")
    assert anna("get_tags", dirs=[], datasets=["x"])[1] == [["x", ["star"]]]
    # Who only looks needs no right to write: the date of the last look is not kept.
    assert file.read_bytes() == old
    anna("new", name="scan", **SIMPLE)
    assert b"datasets = {'x': {'star'}}" in file.read_bytes()


def test_d5_mkdir_makes_and_does_not_move(anna):
    assert anna("mkdir", name="a") == ["", "a"]
    assert anna("cd") == [""]
    with pytest.raises(DirectoryExists):
        anna("mkdir", name="a")
    with pytest.raises(EmptyName):
        anna("mkdir", name="")


def test_d7_to_d9_dir_lists_filters_and_shows_tags(anna):
    anna("mkdir", name="a")
    name = scan(anna)
    anna("update_tags", tags="trash", dirs="a", datasets=[])
    assert anna("dir") == [[], [name]]
    assert anna("dir", filters=[]) == [["a"], [name]]
    assert anna("dir", filters="trash", tags=True) == [[["a", ["trash"]]], []]


def test_d10_a_name_that_the_disk_refuses_leaves_nothing_and_is_not_remembered(served, anna):
    with pytest.raises(StorageError):
        anna("mkdir", name="x" * 300)
    assert [record.verb for record in served.records] == ["mkdir", "void"]
    assert anna("dir") == [[], []]


# -- creating and opening -------------------------------------------------------------------------


def test_n1_n2_names_have_numbers_and_an_empty_title_is_untitled(anna):
    assert anna("new", name="", **SIMPLE) == [[""], "00001 - untitled"]
    assert anna("new_ex", name="", **EXTENDED) == [[""], "00002 - "]


def test_n4_a_refused_creation_takes_no_number_and_leaves_no_file(served, anna):
    with pytest.raises(VaultError):
        anna("new_ex", name="bad", independents=[["x", [0], "v", ""]], dependents=[])
    many = [[f"{n}" * 200, [1], "v", ""] for n in range(3000)]
    with pytest.raises(VaultError):
        anna("new_ex", name="wide", independents=many, dependents=[])
    assert anna.heard() == []
    assert anna("dir") == [[], []]
    assert scan(anna) == "00001 - scan"


def test_n10_new_dataset_is_told_to_the_directory_creator_included(served, anna, ben):
    ben("cd", path="elsewhere", create=True)
    anna.heard(), ben.heard()
    anna("new", name="scan", **SIMPLE)
    assert anna.heard() == ["new-dataset"]
    assert ben.heard() == []
    kind, path, fields = served.signals[-1]
    assert (kind, path, fields["name"]) == ("new-dataset", "", "00001 - scan")
    assert fields["columns"] == ["f", "S21"]


@pytest.mark.parametrize("which", ["scan", "1", "nothing", 0, 7])
def test_o1_what_is_not_there_is_not_found(anna, which):
    scan(anna)
    with pytest.raises(DatasetNotFound):
        anna("open", name=which)
    assert anna("get_name") == "00001 - scan"


def test_o3_open_rewinds_and_is_for_reading_unless_asked(anna):
    name = scan(anna, rows=2)
    anna.get()
    assert anna("open", name=name) == [[""], name]
    assert len(anna.get()[0]) == 2
    with pytest.raises(ReadOnly):
        anna.add([1.0], [1.0])
    anna("open", name=1, append=True)
    anna.add([1.0], [1.0])
    assert len(anna.get()[0]) == 3


# -- rows -----------------------------------------------------------------------------------------


def test_r1_r2_rows_of_the_wrong_width_are_bad_data_and_none_is_taken(anna):
    scan(anna)
    with pytest.raises(BadData):
        anna.add([1.0], [1.0], [1.0])
    with pytest.raises(WireError):
        anna("add", n=1, columns=[["<f8", []]], frames=[b"short"])
    assert anna.get()[0].shape == (0, 2)


def test_r3_columns_of_every_type_come_back_as_they_were(anna):
    anna("new_ex", name="all", **EXTENDED)
    columns = [[1, 2], ["a", "ü"], [1j, 2.5], np.arange(6.0).reshape(2, 3)]
    anna.add(*columns, verb="add_ex_t")
    anna.add(*columns, verb="add_ex")
    found = anna.get(verb="get_ex_t")
    for before, after in zip(columns, found, strict=True):
        assert list(np.concatenate([before, before]).ravel()) == list(np.ravel(after))
    assert [getattr(f, "dtype", None) for f in found] == ["<i4", None, "<c16", "<f8"]


def test_r6_r7_what_does_not_fit_is_refused_whole(anna):
    anna("new_ex", name="all", **EXTENDED)
    with pytest.raises(BadData):
        anna.add([2**31], ["a"], [1j], np.zeros((1, 3)), verb="add_ex_t")
    with pytest.raises(BadData):
        anna.add([1], ["a\0"], [1j], np.zeros((1, 3)), verb="add_ex_t")
    assert [len(column) for column in anna.get(verb="get_ex")] == [0, 0, 0, 0]


def test_r9_get_pages_and_starts_over(anna):
    scan(anna, rows=5)
    assert anna.get(0)[0].shape == (0, 2)
    assert len(anna.get(3)[0]) == 3
    assert len(anna.get(3)[0]) == 2
    assert len(anna.get(3)[0]) == 0
    assert len(anna.get(2, True)[0]) == 2


def test_r10_starting_over_needs_no_limit(anna):
    scan(anna, rows=3)
    anna.get(2)
    assert anna.get(start_over=True)[0].shape[0] == 3


def test_r11_to_r13_the_wrong_kind_of_get_names_the_right_one(anna):
    scan(anna, rows=1)
    assert anna.get(verb="get_ex")[0].shape == (1, 2)
    with pytest.raises(DataVersionMismatch):
        anna.get(verb="get_ex_t")
    anna("new_ex", name="all", **EXTENDED)
    with pytest.raises(DataVersionMismatch):
        anna.get()


def test_a_reading_without_a_limit_comes_in_pages_that_say_so(served, anna, monkeypatch):
    monkeypatch.setattr("h5daq.vault.reading.MAX_PAGE_BYTES", 64)
    scan(anna, rows=10)
    pages = [served.ask("anna", 1, "get", {}) for _ in range(3)]
    assert [page.result["more"] for page in pages] == [True, True, False]
    assert [page.result["left"] for page in pages] == [6, 2, 0]
    assert [page.result["n"] for page in pages] == [4, 4, 2]
    assert anna.heard() == []
    anna.add([1.0], [1.0])
    assert anna.heard() == ["data-available"]


def test_pages_that_follow_are_named_and_may_be_asked_for_at_once(served, anna, monkeypatch):
    monkeypatch.setattr("h5daq.vault.reading.MAX_PAGE_BYTES", 64)
    scan(anna, rows=50)
    first = served.ask("anna", 1, "get", {"first": 0, "limit": 22}).result
    assert (first["first"], first["n"], first["ahead"]) == (0, 4, [8, 12, 16, 20])
    # In no order, and one of them twice: each has the rows that it was asked for.
    for start, end in ((16, 20), (4, 8), (4, 8), (12, 16)):
        args = {"first": start, "page": end - start, "limit": 22 - start}
        page = served.ask("anna", 1, "get", args)
        (rows,) = decode_columns(page.result, page.frames)
        assert rows[:, 0].tolist() == list(range(start, end))
        assert page.result["left"] == 22 - end
        assert page.result["ahead"] == [*range(end + 4, 22, 4), 22][:4]
    # Without a word on where to begin it goes on from there.
    assert served.ask("anna", 1, "get", {"limit": 6}).result["first"] == 16


def test_only_the_page_that_ends_a_reading_counts_as_one(served, anna, monkeypatch):
    monkeypatch.setattr("h5daq.vault.reading.MAX_PAGE_BYTES", 64)
    scan(anna, rows=10)
    for start in (0, 4, 8):
        anna.add([1.0], [1.0])
        assert anna.heard() == []
        served.ask("anna", 1, "get", {"first": start, "page": 4})
    assert served.ask("anna", 1, "get", {"first": 12}).result["more"] is False
    anna.add([1.0], [1.0])
    assert anna.heard() == ["data-available"]


def test_a_page_behind_the_last_row_says_where_that_is(served, anna):
    scan(anna, rows=3)
    assert served.ask("anna", 1, "get", {"first": 9}).result["first"] == 3
    anna.add([1.0], [1.0])
    assert len(anna.get()[0]) == 1


def test_long_texts_come_in_smaller_pages(served, anna, monkeypatch):
    monkeypatch.setattr("h5daq.vault.reading.MAX_PAGE_BYTES", 1000)
    anna("new_ex", name="t", independents=[], dependents=[["s", "", [1], "s", ""]])
    texts = [str(n) * 100 for n in range(8)]
    anna.add(texts, verb="add_ex_t")
    found, more = [], True
    while more:
        page = served.ask("anna", 1, "get_ex_t", {})
        found += decode_columns(page.result, page.frames)[0]
        more = page.result["more"]
    assert found == texts


@pytest.mark.parametrize("verb", ["get", "get_ex"])
def test_contexts_that_read_the_same_rows_get_the_same_and_each_moves_on(served, anna, verb):
    name = scan(anna, rows=3)
    others = [served.client(f"reader{n}") for n in range(3)]
    for other in others:
        other("open", name=name)
    for step in range(3):
        pages = [other.get(verb=verb)[0].tolist() for other in others]
        assert pages == [[[x, 2 * x] for x in ((0, 1, 2) if not step else (step + 9.0,))]] * 3
        anna.add([step + 10.0], [2 * step + 20.0])


def test_a_page_is_that_of_its_limit_and_of_its_beginning(served, anna, ben):
    ben("open", name=scan(anna, rows=4))
    carl = served.client("carl")
    carl("open", name="00001 - scan")
    for limit in (1, 2, None):
        assert [len(who.get(limit)[0]) for who in (ben, carl)] == [limit or 1] * 2
    assert [len(who.get(2, start_over=True)[0]) for who in (ben, carl)] == [2, 2]
    assert [who.get()[0][:, 0].tolist() for who in (ben, carl)] == [[2.0, 3.0]] * 2


def test_r15_to_r18_a_dataset_describes_itself(anna):
    anna("new_ex", name="all", **EXTENDED)
    assert anna("variables_ex")[0] == [("n", (1,), "i", "")]
    assert anna("row_type") == "*(i,s,c[mV],*v[ns]{3})"
    assert anna("transpose_type") == "(*i,*s,*c[mV],*2v[ns]{N,3})"
    assert (anna("get_version"), anna("get_name")) == ("2.0.0", "00001 - all")


# -- parameters, comments, tags -------------------------------------------------------------------


def test_p1_p3_p4_parameters_are_kept_as_they_came(anna):
    scan(anna)
    anna("add_parameter", name="b", value=to_data_url(1.5))
    anna("add_parameter", name="B", value=to_data_url("x"))
    assert anna("parameters") == ["B", "b"]
    assert [name for name, _ in anna("get_parameters")] == ["B", "b"]
    assert from_data_url(anna("get_parameter", name="b")) == 1.5
    assert from_data_url(anna("get_parameter", name="b", case_sensitive=False)) == "x"
    with pytest.raises(BadParameter):
        anna("get_parameter", name="c")
    with pytest.raises(ParameterInUse):
        anna("add_parameter", name="b", value=to_data_url(1))


def test_p2_parameters_before_the_first_bad_one_stay_and_nobody_is_told(anna):
    scan(anna)
    good = to_data_url(1)
    with pytest.raises(BadArgument):
        anna("add_parameters", params=[["a", good], ["b", "no url"], ["c", good]])
    assert anna.heard() == []
    assert anna("parameters") == ["a"]
    with pytest.raises(ParameterInUse):
        anna("add_parameters", params=[["d", good], ["d", good]])
    assert anna("parameters") == ["a", "d"]


def test_p3_no_parameters_at_all_are_none(anna):
    scan(anna)
    assert anna("parameters") == []
    assert anna("get_parameters") is None


def test_m1_m2_comments_come_with_their_time_also_on_a_dataset_that_is_only_read(anna, served):
    name = scan(anna)
    anna("open", name=name)
    anna("add_comment", comment="zwölf", user="ben")
    served.now = 2000.0
    anna("add_comment", comment="")
    assert anna("get_comments", limit=1) == [[1000.0, "ben", "zwölf"]]
    assert anna("get_comments") == [[2000.0, "anonymous", ""]]
    assert len(anna("get_comments", start_over=True)) == 2


def test_t1_to_t4_tags_of_the_open_dataset_are_meant_where_none_is_named(anna):
    name = scan(anna)
    anna("update_tags", tags=["a", "50%"], dirs=["d"])
    anna("update_tags", tags=["^a", "-x"], dirs=[], datasets=None)
    assert anna("get_tags", dirs="d", datasets=name) == [[["d", ["50%", "a"]]], [[name, ["50%"]]]]
    anna("mkdir", name="d")
    anna("cd", path="d")
    with pytest.raises(BadArgument):
        anna("update_tags", tags="a", dirs=[])


# -- signals --------------------------------------------------------------------------------------


def test_s1_g10_a_second_registration_is_ignored_until_the_first_ends(served, anna):
    anna("signal", kind="new-dir", mid=77)
    anna("mkdir", name="a")
    assert [note.mid for _, note in served.notes] == [1]
    anna("signal", kind="new-dir", mid=None)
    anna("mkdir", name="b")
    anna("signal", kind="new-dir", mid=77)
    anna("mkdir", name="c")
    assert [note.mid for _, note in served.notes] == [1, 77]
    with pytest.raises(BadArgument):
        anna("signal", kind="newdir", mid=1)


def test_s3_s4_each_level_that_is_made_is_told_to_its_parent(served, anna, ben):
    anna("cd", path=["a", "b"], create=True)
    assert ben.heard() == ["new-dir"]
    assert [fields["path"] for _, _, fields in served.signals] == ["", "a"]


def test_s5_only_tags_that_changed_are_told(served, anna):
    anna("update_tags", tags="x", dirs=["a"], datasets=["s"])
    anna("update_tags", tags="x", dirs=["a", "b"], datasets=["s"])
    anna("update_tags", tags="x", dirs=["a"], datasets=["s"])
    payloads = [note.payload for _, note in served.notes]
    assert payloads == [[[["a", ["x"]]], [["s", ["x"]]]], [[["b", ["x"]]], []]]


def test_a1_a3_opening_what_has_rows_tells_at_once_and_what_has_none_with_the_first(anna, ben):
    name = scan(anna)
    ben("open", name=name)
    assert ben.heard() == []
    anna.add([1.0], [1.0])
    assert ben.heard() == ["data-available"]
    ben("open", name=name)
    assert ben.heard() == ["data-available"]


def test_o6_opening_tells_of_rows_and_of_comments_each_by_itself(anna, ben):
    name = scan(anna)
    ben("open", name=name)
    assert ben.heard() == []
    anna("add_comment", comment="x")
    assert ben.heard() == ["comments-available"]
    ben("open", name=name)
    assert ben.heard() == ["comments-available"]
    anna.add([1.0], [1.0])
    ben.heard()
    ben("open", name=name)
    assert sorted(ben.heard()) == ["comments-available", "data-available"]


def test_g6_g7_who_registers_is_told_of_the_first_news_without_having_read(served, anna):
    name = scan(anna)
    late = served.client("late")
    late("open", name=name)
    for mid, kind in enumerate(("data-available", "new-parameter"), 1):
        late("signal", kind=kind, mid=mid)
    assert late.heard() == []
    anna.add([1.0], [1.0])
    anna("add_parameter", name="p", value=to_data_url(1))
    assert late.heard() == ["data-available", "new-parameter"]


def test_g8_g9_between_two_readings_there_is_one_message_and_an_open_is_a_reading(anna, ben):
    name = scan(anna, rows=3)
    ben("open", name=name)
    anna.add([1.0], [1.0])
    assert ben.heard() == ["data-available"]
    ben("open", name=name)
    assert ben.heard() == ["data-available"]
    ben.get(4)
    assert ben.heard() == []


def test_a2_a4_a9_many_adds_are_told_once_until_the_next_reading(anna, ben):
    ben("open", name=scan(anna))
    for _ in range(5):
        anna.add([1.0], [1.0])
    assert ben.heard() == ["data-available"]
    ben.get()
    anna.add([1.0], [1.0])
    assert ben.heard() == ["data-available"]


def test_a5_a6_a_partial_get_tells_at_once(anna, ben):
    ben("open", name=scan(anna, rows=3))
    ben.heard()
    ben.get(1)
    assert ben.heard() == ["data-available"]
    anna.add([1.0], [1.0])
    assert ben.heard() == []
    ben.get()
    assert ben.heard() == []


def test_a10_who_has_left_a_dataset_hears_nothing_of_it(anna, ben):
    ben("open", name=scan(anna))
    ben("new", name="other", **SIMPLE)
    ben.heard()
    anna.add([1.0], [1.0])
    assert ben.heard() == []


def test_a11_a_failing_get_changes_nothing(anna, ben):
    anna("new_ex", name="all", **EXTENDED)
    ben("open", name=1)
    ben.heard()
    with pytest.raises(DataVersionMismatch):
        ben.get()
    anna.add([1], ["a"], [1j], np.zeros((1, 3)), verb="add_ex_t")
    assert ben.heard() == ["data-available"]


def test_the_creator_hears_of_its_own_adds_once(anna):
    scan(anna)
    anna.add([1.0], [1.0])
    anna.add([1.0], [1.0])
    assert anna.heard() == ["data-available"]


def test_q1_q2_parameters_are_told_once_until_they_are_looked_at(anna, ben):
    ben("open", name=scan(anna))
    value = to_data_url(1)
    ben("parameters")
    anna("add_parameters", params=[["a", value], ["b", value]])
    anna("add_parameter", name="c", value=value)
    assert ben.heard() == ["new-parameter"]
    ben("get_parameter", name="a")
    anna("add_parameter", name="d", value=value)
    assert ben.heard() == []


def test_comments_are_told_by_the_same_rules(anna, ben):
    ben("open", name=scan(anna))
    anna("add_comment", comment="1")
    anna("add_comment", comment="2")
    assert ben.heard() == ["comments-available"]
    ben("get_comments", limit=1)
    assert ben.heard() == ["comments-available"]


def test_a_note_that_could_not_be_sent_is_had_by_resume(served, anna, ben):
    ben("open", name=scan(anna))
    request = ("anna", 1, "add_comment", {"comment": "x"})
    (told,) = [told for told in served.ask(*request).told if told.context[0] == "ben"]
    served.service.failed(told)
    ben.heard()
    ben("resume")
    assert ben.heard() == ["comments-available"]


# -- once, and on disk ----------------------------------------------------------------------------


def test_a_repeated_request_gets_the_same_answer_and_is_done_once(anna):
    first = anna("new", name="scan", number=500, **SIMPLE)
    assert anna("new", name="scan", number=500, **SIMPLE) == first
    assert anna("dir") == [[], ["00001 - scan"]]
    for _ in range(3):
        anna.add([1.0], [1.0], number=501)
    assert len(anna.get()[0]) == 1


def test_after_a_checkpoint_a_reader_of_files_sees_all_of_it(served, anna, tmp_path):
    name = scan(anna, rows=3)
    anna("add_parameter", name="p", value=to_data_url(2.5))
    anna("add_comment", comment="done")
    served.checkpoint()
    found = Tree(tmp_path).open(("",), name)
    assert found.store.read(0, 9)["f1"].tolist() == [0.0, 2.0, 4.0]
    assert found.get_parameters() == {"p": 2.5}
    assert found.store.comments == [(1000.0, "anonymous", "done")]


def test_a_file_from_a_journal_that_is_gone_takes_part_in_the_new_one(served, anna, tmp_path):
    name = scan(anna, rows=1)
    served.live.checkpoint(1.0, 900)
    anna("forget")
    again = Served(tmp_path)
    ben = again.client("ben")
    ben("open", name=name, append=True)
    ben.add([5.0], [5.0])
    again.checkpoint()
    assert again.live.open((("",), name)).store.lsn == again.journal.last < 900
    again.live.close()


@pytest.mark.parametrize(
    ("verb", "args"),
    [
        ("cd", {"path": {}}),
        ("cd", {"path": [1]}),
        ("dir", {"filters": 3}),
        ("dir", {"tags": 3}),
        ("mkdir", {}),
        ("mkdir", {"name": "a\0"}),
        ("new", {"name": "x", "independents": 3}),
        ("new", {"name": "x", "independents": [3], "dependents": []}),
        ("new_ex", {"name": "x", "independents": [["a", "b", 3, 4]], "dependents": []}),
        ("open", {"name": None}),
        ("open", {"name": True}),
        ("get", {"limit": -1}),
        ("get", {"first": -1}),
        ("get", {"page": "all"}),
        ("get", {"limit": "all"}),
        ("add", {"n": 1, "columns": [["text"]], "text": [["a"]]}),
        ("add_parameter", {"name": 3, "value": "x"}),
        ("add_parameters", {"params": [3]}),
        ("add_comment", {"comment": 3}),
        ("update_tags", {"tags": [3], "dirs": []}),
        ("signal", {"kind": "new-dir", "mid": "x"}),
        ("context", {"lease": "long"}),
    ],
)
def test_arguments_that_make_no_sense_are_refused_and_change_nothing(served, anna, verb, args):
    scan(anna)
    count = len(served.records)
    with pytest.raises((VaultError, WireError)):
        anna(verb, **args)
    assert len(served.records) == count
