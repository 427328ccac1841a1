"""What can be closed can stand in a ``with``: `Closing` joins the two, once for all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

__all__ = ["Closing"]


class Closing(ABC):
    """A context manager whose end is its `close`."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is held. Twice does no harm."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
