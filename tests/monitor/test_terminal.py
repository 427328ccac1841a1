"""The app of `h5daq monitor`: driven by keys, before a fixed picture and before a real run."""

import asyncio
import itertools
import logging
import re
import threading
import time
from contextlib import asynccontextmanager
from html import unescape

import numpy as np
import pytest
from textual import events

import h5daq
from h5daq.canvas import Size
from h5daq.errors import NotAllowed
from h5daq.flow.roles import Role
from h5daq.keys import KeyDirectory
from h5daq.monitor.feed import Feed
from h5daq.monitor.picture import Picture
from h5daq.monitor.terminal.app import MonitorApp
from h5daq.monitor.terminal.figure import image

NOW = 1_800_000_000.0
CELL = 12.2  # width of a character in a picture


class Still:
    """A source whose picture does not move; what it is told is kept."""

    def __init__(self, picture):
        self.picture, self.lock, self.trouble = picture, threading.Lock(), ""
        self.told = []

    def order(self, verb, jobs):
        if verb == "trigger":
            raise NotAllowed(104, "not allowed", "key 'screen' (monitor) may not ask for 'trigger'")
        self.told.append((verb, jobs))

    def comment(self, job, text, user):
        self.told.append((job, text))


def part(**more):
    return {"state": "reading", "rows": 200, "host": "pi1", "inc": 5, "rss": 32_000_000, **more}


@pytest.fixture
def still():
    """Two jobs that were followed for twenty seconds, one with an array, and a log."""
    picture = Picture()
    lost = part(state="paused", lost={"shape": 3}, host="daq0")
    for second in range(20):
        run = {"id": "r1", "name": "tank-a", "start": NOW - 100}
        reply = {"run": run, "writer": {"disk_free": 10**9}, "jobs": {"tank": part(), "cam": lost}}
        picture.take_status(reply, NOW + second)
        last = {"time": NOW + second, "T": 280.0 + second % 5, "p": 1000.0 - second}
        told = {"total": 200 + 2 * second, "last_time": NOW + second, "last": last}
        picture.take("data-available", "tank-a/tank", told, NOW + second)
    picture.take_values("cam", {"time": NOW, "trace": [float(i % 50) for i in range(300)]}, NOW)
    for number, level in enumerate(["INFO", "WARNING", "ERROR"]):
        remark = {"level": level, "text": f"remark {number}", "time": NOW + number}
        picture.take("log", "tank", remark, NOW + 20)
    return Still(picture)


@asynccontextmanager
async def shown(source, size=(120, 40), clock=lambda: NOW + 20, **options):
    app = MonitorApp(source, clock, **options)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: app.query("Footer"))
        app.draw()
        await pilot.pause(0)
        yield pilot


async def press(pilot, *keys):
    """Without the wait of `Pilot.press` for an idle processor."""
    for key in keys:
        pilot.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await pilot.pause(0)


def seen(app):
    """The text of the screen, from its picture."""
    rows = {}
    texts = re.findall(r'<text [^>]*?x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)</text>', app.picture())
    for x, y, text in texts[1:]:  # the first is the title of the window
        row = rows.get(float(y), "").ljust(round(float(x) / CELL))
        rows[float(y)] = row + unescape(text).replace("\xa0", " ")
    return "\n".join(rows.values())


def remarks(app):
    return "".join(re.findall(r"remark (\d)", seen(app)))


async def until(pilot, holds, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, seen(pilot.app)
        await pilot.pause(0.05)


# -- before a picture that stands still ----------------------------------------------------------


def test_the_screen_tells_jobs_hosts_the_writer_and_losses(still):
    async def look():
        async with shown(still) as pilot:
            return seen(pilot.app)

    text = asyncio.run(look())
    for piece in ("tank-a", "● reading", "○ paused", "3 shape", "pi1", "daq0", "disk 1.00 GB free"):
        assert piece in text
    assert re.search(r"tank .* 238 +2/s +T 284 +p 981", text)


def test_alarms_stand_above_the_jobs_the_worst_first(still):
    for number, (level, text) in enumerate([("warn", "T is 284 K"), ("alarm", "p is 981 hPa")]):
        told = {"id": number, "kind": "high", "column": str(number), "level": level, "text": text}
        still.picture.take("alarm", "tank", {**told, "time": NOW}, NOW + 20)

    async def look():
        async with shown(still) as pilot:
            return seen(pilot.app)

    assert re.search(r"2 alarms.*✖ p is 981 hPa.*▲ T is 284 K.*╭─ jobs", asyncio.run(look()), re.S)


def test_a_screenshot_of_the_same_picture_is_the_same_to_the_byte(still):
    async def look():
        async with shown(still, select="tank/T") as pilot:
            return pilot.app.picture()

    first, second = asyncio.run(look()), asyncio.run(look())
    assert first == second
    assert first.startswith("<svg ")
    for piece in ("tank", "cam", "reading", "paused", "tank/T", "284"):
        assert piece in first
    assert re.search("[\u2801-\u28ff]{3}", first), "the curve is drawn"


def test_the_arrows_choose_job_and_column_and_the_plot_follows(still):
    async def look():
        async with shown(still) as pilot:
            for key, column in [
                ("right", "tank/p"), ("down", "cam/trace"), ("up", "tank/T"), ("right", "tank/p"),
            ]:  # fmt: skip
                await press(pilot, key)
                await until(pilot, lambda title=f"╭─ {column} ─": title in seen(pilot.app))

    asyncio.run(look())


def test_an_array_is_drawn_once_it_was_asked_for(still):
    async def look():
        async with shown(still, select="cam/trace") as pilot:
            before = seen(pilot.app)
            assert still.picture.wants_values(NOW + 21) == ["cam", "tank"]
            row = {"time": NOW + 1, "trace": [float(i % 50) for i in range(300)]}
            still.picture.take_values("cam", row, NOW + 21)
            return before, seen(pilot.app)

    before, after = asyncio.run(look())
    assert "waiting for the newest row" in before
    assert re.search("[\u2801-\u28ff]{3}", after)
    assert re.search(r"\b0 +50 +100 +150 +200 +250\b", after)


def test_an_array_with_many_lines_is_drawn_as_an_image_in_its_proportions():
    values = np.add.outer(np.arange(30.0), np.arange(60.0))
    drawn = image(values, Size(40, 12))
    lines = drawn.split("\n")
    assert (len(lines), {line.plain for line in lines}) == (10, {"▀" * 40})
    assert lines[0].spans[0].style.startswith("rgb(0,0,0) on")
    assert lines[-1].spans[-1].style.endswith("on rgb(255,255,255)")
    assert image(np.full((20, 20), np.nan), Size(40, 12)).plain


def test_the_log_shows_what_has_all_words_and_none_of_the_unwanted(still):
    wanted = {"remark": "012", "ERR": "2", "-error tank": "01", "nowhere": ""}

    async def look():
        async with shown(still) as pilot:
            await press(pilot, "slash")
            for typed, left in wanted.items():
                pilot.app.filter.value = typed
                await until(pilot, lambda left=left: remarks(pilot.app) == left)

    asyncio.run(look())


def test_escape_shows_the_whole_log_again_and_w_the_warnings_alone(still):
    async def look():
        async with shown(still) as pilot:
            await press(pilot, "slash", "1", "enter")
            await until(pilot, lambda: remarks(pilot.app) == "1")
            await press(pilot, "escape")
            await until(pilot, lambda: remarks(pilot.app) == "012")
            await press(pilot, "w")
            await until(pilot, lambda: remarks(pilot.app) == "12")

    asyncio.run(look())


def test_orders_go_to_the_chosen_job_and_a_refusal_is_shown(still):
    async def look():
        async with shown(still) as pilot:
            await press(pilot, "down", "p")
            await until(pilot, lambda: still.told)
            await press(pilot, "r")
            await until(pilot, lambda: len(still.told) == 2)
            await press(pilot, "t")
            await until(pilot, lambda: "may not ask for" in seen(pilot.app))

    asyncio.run(look())
    assert still.told == [("pause", ["cam"]), ("resume", ["cam"])]


def test_a_comment_is_typed_and_sent_for_the_chosen_job_and_escape_sends_none(still):
    async def look():
        async with shown(still) as pilot:
            for words, end in [("x", "escape"), ("on", "enter")]:
                await press(pilot, "c")
                await until(pilot, lambda: pilot.app.screen.query("#question Input:focus"))
                await press(pilot, *words, end)
                await until(pilot, lambda: len(pilot.app.screen_stack) == 1)
            await until(pilot, lambda: still.told)

    asyncio.run(look())
    assert still.told == [("tank", "on")]


def test_n_goes_to_the_next_job_that_lost_something_and_z_zooms(still):
    async def look():
        async with shown(still) as pilot:
            jobs, screen = pilot.app.jobs, pilot.app.screen
            await press(pilot, "n")
            await until(pilot, lambda: jobs.chosen == "cam")
            await press(pilot, "z")
            await until(pilot, lambda: screen.maximized is jobs)
            await press(pilot, "z")
            await until(pilot, lambda: screen.maximized is None)

    asyncio.run(look())


def test_on_any_terminal_jobs_states_and_losses_are_seen(still):
    async def look(size):
        async with shown(still, size) as pilot:
            return seen(pilot.app)

    for size in ((40, 12), (80, 24), (200, 60)):
        text = asyncio.run(look(size))
        assert re.search(r"tank +● reading .* 0 +│", text)
        assert "lost 3 s" in text


def test_four_thousand_jobs_are_scrolled_as_easily_as_four(still):
    jobs = {f"job{number:04d}": part() for number in range(4000)}
    still.picture.take_status({"run": {"id": "r2"}, "writer": {}, "jobs": jobs}, NOW)

    async def look():
        async with shown(still) as pilot:
            await press(pilot, "end")
            await until(pilot, lambda: "job3999" in seen(pilot.app))
            await press(pilot, "home", "pagedown")
            await until(pilot, lambda: pilot.app.jobs.place in range(3, 40))
            assert pilot.app.jobs.chosen in seen(pilot.app)

    asyncio.run(look())


def test_names_and_texts_are_no_markup(still):
    name, label, text = "[bold]a[/x]", "[b]", "[red]x[/]"
    still.picture.job(name).units = {label: "[/k]"}
    still.picture.take("data-available", f"tank-a/{name}", {"last": {label: 1.0}}, NOW)
    still.picture.take("log", name, {"text": text}, NOW + 20)

    async def look():
        async with shown(still, select=f"{name}/{label}") as pilot:
            pilot.app.filter.value = "[red]"
            await until(pilot, lambda: "log: [red]" in seen(pilot.app))
            await press(pilot, "c")
            await until(pilot, lambda: f"Comment on {name}" in seen(pilot.app))
            await press(pilot, "escape")
            await until(pilot, lambda: f"{name}/{label} [[/k]]" in seen(pilot.app))
            assert f"{name}  {text}" in seen(pilot.app)

    asyncio.run(look())


# -- before a real run ---------------------------------------------------------------------------


def tank():
    count = itertools.count()

    def read():
        number = next(count)
        if number % 20 == 5:
            logging.getLogger("tank").warning("pump %d stalls", number)
        return 280.0 + number % 7, float(number)

    return read


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with keys, and the directory of these."""
    home = tmp_path_factory.mktemp("run")
    keys = KeyDirectory(home / "keys")
    keys.make()
    keys.add("screen", Role.MONITOR)
    image = [[0.5] * 100] * 2
    jobs = [
        h5daq.DAQJob("tank", ["T", "n"], tank(), read_period=0.05, units=["K", "1"]),
        h5daq.DAQJob("room/air", "x", itertools.count().__next__, read_period=0.05),
        h5daq.DAQJob("cam", "im", lambda: image, read_mode="trigger", shape=(0, 2, 100)),
    ]
    options = dict.fromkeys(["data", "requests", "signals"], "tcp://127.0.0.1:*")
    with h5daq.DAQDaemon(jobs, "lab", directory=home / "data", keys=keys.path, **options) as daemon:
        yield daemon, keys.path


def state(app, job):
    known = app.view.picture.jobs.get(job)
    return None if known is None else known.state


@asynccontextmanager
async def followed(endpoint, keys):
    with Feed(lambda: h5daq.connect(endpoint, keys=keys)) as feed:
        async with shown(feed, clock=time.time, select="tank/T") as pilot:
            yield pilot


@pytest.mark.processes
def test_a_real_run_is_seen_with_values_curve_and_log_and_the_pause_key_pauses_a_job(run):
    daemon, _ = run

    async def look():
        async with followed(daemon.endpoints["requests"], daemon.keys) as pilot:
            await until(pilot, lambda: "stalls" in seen(pilot.app))
            await until(pilot, lambda: re.search("[\u2801-\u28ff]{3}", seen(pilot.app)))
            # Each in its time: on a busy machine a worker may for a while be shown as silent.
            for piece in ("lab", "tank", "room/air", "● reading", "tank/T", "T 28"):
                await until(pilot, lambda piece=piece: piece in seen(pilot.app))
            await until(pilot, lambda: state(pilot.app, "tank") == "reading")
            await press(pilot, "p")
            await until(pilot, lambda: state(pilot.app, "tank") == "paused")
            await until(pilot, lambda: "→ paused" in seen(pilot.app))
            jobs = pilot.app.view.picture.jobs
            tank, air = jobs["tank"].rows, jobs["room/air"].rows
            await until(pilot, lambda: jobs["room/air"].rows > air)
            await press(pilot, "r")
            await until(pilot, lambda: jobs["tank"].rows > tank)

    asyncio.run(look())


@pytest.mark.processes
def test_a_key_that_may_only_look_is_refused_in_the_app_and_the_job_goes_on(run):
    daemon, keys = run

    async def look():
        async with followed(daemon.endpoints["requests"], keys / "screen.key") as pilot:
            await until(pilot, lambda: state(pilot.app, "tank") == "reading")
            await press(pilot, "p")
            await until(pilot, lambda: "may not ask for" in seen(pilot.app))
            before = pilot.app.view.picture.jobs["tank"].rows
            await until(pilot, lambda: pilot.app.view.picture.jobs["tank"].rows > before)
            return state(pilot.app, "tank")

    assert asyncio.run(look()) != "paused"


@pytest.mark.processes
def test_a_late_monitor_knows_the_newest_row_of_a_job_that_rests(run, wait_until):
    daemon, _ = run
    dial = lambda: h5daq.connect(daemon.endpoints["requests"], keys=daemon.keys)  # noqa: E731
    with Feed(dial) as early:
        wait_until(lambda: "cam" in early.picture.jobs)
        early.order("trigger", ["cam"])
        wait_until(lambda: early.picture.jobs["cam"].rows)
    with Feed(dial) as late:
        cam = late.picture.jobs["cam"]
        wait_until(lambda: cam.shapes)
        assert (cam.shapes, cam.array("im"), cam.text("im")) == ({"im": (2, 100)}, None, "[2×100]")
        with late.lock:
            late.picture.watch("cam")
        assert wait_until(lambda: cam.array("im")) == [[0.5] * 100] * 2


@pytest.mark.processes
def test_a_comment_of_the_app_stands_with_the_job_and_its_unit_in_the_title(run):
    daemon, _ = run
    endpoint, keys = daemon.endpoints["requests"], daemon.keys

    async def look():
        async with followed(endpoint, keys) as pilot:
            await until(pilot, lambda: "tank/T [K]" in seen(pilot.app))
            await press(pilot, "c")
            await until(pilot, lambda: pilot.app.screen.query("#question Input:focus"))
            await press(pilot, *"warm", "enter")
            await until(pilot, lambda: "comment on tank" in seen(pilot.app))

    asyncio.run(look())
    with h5daq.connect(endpoint, keys=keys) as client, client.vault() as vault:
        vault.cd(["", "lab"])
        vault.open("tank")
        assert [said.comment for said in vault.get_comments()] == ["warm"]
