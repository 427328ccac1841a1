"""Does what a vault's directory remembers, its ``session.ini``, agree with what is in it?

h5daq itself takes the next number from the files as well, and gives none twice; but another server
of the tree goes by the counter alone. So what is said here is to be mended before one is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from h5daq.errors import H5daqError
from h5daq.files.verify.report import NOTE, WARNING, FileReport
from h5daq.storage.recover import below
from h5daq.vault.folders import SESSION
from h5daq.vault.names import VaultPath, decode, number_of
from h5daq.vault.session import Session, read_session
from h5daq.vault.tree import Tree

__all__ = ["SESSION_FILE", "check_sessions"]

SESSION_FILE = "session"
"""What a report of such a file calls it."""

_MOST_NAMES = 5


def check_sessions(directory: Path) -> Iterator[FileReport]:
    """Reports on the directories of a vault, its root the first; of those with findings alone."""
    root = directory.absolute()
    for folder in [root, *sorted(below(root))]:
        report = FileReport(str(_shown(directory, folder) / SESSION), SESSION_FILE)
        _check(report, folder, root)
        if report.findings:
            yield report


def _shown(directory: Path, folder: Path) -> Path:
    """The folder as it was asked for."""
    return directory / folder.relative_to(directory.absolute())


def _check(report: FileReport, folder: Path, root: Path) -> None:
    file = folder / SESSION
    parts = folder.relative_to(root).parts
    path: VaultPath = ("", *(decode(part.removesuffix(".dir")) for part in parts))
    try:
        session = read_session(file.read_bytes()) if file.exists() else None
        tree = Tree(root)
        names = list(tree.folders.datasets(path))
    except (OSError, H5daqError) as error:
        report.add(WARNING, "session", f"the directory can't be looked through: {error}")
        return
    if session is None:
        _check_absent(report, names, at_root=folder == root)
        return
    report.size = file.stat().st_size
    _check_damage(report, session)
    _check_counter(report, session, names)
    _check_tags(report, session, tree, path)


def _check_absent(report: FileReport, names: list[str], *, at_root: bool) -> None:
    numbered = [name for name in names if number_of(name) is not None]
    if numbered or not at_root:
        text = "there is none: the directory's tags and dates are not known"
        mend = "the next dataset or tag in it makes one; a copy has the tags, if there is one"
        report.add(WARNING, "no-session", text, "", mend)


def _check_damage(report: FileReport, session: Session) -> None:
    if session.damaged:
        report.add(
            WARNING, "session", "it can't be read in full: its tags are taken for none", "",
            "mend it with an editor, or restore it from a copy; what h5daq writes next in the "
            "directory replaces it, and keeps this one as session.ini.damaged",
        )  # fmt: skip


def _check_counter(report: FileReport, session: Session, names: list[str]) -> None:
    numbers: dict[int, str] = {}
    for name in names:
        number = number_of(name)
        if number is None:
            continue
        if number in numbers:
            text = f"{numbers[number]!r} and {name!r} have one number: {number} opens the first"
            report.add(WARNING, "number", text, "", "rename one, or open them by their full names")
        numbers.setdefault(number, name)
    highest = max(numbers, default=0)
    if session.counter <= highest:
        report.add(
            WARNING, "counter",
            f"the next number is {session.counter}, and there is {numbers[highest]!r}: another "
            "server than h5daq would give the number again",
            "", f"set counter = {highest + 1} in it; a new dataset made by h5daq does that, too",
        )  # fmt: skip


def _check_tags(report: FileReport, session: Session, tree: Tree, path: VaultPath) -> None:
    tagged = (session.directories, session.datasets)
    if not any(tags for names in tagged for tags in names.values()):
        return
    # Runs and their jobs are there as well, and are no files of their own.
    for what, names, there in zip(
        ("directories", "datasets"), tagged, tree.dir(path, ()), strict=True
    ):
        gone = sorted({name for name, tags in names.items() if tags} - set(there))
        if gone:
            some = ", ".join(map(repr, gone[:_MOST_NAMES])) + ", …" * (len(gone) > _MOST_NAMES)
            text = f"it has tags of {what} that are not there: {some}"
            mend = "nothing, if they were moved away; else look for them in a copy"
            report.add(NOTE, "tags", text, "", mend)
