"""Lost answers, restarts, silence: nothing is done twice, nothing is left out, all is said."""

import numpy as np
import pytest

from h5daq.errors import BadData, ContextLost, NoAnswer, NoDataset, WireError


def test_a_lost_answer_doubles_no_row(scan, server, impatient):
    server.lose["add"] = 3
    scan.add([1.0, 2.0])
    scan.add([3.0, 4.0])
    assert scan.get().tolist() == [[1, 2], [3, 4]]
    assert len(server.verbs("add")) >= 5


def test_a_lost_page_leaves_out_no_row(scan, server, impatient):
    server.page = 2
    scan.add(np.arange(10.0).reshape(5, 2))
    assert len(scan.get(limit=1)) == 1
    server.lose["get"] = 1
    # The writer has moved on twice by now; what it had sent the first time is asked for again.
    assert scan.get()[:, 0].tolist() == [2, 4, 6, 8]


def test_lost_comments_are_asked_for_again(scan, server, impatient):
    for text in "abc":
        scan.add_comment(text)
    server.lose["get_comments"] = 1
    assert [said.comment for said in scan.get_comments()] == ["a", "b", "c"]


def test_a_change_without_an_answer_lets_no_other_change_through(client, server, impatient):
    with client.vault(timeout=60.0) as vault:
        vault.new("scan", ["x"], ["y"])
        server.lose["add"], vault._line.timeout = 1 << 30, 0.05
        with pytest.raises(NoAnswer, match=r"settle\(\)"):
            vault.add([1, 2])
        with pytest.raises(NoAnswer, match="whether add was done"):
            vault.add([1, 2])
        server.lose["add"], vault._line.timeout = 0, 60.0
        vault.settle()
        vault.add([3, 4])
        assert vault.get().tolist() == [[1, 2], [3, 4]]


def test_what_is_settled_late_is_taken_note_of(client, server, impatient):
    with client.vault(timeout=60.0) as vault:
        server.lose["new"], vault._line.timeout = 1 << 30, 0.05
        with pytest.raises(NoAnswer):
            vault.new("scan", ["x"], ["y"])
        server.lose["new"], vault._line.timeout = 0, 60.0
        vault.settle()
        assert "00001 - scan" in repr(vault)


def test_an_overdue_answer_to_a_question_holds_nothing_up(client, server, impatient):
    with client.vault(timeout=60.0) as vault:
        server.lose["dir"], vault._line.timeout = 1 << 30, 0.05
        with pytest.raises(NoAnswer, match="is the writer running"):
            vault.dir()
        server.lose["dir"], vault._line.timeout = 0, 60.0
        assert vault.cd() == [""]


def test_a_writer_that_began_anew_is_said_and_restore_goes_on(scan, server):
    scan.cd("deep", create=True)
    scan.add(np.arange(8.0).reshape(4, 2))
    assert len(scan.get(limit=3)) == 3
    server.restart()
    with pytest.raises(ContextLost):
        scan.add([8, 9])
    assert scan.lost
    scan.restore()
    scan.add([8, 9])
    assert scan.get().tolist() == [[6, 7], [8, 9]]
    assert scan.cd() == ["", "deep"]


def test_late_news_of_a_context_that_was_replaced_loses_no_other(scan, server):
    before = scan._line._ctx
    server.restart()
    with pytest.raises(ContextLost):
        scan.add([1, 2])
    scan.restore()
    # The answer to its last sign of life, which a busy writer gives after all that.
    scan._line.lose(before)
    assert not scan.lost
    scan.add([1, 2])
    assert scan.get().tolist() == [[1, 2]]


def test_an_answer_that_a_restart_swallowed_is_given_by_the_next_writer(scan, server, impatient):
    server.lose["add"] = 1
    asked = server.do_add

    def add_and_die(args, request):
        asked(args, request)
        server.restart()

    server.do_add = add_and_die
    scan.add([1, 2])
    server.do_add = asked
    with pytest.raises(ContextLost):
        scan.add([3, 4])
    scan.restore()
    assert scan.get().tolist() == [[1, 2]]


def test_a_context_without_a_dataset_is_restored_as_well(vault, server):
    vault.cd("a", create=True)
    server.restart()
    with pytest.raises(ContextLost):
        vault.dir()
    vault.restore()
    assert vault.cd() == ["", "a"]
    with pytest.raises(NoDataset):
        vault.get_name()


# -- pipeline -------------------------------------------------------------------------------------


def test_a_pipeline_keeps_every_row_once_and_in_order(scan, server, impatient):
    server.lose["add"] = 2
    with scan.pipeline() as rows:
        for number in range(500):
            rows.add([number, number])
    assert scan.get()[:, 0].tolist() == list(range(500))


def test_arrays_may_be_filled_anew_while_a_pipeline_sends_them(scan):
    row, rows, column = np.zeros(2), np.zeros((3, 2)), np.zeros(3)
    with scan.pipeline() as pipeline:
        for number in range(20):
            row[:] = rows[:] = column[:] = number
            pipeline.add(row)
            pipeline.add_ex(rows)
            pipeline.add_ex_t([column, memoryview(column)])
        row[:] = rows[:] = column[:] = -1.0
    assert scan.get()[:, 0].tolist() == np.repeat(np.arange(20.0), 7).tolist()
    assert scan.get(start_over=True).min() == 0.0


def test_what_is_added_while_a_request_is_under_way_goes_as_one(scan, server):
    server.gate.clear()
    with scan.pipeline(timeout=60.0) as rows:
        for number in range(100):
            rows.add([number, number])
        server.gate.set()
    assert len(server.verbs("add")) <= 3
    assert len(scan.get()) == 100


def test_a_bad_row_in_a_pipeline_is_left_out_alone_and_told(scan, server):
    server.refuse = True
    server.gate.clear()
    with scan.pipeline(timeout=60.0) as rows:
        for number in (1, 2, -1, 3):
            rows.add([number, number])
        server.gate.set()
        with pytest.raises(BadData, match="negative"):
            rows.flush()
        rows.add([4, 4])
    assert scan.get()[:, 0].tolist() == [1, 2, 3, 4]


def test_what_can_not_be_sent_holds_up_nothing_behind_it(scan):
    rows = scan.pipeline(timeout=60.0)
    rows.add_ex([(1.0, "half \ud800")])
    with pytest.raises(WireError):
        rows.flush()
    rows.add([])
    rows.add([1, 1])
    rows.close()
    assert scan.get().tolist() == [[1, 1]]


def test_the_end_of_a_pipeline_raises_what_nobody_was_told(scan, server):
    server.refuse = True
    with pytest.raises(BadData), scan.pipeline() as rows:
        rows.add([-1, -1])


def test_a_pipeline_outlives_the_loss_of_its_context(scan, server):
    rows = scan.pipeline()
    rows.add([1, 1])
    rows.flush()
    server.restart()
    rows.add([2, 2])
    with pytest.raises(ContextLost):
        rows.flush()
    scan.restore()
    rows.close()
    assert scan.get()[:, 0].tolist() == [1, 2]


def test_a_full_pipeline_waits_and_then_says_so(scan, server, impatient):
    server.gate.clear()
    rows = scan.pipeline(buffer_bytes=32, timeout=0.05)
    rows.add([1, 1])
    rows.add([2, 2])
    with pytest.raises(NoAnswer, match="not committed"):
        rows.add([3, 3])
    server.gate.set()
    rows.flush(60.0)
    rows.close()
    assert scan.get()[:, 0].tolist() == [1, 2]


def test_rows_of_different_kinds_are_not_mixed(scan, server):
    server.gate.clear()
    with scan.pipeline(timeout=60.0) as rows:
        rows.add_ex_t([np.array([2**53 + 1], "i8"), [1.0]])
        rows.add_ex_t([[0.5], [1.0]])
        server.gate.set()
    sent = [r.args["columns"][0][0] for r in server.asked if r.verb == "add_ex_t"]
    assert sent == ["<i8", "<f8"]


def test_a_closed_pipeline_takes_nothing(scan):
    rows = scan.pipeline()
    rows.close()
    rows.close()
    with pytest.raises(NoAnswer, match="closed"):
        rows.add([1, 2])


def test_closing_the_context_ends_a_pipeline_that_waits(client, server, impatient):
    vault = client.vault(timeout=60.0)
    vault.new("scan", ["x"], ["y"])
    server.lose["add"] = 1 << 30
    rows = vault.pipeline(timeout=0.05)
    rows.add([1, 2])
    with pytest.raises(NoAnswer):
        rows.flush()
    vault.close()
    with pytest.raises(NoAnswer):
        rows.close()


def test_a_late_word_about_the_context_before_is_none_about_the_new_one(scan):
    before = scan._line._ctx
    scan._line.lose(before)
    assert scan.lost
    scan.restore()
    scan._line.lose(before)
    assert not scan.lost
    assert scan.get_name() == "00001 - scan"
