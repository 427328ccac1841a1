"""The process that looks into the files, so that a crash of HDF5 kills it and not the command.

It reads what to do as JSON from standard input and tells what it finds as lines of JSON on
standard output. Before each object it says which one comes: the last one said is where it died.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from h5daq.files.verify.file import Options, check_file
from h5daq.files.verify.report import Finding

__all__ = ["main"]


class _Teller:
    """Tells the parent."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def say(self, **words: Any) -> None:
        self._out.write(json.dumps(words) + "\n")
        self._out.flush()

    def at(self, where: str) -> None:
        self.say(at=where)

    def progress(self, nbytes: int) -> None:
        self.say(bytes=nbytes)

    def finding(self, finding: Finding) -> None:
        self.say(finding=asdict(finding))

    def facts(self, facts: Mapping[str, Any]) -> None:
        self.say(facts=dict(facts))


def main() -> None:
    """Check what standard input asks for."""
    asked = json.load(sys.stdin)
    _no_core_dumps()
    teller = _Teller(sys.stdout)
    # What else is printed must not get between the lines.
    sys.stdout = sys.stderr
    for path in asked["paths"]:
        skip = asked["skip"].get(path, ())
        teller.say(file=path)
        options = Options(asked["quick"], asked["patience"], frozenset(skip))
        check_file(Path(path), teller, options)
        teller.say(done=path)


def _no_core_dumps() -> None:
    try:
        import resource
    except ImportError:  # not on Windows, where a crash leaves no core file
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
