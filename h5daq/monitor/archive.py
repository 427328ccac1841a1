"""What live pictures want of the files: the rows from before anybody looked.

Signals tell of what is new. The page and the notebook's plot begin with what was recorded before,
and read it by this, so that neither has to know how files are found and joined.
"""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

__all__ = ["Archive"]


class Archive(Protocol):
    """The run's files, as `h5daq.files.recent.Recent` reads them."""

    def attrs(self) -> dict[str, Any]:
        """Attributes of the run."""
        ...

    def about(self, job: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Columns and attributes of a job."""
        ...

    def newest(
        self, job: str, labels: list[str], rows: int, seconds: float | None = None
    ) -> dict[str, NDArray[Any]]:
        """The last rows of some columns, with ``time``."""
        ...
