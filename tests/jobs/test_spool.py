"""A spool keeps whole messages in order on a disk that is killed, filled up or taken away."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from h5daq.flow import wire
from h5daq.flow.spooling import HEADER_BYTES, Piece
from h5daq.jobs import spool as spool_module
from h5daq.jobs import spool_segments
from h5daq.jobs.spool import About, Spool
from h5daq.jobs.spool_places import job_places, place_of, state_directory

JOB, INC = "tank/temperature", 7
FRAME = HEADER_BYTES + 100


def about(home: str = "data") -> About:
    hello = wire.encode("hello", job=JOB, inc=INC, schema=[], attrs={}, spooled=True)
    return About(JOB, INC, home, hello)


def pieces(*sizes: int, first: int = 0) -> list[Piece]:
    made = []
    for n in sizes:
        made.append(Piece(first, n, bytes([n]) * 100))
        first += n
    return made


def begun(directory: Path, *given: Piece, limit: int = 1 << 30) -> Spool:
    spool = Spool(directory / "spool", about(), limit)
    assert [spool.append(piece) for piece in given] == [""] * len(given)
    return spool


def left(directory: Path) -> Spool:
    spool = Spool.adopt(directory / "spool")
    assert spool is not None
    return spool


def read_all(spool: Spool) -> list[Piece]:
    found = []
    while (piece := spool.read()) is not None:
        found.append(piece)
    return found


def segments(directory: Path) -> list[Path]:
    return sorted((directory / "spool").glob("*.rows"))


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 3 * FRAME)
    monkeypatch.setattr(spool_segments, "IDLE_BYTES", 2 * FRAME)


def test_nothing_is_made_before_the_first_message(tmp_path: Path) -> None:
    spool = begun(tmp_path)
    assert spool.read() is None
    spool.close(keep=False)
    assert not list(tmp_path.iterdir())


def test_a_view_of_memory_is_kept_as_its_bytes(tmp_path: Path) -> None:
    (piece,) = pieces(3)
    spool = begun(tmp_path, piece._replace(message=memoryview(piece.message)))
    assert read_all(spool) == [piece]
    spool.close(keep=False)


def test_messages_are_read_back_in_order_while_others_come(tmp_path: Path) -> None:
    given = pieces(*range(1, 21))
    spool = begun(tmp_path, *given[:10])
    assert [spool.read() for _ in range(8)] == given[:8]
    for piece in given[10:]:
        spool.append(piece)
    assert read_all(spool) == given[8:]
    spool.close(keep=False)


def test_what_was_passed_over_is_not_read(tmp_path: Path) -> None:
    one, two, three = pieces(1, 1, 1)
    spool = begun(tmp_path, one, two)
    spool.pass_over()
    spool.append(three)
    assert read_all(spool) == [three]
    spool.close(keep=False)


def test_the_next_worker_finds_all_that_was_left(tmp_path: Path) -> None:
    given = pieces(*range(1, 9), first=5)
    begun(tmp_path, *given).close(keep=True)
    spool = left(tmp_path)
    assert (spool.first, spool.about) == (5, about())
    assert spool.size == 8 * FRAME
    assert read_all(spool) == given
    spool.close(keep=False)
    assert not (tmp_path / "spool").exists()


def test_segments_tell_the_order_whenever_they_were_written(tmp_path: Path) -> None:
    late, early = pieces(2, 2, first=10), pieces(3, 3, first=0)
    begun(tmp_path, *late, *early).close(keep=True)
    spool = left(tmp_path)
    assert read_all(spool) == [*early, *late]
    spool.close(keep=True)


@pytest.mark.parametrize("cut", [1, 50, 99, 100, 110, FRAME - 1])
def test_a_torn_tail_ends_what_is_there(tmp_path: Path, cut: int) -> None:
    given = pieces(1, 2)
    begun(tmp_path, *given).close(keep=True)
    (path,) = segments(tmp_path)
    os.truncate(path, path.stat().st_size - cut)
    spool = left(tmp_path)
    assert read_all(spool) == given[:1]
    spool.close(keep=True)


def test_a_damaged_segment_costs_no_other(tmp_path: Path) -> None:
    given = pieces(*range(1, 10))
    begun(tmp_path, *given).close(keep=True)
    middle = segments(tmp_path)[1]
    data = bytearray(middle.read_bytes())
    data[FRAME + 40] ^= 1
    middle.write_bytes(data)
    spool = left(tmp_path)
    assert read_all(spool) == given[:4] + given[6:]
    spool.close(keep=True)


def test_what_is_committed_is_deleted_segment_by_segment(tmp_path: Path) -> None:
    spool = begun(tmp_path, *pieces(*[1] * 9))
    assert len(segments(tmp_path)) == 3
    spool.release(5)
    assert [int(path.stem) for path in segments(tmp_path)] == [3, 6]
    assert spool.size == 6 * FRAME
    spool.release(9)
    assert (segments(tmp_path), spool.size) == ([], 0)
    assert spool.append(Piece(9, 1, b"more")) == ""
    assert read_all(spool) == [Piece(9, 1, b"more")]
    spool.close(keep=False)


def test_a_small_segment_in_use_stays_and_is_used_on(tmp_path: Path) -> None:
    spool = begun(tmp_path, *pieces(1))
    spool.release(1)
    spool.append(Piece(1, 1, b"more"))
    assert len(segments(tmp_path)) == 1
    spool.close(keep=False)


def test_what_an_earlier_worker_left_is_kept_until_it_was_read(tmp_path: Path) -> None:
    given = pieces(*[1] * 9)
    begun(tmp_path, *given).close(keep=True)
    spool = left(tmp_path)
    assert [spool.read() for _ in range(4)] == given[:4]
    spool.release(4)
    assert [int(path.stem) for path in segments(tmp_path)] == [3, 6]
    assert read_all(spool) == given[4:]
    spool.close(keep=True)


def test_beyond_the_limit_nothing_is_taken(tmp_path: Path) -> None:
    one, two, three = pieces(1, 1, 1)
    spool = begun(tmp_path, one, two, limit=2 * FRAME)
    assert spool.append(three) == "spool-full"
    assert "spool_bytes" in spool.trouble
    spool.release(1)
    assert spool.append(three) == ""
    assert not spool.trouble
    spool.close(keep=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    spool = Spool(tmp_path / "spool", about(), 1 << 30, clock=lambda: now[0])
    one, two = pieces(1, 1)
    (tmp_path / "spool").mkdir()
    segment = tmp_path / "spool" / f"{0:020d}.rows"
    segment.symlink_to("/dev/full")
    assert [spool.append(one), spool.append(one)] == ["spool-failed"] * 2
    assert "No space left" in spool.trouble
    now[0] = 60.0
    assert [spool.append(one), spool.append(two)] == ["", ""]
    assert len(caplog.records) == 1
    assert read_all(spool) == [one, two]
    spool.close(keep=False)


@pytest.mark.skipif(sys.platform != "linux", reason="resource limits of Linux")
def test_a_torn_write_is_cut_off(tmp_path: Path) -> None:
    now = [0.0]
    spool = Spool(tmp_path / "spool", about(), 1 << 30, clock=lambda: now[0])
    given = pieces(1, 1, 1)
    spool.append(given[0])
    with file_size_limit(FRAME + 60):
        assert spool.append(given[1]) == "spool-failed"
    assert segments(tmp_path)[0].stat().st_size == FRAME
    now[0] = 60.0
    assert [spool.append(piece) for piece in given[1:]] == ["", ""]
    assert read_all(spool) == given
    spool.close(keep=False)


class file_size_limit:  # noqa: N801 - reads as a statement
    """No file may grow beyond some bytes, as on a disk that fills up in mid-write."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __enter__(self) -> None:
        import resource
        import signal

        self._handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._size, self._limits[1]))

    def __exit__(self, *_: object) -> None:
        import resource
        import signal

        resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)
        signal.signal(signal.SIGXFSZ, self._handler)


def test_a_state_directory_that_cannot_be_made_is_no_more_than_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    spool = Spool(tmp_path / "file" / "spool", about(), 1 << 30)
    assert spool.append(pieces(1)[0]) == "spool-failed"
    assert "Not a directory" in spool.trouble
    spool.close(keep=True)


def test_a_spool_is_sent_by_one_worker_at_a_time(tmp_path: Path) -> None:
    spool = begun(tmp_path, *pieces(1))
    assert Spool.adopt(tmp_path / "spool") is None
    spool.close(keep=True)
    left(tmp_path).close(keep=False)


def test_a_directory_that_is_no_spool_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "about").write_bytes(b"\x93\xa1a\x01\xa1b")
    with pytest.raises((ValueError, TypeError)):
        Spool.adopt(tmp_path)


def test_spools_of_a_job_are_found_whatever_their_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("h5daq.jobs.spool_places.state_directory", lambda: tmp_path)
    assert list(job_places("tank")) == []
    ours = [place_of("run-1", "tank", 5), place_of("run-2", "tank", 6)]
    for place in [*ours, place_of("run-1", "tank2", 7), place_of("run-1", "tank/T", 8)]:
        place.mkdir(parents=True)
    assert list(job_places("tank")) == ours


@pytest.mark.parametrize("name", ["..", ".", "a/../../b", "x" * 1000, "ä" * 200])
def test_no_name_leads_out_of_the_spools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("h5daq.jobs.spool_places.state_directory", lambda: tmp_path)
    place = place_of(name, name, 1)
    place.mkdir(parents=True)
    assert len(place.resolve().relative_to(tmp_path.resolve()).parts) == 5
    assert list(job_places(name)) == [place]


@pytest.mark.skipif(sys.platform != "linux", reason="the XDG standard")
def test_the_state_directory_follows_the_standard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert state_directory() == Path("/somewhere")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert state_directory() == Path.home() / ".local" / "state"
