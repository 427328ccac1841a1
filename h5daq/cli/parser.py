"""How commands are described: one helper, so that all have examples and the same options.

``add_command(subparsers, "check", handler, summary=…, examples=…)`` gives the parser of a command
to which its module adds arguments. A mistyped command or option is answered with the nearest one.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import h5daq

__all__ = [
    "Arguments",
    "Parser",
    "Subparsers",
    "add_command",
    "add_json",
    "add_keys",
    "command_parser",
    "given_keys",
]

Arguments = argparse.Namespace
"""The parsed arguments: ``command``, ``handler``, ``debug`` and the command's own."""

_WORD = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)")
_OPTION = re.compile(r"unrecognized arguments: (--\S+)")


class Parser(argparse.ArgumentParser):
    """A parser whose errors name the nearest word that would have been right."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options
        )

    def error(self, message: str) -> NoReturn:
        """End with code 2 and one paragraph."""
        print(f"{self.prog}: {message}{self._hint(message)}", file=sys.stderr)
        print(f"See: {self.prog} --help", file=sys.stderr)
        sys.exit(2)

    def _hint(self, message: str) -> str:
        choice, option = _WORD.search(message), _OPTION.search(message)
        if choice:
            return _nearest(choice[1], re.findall(r"[\w-]+", choice[2]))
        if option:
            return _nearest(option[1], self._options())
        return ""

    def _options(self) -> list[str]:
        # What is left over is told by the outermost parser: look into its commands as well.
        commands = [a for a in self._actions if isinstance(a, argparse._SubParsersAction)]
        parsers = [self, *(parser for action in commands for parser in action.choices.values())]
        return sorted({name for parser in parsers for name in parser._option_string_actions})


if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[Parser]
else:
    Subparsers = argparse._SubParsersAction


def command_parser() -> tuple[Parser, Subparsers]:
    """The parser of ``h5daq`` and the place where commands are added."""
    parser = Parser(
        prog="h5daq",
        description=str(h5daq.__doc__).partition("\n")[0],
        epilog="h5daq COMMAND --help explains a command and gives examples.",
    )
    parser.add_argument("--version", action="version", version=f"h5daq {h5daq.__version__}")
    _add_debug(parser, default=False)
    subparsers = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, title="commands", parser_class=Parser
    )
    return parser, subparsers


def add_command(
    subparsers: Subparsers,
    name: str,
    handler: Callable[[Arguments], int],
    *,
    summary: str,
    details: str = "",
    examples: str,
) -> Parser:
    """Add a command.

    Parameters
    ----------
    subparsers : Subparsers
        What `command_parser` gave.
    name : str
        The command's word.
    handler : callable
        Does it and returns the exit code.
    summary : str
        One line for the list of commands.
    details : str
        Further paragraphs for the command's own help.
    examples : str
        One command line per line, ``#`` comments welcome.
    """
    parser = subparsers.add_parser(
        name,
        help=summary,
        description=f"{summary}\n\n{details}".strip(),
        epilog="examples:\n" + "\n".join(f"  {line}" for line in examples.strip().split("\n")),
    )
    # The word after the command counts as well: h5daq check lab.toml --debug.
    _add_debug(parser, default=argparse.SUPPRESS)
    parser.set_defaults(handler=handler)
    return parser


def add_json(parser: Parser) -> None:
    """Add ``--json``: the answer for a program instead of a person."""
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def add_keys(parser: Parser, what: str = "a key file, or a directory with one") -> None:
    """Add ``--keys``: what to show to a writer that has keys."""
    parser.add_argument("--keys", metavar="PATH", help=f"{what} (also: $H5DAQ_KEYS)")


def given_keys(args: Arguments) -> str | None:
    """What ``--keys`` says, or else the environment."""
    keys: str | None = args.keys or os.environ.get("H5DAQ_KEYS") or None
    return keys


def _add_debug(parser: Parser, default: Any) -> None:
    parser.add_argument(
        "--debug", action="store_true", default=default, help="show tracebacks of errors"
    )


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
