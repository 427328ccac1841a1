"""``h5daq vault``: look into a Data Vault, follow it, and note something down in it.

ls, show and export ask the writer that is running, or else read the directory without one; the
others need the writer. A dataset is named by its path, whose last part may be its number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from h5daq.cli.control import add_connection, client_of
from h5daq.cli.parser import Arguments, Parser, Subparsers, add_command, add_json
from h5daq.errors import BadArgument, NoAnswer

if TYPE_CHECKING:
    from h5daq.vault.browse import Vault
    from h5daq.vaultclient import VaultContext

    Source = Vault | VaultContext

__all__ = ["add", "source"]

_ANSWER_SECONDS = 3.0
"""How long a writer that has left its endpoints is waited for, where the files would do as well."""

_DETAILS = """\
PATH is that of a directory or a dataset, from the vault's root: 'qubit 3/T1/12' is number 12 there,
and so is 'qubit 3/T1/00012 - decay'. Runs are directories, too, with their jobs as datasets:
'tank-a/fridge/temperature'. A slash within a name is written '\\/', as ls shows it. ls, show and
export need no writer."""
_EXAMPLES = """\
h5daq vault ls 'qubit 3/T1' --directory data
h5daq vault show 'qubit 3/T1/12' --directory data
h5daq vault comment tank-a/fridge/temperature 'refilled the helium' --user anna
h5daq vault tail 'qubit 3/T1/12' --connect tcp://daq0:5570
h5daq vault export 'qubit 3/T1/12' decay.csv"""


def add(subparsers: Subparsers) -> None:
    """Add this command."""
    parser = add_command(
        subparsers, "vault", _ls, summary="Look into a Data Vault, and note something in it.",
        details=_DETAILS, examples=_EXAMPLES,
    )  # fmt: skip
    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", required=True, title="actions", parser_class=Parser
    )
    _add_looks(actions)
    _add_notes(actions)


def _add(
    actions: Subparsers, name: str, handler: Callable[[Arguments], int], **texts: str
) -> Parser:
    parser = add_command(actions, name, handler, **texts)
    nargs = "?" if name == "ls" else None
    parser.add_argument(
        "path", metavar="PATH", nargs=nargs, default="", help="from the root of the vault"
    )
    add_connection(parser)
    add_json(parser)
    return parser


def _add_looks(actions: Subparsers) -> None:
    ls = _add(
        actions, "ls", _ls, summary="List the directories and datasets of a directory.",
        details="Those with the tag trash are left out unless filters are given.",
        examples="h5daq vault ls\nh5daq vault ls 'qubit 3' --filter star --filter=-old\n"
        "h5daq vault ls --filter=-nothing --json",
    )  # fmt: skip
    ls.add_argument(
        "--filter", action="append", metavar="TAG", help="only with this tag; -TAG: without it"
    )
    _add(
        actions, "show", _show, summary="Show a dataset: columns, rows, parameters, comments.",
        examples="h5daq vault show 'T1/12'\nh5daq vault show 'T1/12' --json | jq .parameters",
    )  # fmt: skip
    tail = _add(
        actions, "tail", _tail, summary="Print the rows of a dataset as they are added.",
        examples="h5daq vault tail 'T1/12'\nh5daq vault tail 'T1/12' --new --seconds 60 --json",
    )  # fmt: skip
    tail.add_argument("--new", action="store_true", help="without the rows that are there already")
    tail.add_argument("--seconds", type=float, help="end after so many seconds without a new row")
    export = _add(
        actions, "export", _export, summary="Write a dataset as CSV, Parquet or netCDF.",
        examples="h5daq vault export 'T1/12' decay.csv\nh5daq vault export 'T1/12' decay.parquet",
    )  # fmt: skip
    export.add_argument("target", help="a file that ends in .csv, .parquet or .nc")
    export.add_argument("--force", action="store_true", help="replace a file that is there")


def _add_notes(actions: Subparsers) -> None:
    comment = _add(
        actions, "comment", _comment, summary="Add a comment to a dataset, or list its comments.",
        examples="h5daq vault comment 'T1/12' 'fridge was warm' --user anna\n"
        "h5daq vault comment 'T1/12'",
    )  # fmt: skip
    comment.add_argument("text", nargs="?", help="what to add; without it, all are listed")
    comment.add_argument("--user", default="anonymous", help="who says it")
    tag = _add(
        actions, "tag", _tag, summary="Change the tags of a dataset or directory.",
        details="With a leading ^ a tag is added or, if it is there, taken away. The tags that\n"
        "there are then are printed.",
        examples="h5daq vault tag 'T1/12' star\nh5daq vault tag T1 ^star --remove old",
    )  # fmt: skip
    tag.add_argument("tags", nargs="*", metavar="TAG", help="what to add")
    tag.add_argument(
        "--remove", action="append", default=[], metavar="TAG", help="what to take away"
    )
    param = _add(
        actions, "param", _param, summary="List, print or add parameters of a dataset.",
        details="A value is read as JSON (a number, a list), and else as text. Parameters are\n"
        "never overwritten.",
        examples="h5daq vault param 'T1/12'\nh5daq vault param 'T1/12' power\n"
        "h5daq vault param 'T1/12' power -20.5 --unit dBm",
    )  # fmt: skip
    param.add_argument("name", nargs="?", help="which; without it, all are listed")
    param.add_argument("value", nargs="?", help="add it with this value")
    param.add_argument("--unit", help="of a number, or of a list of numbers")


# -- where the vault is ---------------------------------------------------------------------------


@contextmanager
def _writer(args: Arguments) -> Iterator[VaultContext]:
    with client_of(args) as client, client.vault() as vault:
        yield vault


@contextmanager
def source(args: Arguments) -> Iterator[Source]:
    """The vault of the writer that runs; without one, that of the directory."""
    from h5daq.vault.browse import Vault

    if args.connect is None and not _answers(args):
        yield Vault(args.directory)
        return
    with _writer(args) as vault:
        yield vault


def _answers(args: Arguments) -> bool:
    try:
        with client_of(args) as client:
            client.request("ping", timeout=_ANSWER_SECONDS)
    except NoAnswer:
        return False
    return True


def _parts(path: str) -> list[str]:
    """The names in a path; a slash within one has a backslash before it."""
    return [part.replace("\\/", "/") for part in re.split(r"(?<!\\)/", path) if part]


def _open(vault: Source, path: str) -> str:
    """Open the dataset of a path; its full name."""
    if not _parts(path):
        raise BadArgument("the root is no dataset: name one, e.g. 'T1/12'")
    *above, last = _parts(path)
    vault.cd(["", *above])
    opened = vault.open(int(last) if last.isdecimal() else last)
    return opened if isinstance(opened, str) else opened[1]


# -- looking --------------------------------------------------------------------------------------


def _ls(args: Arguments) -> int:
    filters = args.filter or ["-trash"]
    with source(args) as vault:
        vault.cd(["", *_parts(args.path)])
        directories, datasets = vault.dir_tags(filters)
    if args.json:
        print(json.dumps({"directories": dict(directories), "datasets": dict(datasets)}))
        return 0
    from h5daq.monitor.words import clean

    lines = [(f"{_shown(name)}/", tags) for name, tags in directories]
    lines += [(_shown(name), tags) for name, tags in datasets]
    for name, tags in lines:
        print(f"{name:<40}  {clean(', '.join(tags))}".rstrip())
    return 0


def _shown(name: str) -> str:
    """A name as a PATH has it."""
    from h5daq.monitor.words import clean

    return clean(name).replace("/", "\\/")


def _show(args: Arguments) -> int:
    from h5daq.cli.vault_rows import Overview

    with source(args) as vault:
        overview = Overview.of(vault, _open(vault, args.path))
    print(json.dumps(overview.plain(), default=str) if args.json else overview.text())
    return 0


def _tail(args: Arguments) -> int:
    from h5daq.cli.vault_rows import row_lines

    with _writer(args) as vault, vault.signals("data-available", timeout=args.seconds) as news:
        _open(vault, args.path)
        fresh = vault.get_ex()
        if not args.new:
            print(*row_lines(fresh, args.json), sep="", end="", flush=True)
        try:
            for _ in news:
                print(*row_lines(vault.get_ex(), args.json), sep="", end="", flush=True)
        except (NoAnswer, KeyboardInterrupt):
            return 0
    return 0


def _export(args: Arguments) -> int:
    from h5daq.cli.vault_rows import write

    with source(args) as vault:
        name = _open(vault, args.path)
        rows = write(vault, name, args.target, overwrite=args.force)
    answer = {"file": args.target, "rows": rows}
    print(json.dumps(answer) if args.json else f"{args.target}: {rows:,} rows")
    return 0


# -- noting ---------------------------------------------------------------------------------------


def _comment(args: Arguments) -> int:
    with _writer(args) as vault:
        _open(vault, args.path)
        if args.text is not None:
            vault.add_comment(args.text, args.user)
        comments = [said._asdict() for said in vault.get_comments()]
    if args.json:
        print(json.dumps(comments))
        return 0
    from h5daq.files.times import iso
    from h5daq.monitor.words import clean

    for said in comments[-1:] if args.text is not None else comments:
        print(f"{iso(said['time'])}  {clean(said['user'])}: {clean(said['comment'], 4000)}")
    return 0


def _tag(args: Arguments) -> int:
    changes = [*args.tags, *(f"-{tag}" for tag in args.remove)]
    with _writer(args) as vault:
        *above, name = _parts(args.path) or [""]
        vault.cd(["", *above])
        is_directory = name in vault.dir(())[0]
        if not is_directory:
            name = _open(vault, args.path)
        chosen = ([name], []) if is_directory else ([], [name])
        if changes:
            vault.update_tags(changes, *chosen)
        found = vault.get_tags(*chosen)
    tags = dict([*found[0], *found[1]]).get(name, [])
    print(json.dumps(tags) if args.json else ", ".join(tags))
    return 0


def _param(args: Arguments) -> int:
    from h5daq.cli.vault_rows import plain

    with _writer(args) as vault:
        _open(vault, args.path)
        if args.value is not None:
            vault.add_parameter(args.name, _value(args.value, args.unit))
        found = vault.get_parameters() if args.name is None else {
            args.name: vault.get_parameter(args.name)
        }  # fmt: skip
    if args.json:
        print(json.dumps({name: plain(value) for name, value in found.items()}, default=str))
        return 0
    from h5daq.monitor.words import clean

    for name, value in found.items():
        print(f"{clean(name)} = {clean(str(value), 4000)}")
    return 0


def _value(text: str, unit: str | None) -> Any:
    from h5daq.vault.labrad import Quantity

    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return value if unit is None else Quantity(value, unit)
