"""What the tables of a configuration have in common: how a key is declared, and its plain kinds.

A key is declared with its kind, its default and what would be right for it. Kinds that are checked
by more than a bound are in `kinds`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Count", "Period", "Port", "Seconds", "Table", "key", "made", "needed"]

Seconds = Annotated[float, Field(ge=0)]
Period = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=0, le=65535)]


def key(default: Any, right: str) -> Any:
    """A key with a default, and what would be right for it."""
    return Field(default, description=right)


def made(kind: type[BaseModel], right: str) -> Any:
    """A table that is there with its defaults where it is left out."""
    return Field(default_factory=kind, description=right)


def needed(right: str) -> Any:
    """A key that can't be left out."""
    return Field(description=right)


class Table(BaseModel):
    """A table: no unknown keys, no conversions, not changed once it is read."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )
