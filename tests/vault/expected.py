"""Files that the LabRAD project's own Data Vault wrote, and how their expectations are told."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from h5daq.vault.labrad import ErrorValue, Quantity

GOLDEN = Path(__file__).parent / "golden"
_FLOATS = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}


def _number(value):
    return _FLOATS.get(value, value) if isinstance(value, str) else value


def tagged(value):
    """A tagged value of the expectations (see golden/README.md) as h5daq returns it."""
    if isinstance(value, list):
        return [tagged(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "bytes_hex" in value:
        return bytes.fromhex(value["bytes_hex"])
    if "re" in value:
        return complex(_number(value["re"]), _number(value["im"]))
    if "datetime_utc" in value:
        return datetime.fromisoformat(value["datetime_utc"]).replace(tzinfo=UTC)
    if "array" in value:
        items = [tagged(item) for item in value["array"]]
        array = np.array([_number(item) for item in items], dtype=value.get("dtype", "float64"))
        return Quantity(array, value["unit"]) if "unit" in value else array
    if "cluster" in value:
        return tuple(tagged(item) for item in value["cluster"])
    if "value" in value:
        return Quantity(tagged(value["value"]), value["unit"])
    return tagged(value.get("list", value.get("bool")))


def same(a, b):
    """Whether two values are equal, arrays and NaN included."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    if isinstance(a, Quantity):
        return isinstance(b, Quantity) and a.unit == b.unit and same(a.value, b.value)
    if isinstance(a, ErrorValue):
        return (a.code, a.message) == (b.code, b.message) and same(a.payload, b.payload)
    if isinstance(a, tuple | list):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


def expectations():
    """What each golden file must be read as, by the file's name."""
    found = {}
    for path in sorted(GOLDEN.rglob("*.expected.json")):
        found[path.name.removesuffix(".expected.json")] = json.loads(path.read_text("utf-8"))
    return found
