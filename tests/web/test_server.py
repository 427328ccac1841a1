"""The server without a browser: who is let in, what is refused, and that nobody can slow it."""

import asyncio
import contextlib
import http.client
import json
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

import h5daq
from h5daq.errors import MissingExtra, StorageError
from h5daq.monitor.web import Gate, Place, serve, serving
from tests.web.conftest import TOKEN

pytestmark = pytest.mark.processes

PATIENCE = 60.0


class Line:
    """A page's connection, for a test that is a page."""

    def __init__(self, socket):
        self.socket, self.came, self.ended = socket, [], False

    def say(self, **message):
        self.socket.write_message(json.dumps(message))

    async def until(self, wanted):
        """The first message that is wanted; None when the connection ends before."""
        while True:
            while self.came:
                if wanted(message := self.came.pop(0)):
                    return message
            text = await asyncio.wait_for(self.socket.read_message(), PATIENCE)
            if text is None:
                self.ended = True
                return None
            self.came = json.loads(text)

    async def ask(self, **message):
        self.say(id=7, **message)
        return await self.until(lambda said: said["k"] == "reply")


def talk(server, act, **options):
    """Have `act(line)` talk to the server as a page does."""

    async def do():
        url = server.url.replace("http", "ws") + "socket"
        headers = {"Origin": server.url.rstrip("/")}
        line = Line(await websocket_connect(HTTPRequest(url, headers=headers, **options)))
        try:
            return await act(line)
        finally:
            line.socket.close()
            while not line.ended:
                await line.until(lambda _: False)

    return asyncio.run(do())


def refused(run, **asked):
    async def act(line):
        line.say(k="hello")
        return await line.ask(**asked)

    reply = talk(run.server, act)
    assert not reply["ok"]
    return reply["error"]


@pytest.mark.parametrize("verb", ["pause", "resume", "trigger", "flush"])
def test_control_without_a_token_is_refused(run, verb):
    assert "can only look" in refused(run, k="order", verb=verb, jobs=["tank"])


def test_a_comment_without_a_token_is_refused_and_not_written(run):
    name = run.scan("silent")
    assert "can only look" in refused(run, k="comment", of="vault", path=[name], text="hello")
    with h5daq.connect(directory=run.folder) as client, client.vault(timeout=60.0) as vault:
        vault.open(name)
        assert vault.get_comments() == []


def test_a_wrong_token_lets_look_and_no_more(run):
    async def act(line):
        line.say(k="hello", token="not the token at all")
        kinds = [(await line.until(lambda said: True))["k"] for _ in range(2)]
        return kinds, await line.ask(k="order", verb="pause", jobs=["tank"])

    kinds, reply = talk(run.server, act)
    assert kinds == ["refused", "welcome"]
    assert "can only look" in reply["error"]


def test_an_operator_orders_only_what_the_page_has_and_the_log_never_has_the_token(run):
    async def act(line):
        line.say(k="hello", token=TOKEN)
        assert (await line.until(lambda said: said["k"] == "welcome"))["operator"]
        ordered = await line.ask(k="order", verb="trigger", jobs=["camera"], n=1)
        return ordered, await line.ask(k="order", verb="stop")

    ordered, stop = talk(run.server, act)
    assert ordered["result"] == {"jobs": ["camera"]}
    assert "not 'stop'" in stop["error"]
    assert any("trigger of ['camera']" in line for line in run.lines)
    assert not any(TOKEN in line for line in run.lines)


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.org"}, {"Origin": "http://evil.org", "Host": "evil.org"}],
    ids=["another site", "a name that points here"],
)
def test_other_sites_can_not_connect(run, headers):
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    line = http.client.HTTPConnection("127.0.0.1", run.server.port, timeout=PATIENCE)
    with contextlib.closing(line):
        line.request(
            "GET", "/socket", headers={**upgrade, "Sec-WebSocket-Key": "x" * 24, **headers}
        )
        assert line.getresponse().status == 403


def test_a_name_that_points_here_gets_no_page(run):
    request = urllib.request.Request(run.server.url, headers={"Host": "evil.org"})
    with pytest.raises(urllib.error.HTTPError, match="403") as caught:
        urllib.request.urlopen(request, timeout=PATIENCE)
    caught.value.close()
    with urllib.request.urlopen(run.server.url, timeout=PATIENCE) as reply:
        assert "default-src 'none'" in reply.headers["Content-Security-Policy"]


def test_a_private_page_wants_the_token_for_a_look(run):
    def connect():
        return h5daq.connect(directory=run.folder)

    async def look(line, token=None):
        line.say(k="hello", token=token)
        return await line.until(lambda said: said["k"] in ("welcome", "news"))

    with serve(connect, Place(), Gate(TOKEN, private=True)) as server:
        assert talk(server, look) is None
        assert talk(server, lambda line: look(line, TOKEN))["operator"]


def test_without_files_the_vault_tells_of_large_columns_and_the_writer_shows_them(run):
    camera = {"of": "job", "path": ["camera"]}

    async def act(line):
        line.say(k="hello")
        await line.until(lambda said: said.get("values", {}).get("job:camera", {}).get("rows"))
        about = await line.ask(k="about", **camera)
        watched = await line.ask(k="watch", view=1, labels=["frame"], mode="image", **camera)
        return about["result"]["columns"], watched["result"]

    with serve(lambda: h5daq.connect(directory=run.folder), Place(), Gate(None)) as server:
        (column,), image = talk(server, act)
    assert (column["label"], column["dtype"], column["shape"]) == ("frame", "float64", [100, 120])
    assert (image["k"], image["shape"], image["size"]) == ("image", [100, 120], [100, 120])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of this machine's own making, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "page.pem", folder / "page.key"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -batch"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    files = ["-keyout", str(key), "-out", str(made)]
    subprocess.run(["openssl", *words.split(), *names, *files], check=True, capture_output=True)
    return made, key


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate by openssl")
def test_with_a_certificate_page_and_token_travel_by_tls_alone(run, certificate):
    made, key = certificate
    place = Place(certificate=made, key=key)
    with serve(lambda: h5daq.connect(directory=run.folder), place, Gate(TOKEN)) as server:
        assert server.url == f"https://127.0.0.1:{server.port}/"
        trusted = ssl.create_default_context(cafile=str(made))
        with urllib.request.urlopen(server.url, timeout=PATIENCE, context=trusted) as reply:
            assert b"<title>h5daq</title>" in reply.read()
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(server.url, timeout=PATIENCE)
        plain = server.url.replace("https", "http")
        with pytest.raises((urllib.error.URLError, ConnectionError, http.client.HTTPException)):
            urllib.request.urlopen(plain, timeout=PATIENCE)

        async def take_control(line):
            line.say(k="hello", token=TOKEN)
            return await line.until(lambda said: said["k"] == "welcome")

        assert talk(server, take_control, ca_certs=str(made))["operator"]


def test_what_is_no_certificate_is_named_and_nothing_is_served(tmp_path):
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    with pytest.raises(StorageError, match="can't be served there"):
        serve(lambda: None, Place(certificate=wrong, key=wrong), Gate(None))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"k": "what"}, "which is nothing"),
        ({"k": "watch", "view": 1, "path": ["tank"], "labels": [], "mode": "curves"}, "labels"),
        ({"k": "watch", "view": 1, "path": ["tank"], "labels": ["T"], "mode": "x"}, "modes"),
        ({"k": "watch", "view": 1, "path": "tank", "labels": ["T"], "mode": "curves"}, "list"),
        ({"k": "watch", "view": "1", "path": [], "labels": ["T"], "mode": "curves"}, "at most"),
        ({"k": "watch", "view": 1, "path": ["tank"], "labels": ["T"], "mode": "curves",
          "seconds": 1e99}, "seconds"),
        ({"k": "directory", "path": ["nowhere"]}, "nowhere"),
        ({"k": "about", "of": "vault", "path": []}, "no dataset"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_answered_with_a_sentence(run, asked, said):
    assert said in refused(run, **asked)


def test_a_page_that_says_nonsense_is_closed_and_the_others_go_on(run):
    async def act(line):
        line.say(k="hello")
        await line.until(lambda said: said["k"] == "news")
        line.socket.write_message("[1, 2")
        return await line.until(lambda said: False)

    assert talk(run.server, act) is None

    async def look(line):
        line.say(k="hello")
        return await line.until(lambda said: said["k"] == "news")

    assert "job:tank" in talk(run.server, look)["values"]


def test_a_page_that_does_not_read_gets_the_sum_of_the_changes_later(run, wait_until):
    async def act(line):
        line.say(k="hello")
        before = (await line.until(lambda said: "job:tank" in said.get("values", {})))["values"]
        rows = before["job:tank"]["rows"]
        now = await line.until(
            lambda said: said.get("values", {}).get("job:tank", {}).get("rows", 0) > rows + 5
        )
        return set(now["values"])

    assert talk(run.server, act) <= {"run", "job:tank", "job:scope", "job:camera"}


def test_a_port_that_is_taken_is_named(run):
    with pytest.raises(StorageError, match=f"127.0.0.1:{run.server.port}"):
        serve(lambda: None, Place(run.server.port), Gate(None))


def test_a_missing_bokeh_is_named_with_its_extra(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(serving, "import_module", missing)
    with pytest.raises(MissingExtra, match=r"h5daq\[web\]"):
        serve(lambda: None, Place(), Gate(None))


def test_the_page_goes_on_with_the_next_run_of_its_directory(tmp_path, wait_until):
    def job():
        return [h5daq.DAQJob("idle", ["x"], lambda: 1.0, read_period=1.0)]

    def names(server):
        return {server.stage.feed.picture.writer.run_name}

    with contextlib.ExitStack() as first:
        first.enter_context(h5daq.DAQDaemon(job(), "first", directory=tmp_path))
        server = serve(lambda: h5daq.connect(directory=tmp_path), Place(), Gate(None))
        with server:
            wait_until(lambda: names(server) == {"first"})
            first.close()
            with h5daq.DAQDaemon(job(), "second", directory=tmp_path):
                wait_until(lambda: names(server) == {"second"}, 90.0)
