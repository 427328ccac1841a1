"""From what pydantic found to what a person needs: a `Mistake` per error.

Pydantic knows where and of which kind; the model's descriptions know what would be right. Unknown
keys get the nearest known one, or the table in which a key of that name would be at home.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from h5daq.config.mistakes import KeyPath, Mistake, key_text, nearest, shown
from h5daq.config.model import Config

__all__ = ["explain"]

_OTHER_NAMES = {
    "label": "columns",
    "labels": "columns",
    "dtype": "columns",
    "shape": "columns",
    "units": "columns",
    "getter_args": "args",
    "period": "read_period",
    "interval": "read_period",
    "handle_error_function": "handle_error",
    "fold": "compress",
}
"""Names under which people look for a key of the configuration: `DAQJob`'s, and guesses."""

_KINDS = {
    "string_type": "not a text (texts stand in quotes)",
    "int_type": "not a whole number",
    "float_type": "not a number",
    "bool_type": "neither true nor false",
    "list_type": "not a list",
    "dict_type": "not a table",
    "model_type": "not a table",
    "missing": "missing",
    "literal_error": "not one of the words known here",
    "finite_number": "not a finite number",
    "too_short": "an empty list",
}


def explain(error: ValidationError, raw: Mapping[str, Any]) -> Iterator[Mistake]:
    """Each error of `error`, found in the table `raw`, as a mistake."""
    for found in error.errors(include_url=False):
        key: KeyPath = tuple(found["loc"])
        if found["type"] == "extra_forbidden":
            yield _unknown(key, raw)
        else:
            yield _wrong(key, found["type"], found.get("ctx", {}), found["input"])


def _unknown(key: KeyPath, raw: Mapping[str, Any]) -> Mistake:
    name = str(key[-1])
    known = list(_model_at(key[:-1]).model_fields)
    return Mistake(
        key, "unknown key", f"{name} = {shown(_value_at(raw, key))}", _meant(name, known)
    )


def _meant(name: str, known: list[str]) -> str:
    near = nearest(name, known)
    other = _OTHER_NAMES.get(name)
    if near is None and other in known:
        near = other
    if near:
        return f"{near} (the nearest known key)"
    elsewhere = [table for table, keys in _tables() if name in keys]
    home = f"it belongs in {' or '.join(elsewhere)}; " if elsewhere else ""
    return f"{home}known here: {', '.join(known)}"


def _tables() -> Iterator[tuple[str, set[str]]]:
    for name, field in Config.model_fields.items():
        model = _model_in(field.annotation)
        if model:
            table = {"jobs": "[[jobs]]", "hosts": "[hosts.<name>]"}.get(name, f"[{name}]")
            yield table, set(model.model_fields)


def _wrong(key: KeyPath, kind: str, context: Mapping[str, Any], value: object) -> Mistake:
    field = _field_at(key)
    right = field.description or "" if field else ""
    problem = _KINDS.get(kind) or _limit(kind, context)
    if kind == "missing":
        return Mistake(key, "missing", right=f"{key_text(key[-1:])}: {right}")
    near = nearest(str(value), _words(field)) if kind == "literal_error" and field else None
    return Mistake(key, problem, shown(value), f'"{near}", or in full: {right}' if near else right)


def _limit(kind: str, context: Mapping[str, Any]) -> str:
    if "error" in context:
        return str(context["error"])
    for name, words in (("gt", "not above"), ("ge", "below"), ("le", "above"), ("lt", "not below")):
        if name in context:
            return f"{words} {context[name]:g}"
    return kind.replace("_", " ")


def _words(field: FieldInfo) -> list[str]:
    return [word for word in _flat_arguments(field.annotation) if isinstance(word, str)]


def _flat_arguments(annotation: Any) -> Iterator[Any]:
    for argument in typing.get_args(annotation):
        yield argument
        yield from _flat_arguments(argument)


def _value_at(raw: Any, key: KeyPath) -> Any:
    for part in key:
        raw = raw[part]
    return raw


def _model_at(key: KeyPath) -> type[BaseModel]:
    model: type[BaseModel] = Config
    for part in key:
        field = model.model_fields.get(part) if isinstance(part, str) else None
        model = (_model_in(field.annotation) if field else None) or model
    return model


def _field_at(key: KeyPath) -> FieldInfo | None:
    # An entry of a list or of a free table has the field of the list or table.
    names = [place for place, part in enumerate(key) if isinstance(part, str)]
    for place in reversed(names):
        field = _model_at(key[:place]).model_fields.get(str(key[place]))
        if field:
            return field
    return None


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *_flat_arguments(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
