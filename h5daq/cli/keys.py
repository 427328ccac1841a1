"""``h5daq keys``: who may send rows, command or listen, once the sockets are on a network.

Made on the writer's machine: ``init`` makes the writer's own key and the list of those it lets in,
``add`` puts one more on it and makes the file that its user needs, ``revoke`` takes one off, also
while the writer runs.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from h5daq.cli.parser import Arguments, Parser, Subparsers, add_command, add_json

if TYPE_CHECKING:
    from h5daq.flow.roles import Key
    from h5daq.keys import KeyDirectory

__all__ = ["add"]

_ROLES = ("worker", "operator", "monitor")
_DETAILS = """\
With keys, nobody without one on the writer's list gets anything from its sockets, and all that goes
over them is encrypted. A key has a role: a worker may send rows of the jobs it is named for, a
monitor may read and listen, an operator may also command and change."""
_EXAMPLES = """\
h5daq keys init keys                             # on the writer's machine
h5daq keys add pi1 --role worker --jobs 'tank/*' # then move keys/pi1.key to pi1
h5daq keys add anna --role operator
h5daq keys list
h5daq keys revoke pi1                            # a running writer notices within a second"""


def add(subparsers: Subparsers) -> None:
    """Add this command."""
    parser = add_command(
        subparsers, "keys", _list, summary="Make, list and revoke the keys of a writer's sockets.",
        details=_DETAILS, examples=_EXAMPLES,
    )  # fmt: skip
    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", required=True, title="actions", parser_class=Parser
    )
    init = add_command(
        actions, "init", _init, summary="Make the writer's key, its list, and an operator's key.",
        examples="h5daq keys init keys",
    )  # fmt: skip
    init.add_argument("directory", help="a new directory")
    _add_add(actions)
    listed = add_command(
        actions, "list", _list, summary="List the keys that are let in.",
        examples="h5daq keys list\nh5daq keys list --keys /etc/h5daq/keys --json",
    )  # fmt: skip
    revoke = add_command(
        actions, "revoke", _revoke, summary="Take a key off the list, also while the writer runs.",
        details="Within a second nothing that comes by this key is taken any more, and it hears\n"
        "nothing. Other subscribers are connected anew, which takes them a moment.",
        examples="h5daq keys revoke pi1",
    )  # fmt: skip
    revoke.add_argument("name", help="the key's name")
    for each in (listed, revoke):
        _add_directory(each)
    for each in (init, listed, revoke):
        add_json(each)


def _add_add(actions: Subparsers) -> None:
    parser = add_command(
        actions, "add", _add, summary="Put a new key on the list, and make the file for its user.",
        details="One key per host or user: what is lost with one is revoked with one.",
        examples="h5daq keys add pi1 --role worker --jobs 'tank/*' tower\n"
        "h5daq keys add screen --role monitor\n"
        "h5daq keys add anna --role operator --public 'KEY'   # anna made the pair herself",
    )  # fmt: skip
    parser.add_argument("name", help="the name of a host or user")
    parser.add_argument("--role", required=True, choices=_ROLES, help="what the key is for")
    parser.add_argument(
        "--jobs", nargs="+", default=[], metavar="PATTERN",
        help="of a worker: the groups of its jobs; * stands for anything, slashes included",
    )  # fmt: skip
    parser.add_argument("--public", help="a public key whose private half is elsewhere")
    _add_directory(parser)
    add_json(parser)


def _add_directory(parser: argparse.ArgumentParser) -> None:
    default = os.environ.get("H5DAQ_KEYS") or "keys"
    parser.add_argument(
        "--keys", metavar="DIR", default=default, help="the writer's directory of keys (keys)"
    )


def _init(args: Arguments) -> int:
    from h5daq.keys import ALLOWED, KeyDirectory

    keys = KeyDirectory(args.directory)
    operator, path = keys.make(), keys.path
    if args.json:
        print(
            json.dumps({"directory": str(path), "public": keys.public, "keys": [_fields(operator)]})
        )
        return 0
    print(f"{path}/  the writer's keys (mode 0700; it stays on the writer's machine)")
    print("  writer.key    the writer's own; never leaves this directory")
    print("  operator.key  yours: may do everything but send rows")
    print(f"  {ALLOWED}  who is let in; may be edited by hand")
    print(f'Next: keys = "{path}" in [security] of the configuration, then a key for each other')
    print(f"host or user:  h5daq keys add pi1 --role worker --jobs 'tank/*'{_where(path)}")
    return 0


def _add(args: Arguments) -> int:
    from h5daq.flow.roles import Role
    from h5daq.keys import KeyDirectory

    keys = KeyDirectory(args.keys)
    key = keys.add(args.name, Role(args.role), args.jobs, args.public)
    if args.json:
        print(json.dumps({**_fields(key), "file": _file(keys, key), "writer": keys.public}))
        return 0
    print(f"{key.name} is on the list: {_said(key)}; a running writer knows it within a second")
    if args.public:
        print(f"its file needs the writer's public key:  writer = {keys.public!r}")
        return 0
    print(
        f"  {_file(keys, key)}  private: move it to {key.name}, with mode 0600; whoever has it is"
    )
    print(
        f"  {' ' * len(str(_file(keys, key)))}  {key.name} to the writer. This copy is not needed"
    )
    print(f"there:  {_use(key)}")
    return 0


def _list(args: Arguments) -> int:
    from h5daq.keys import KeyDirectory

    directory = KeyDirectory(args.keys)
    keys = sorted(directory.load().values(), key=lambda key: key.name)
    if args.json:
        print(json.dumps([{**_fields(key), "file": _file(directory, key)} for key in keys]))
        return 0
    width = max((len(key.name) for key in keys), default=0)
    for key in keys:
        here = "  (its private file is still here)" if directory.has_private(key.name) else ""
        print(f"{key.name:<{width}}  {_said(key)}{here}")
    return 0


def _revoke(args: Arguments) -> int:
    from h5daq.keys import KeyDirectory

    key = KeyDirectory(args.keys).revoke(args.name)
    if args.json:
        print(json.dumps({"revoked": key.name}))
    else:
        print(f"revoked: {key.name}; a running writer lets it in no more within a second")
    return 0


def _fields(key: Key) -> dict[str, Any]:
    # A public key is no secret: who makes files for a user by a program needs it.
    return {"name": key.name, "role": key.role, "jobs": [*key.jobs], "public": key.public}


def _file(directory: KeyDirectory, key: Key) -> str | None:
    found = directory.has_private(key.name)
    return str(directory.path / f"{key.name}.key") if found else None


def _said(key: Key) -> str:
    return key.role.value + (f", rows of {', '.join(key.jobs)}" if key.jobs else "")


def _use(key: Key) -> str:
    if key.role == "worker":
        return f"h5daq worker lab.toml --job GROUP --keys {key.name}.key"
    return f"h5daq status --connect tcp://HOST:5570 --keys {key.name}.key"


def _where(path: Path) -> str:
    return "" if str(path) == "keys" else f" --keys {path}"
