"""The client and a real writer: what one says the other understands, also over a `kill -9`."""

import os
import signal
import threading

import h5py
import numpy as np
import pytest

import h5daq
from h5daq.errors import ContextLost, DataVersionMismatch, ParameterInUse
from h5daq.vault.labrad import Quantity

pytestmark = pytest.mark.processes


def idle():
    return None


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    job = h5daq.DAQJob("idle", ["x"], idle, read_period=1.0)
    with h5daq.DAQDaemon([job], directory=folder) as daemon:
        yield daemon, folder


@pytest.fixture
def client(daemon):
    with h5daq.connect(directory=daemon[1]) as client:
        yield client


@pytest.fixture
def vault(client, request):
    with client.vault(timeout=60.0) as vault:
        vault.cd([request.node.name[:60]], create=True)
        yield vault


def test_a_scan_with_parameters_comments_and_tags(vault, daemon):
    path, name = vault.new("scan", ["f [GHz]"], ["P (S21) [dB]"])
    vault.add([[1.0, -3.0], [2.0, -3.5]])
    vault.add_parameter("power", Quantity(-20.0, "dBm"))
    vault.add_parameters({"list": [1, 2, 3], "text": "up"})
    vault.add_comment("looks fine", user="anna")
    vault.update_tags("star", datasets=name)
    assert vault.get().tolist() == [[1.0, -3.0], [2.0, -3.5]]
    assert vault.get_ex(start_over=True).tolist() == [[1.0, -3.0], [2.0, -3.5]]
    assert vault.variables() == ([("f", "GHz")], [("P", "S21", "dB")])
    assert vault.variables_ex()[0] == [("f", (1,), "v", "GHz")]
    assert vault.row_type() == "*(v[GHz],v[dB])"
    assert vault.get_name() == name == "00001 - scan"
    assert vault.get_parameter("POWER", case_sensitive=False) == Quantity(-20.0, "dBm")
    assert vault.get_parameters()["list"].tolist() == [1, 2, 3]
    assert vault.parameters() == ["list", "power", "text"]
    assert [said[1:] for said in vault.get_comments()] == [("anna", "looks fine")]
    assert vault.get_tags(datasets=name) == ([], [(name, ["star"])])
    assert vault.dir("star") == ([], [name])
    assert "/".join(path) in vault.dump_existing_sessions()
    with pytest.raises(ParameterInUse):
        vault.add_parameter("power", 1)


def test_columns_of_all_types_come_back_as_they_went(vault):
    vault.new_ex(
        "all",
        [("n", [1], "i", ""), ("t", [1], "t", "")],
        [("v", "", [1], "v", "V"), ("c", "", [2], "c", ""), ("s", "", [1], "s", "")],
    )
    given = [
        np.arange(3, dtype="i4"), np.array([2**60, 1, 2]), np.array([0.5, np.nan, 1]),
        np.arange(6).reshape(3, 2) * 1j, ["a", "", "ü"],
    ]  # fmt: skip
    vault.add_ex_t(given)
    vault.add_ex([(7, 8, 9.5, [1, 2j], "z")])
    columns = vault.get_ex_t()
    for sent, came in zip(given, columns, strict=True):
        np.testing.assert_array_equal(np.asarray(sent), came[:3])
    rows = vault.get_ex(start_over=True)
    assert rows["f4"].tolist() == ["a", "", "ü", "z"]
    assert rows["f3"].shape == (4, 2)
    with pytest.raises(DataVersionMismatch):
        vault.get()


def test_a_column_of_arrays_is_no_row_of_floats(vault):
    vault.new_ex("wave", [], [("w", "", [3], "v", "")])
    vault.add_ex([([1.0, 2.0, 3.0],)])
    assert vault.get_ex()["f0"].tolist() == [[1.0, 2.0, 3.0]]


def test_an_add_of_nothing_changes_nothing(vault):
    vault.new("none", ["x"], ["y"])
    for nothing in ([], np.empty((0, 2))):
        vault.add(nothing)
    vault.add_ex([])
    vault.add_ex_t([[], []])
    assert vault.get().shape == (0, 2)
    assert vault.get_ex().shape == (0, 2)


def test_another_client_is_told_of_new_rows_and_reads_them(vault, client):
    _, name = vault.new("live", ["x"], ["y"])
    with client.vault(timeout=60.0) as other:
        other.cd(vault.cd())
        other.open(name)
        with other.signals("data-available", timeout=60.0) as signals:
            for number in range(3):
                vault.add([number, number])
                assert next(signals).name == name
                assert other.get()[:, 0].tolist() == [number]


def test_a_reading_of_many_pages_is_whole_while_others_read_and_add(vault, client, daemon):
    """Pages are of 2 to 4 MiB; rows come while they are read, from memory and from the file."""
    rows = np.arange(1_000_000.0).reshape(500_000, 2)
    _, name = vault.new("long", ["x"], ["y"])
    vault.add(rows[:400_000])
    daemon[0].flush()
    found = {}

    def read(who):
        with client.vault(timeout=120.0) as other:
            other.cd(vault.cd())
            other.open(name)
            found[who] = np.concatenate([other.get(limit=300_000), other.get()])

    threads = [threading.Thread(target=read, args=(who,)) for who in range(2)]
    for thread in threads:
        thread.start()
    for start in range(400_000, 500_000, 10_000):
        vault.add(rows[start : start + 10_000])
    for thread in threads:
        thread.join()
    for got in found.values():
        assert len(got) >= 400_000
        np.testing.assert_array_equal(got, rows[: len(got)])
    np.testing.assert_array_equal(vault.get(start_over=True), rows)


def test_a_pipeline_of_many_adds_arrives_whole(vault):
    vault.new("fast", ["x"], ["y"])
    with vault.pipeline() as rows:
        for number in range(3000):
            rows.add([number, -number])
    np.testing.assert_array_equal(vault.get()[:, 0], np.arange(3000))


def test_more_than_a_page_is_read_whole(vault):
    vault.new("long", ["x"], ["y"])
    table = np.arange(4_400_000, dtype=float).reshape(-1, 2)
    vault.add(table)
    np.testing.assert_array_equal(vault.get(), table)


def test_a_killed_writer_costs_no_row_and_doubles_none(tmp_path):
    job = h5daq.DAQJob("idle", ["x"], idle, read_period=1.0)
    with (
        h5daq.DAQDaemon([job], directory=tmp_path) as daemon,
        h5daq.connect(directory=tmp_path) as client,
        client.vault(timeout=60.0) as vault,
    ):
        _, name = vault.new("scan", ["x"], ["y"])
        rows = vault.pipeline(timeout=60.0)
        for number in range(100):
            rows.add([number, number])
        os.kill(daemon.status()["writer"]["pid"], signal.SIGKILL)
        rows.add([[number, number] for number in range(100, 200)])
        with pytest.raises(ContextLost):
            rows.flush()
        vault.restore()
        rows.close()
        assert vault.get()[:, 0].tolist() == list(range(200))
    with h5py.File(tmp_path / f"{name}.hdf5") as file:
        assert file["DataVault"]["f0"].tolist() == list(range(200))
