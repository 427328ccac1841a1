"""Rules that join several keys: two jobs with one group, a getter beside a command, a jitter
longer than its period.

They look at the tables as they stand in the file, not at the validated model, so that they are
told together with all other mistakes. A value of the wrong kind is not theirs to judge: they see
the default in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from h5daq.config.alarm_rules import broken_alarm_rules
from h5daq.config.mistakes import KeyPath, Mistake, nearest, shown

__all__ = ["broken_rules"]

_Tables = Mapping[str, Any]
_UNITS = ("years", "months", "weeks", "days", "hours", "minutes", "seconds")
_COMMAND_ONLY = ("delimiter", "comment")
_ENDPOINTS = ("requests", "signals", "data")
_PROTOCOLS = ("tcp://", "ipc://")
_MEND_TCP = (
    'keys = "keys" in [security] (made by: h5daq keys init keys); or insecure = true there, if\n'
    "everybody on the network may"
)


def broken_rules(raw: _Tables) -> Iterator[Mistake]:
    """Every rule that the tables of `raw` break."""
    yield from _jitter(_table(raw, "run"))
    yield from _run_rollover(_table(raw, "run", "rollover"))
    yield from _compression(_table(raw, "run", "compression"))
    yield from _log_rollover(_table(raw, "logging", "rollover"))
    yield from _endpoints(raw)
    yield from _reachable(raw)
    yield from _hosts(raw)
    yield from _groups(_jobs(raw))
    yield from broken_alarm_rules(raw)
    for number, job in _jobs(raw):
        yield from _source(("jobs", number), job)
        yield from _labels(("jobs", number), job)
        yield from _modes(("jobs", number), job)


def _table(table: _Tables, *keys: str) -> _Tables:
    for key in keys:
        value = table.get(key)
        table = value if isinstance(value, dict) else {}
    return table


def _text(table: _Tables, key: str) -> str:
    value = table.get(key)
    return value if isinstance(value, str) else ""


def _number(table: _Tables, key: str, default: float) -> float:
    value = table.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else default


def _tables(table: _Tables, key: str) -> list[tuple[int, _Tables]]:
    value = table.get(key)
    entries = value if isinstance(value, list) else []
    return [(number, entry) for number, entry in enumerate(entries) if isinstance(entry, dict)]


def _jobs(raw: _Tables) -> list[tuple[int, _Tables]]:
    return _tables(raw, "jobs")


def _jitter(run: _Tables) -> Iterator[Mistake]:
    period, jitter = _number(run, "write_period", 60.0), _number(run, "write_period_jitter", 0.0)
    if jitter >= period > 0:
        key = "write_period_jitter" if "write_period_jitter" in run else "write_period"
        yield Mistake(
            ("run", key),
            "write_period must be longer than write_period_jitter",
            f"write_period = {period:g}, write_period_jitter = {jitter:g}",
            f"write_period_jitter below {period:g}",
        )


def _run_rollover(rollover: _Tables) -> Iterator[Mistake]:
    units = [unit for unit in _UNITS if unit in rollover]
    if len(units) > 1:
        yield Mistake(
            ("run", "rollover", units[1]),
            "more than one unit of time",
            shown(rollover),
            "one of them, such as { days = 1 }; a size may stand beside it",
        )


def _compression(table: _Tables) -> Iterator[Mistake]:
    chosen = table.get("filter", "gzip")
    if "level" in table and chosen != "gzip":
        key = ("run", "compression", "level")
        yield Mistake(key, "only gzip has a level", shown(table), "leave level out, or take gzip")
    if "options" in table and not isinstance(chosen, int):
        key, right = ("run", "compression", "options"), "leave options out"
        yield Mistake(key, "options are for a plugin's number", shown(table), right)


def _log_rollover(rollover: _Tables) -> Iterator[Mistake]:
    rules = [key for key in ("days", "hours", "size") if key in rollover]
    if len(rules) > 1:
        yield Mistake(
            ("logging", "rollover", rules[1]),
            "a log file is rolled over by one rule only",
            shown(rollover),
            'days, hours or size, such as { days = 7, keep = 10 } or { size = "10 MiB" }',
        )


def _endpoints(raw: _Tables) -> Iterator[Mistake]:
    writer = _table(raw, "writer")
    for name in _ENDPOINTS:
        problem = _endpoint_problem(_text(writer, name) or "ipc://x")
        if problem:
            right = '"tcp://<address or *>:<port>", such as "tcp://*:5570", or "ipc://<path>"'
            yield Mistake(("writer", name), problem, shown(writer[name]), right)
    yield from _same_endpoint(writer)


def _endpoint_problem(endpoint: str) -> str:
    if not endpoint.startswith(_PROTOCOLS) or endpoint in _PROTOCOLS:
        return "not an endpoint"
    if endpoint.startswith("tcp://"):
        address, colon, port = endpoint[6:].rpartition(":")
        if not (address and colon and port.isdecimal() and int(port) < 65536):
            return "not a tcp endpoint: it needs an address and a port"
    return ""


def _same_endpoint(writer: _Tables) -> Iterator[Mistake]:
    seen: dict[str, str] = {}
    for name in _ENDPOINTS:
        endpoint = _text(writer, name)
        if endpoint and endpoint in seen and not endpoint.endswith(":0"):
            first = f"three different endpoints; {seen[endpoint]} has this one"
            yield Mistake(("writer", name), "the same endpoint twice", shown(endpoint), first)
        seen.setdefault(endpoint, name)


def _reachable(raw: _Tables) -> Iterator[Mistake]:
    security = _table(raw, "security")
    if "keys" in security or security.get("insecure") is True:
        return
    writer = _table(raw, "writer")
    on_tcp = {name: writer[name] for name in _ENDPOINTS if _is_exposed(_text(writer, name))}
    remote = [number for number, job in _jobs(raw) if _text(job, "host")]
    if on_tcp:
        problem = "a socket without keys: whoever reaches it could command the run"
        yield Mistake(("writer", next(iter(on_tcp))), problem, shown(on_tcp)[2:-2], _MEND_TCP)
    elif remote:
        problem = "a job on another host, without keys: its rows come in over tcp"
        key = ("jobs", remote[0], "host")
        yield Mistake(key, problem, shown(raw["jobs"][remote[0]]["host"]), _MEND_TCP)


def _is_exposed(endpoint: str) -> bool:
    # Abstract ipc sockets, whose names begin with "@", have no permissions.
    return endpoint.startswith(("tcp://", "ipc://@"))


def _hosts(raw: _Tables) -> Iterator[Mistake]:
    hosts = _table(raw, "hosts")
    for number, job in _jobs(raw):
        host = _text(job, "host")
        if host and host not in hosts:
            near = nearest(host, hosts)
            right = f'"{near}" (the nearest known host)' if near else f"a table [hosts.{host}]"
            yield Mistake(
                ("jobs", number, "host"), "a host that is not in [hosts]", shown(host), right
            )


def _groups(jobs: list[tuple[int, _Tables]]) -> Iterator[Mistake]:
    groups: dict[str, int] = {}
    for number, job in jobs:
        group = _text(job, "group").strip("/")
        if group and group in groups:
            yield Mistake(
                ("jobs", number, "group"),
                f"a group that jobs[{groups[group]}] has already",
                shown(job["group"]),
                "a group of its own for each job",
            )
        groups.setdefault(group, number)
    yield from _label_is_a_group(jobs, groups)


def _label_is_a_group(
    jobs: list[tuple[int, _Tables]], groups: Mapping[str, int]
) -> Iterator[Mistake]:
    # In HDF5 the dataset T of the group tank and a group tank/T would be the same name.
    parents = {group[:end]: n for group, n in groups.items() for end in _ends(group)}
    for number, job in jobs:
        for place, label in _label_list(job):
            path = f"{_text(job, 'group').strip('/')}/{label}"
            if path in parents:
                other = f"jobs[{parents[path]}]"
                yield Mistake(
                    ("jobs", number, "columns", place, "label"),
                    f"the dataset would have the name of a group: {path} is one by {other}",
                    shown(label),
                    "another label, or another group",
                )


def _ends(group: str) -> list[int]:
    return [end for end, sign in enumerate(group) if sign == "/"] + [len(group)]


def _label_list(job: _Tables) -> list[tuple[int, str]]:
    labels = [(number, _text(column, "label")) for number, column in _tables(job, "columns")]
    return [(number, label) for number, label in labels if label]


def _labels(key: KeyPath, job: _Tables) -> Iterator[Mistake]:
    seen: set[str] = set()
    for place, label in _label_list(job):
        if label in seen:
            at = (*key, "columns", place, "label")
            yield Mistake(at, "a label twice", shown(label), "another label for each column")
        seen.add(label)


def _source(key: KeyPath, job: _Tables) -> Iterator[Mistake]:
    if "getter" in job and "command" in job:
        found = f"getter = {shown(job['getter'])}, command = {shown(job['command'])}"
        yield Mistake((*key, "command"), "both getter and command", found, "one of them")
    elif "getter" not in job and "command" not in job:
        right = 'getter = "module:name", or command = "./read.sh"'
        yield Mistake((*key, "getter"), "neither getter nor command", right=right)
    elif "command" in job and "args" in job:
        right = "write the arguments into the command"
        yield Mistake((*key, "args"), "a command takes no args", shown(job["args"]), right)
    elif "getter" in job:
        for name in _COMMAND_ONLY:
            if name in job:
                yield Mistake((*key, name), "is for a command", shown(job[name]), "leave it out")


def _modes(key: KeyPath, job: _Tables) -> Iterator[Mistake]:
    if job.get("read_mode") == "constant" and job.get("align") is True:
        found = 'read_mode = "constant", align = true'
        right = "leave align out: it is for the times of a schedule"
        yield Mistake((*key, "align"), "a constant job has no times to align", found, right)
    if job.get("extend_mode") is True and job.get("compress") is True:
        found = "extend_mode = true, compress = true"
        right = "one of them: blocks of rows are not folded"
        yield Mistake((*key, "compress"), "not possible in extend_mode", found, right)
