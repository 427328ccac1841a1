"""The page in a real browser, before a real run."""

import json
from contextlib import suppress

import h5py
import pytest

import h5daq
from tests.web.conftest import TOKEN

pytestmark = pytest.mark.processes

PLOT = (
    "[...document.querySelectorAll('figure')].find((one) => one.plot.about.labels[0] === '{}').plot"
)
COLUMN = "Array.from(" + PLOT + ".figure.source.data.{})"
MODE = PLOT.replace("labels[0]", "mode") + ".figure"
STATE = "document.querySelector('#connection').textContent"


def seen(browser, url):
    """Open the page, and wait until it is live."""
    browser.open(url)
    browser.until(f"{STATE}.startsWith('live')")


def show(browser, about):
    browser.run(f"h5daq.plots.add({json.dumps(about)})")


def choose(browser, name):
    """Click on an entry of the vault's tree, once it is there."""
    buttons = "[...document.querySelectorAll('#tree button')]"
    item = f"{buttons}.find((button) => button.innerText.endsWith('{name}'))"
    browser.until(f"!!{item}")
    browser.run(f"{item}.click()")


def read(path, look):
    """What is found in a file, once it can be opened and anything is found."""
    # The page's server reads it, too: a checkpoint may wait for that, and be written just now.
    with suppress(OSError), h5py.File(path) as file:
        return look(file)
    return None


def test_values_that_a_job_produced_appear_in_the_plot(run, browser, wait_until):
    seen(browser, run.server.url)
    browser.until(f"{COLUMN.format('T', 'x')}.length > 20")
    times, values = browser.run(f"[{COLUMN.format('T', 'x')}, {COLUMN.format('T', 'y0')}]")
    with h5daq.connect(directory=run.folder) as client:
        path = client.request("flush", timeout=60.0)["file"]

    def times_of(file):
        found = dict(zip(file["tank/T"][:], file["tank/time"][:], strict=True))
        return found if set(values) <= found.keys() else None

    written = wait_until(lambda: read(path, times_of))
    assert values == sorted(set(values))
    for time, value in zip(times, values, strict=True):
        assert time / 1000 == pytest.approx(written[value], abs=1e-5)


def test_waveforms_waterfalls_and_images_are_drawn(run, browser):
    seen(browser, run.server.url)
    for path, label, mode in (
        ("scope", "wave", "lines"), ("scope", "wave", "waterfall"), ("camera", "frame", "image"),
    ):  # fmt: skip
        show(browser, {"of": "job", "path": [path], "labels": [label], "mode": mode})
    row = browser.until(f"Array.from({MODE.format('lines')}.source.data.ys.at(-1) || [])")
    assert [value - row[0] for value in row] == list(range(300))
    band, image = MODE.format("waterfall"), MODE.format("image") + ".source.data.image[0]"
    assert browser.until(f"{band}.rows.length > 3 && {band}.size") == 300
    browser.until(f"{image} && {image}.length === 12000")
    assert browser.run(f"[{image}.shape, {image}[11999]]") == [[100, 120], 99 * 119]
    # Large as it is, it is live: there are minutes between two checkpoints of this run.
    first = browser.run(f"{image}[0]")
    browser.until(f"{image}[0] > {first} + 1")


def test_a_comment_typed_in_the_page_lands_in_the_file(run, browser, wait_until):
    name = run.scan("commented")
    seen(browser, run.control)
    choose(browser, name)
    browser.until("document.querySelector('#columns').innerText.includes('P1')")
    browser.write("#comment-user", "Ada")
    browser.write("#comment-text", "noise <b>gone</b> after 3 µs")
    browser.click("#comment-form button")
    browser.until(
        "document.querySelector('#comments').innerText.includes('Ada: noise <b>gone</b>')"
    )

    def comments(file):
        return [*file["DataVault"].attrs.get("Comments", ()), *file.get("Comments", ())]

    path = run.stored(name)
    said = wait_until(lambda: read(path, comments))
    assert [(bytes(user).decode(), bytes(text).decode()) for _, user, text in said] == [
        ("Ada", "noise <b>gone</b> after 3 µs")
    ]


def test_a_comment_on_a_job_lands_in_the_file_of_the_run(run, browser, wait_until):
    seen(browser, run.control)
    # By the tree, where the run is a directory and its jobs are datasets.
    for name in ("lab", "tank"):
        choose(browser, name)
    browser.until("document.querySelector('#columns').innerText.includes('hPa')")
    browser.write("#comment-text", "pump on")
    browser.click("#comment-form button")
    browser.until("document.querySelector('#comments').innerText.includes('pump on')")
    with h5daq.connect(directory=run.folder) as client:
        path = client.request("flush", timeout=60.0)["file"]

    def comments(file):
        beside = file.get(".h5daq/Comments/tank/Comment", ())
        return [*file["tank"].attrs.get("Comments", ()), *beside]

    said = wait_until(lambda: read(path, comments))
    assert [text if isinstance(text, str) else text.decode() for text in said] == ["pump on"]


def test_rows_of_a_vault_dataset_are_plotted_as_they_are_added(run, browser):
    name = run.scan("followed")
    seen(browser, run.server.url)
    show(browser, {"of": "vault", "path": [name], "labels": ["P1"], "mode": "curves"})
    browser.until(f"{COLUMN.format('P1', 'y0')}.length === 3")
    with h5daq.connect(directory=run.folder) as client, client.vault(timeout=60.0) as vault:
        vault.open(name, append=True)
        vault.add([3.0, 0.125])
    browser.until(f"{COLUMN.format('P1', 'y0')}.length === 4")
    assert browser.run(COLUMN.format("P1", "y0")) == [1.0, 0.5, 0.25, 0.125]
    assert browser.run(COLUMN.format("P1", "x")) == [0.0, 1.0, 2.0, 3.0]


def test_the_page_shows_the_runs_attributes_and_signals_as_they_happen(run, browser):
    seen(browser, run.server.url)
    browser.until("document.querySelector('#run-attributes').innerText.includes('anna')")
    name = run.scan("told")
    said = "document.querySelector('#log').innerText"
    browser.until(f"{said}.includes('new-dataset {name}')")
    browser.until(f"document.querySelector('#tree').innerText.includes('{name}')")
    browser.write("#log-filter", "nothing has this in it")
    assert browser.run(said) == ""


def test_an_alarm_is_shown_as_long_as_it_is_raised(run, browser):
    seen(browser, run.server.url)
    browser.until("document.querySelector('#alarms .warn').textContent.includes('tank/p')")


def test_without_a_token_the_page_can_only_look(run, browser):
    seen(browser, run.server.url)
    assert browser.run(STATE) == "live, only looking"
    browser.until("document.querySelectorAll('#jobs tr').length === 3")
    assert browser.run(
        "[...document.querySelectorAll('[data-verb]')].every((b) => !b.checkVisibility())"
    )
    for asked in (
        {"k": "order", "verb": "pause", "jobs": ["tank"]},
        {"k": "comment", "of": "vault", "path": ["x"], "text": "no"},
    ):
        said = browser.run(
            f"h5daq.link.ask({json.dumps(asked)}).then(() => 'done', (error) => error.message)"
        )
        assert "can only look" in said


def test_an_operator_pauses_and_resumes_a_job_in_the_page(run, browser):
    seen(browser, run.server.url)
    browser.click("#control")
    browser.write("#token", TOKEN)
    browser.press("Enter", 13, "\r")
    browser.until(f"{STATE} === 'live, in control'")
    job = (
        "[...document.querySelectorAll('#jobs tr')].find((row) => row.innerText.includes('camera'))"
    )
    for verb, state in (("pause", "paused"), ("resume", "reading")):
        browser.until(f"!!{job}")
        browser.run(f"{job}.querySelector('[data-verb={verb}]').click()")
        browser.until(f"{job}.querySelector('.state').textContent === '{state}'")


def test_the_page_asks_nobody_else_and_says_no_errors(run, browser):
    seen(browser, run.control)
    assert browser.run("location.hash") == ""
    browser.until(
        "document.querySelectorAll('figure .bk-Figure, figure canvas, .drawing > *').length"
    )
    loaded = browser.run("performance.getEntriesByType('resource').map((one) => one.name)")
    assert all(name.startswith((run.server.url, "data:")) for name in loaded)
    assert browser.said == []


def test_on_a_phone_nothing_is_wider_than_the_screen(run, browser):
    browser.resize(375, 4000, phone=True)
    seen(browser, run.control)
    browser.until(f"{COLUMN.format('T', 'x')}.length > 0")
    assert browser.run("document.documentElement.scrollWidth") <= 375


def test_everything_that_can_be_used_has_a_name_and_the_keyboard_reaches_it(run, browser):
    seen(browser, run.control)
    browser.until("document.querySelectorAll('#jobs tr').length === 3")
    browser.call("Accessibility.enable")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    browser.call("Accessibility.disable")
    used = {"button", "textbox", "searchbox", "combobox", "checkbox", "img", "navigation", "region"}
    roles = [
        (n["role"]["value"], n["name"]["value"]) for n in nodes if not n["ignored"] and "name" in n
    ]
    assert not [role for role, name in roles if role in used and not name.strip()]
    assert ("button", "pause tank") in roles
    browser.press("/", 191)
    assert browser.run("document.activeElement.id") == "filter"
    browser.press("Tab", 9)
    assert browser.run("document.activeElement.getAttribute('role')") == "region"
    browser.press("Tab", 9)
    assert browser.run("document.activeElement.textContent") == "camera"


def test_in_the_dark_the_page_is_dark(run, browser):
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.call("Emulation.setEmulatedMedia", features=dark)
    seen(browser, run.server.url)
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(17, 22, 27)"
    fill = PLOT.format("T") + ".figure.model.background_fill_color"
    assert browser.until(fill) == "#1a2128"
    browser.call("Emulation.setEmulatedMedia", features=[])
    browser.until(f"{fill} === '#ffffff'")
