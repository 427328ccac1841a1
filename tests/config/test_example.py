"""The example explains every key, is right as it stands, and its jobs run here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from h5daq.config import example, load, model

MODELS = [
    value
    for value in vars(model).values()
    if isinstance(value, type) and issubclass(value, BaseModel) and value is not BaseModel
]
COMMENTED = re.compile(r"^# (?=(\w+ = |\[hosts|\[metrics|\[alarms))", re.MULTILINE)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The example as a file."""
    path = tmp_path / "lab.toml"
    path.write_text(example(), encoding="utf-8")
    return path


def test_the_example_is_right(path: Path) -> None:
    assert len(load(path).make_jobs()) == 4


def test_each_job_of_the_example_reads_a_row_here(path: Path) -> None:
    for job in load(path).make_jobs():
        assert set(job.read()) == {"time", *job.labels}


@pytest.mark.parametrize("table", MODELS, ids=lambda table: table.__name__)
def test_every_key_is_explained(table: type[BaseModel]) -> None:
    text = example()
    units = {"years", "months", "weeks", "minutes", "seconds", "hours"}
    for name in set(table.model_fields) - units:
        assert re.search(rf"\b{name}(\.\w+)?(\]| = )", text), name


def test_the_commented_keys_are_right_as_well(path: Path) -> None:
    text = COMMENTED.sub("", example())
    assert text.count("\n# [") == 0
    # Of the last job's keys some exclude each other.
    for only in ("command", "delimiter", "comment", "host"):
        text = re.sub(rf"^{only} = .*\n", "", text, flags=re.MULTILINE)
    path.write_text(text.replace("insecure = false", "insecure = true"), encoding="utf-8")
    config = load(path)
    assert config.hosts["pi1"].python == "/opt/h5daq/bin/python"
    assert config.jobs[-1].handle_error == "mylab.alarm:ring"
