"""Which lines of the log somebody wants to see."""

from __future__ import annotations

from collections.abc import Sequence

from h5daq.monitor.picture import Remark

__all__ = ["sift"]

_QUIET = frozenset({"DEBUG", "INFO"})


def sift(remarks: Sequence[Remark], wanted: str, *, warnings: bool = False) -> list[Remark]:
    """Those that have all words in them, in level, source or text, whatever the case.

    Parameters
    ----------
    remarks : sequence of Remark
        The log.
    wanted : str
        Words with spaces between them; one that begins with ``-`` must not be there.
    warnings : bool
        Whether to leave out what is below a warning.

    Examples
    --------
    >>> log = [Remark(0.0, "INFO", "tank", "begun"), Remark(1.0, "ERROR", "tank", "no answer")]
    >>> [remark.text for remark in sift(log, "TANK -error")]
    ['begun']
    """
    words = wanted.lower().split()
    absent = [word[1:] for word in words if word.startswith("-") and len(word) > 1]
    present = [word for word in words if not word.startswith("-")]
    found = []
    for remark in remarks:
        text = f"{remark.level} {remark.source} {remark.text}".lower()
        quiet = warnings and remark.level in _QUIET
        if not quiet and all(w in text for w in present) and not any(w in text for w in absent):
            found.append(remark)
    return found
