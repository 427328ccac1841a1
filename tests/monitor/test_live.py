"""What a person sees: the table on any width, the line, and plain lines where nothing can move."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from h5daq.monitor.live import LiveTable, StatusLine, Summary
from h5daq.monitor.picture import Picture
from h5daq.monitor.words import count, size, sparkline

NOW = 1_800_000_000.0


def pipe() -> Console:
    return Console(file=io.StringIO(), width=100)


def terminal(width: int = 150, height: int = 40) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=height,
                   color_system=None, legacy_windows=False, _environ={})  # fmt: skip


def written(console: Console) -> str:
    text = console.file
    assert isinstance(text, io.StringIO)
    return text.getvalue()


def picture(**jobs: Any) -> Picture:
    made = Picture()
    made.take_status(
        {
            "run": {"id": "r", "name": "tank-a", "start": NOW - 60, "file": "data/DAQ_1.hdf5"},
            "writer": {"last_checkpoint": NOW - 5, "disk_free": 10**9, "bytes": 0},
            "jobs": {name: {"state": "running", "rows": 5, **part} for name, part in jobs.items()},
        },
        NOW,
    )
    return made


def tell(made: Picture, job: str, seconds: int = 10, **last: Any) -> None:
    for second in range(seconds):
        told = {
            "total": 10 * second + 5,
            "last_time": NOW,
            "last": {k: v + second for k, v in last.items()},
        }
        made.take("data-available", f"tank-a/{job}", told, NOW + second)  # fmt: skip


def test_a_table_tells_state_rows_rate_newest_values_and_losses():
    made = picture(T={"lost": {"shape": 3}})
    tell(made, "T", T_top=280.0)
    console = terminal()
    LiveTable(made, console).print(NOW + 9)
    text = written(console)
    for piece in ("tank-a", "running", "95", "10.0/s", "T_top", "289", "▁", "█", "3 shape"):
        assert piece in text


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal_and_losses_are_always_told(width):
    made = picture(**{"a/very/long/name/of/a/job": {"lost": {"shape": 3}, "held": 7}})
    tell(made, "a/very/long/name/of/a/job", T_top=1.0, T_bottom=2.0)
    console = terminal(width)
    LiveTable(made, console).print(NOW + 9)
    lines = written(console).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    assert any("3 sh" in line for line in lines[2:])


def test_more_jobs_than_lines_show_those_in_need_first():
    jobs: dict[str, Any] = {f"job{number:03d}": {} for number in range(99)}
    made = picture(**jobs, broken={"state": "failed"})
    console = terminal(height=20)
    with LiveTable(made, console) as table:
        table.update(NOW)
    text = written(console)
    assert "broken" in text
    assert "more jobs" in text
    assert "job098" not in text


def test_what_a_worker_complains_of_stands_in_the_place_of_its_values():
    made = picture(T={})
    tell(made, "T", x=1.0)
    told = {"state": "hanging", "message": "a reading has been under way for 12 s"}
    made.take("status", "T", told, NOW + 9)
    console = terminal()
    LiveTable(made, console).print(NOW + 9)
    assert "✖ hanging" in written(console)
    assert "under way for 12 s" in written(console)


def test_names_and_values_can_neither_colour_nor_move_anything():
    made = picture(**{"x[bold]": {}})
    made.take(
        "data-available", "tank-a/x[bold]", {"total": 9, "last": {"a\x1b[2J": "\x1b[31m"}}, NOW
    )
    made.take("log", "x", {"text": "[red]one\ntwo\x07"}, NOW)
    console = Console(file=io.StringIO(), width=200)
    LiveTable(made, console).print(NOW)
    text = written(console)
    assert "x[bold]" in text
    assert "[red]one·two·" in text
    assert "\x1b" not in text


def test_a_pipe_gets_lines_now_and_then_and_at_once_when_a_state_changes():
    made = picture(T={})
    console = pipe()
    with LiveTable(made, console, plain_every=60) as table:
        table.update(NOW)
        table.update(NOW + 2)
        assert written(console).count("T  running") == 1
        made.take("status", "T", {"inc": 1, "state": "paused"}, NOW + 2.5)
        table.update(NOW + 2.6)
        assert written(console).count("T  paused") == 1
        made.take("status", "T", {"inc": 1, "state": "paused"}, NOW + 60)
        table.update(NOW + 63)
    assert written(console).count("T  paused") == 2


def test_a_pipe_gets_no_escape_sequences_and_unbroken_lines():
    made = picture(**{"job" * 30: {"lost": {"overflow": 12, "shape": 3, "getter": 5}}})
    console = pipe()
    with StatusLine(made, console) as line:
        line.update(NOW)
    assert written(console).count("\n") == 1
    assert "\x1b" not in written(console)


def test_the_status_line_is_one_line_and_tells_trouble():
    made = picture(T={}, U={})
    made.take("heartbeat", "", {"run": "r", "boot": "", "stalled": "disk is full"}, NOW)
    console = terminal(width=160)
    StatusLine(made, console).print(NOW)
    text = written(console)
    assert text.count("\n") == 1
    for piece in ("tank-a", "2 jobs", "10 rows", "disk is full"):
        assert piece in text


def test_a_silent_writer_and_a_silent_job_are_called_silent():
    made = picture(T={})
    tell(made, "T", seconds=1, x=1.0)
    console = terminal()
    LiveTable(made, console).print(NOW + 30)
    assert written(console).count("silent") == 2
    assert "not heard for 30 s" in written(console)


def test_a_terminal_without_unicode_gets_plain_signs():
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, "ascii"), force_terminal=True, width=150,
                      color_system=None, _environ={})  # fmt: skip
    made = picture(T={"lateness_ms": 0.1})
    tell(made, "T", x=1.0)
    LiveTable(made, console).print(NOW + 9)
    console.file.flush()
    assert b"100 us" in raw.getvalue()


def test_live_drawing_ends_and_leaves_the_terminal_as_it_was():
    console = terminal()
    with LiveTable(picture(T={}), console, screen=True) as table:
        table.update(NOW)
    assert written(console).endswith("\x1b[?25h\x1b[?1049l") or "\x1b[?1049l" in written(console)


def test_numbers_are_short_and_never_wrong_by_a_step():
    assert [count(n) for n in (9999, 9999.6, 999_960, 999_400)] == [
        "9999", "10.0 k", "1.00 M", "999 k"]  # fmt: skip
    assert size(999_960) == "1.00 MB"
    assert sparkline([-1e308, 1e308], 5) == "▁█"
    assert sparkline([], 5) == ""


def summed(width: int = 80, **jobs: Any) -> list[str]:
    console = terminal(width)
    Summary(picture(**jobs), console).print(NOW)
    return [line.rstrip() for line in written(console).splitlines()]


ROWS = {"state": "reading", "produced": 12, "rows": 9, "in_file": 8, "held": 1, "last_time": NOW}


def test_the_summary_says_in_80_columns_where_the_rows_of_each_job_are():
    lines = summed(tank={**ROWS, "lost": {"shape": 2}, "last_time": NOW - 61})
    titles, row = lines[lines.index("") + 1 : lines.index("") + 3]
    assert re.split("  +", titles) == [
        "job", "state", "produced", "committed", "in file", "held", "lost", "newest",
    ]  # fmt: skip
    assert re.split("  +", row) == ["tank", "● reading", "12", "9", "8", "1", "2", "1 min"]
    assert "    lost: 2 shape" in lines


def test_what_is_out_of_the_ordinary_stands_below_its_job_and_nowhere_else():
    odd = {"spooled": 300, "spooled_bytes": 1_200_000, "restarts": 2, "refused": 4, "message": "!"}
    lines = summed(a=ROWS, b={**ROWS, **odd}, c=ROWS)
    below = lines.index(next(line for line in lines if line.startswith("b "))) + 1
    note = " ".join(lines[below : below + 2])
    for piece in ("HDF5 refused: 4", "spooled: 300 (1.20 MB on disk)", "restarts: 2", "!"):
        assert piece in note
    assert sum(line.startswith("    ") for line in lines) == len(lines[below : below + 1])


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_hundred_jobs_with_long_names_stay_a_table_and_those_in_need_are_named(width):
    jobs = {f"tower/line{n % 7}/temperature{n}": ROWS for n in range(99)}
    lines = summed(width, **jobs, broken={**ROWS, "state": "hanging"})
    assert max(map(len, lines)) <= width
    rows = [line for line in lines if "reading" in line]
    assert len(rows) == 99
    assert len({len(line) for line in rows}) == 1
    assert all(f"temperature{n} " in "".join(rows) for n in range(99)) or width == 40
    assert any(line.startswith("all jobs") for line in lines)
    assert "1 needs a look: broken (hanging)" in " ".join(lines[-3:])


def alarm(made: Picture, number: int, level: str = "alarm", text: str = "") -> None:
    told = {"id": number, "time": NOW, "job": "T", "column": str(number), "kind": "high"}
    made.take("alarm", "", {**told, "level": level, "text": text or f"alarm {number}"}, NOW)


def test_every_face_shows_the_worst_alarm():
    made = picture(T={})
    alarm(made, 1, "warn")
    alarm(made, 2, text="T = 50 K: above\x1b 40 K")
    for face in (LiveTable, StatusLine, Summary):
        console = terminal()
        face(made, console).print(NOW)
        assert "✖ T = 50 K: above· 40 K" in written(console)
        assert face is Summary or "2 alarms" in written(console)


def test_many_alarms_leave_room_for_the_jobs():
    made = picture(T={})
    for number in range(1, 100):
        alarm(made, number)
    console = terminal(height=24)
    with LiveTable(made, console) as table:
        table.update(NOW)
    assert "and 94 more alarms" in written(console)
    assert "running" in written(console)


def test_a_pipe_is_told_at_once_of_an_alarm_and_of_its_end():
    made = picture(T={})
    console = pipe()
    with LiveTable(made, console) as table:
        for number, level in enumerate(("warn", "alarm", "ok"), start=1):
            made.take("alarm", "", {"id": number, "job": "T", "kind": "down", "level": level,
                                    "text": f"it is {level}"}, NOW)  # fmt: skip
            table.update(NOW + number)
    text = written(console)
    assert text.count("1 alarm") == 2
    assert text.count("it is alarm") == 1
    assert text.count("T  running") == 3
