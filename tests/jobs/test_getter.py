"""Getters are built where they are read, and closed there."""

from __future__ import annotations

from typing import Any

import pytest

from h5daq.errors import JobError, JobTypeError, JobValueError
from h5daq.jobs.getter import Getter, import_getter


class Thermometer:
    """Counts what happens to it."""

    closed = 0

    def __init__(self, port: str = "none") -> None:
        if port == "broken":
            raise OSError("no such device")
        self.port = port

    def __call__(self) -> str:
        return self.port

    def close(self) -> None:
        Thermometer.closed += 1


def test_a_function_is_called_as_it_is_and_not_closed() -> None:
    getter = Getter("j", lambda: 1)
    assert getter.call() == 1
    getter.close()


def test_a_class_is_built_with_its_arguments_and_closed() -> None:
    before = Thermometer.closed
    getter = Getter("j", Thermometer, {"port": "usb"})
    assert getter.call() == "usb"
    getter.close()
    assert Thermometer.closed == before + 1


def test_a_class_without_arguments_is_built_as_well() -> None:
    assert Getter("j", Thermometer).call() == "none"


def test_a_factory_is_a_function_with_arguments() -> None:
    def factory(value: int) -> Any:
        return lambda: value

    assert Getter("j", factory, {"value": 3}).call() == 3


def test_what_can_not_be_built_names_job_arguments_and_cause() -> None:
    with pytest.raises(JobError, match=r"job j: .*Thermometer\(port='broken'\).*no such device"):
        Getter("j", Thermometer, {"port": "broken"})


def test_what_is_built_must_be_callable() -> None:
    with pytest.raises(JobTypeError, match="__call__"):
        Getter("j", dict, {})


@pytest.mark.parametrize("name", ["math", "math:", ":sin", "math:sinus", "no.such:thing"])
def test_a_name_that_leads_nowhere_is_an_error(name: str) -> None:
    with pytest.raises(JobError, match=name.split(":")[0] or ":"):
        import_getter(name)


def test_a_name_of_something_else_is_a_type_error() -> None:
    with pytest.raises(JobTypeError, match="float"):
        import_getter("math:pi")
    assert issubclass(JobValueError, JobError)
