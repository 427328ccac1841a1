"""What the first rows of a job make appear in the vault: its dataset, and the directories above."""

from __future__ import annotations

from collections.abc import Iterable

from h5daq.writer.notes import Note

__all__ = ["Appearing"]


class Appearing:
    """Tells of directories and datasets, of each once.

    Parameters
    ----------
    run_path : str
        The run's directory in the vault.

    Attributes
    ----------
    news : list of (str, str, str)
        Kind, directory and name of what has appeared, for the contexts of the vault.
    """

    def __init__(self, run_path: str) -> None:
        self._run_path = run_path
        self._directories: set[str] = set()
        self.news: list[tuple[str, str, str]] = []

    def announce(self, note: Note, group: str, columns: list[str]) -> None:
        """The first rows of a job have come."""
        *above, name = f"{self._run_path}/{group}".split("/")
        for depth in range(len(above)):
            self._new_directory(note, "/".join(above[:depth]), above[depth])
        path = "/".join(above)
        payload = {"path": path, "name": name, "columns": columns}
        note.signals.append(("new-dataset", path, payload))
        self.news.append(("new-dataset", path, name))

    def know(self, groups: Iterable[str]) -> None:
        """Directories of jobs that had rows before this writer began are not told again."""
        for group in groups:
            *above, _ = f"{self._run_path}/{group}".split("/")
            self._directories |= {
                f"{'/'.join(above[:depth])}/{above[depth]}" for depth in range(len(above))
            }

    def _new_directory(self, note: Note, path: str, name: str) -> None:
        full = f"{path}/{name}"
        if full not in self._directories:
            self._directories.add(full)
            note.signals.append(("new-dir", path, {"path": path, "name": name}))
            self.news.append(("new-dir", path, name))
