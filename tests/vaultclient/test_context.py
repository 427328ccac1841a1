"""The verbs of a context, over a real socket: what goes out, what comes back, what is raised."""

import gc
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from h5daq.errors import (
    BadArgument,
    BadData,
    ContextLost,
    DatasetNotFound,
    DirectoryExists,
    DirectoryNotFound,
    NoAnswer,
    NoDataset,
    ReadOnly,
    RequestError,
    StorageError,
)
from h5daq.vaultclient.rows import structured


def test_a_context_goes_about_in_the_tree(vault):
    assert vault.cd() == [""]
    assert vault.mkdir("a") == ["", "a"]
    assert vault.cd(["a", "b"], create=True) == ["", "a", "b"]
    assert vault.cd(1) == ["", "a"]
    assert vault.dir() == (["b"], [])
    assert vault.cd("") == [""]
    assert vault.cd(7) == [""]


def test_ways_are_absolute_so_that_going_twice_is_going_once(vault, server, impatient):
    server.lose["cd"] = 2
    vault.cd("a", create=True)
    server.lose["cd"] = 2
    assert vault.cd("b", create=True) == ["", "a", "b"]
    assert server.dirs == {("",), ("", "a"), ("", "a", "b")}


def test_a_missing_directory_leaves_the_context_where_it_was(vault):
    with pytest.raises(DirectoryNotFound):
        vault.cd("nowhere")
    assert vault.cd() == [""]


@pytest.mark.parametrize("target", [3.5, 1j, object()])
def test_what_is_no_way_is_said_to_be_none(vault, target):
    with pytest.raises(BadArgument, match="levels up"):
        vault.cd(target)
    assert vault.cd(np.int64(1)) == [""]


@pytest.mark.parametrize("verb", ["new", "new_ex"])
def test_one_variable_is_given_in_a_list_too(vault, server, verb):
    with pytest.raises(BadArgument, match=r"\['f \[GHz\]'\]"):
        getattr(vault, verb)("scan", "f [GHz]", ["P"])
    assert verb not in [request.verb for request in server.asked]


def test_a_closed_client_says_so(client):
    client.close()
    with pytest.raises(NoAnswer, match="closed"):
        client.vault()


def test_rows_go_and_come_as_arrays(scan):
    scan.add([1, 2])
    scan.add(np.arange(6).reshape(3, 2))
    rows = scan.get()
    assert rows.tolist() == [[1, 2], [0, 1], [2, 3], [4, 5]]
    assert rows.dtype == np.float64
    rows += 1  # one's own, not a view of a message
    assert scan.get().shape == (0, 2)


def test_variables_may_be_texts_or_tuples(vault, server):
    vault.new("a", ["f [GHz]"], ["P (S21) [dB]"])
    vault.new("b", [("f", "GHz")], [("P", "S21", "dB")])
    first, second = (r.args for r in server.asked if r.verb == "new")
    assert first["independents"] == second["independents"] == [["f", "GHz"]]
    assert first["dependents"] == second["dependents"] == [["P", "S21", "dB"]]


def add_where_it_is_read(vault):
    _, name = vault.new("a", ["x"], [])
    vault.open(name)
    vault.add([1])


@pytest.mark.parametrize(
    ("do", "error"),
    [
        (lambda vault: vault.get_name(), NoDataset),
        (lambda vault: vault.open("nothing"), DatasetNotFound),
        (lambda vault: (vault.mkdir("a"), vault.mkdir("a")), DirectoryExists),
        (lambda vault: add_where_it_is_read(vault), ReadOnly),
    ],
)
def test_a_refusal_is_the_error_of_its_code(vault, do, error):
    with pytest.raises(error):
        do(vault)


def test_a_refusal_of_another_kind_is_a_request_error(vault):
    with pytest.raises(RequestError, match="no idea") as caught:
        vault.row_type()
    assert caught.value.code == 107


def test_a_trouble_of_the_disk_is_a_storage_error(vault):
    with pytest.raises(StorageError, match="get_version: the disk is full"):
        vault.get_version()


def test_who_asks_too_often_is_slowed_down_and_not_refused(vault, server):
    assert vault.transpose_type() == "(*v[])"
    assert server.times == 3


def test_rows_of_floats_are_told_from_a_column_of_arrays(scan):
    scan.add([1, 2])
    assert scan.get_ex().tolist() == [[1, 2]]
    assert structured([np.ones((4, 3)), ["a"] * 4])["f0"].shape == (4, 3)


def test_rows_that_are_no_rows_are_refused_before_they_are_sent(scan, server):
    for given in ([["a", 1]], [[1, 2], [3]], 1 + 2j, None):
        with pytest.raises(BadData):
            scan.add(given)
    assert not server.verbs("add")


def test_a_large_add_goes_in_stretches(scan, server, monkeypatch):
    monkeypatch.setattr("h5daq.vaultclient.rows.MAX_PAGE_BYTES", 1600)
    rows = np.arange(700.0).reshape(350, 2)
    scan.add(rows)
    assert len(server.verbs("add")) == 4
    np.testing.assert_array_equal(scan.get(), rows)


def test_reading_asks_for_page_after_page(scan, server):
    server.page = 10
    scan.add(np.arange(70.0).reshape(35, 2))
    assert scan.get()[:, 0].tolist() == list(range(0, 70, 2))
    assert len(server.verbs("get")) == 4
    assert len(scan.get(limit=25, start_over=True)) == 25
    assert len(scan.get(limit=25)) == 10


def test_comments_are_read_once(scan):
    scan.add_comment("eins", user="anna")
    assert scan.get_comments() == [(1.5, "anna", "eins")]
    scan.add_comment("zwei")
    assert [said.comment for said in scan.get_comments()] == ["zwei"]
    assert len(scan.get_comments(limit=1, start_over=True)) == 1


def test_contexts_of_a_client_are_independent(client):
    with client.vault(timeout=60.0) as one, client.vault(timeout=60.0) as other:
        one.cd("a", create=True)
        assert other.cd() == [""]


def test_threads_take_turns_in_a_context(scan):
    def add(number):
        for _ in range(25):
            scan.add([number, number])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    values, counts = np.unique(scan.get()[:, 0], return_counts=True)
    assert (values.tolist(), counts.tolist()) == ([0, 1, 2, 3], [25] * 4)


def test_the_end_of_a_context_is_told(client, server, wait_until):
    with client.vault(timeout=60.0):
        assert len(server.contexts) == 1
    wait_until(lambda: not server.contexts)


def test_a_closed_context_says_so(client):
    vault = client.vault(timeout=60.0)
    vault.close()
    vault.close()
    with pytest.raises(NoAnswer, match="closed"):
        vault.dir()


def test_a_client_that_closes_ends_its_contexts(server, client):
    vault = client.vault(timeout=60.0)
    client.close()
    with pytest.raises(NoAnswer, match="closed"):
        vault.dir()


def test_a_process_that_forgets_to_close_ends_all_the_same(server):
    code = (
        "import h5daq, sys; vault = h5daq.connect(sys.argv[1]).vault(timeout=60.0); "
        "vault.on('new-dir', repr); vault.mkdir('late'); "
        "print('h5py' in sys.modules)"
    )
    command = [sys.executable, "-c", code, server.port.endpoints.requests]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout == "False\n"
    assert done.stderr == ""


def test_a_short_lease_is_kept_alive_by_the_client(client, server, wait_until):
    with client.vault(timeout=60.0, lease=0.3):
        wait_until(lambda: sum(r.verb == "resume" for r in server.asked) >= 3)


def test_a_context_that_nobody_uses_any_more_ends(client, server, wait_until):
    vault = client.vault(timeout=60.0, lease=0.3)
    assert len(server.contexts) == 1
    del vault
    gc.collect()
    wait_until(lambda: not server.contexts)


def test_a_loss_is_noticed_without_a_question(client, server, wait_until):
    with client.vault(timeout=60.0, lease=0.3) as vault:
        server.restart()
        wait_until(lambda: vault.lost)
        with pytest.raises(ContextLost, match=r"restore\(\)"):
            vault.dir()
