"""Dashboard and alerts in deploy/: they ask for nothing that a run does not tell."""

import json
import re
from pathlib import Path

import promql_parser as promql
import pytest
from prometheus_client.parser import text_string_to_metric_families

import h5daq
from h5daq.monitor.metrics import exposition

DEPLOY = Path(h5daq.__file__).parents[1] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "h5daq.json").read_text())
ALERTS = (DEPLOY / "prometheus" / "alerts.yml").read_text()
SCRAPE = (DEPLOY / "prometheus" / "prometheus.yml").read_text()

PROMETHEUS_OWN = {"up"}
INSTANCE = {"instance", "job"}
"""Labels that Prometheus adds; `job` where there is none yet."""


def expressions():
    panels = [t["expr"] for panel in DASHBOARD["panels"] for t in panel.get("targets", [])]
    lists = [v["definition"] for v in DASHBOARD["templating"]["list"] if v["type"] == "query"]
    asked = [re.fullmatch(r"label_values\((.+), \w+\)", each)[1] for each in lists]
    events = [each["expr"] for each in DASHBOARD["annotations"]["list"]]
    return panels + asked + events + re.findall(r"expr: (.+)", ALERTS)


def selectors(expression):
    """What an expression selects: names with the labels that it matches."""
    found = []

    def visit(node):
        if isinstance(node, promql.VectorSelector):
            found.append((node.name, {each.name for each in node.matchers.matchers}))
        return True

    promql.walk(promql.parse(expression.replace("$__rate_interval", "5m")), visit)
    assert found, expression
    return found


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What a run tells: labels by the names that Prometheus gets."""
    folder = tmp_path_factory.mktemp("figures")
    jobs = [h5daq.DAQJob("tank", "T", lambda: 20.5, read_period=0.05)]
    with (
        h5daq.DAQDaemon(jobs, "lab", directory=folder) as daemon,
        h5daq.connect(directory=folder) as client,
    ):
        daemon.flush()
        text = exposition(
            lambda verb, args: client.request(verb, timeout=60.0, **args), values=True
        )
    labels = {}
    for family in text_string_to_metric_families(text):
        name = family.name + "_total" * (family.type == "counter")
        labels[name] = set().union(*(sample.labels for sample in family.samples))
    return labels


@pytest.mark.processes
def test_dashboard_and_alerts_use_only_figures_of_a_real_scrape(told):
    asked = {name for each in expressions() for name, _ in selectors(each)}
    assert asked - PROMETHEUS_OWN <= set(told)
    assert len(asked) > 15


@pytest.mark.processes
def test_labels_that_are_matched_are_there(told):
    for each in expressions():
        for name, labels in selectors(each):
            assert labels <= told.get(name, set()) | INSTANCE, each


def test_the_label_job_outlives_the_scrape():
    assert "honor_labels: true" in SCRAPE


def test_a_dashboard_has_no_two_panels_in_one_place():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_the_port_is_that_of_the_command():
    from h5daq.cli.metrics import DEFAULT_PORT

    assert f':{DEFAULT_PORT}"' in SCRAPE
