"""What Prometheus gets, read by its own parser, and taken from a real run over real HTTP."""

import re
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

import h5daq
from h5daq.errors import MissingExtra, NoAnswer, StorageError
from h5daq.monitor import metrics

STATUS = {
    "run": {"id": "r1", "name": "lab", "durability": "fsync", "start": 1.8e9},
    "writer": {
        "rows": 12, "bytes": 96, "journal_bytes": 7, "last_checkpoint": None,
        "alarm_receivers": {"webhook": {"delivered": 3, "failed": 1}},
        "checkpoint_seconds": 0.25, "disk_free": 10**12, "trouble": "", "refused": {"size": 2},
    },
    "jobs": {
        'ta"nk\n': {"state": "reading", "rows": 12, "produced": 15, "in_file": 10, "held": 3,
                    "lost": {"getter": 4}, "restarts": 1, "lateness_ms": 2.5, "last_time": 1.8e9},
        "gone": {"state": "refused", "rows": 0},
    },
    "alarms": [
        {"job": "tank", "column": "T", "kind": "high", "level": "alarm"},
        {"job": "", "column": "", "kind": "disk", "level": "warn"},
    ],
}  # fmt: skip


def ask(verb, args):
    return STATUS if verb == "status" else {"time": 1.8e9, "T": 20.5, "wave": [1, 2], "note": "x"}


def samples(text):
    families = text_string_to_metric_families(text)
    names = ("job", "cause", "column", "kind", "receiver", "outcome")
    return {
        (
            sample.name,
            *(sample.labels[name] for name in names if name in sample.labels),
        ): sample.value
        for family in families
        for sample in family.samples
    }


def test_the_official_parser_reads_every_figure():
    found = samples(metrics.exposition(ask))
    job = 'ta"nk\n'
    assert found["h5daq_up",] == 1.0
    assert found["h5daq_rows_committed_total", job] == 12
    assert found["h5daq_rows_produced_total", job] == 15
    assert found["h5daq_rows_lost_total", job, "getter"] == 4
    assert found["h5daq_job_lateness_seconds", job] == 0.0025
    assert found["h5daq_messages_refused_total", "size"] == 2
    assert ("h5daq_checkpoint_last_timestamp_seconds",) not in found
    assert found["h5daq_alarm", "tank", "T", "high"] == 2
    assert found["h5daq_alarm", "", "", "disk"] == 1
    assert found["h5daq_alarm_deliveries_total", "webhook", "failed"] == 1


def test_names_and_units_keep_to_the_conventions():
    families = list(text_string_to_metric_families(metrics.exposition(ask, values=True)))
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert re.fullmatch(r"h5daq_[a-z_]+", family.name)
        assert family.documentation
        assert not re.search(r"_(ms|mib|kb)(_|$)", family.name)
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter")


def test_values_are_told_only_if_asked_for():
    assert not any(key[0] == "h5daq_value" for key in samples(metrics.exposition(ask)))
    found = samples(metrics.exposition(ask, values=True))
    assert {key[2]: value for key, value in found.items() if key[0] == "h5daq_value"} == {"T": 20.5}


def test_a_writer_that_does_not_answer_is_a_metric():
    def silence(verb, args):
        raise NoAnswer("nobody")

    assert samples(metrics.exposition(silence)) == {
        ("h5daq_up",): 0.0,
        ("h5daq_alarm", "", "", "writer"): 2.0,
    }


def test_a_missing_client_is_named_with_its_extra(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(metrics, "import_module", missing)
    with pytest.raises(MissingExtra, match=r"h5daq\[metrics\]"):
        metrics.exposition(ask)


def test_a_port_in_use_is_said_with_the_mend():
    port, end = metrics.serve(ask, 0)
    try:
        with pytest.raises(StorageError, match="another port"):
            metrics.serve(ask, port)
    finally:
        end()


@pytest.mark.processes
def test_a_running_system_is_scraped_over_http(tmp_path, wait_until):
    job = h5daq.DAQJob("tank", "T", lambda: 20.5, 0.01)
    with h5daq.DAQDaemon(job, "lab", directory=tmp_path) as daemon:
        wait_until(lambda: daemon.job_rows("tank") > 3)
        with h5daq.connect(directory=tmp_path) as client:
            port, end = metrics.serve(lambda verb, a: client.request(verb, **a), 0, values=True)
            try:
                url = f"http://127.0.0.1:{port}/metrics"
                with urllib.request.urlopen(url, timeout=30) as reply:
                    found = samples(reply.read().decode())
            finally:
                end()
    assert found["h5daq_rows_committed_total", "tank"] > 3
    assert found["h5daq_value", "tank", "T"] == 20.5
