"""What ``import h5daq`` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import h5daq
from h5daq import errors

HEAVY = (
    "h5py",
    "numpy",
    "zmq",
    "msgpack",
    "pydantic",
    "rich",
    "multiprocessing",
    "importlib.metadata",
)


@pytest.mark.parametrize("name", h5daq.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(h5daq, name) is not None


def test_every_error_is_public() -> None:
    assert set(errors.__all__) <= set(h5daq.__all__)
    assert h5daq.ConfigError is errors.ConfigError


def test_the_import_loads_nothing_heavy() -> None:
    code = f"import h5daq, sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'DAQJobs'"):
        h5daq.DAQJobs  # noqa: B018


def test_names_are_listed_before_they_are_imported() -> None:
    assert set(h5daq.__all__) <= set(dir(h5daq))
