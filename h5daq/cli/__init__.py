"""The command ``h5daq``: one module per group of commands, each with ``add(subparsers)``.

A handler takes the parsed arguments and returns the exit code: 0 done, 1 failed, 2 wrong usage or
configuration. It prints what it was asked for; errors it raises, and they are printed here, as one
clear paragraph on standard error. Modules import what they need in their handlers, so that
``h5daq --help`` is there at once.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence

from h5daq.cli.parser import Arguments, Parser, command_parser
from h5daq.errors import ConfigError, H5daqError

__all__ = ["DONE", "FAILED", "MODULES", "WRONG", "main"]

MODULES = (
    "demo", "examples", "check", "run", "processes", "host", "launch", "control", "watch",
    "monitor", "web", "keys", "metrics", "listing", "look",
    "export", "vault", "verify", "recover",
)  # fmt: skip
"""Modules of this package that add commands, in the order of the help text."""

DONE, FAILED, WRONG = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        The words after ``h5daq``; by default those of this process.

    Returns
    -------
    int
        The exit code.
    """
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as ended:  # argparse has printed its help or its error
        return int(ended.code or 0)
    try:
        return int(arguments.handler(arguments))
    except KeyboardInterrupt:
        return _failed(arguments, "stopped", FAILED)
    except BrokenPipeError:
        return _no_reader()
    except ConfigError as error:
        return _failed(arguments, str(error), WRONG)
    except (H5daqError, OSError) as error:
        return _failed(arguments, str(error), FAILED)
    except Exception as error:  # noqa: BLE001 - a person is shown a sentence, never a traceback
        return _failed(arguments, _unforeseen(arguments, error), FAILED)


def _parser() -> Parser:
    parser, subparsers = command_parser()
    for name in MODULES:
        importlib.import_module(f"h5daq.cli.{name}").add(subparsers)
    return parser


def _unforeseen(arguments: Arguments, error: Exception) -> str:
    kind = f"{type(error).__name__}: {error}"
    return f"unforeseen error in {arguments.command!r}: {kind}\n--debug shows where it came from."


def _failed(arguments: Arguments, text: str, code: int) -> int:
    if arguments.debug:
        traceback.print_exc()
    print(f"h5daq: {text}", file=sys.stderr)
    return code


def _no_reader() -> int:
    # Whoever read our output (`| head`) has gone; Python must not try to flush it at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED
