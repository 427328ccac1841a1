"""The names of an open file are counted, whichever way the system has for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from h5daq.storage import links


@pytest.fixture(params=["as the system has it", "by fstat"])
def fd(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[int]:
    if request.param == "by fstat":
        monkeypatch.setattr(links, "_statx", lambda: None)
    descriptor = os.open(tmp_path / "a", os.O_CREAT | os.O_RDWR)
    yield descriptor
    os.close(descriptor)


def test_names_come_and_go(fd: int, tmp_path: Path) -> None:
    assert links.names_of(fd) == 1
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    assert links.names_of(fd) == 2
    (tmp_path / "a").rename(tmp_path / "c")
    (tmp_path / "b").unlink()
    assert links.names_of(fd) == 1
    (tmp_path / "c").unlink()
    assert links.names_of(fd) == 0


def test_what_is_no_descriptor_is_said(fd: int) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        links.names_of(1_000_000 + fd)
