"""``h5daq init`` and ``h5daq examples``: something that runs, to change into what is wanted.

An example is a directory below ``h5daq/examples``. Its configuration, ``lab.toml``, says in the
first line what it shows, and then how to run it. Copies are the user's: what is there already is
never written over.
"""

from __future__ import annotations

import difflib
import itertools
import json
from pathlib import Path

from h5daq.cli.parser import Arguments, Subparsers, add_command, add_json
from h5daq.errors import ConfigError

__all__ = ["add", "known_examples"]

CONFIG = "lab.toml"
PROJECT = "project"
"""The example that `h5daq init` begins with."""


def add(subparsers: Subparsers) -> None:
    """Add these commands."""
    init = add_command(
        subparsers, "init", _init, summary="Begin a project: a configuration, a getter, a test.",
        details="What it writes runs at once, with a simulated thermometer in the place of your\n"
        "instrument. Nothing is written over.",
        examples="h5daq init lab && cd lab\n"
        "h5daq run lab.toml               # then: h5daq show data\n"
        "pytest                           # the getter's test",
    )  # fmt: skip
    init.add_argument(
        "directory", nargs="?", type=Path, default=Path(), metavar="DIRECTORY",
        help="where to; made if missing (this one)",
    )  # fmt: skip
    examples = add_command(
        subparsers, "examples", _examples, summary="List examples, or copy one to change it.",
        details="Each is a directory with a configuration that runs as it stands.",
        examples="h5daq examples\nh5daq examples camera && cd camera && h5daq run lab.toml\n"
        "h5daq examples scpi --to ~/multimeter",
    )  # fmt: skip
    examples.add_argument("name", nargs="?", metavar="NAME", help="the one to copy")
    examples.add_argument(
        "--to", type=Path, metavar="DIR", help="where to; made if missing (./NAME)"
    )
    add_json(examples)


def known_examples() -> dict[str, Path]:
    """Directories of the examples, by name."""
    home = Path(__file__).parents[1] / "examples"
    return {path.parent.name: path.parent for path in sorted(home.glob(f"*/{CONFIG}"))}


def _init(args: Arguments) -> int:
    source, to = known_examples()[PROJECT], args.directory
    written = _copy(source, to)
    config = to / CONFIG
    name = json.dumps(to.resolve().name or PROJECT, ensure_ascii=False)
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace('name = "lab"', f"name = {name}"), encoding="utf-8")
    _say(to, written)
    return 0


def _examples(args: Arguments) -> int:
    if args.name is None:
        if args.to is not None:
            raise ConfigError("--to needs the NAME of an example; h5daq examples lists them")
        return _list(args)
    known = known_examples()
    if args.name not in known:
        close = difflib.get_close_matches(args.name, known, n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]}?" if close else "."
        raise ConfigError(f"no example {args.name!r}{hint} There are: {', '.join(known)}")
    to = args.to or Path(args.name)
    written = _copy(known[args.name], to)
    if args.json:
        print(json.dumps({"written": [str(path) for path in written]}))
    else:
        _say(to, written)
    return 0


def _list(args: Arguments) -> int:
    told = {name: _first_line(path / CONFIG) for name, path in known_examples().items()}
    if args.json:
        print(json.dumps(told))
        return 0
    width = max(map(len, told))
    for name, text in told.items():
        print(f"{name:<{width}}  {text}")
    print("\nh5daq examples NAME copies one; its lab.toml says how to run it.")
    return 0


def _first_line(path: Path) -> str:
    return path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def _copy(source: Path, to: Path) -> list[Path]:
    """Copy the files of an example; all of them or none."""
    if to.exists() and not to.is_dir():
        raise ConfigError(f"{to} is a file; name a directory, which is made if it is missing")
    files = [path for path in sorted(source.iterdir()) if path.is_file()]
    taken = [str(to / path.name) for path in files if (to / path.name).exists()]
    if taken:
        raise ConfigError(
            f"{', '.join(taken)}: there already, and nothing is written over; "
            "name another directory"
        )
    to.mkdir(parents=True, exist_ok=True)
    for path in files:
        # "x": what came into being since we looked is not written over, either.
        with (to / path.name).open("xb") as copy:
            copy.write(path.read_bytes())
    return [to / path.name for path in files]


def _say(to: Path, written: list[Path]) -> None:
    for path in written:
        print(path)
    print("\nNext:\n")
    if to != Path():
        print(f"   cd {to}")
    # The comment that a configuration opens with: what it shows, an empty line, the steps.
    lines = (to / CONFIG).read_text(encoding="utf-8").splitlines()
    for line in itertools.takewhile(lambda line: line.startswith("#"), lines[2:]):
        print(line.removeprefix("#"))
