"""Owns what a topic remembers of its last versions: enough to tell a client that was away what it missed.

No past state is kept: for each row only the version in which it last changed or left.
"""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from time import monotonic
from typing import Any


@dataclass(frozen=True, slots=True)
class Missed:
    """Rows that changed since a version, and rows that left since, by what its feed knows them by."""

    changed: frozenset[Any]
    removed: frozenset[Any]


@dataclass(frozen=True, slots=True)
class _Version:
    number: int
    at: float
    shows_change: bool


class Ring:
    """The last `most` deltas, or those of the last `seconds`, whichever are fewer."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._versions: deque[_Version] = deque()
        self._changed: dict[Hashable, int] = {}
        self._removed: dict[Hashable, int] = {}

    def begin(self, version: int) -> None:
        """Forget everything; what is shown now has this version."""
        self._versions.clear()
        self._changed.clear()
        self._removed.clear()
        self._versions.append(_Version(version, monotonic(), shows_change=False))

    def pass_over(self, version: int) -> None:
        """A version that shows what the one before showed."""
        self._versions.append(_Version(version, monotonic(), shows_change=False))
        self._forget()

    def add(self, version: int, missed: Missed) -> None:
        """A version that shows something new."""
        self._versions.append(_Version(version, monotonic(), shows_change=True))
        _note(missed.changed, version, self._changed, self._removed)
        _note(missed.removed, version, self._removed, self._changed)
        self._forget()

    def shows_the_latest(self, version: int) -> bool:
        """Whether a client with this version sees what the latest shows."""
        for known in reversed(self._versions):
            if known.number == version:
                return True
            if known.shows_change:
                return False
        return False

    def since(self, version: int) -> Missed | None:
        """What a client with this version missed; None when that is no longer known, or never was."""
        self._forget()
        if not any(known.number == version for known in self._versions):
            return None
        return Missed(
            frozenset(row for row, changed in self._changed.items() if changed > version),
            frozenset(row for row, left in self._removed.items() if left > version),
        )

    def _forget(self) -> None:
        """A version can be left while all deltas after it are remembered."""
        versions, oldest = self._versions, monotonic() - self._seconds
        deltas = sum(known.shows_change for known in versions) - versions[0].shows_change
        before = len(versions)
        while len(versions) > 1 and (deltas > self._most or versions[1].at < oldest):
            versions.popleft()
            deltas -= versions[0].shows_change
        if len(versions) < before:
            first = versions[0].number
            self._removed = {row: left for row, left in self._removed.items() if left > first}


def _note(rows: frozenset[Any], version: int, to: dict[Hashable, int], out_of: dict[Hashable, int]) -> None:
    """Many rows, of which few were elsewhere."""
    to.update(dict.fromkeys(rows, version))
    for row in rows & out_of.keys():
        del out_of[row]
