"""Values that were written down as Python's ``repr``, read without evaluating anything.

The Data Vault keeps tags, and in old datasets comments and parameters, as such texts, and the
original reads them back with ``eval``. Here only literals count, and calls of the names that the
caller knows, which are given what stands in their brackets. Texts of Python 2 are understood:
``set([…])``, ``u'…'``, ``10L``, and the C library's ``1.#IND``.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from h5daq.errors import LabradError

__all__ = ["parse_literal"]

_OLD = re.compile(
    r"""(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
    r"""|(?P<sign>-?)1\.\#(?P<what>IND|QNAN|SNAN|INF)0*"""
    r"""|(?P<long>\b[0-9]+)L\b""",
    re.DOTALL,
)

_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
}
_NAMES = {"nan": float("nan"), "inf": float("inf"), "NaN": float("nan"), "Inf": float("inf")}


def parse_literal(
    text: str,
    calls: Mapping[str, Callable[..., Any]] | None = None,
    names: Mapping[str, Any] | None = None,
) -> Any:
    """The value of a text that ``repr`` wrote.

    Parameters
    ----------
    text : str
        One expression.
    calls : mapping of str to callable, optional
        What may be called, by its last name: ``datetime`` also stands for ``datetime.datetime``.
    names : mapping of str to object, optional
        What names stand for, beside ``nan`` and ``inf``.

    Raises
    ------
    LabradError
        If it is anything but literals and known calls.

    Examples
    --------
    >>> parse_literal("{'a': set(['x']), u'b': {'y'}}", {"set": set})
    {'a': {'x'}, 'b': {'y'}}
    """
    try:
        tree = ast.parse(_OLD.sub(_modern, text.strip()), mode="eval")
        return _Reader(calls or {}, {**_NAMES, **(names or {})}).value(tree.body)
    except (SyntaxError, ValueError, TypeError, RecursionError, OverflowError) as error:
        raise LabradError(f"{text[:80]!r} is no value that can be read: {error}") from error
    except MemoryError as error:
        raise LabradError(f"{text[:80]!r} is nested too deep to be read") from error


def _modern(found: re.Match[str]) -> str:
    if found["what"]:
        return f"{found['sign']}{'inf' if found['what'] == 'INF' else 'nan'}"
    return found["long"] or found["text"]


class _Reader:
    def __init__(self, calls: Mapping[str, Callable[..., Any]], names: Mapping[str, Any]) -> None:
        self._calls, self._names = calls, names

    def value(self, node: ast.expr) -> Any:
        """What a part of the text stands for."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Dict):
            return self._dict(node)
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
            return kind(map(self.value, node.elts))
        if isinstance(node, ast.Call):
            return self._call(node)
        return self._number(node)

    def _number(self, node: ast.expr) -> Any:
        if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
            return _UNARY[type(node.op)](self.value(node.operand))
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            left, right = self.value(node.left), self.value(node.right)
            # Complex numbers are written as sums; nothing else has a reason to be added.
            if isinstance(left, int | float) and isinstance(right, complex):
                return _BINARY[type(node.op)](left, right)
        if isinstance(node, ast.Name) and node.id in self._names:
            return self._names[node.id]
        raise ValueError(f"{ast.unparse(node)[:60]} is no literal")

    def _dict(self, node: ast.Dict) -> dict[Any, Any]:
        pairs = zip(node.keys, node.values, strict=True)
        return {self.value(key): self.value(value) for key, value in pairs if key is not None}

    def _call(self, node: ast.Call) -> Any:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else None
        name = node.func.id if isinstance(node.func, ast.Name) else name
        if name is None or name not in self._calls:
            raise ValueError(f"{ast.unparse(node.func)[:60]} is not known")
        options = {key.arg: self.value(key.value) for key in node.keywords if key.arg}
        return self._calls[name](*map(self.value, node.args), **options)
