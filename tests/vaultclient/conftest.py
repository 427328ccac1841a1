"""A vault in memory behind a real socket, which can lose answers and forget its contexts."""

import tempfile
import threading

import numpy as np
import pytest

from h5daq.client import Client
from h5daq.flow.requests import (
    ErrorCode,
    Note,
    decode_request,
    encode_failure,
    encode_note,
    encode_reply,
)
from h5daq.flow.vaultwire import decode_columns, encode_columns
from h5daq.transports.zmq import WriterPort

CHANGES = {"mkdir", "new", "add", "add_ex", "add_ex_t", "add_parameters", "add_comment"}


class Refused(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class FakeVault(threading.Thread):
    """One directory level, datasets of floats; what a client has to cope with can be ordered.

    `lose[verb]` answers are not sent; `page` rows are in a page; `refuse` makes an add of rows with
    a negative number bad; `restart()` forgets all contexts and keeps what is stored; `ahead` pages
    may be asked for ahead (none, as by older writers, unless it is set); pages that begin with one
    of the rows `fail` can't be read.
    """

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.ending = port, False
        self.lose, self.page, self.lease = {}, 1000, 60.0
        self.rows, self.comments, self.dirs = {}, {}, {("",)}
        self.contexts, self.answered, self.asked = {}, {}, []
        self.refuse, self.times = False, 0
        self.ahead, self.fail = 0, set()
        self.gate = threading.Event()
        self.gate.set()

    def run(self):
        while not self.ending:
            self.port.poll(1.0)
            for asked in self.port.receive_requests():
                self.gate.wait(60.0)
                self.serve(asked.identity, decode_request(asked.frames))

    def end(self):
        self.ending = True
        self.gate.set()
        self.port.wake()
        self.join()

    def restart(self):
        self.contexts = {}

    def verbs(self, *names):
        """Which requests with one of these verbs came."""
        return [
            r.verb
            for r in self.asked
            if (r.verb in names if names else r.verb not in ("ping", "resume"))
        ]

    def serve(self, identity, request):
        self.asked.append(request)
        known = self.answered.get((request.session, request.id))
        try:
            result, frames = known or self.do(identity, request)
        except Refused as error:
            self.send(identity, request, encode_failure(request.id, error.code, str(error)))
            return
        if request.verb in CHANGES:
            self.answered[request.session, request.id] = result, frames
        self.send(identity, request, encode_reply(request.id, result, frames))

    def send(self, identity, request, frames):
        if self.lose.get(request.verb, 0) > 0:
            self.lose[request.verb] -= 1
        else:
            self.port.reply(identity, frames)

    def do(self, identity, request):
        key = request.session, request.ctx
        if request.verb == "ping":
            return {}, []
        if request.verb == "context":
            fresh = {"path": [""], "open": None, "at": 0, "said": 0, "listens": {}}
            self.contexts.setdefault(key, fresh)
        if key not in self.contexts:
            raise Refused(ErrorCode.CONTEXT_LOST, "context lost")
        self.context = self.contexts[key]
        self.context["identity"], self.context["ctx"] = identity, request.ctx
        result = getattr(self, f"do_{request.verb}")(request.args, request)
        return result if isinstance(result, tuple) else (result, [])

    def tell(self, kind, payload):
        for context in self.contexts.values():
            if kind in context["listens"]:
                note = Note(context["ctx"], kind, context["listens"][kind], payload)
                self.port.reply(context["identity"], encode_note(note))

    def do_context(self, args, request):
        return {"boot": "b", "lease": args.get("lease", self.lease), "ahead": self.ahead}

    def do_resume(self, args, request):
        return None

    def do_forget(self, args, request):
        del self.contexts[request.session, request.ctx]

    def do_signal(self, args, request):
        if args["mid"] is None:
            self.context["listens"].pop(args["kind"], None)
        else:
            self.context["listens"][args["kind"]] = args["mid"]

    def do_cd(self, args, request):
        path = [""]
        for name in args["path"] or self.context["path"]:
            path = [*path, name] if name else [""]
            if args["create"]:
                self.dirs.add(tuple(path))
            if tuple(path) not in self.dirs:
                raise Refused(ErrorCode.DIRECTORY_NOT_FOUND, f"no directory {path}")
        self.context["path"] = path
        return path

    def do_mkdir(self, args, request):
        path = (*self.context["path"], args["name"])
        if path in self.dirs:
            raise Refused(ErrorCode.DIRECTORY_EXISTS, "is there")
        self.dirs.add(path)
        self.tell("new-dir", args["name"])
        return list(path)

    def do_dir(self, args, request):
        here = tuple(self.context["path"])
        dirs = sorted(p[-1] for p in self.dirs if p[:-1] == here and p != ("",))
        return [dirs, sorted(name for path, name in self.rows if path == here)]

    def do_new(self, args, request):
        here = tuple(self.context["path"])
        name = f"{sum(p == here for p, _ in self.rows) + 1:05d} - {args['name']}"
        self.rows[here, name] = np.empty((0, len(args["independents"]) + len(args["dependents"])))
        self.comments[here, name] = []
        self.context.update(open=(here, name), at=0, said=0, writing=True)
        self.tell("new-dataset", name)
        return [list(here), name]

    def do_open(self, args, request):
        key = tuple(self.context["path"]), args["name"]
        if key not in self.rows:
            raise Refused(ErrorCode.DATASET_NOT_FOUND, "no such dataset")
        self.context.update(open=key, at=0, said=0, writing=args["append"])
        return [list(key[0]), key[1]]

    def do_add(self, args, request):
        key = self.context["open"]
        if key is None:
            raise Refused(ErrorCode.NO_DATASET, "no dataset is open")
        if not self.context["writing"]:
            raise Refused(ErrorCode.READ_ONLY, "open it with append")
        table = np.column_stack(decode_columns(args, request.frames))
        if self.refuse and (table < 0).any():
            raise Refused(ErrorCode.BAD_DATA, "negative")
        self.rows[key] = np.concatenate([self.rows[key], table])
        self.tell("data-available", {"path": list(key[0]), "name": key[1]})

    do_add_ex = do_add_ex_t = do_add

    def do_get(self, args, request):
        every = self.rows[self.context["open"]]
        if args.get("start_over"):
            self.context["at"] = 0
        if self.ahead and args.get("first") is not None:
            self.context["at"] = min(args["first"], len(every))
        at = self.context["at"]
        if at in self.fail:
            raise Refused(ErrorCode.STORAGE, "a sector is gone")
        wanted = len(every) if args["limit"] is None else args["limit"]
        found = every[at : at + min(wanted, self.page, args.get("page") or self.page)]
        self.context["at"] += len(found)
        left = min(len(every) - self.context["at"], wanted - len(found))
        fields, frames = encode_columns([found])
        return {**fields, "more": left > 0, **self.more_of(at, left)}, frames

    def more_of(self, at, left):
        end = self.context["at"]
        ends = [min(end + (k + 1) * self.page, end + left) for k in range(self.ahead)]
        return {"first": at, "left": left, "ahead": ends if left > 0 else []} if self.ahead else {}

    do_get_ex = do_get_ex_t = do_get

    def do_add_comment(self, args, request):
        self.comments[self.context["open"]].append([1.5, args["user"], args["comment"]])

    def do_get_comments(self, args, request):
        if args["start_over"]:
            self.context["said"] = 0
        at = self.context["said"]
        found = self.comments[self.context["open"]][at : at + args["limit"]]
        self.context["said"] += len(found)
        return found

    def do_get_name(self, args, request):
        if self.context["open"] is None:
            raise Refused(ErrorCode.NO_DATASET, "no dataset is open")
        return self.context["open"][1]

    def do_variables(self, args, request):
        columns = self.rows[self.context["open"]].shape[1]
        return [[["x", ""]] * columns, []]

    def do_row_type(self, args, request):
        raise Refused(ErrorCode.INTERNAL, "no idea")

    def do_get_version(self, args, request):
        raise Refused(ErrorCode.STORAGE, "the disk is full")

    def do_transpose_type(self, args, request):
        self.times += 1
        if self.times < 3:
            raise Refused(ErrorCode.TOO_MANY_REQUESTS, "wait")
        return "(*v[])"


@pytest.fixture
def server():
    # Not tmp_path: the path of a socket may not be longer than some hundred characters.
    with (
        tempfile.TemporaryDirectory(prefix="h5_") as folder,
        WriterPort(*(f"ipc://{folder}/{name}" for name in "drs")) as port,
    ):
        server = FakeVault(port)
        server.start()
        yield server
        server.end()


@pytest.fixture
def impatient(monkeypatch):
    """Requests are repeated at once, so that a lost answer costs no time."""
    monkeypatch.setattr("h5daq.flow.errands.FIRST_PAUSE_SECONDS", 0.03)


@pytest.fixture
def client(server):
    with Client(server.port.endpoints.requests) as client:
        yield client


@pytest.fixture
def vault(client):
    with client.vault(timeout=60.0) as vault:
        yield vault


@pytest.fixture
def scan(vault):
    """A vault with a new dataset open."""
    vault.new("scan", ["x [V]"], ["y (deep) [mV]"])
    return vault
