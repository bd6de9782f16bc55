"""Owns what a topic remembers of its last versions: enough to tell a client that was away what it missed.

No past state is kept: for each row the version in which it last changed, for each version who entered and left.
"""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from time import monotonic
from typing import Any


@dataclass(frozen=True, slots=True)
class Missed:
    """Rows that changed since a version, and rows that were there and left, by what its feed knows them by."""

    changed: frozenset[Any]
    removed: frozenset[Any]
    entered: frozenset[Any] = frozenset()
    """Of one version: those of the changed that were not there before."""


@dataclass(frozen=True, slots=True)
class _Version:
    number: int
    at: float
    shows_change: bool
    entered: frozenset[Any] = frozenset()
    left: frozenset[Any] = frozenset()


class Ring:
    """The last `most` deltas, or those of the last `seconds`, whichever are fewer."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._versions: deque[_Version] = deque()
        self._deltas = 0
        """How many of the versions after the oldest show a change."""
        self._changed: dict[Hashable, int] = {}

    def begin(self, version: int) -> None:
        """Forget everything; what is shown now has this version."""
        self.clear()
        self._versions.append(_Version(version, monotonic(), shows_change=False))

    def clear(self) -> None:
        """Know nothing: of whoever comes with the version that is shown now it is not sure what he has seen."""
        self._versions.clear()
        self._deltas = 0
        self._changed.clear()

    def pass_over(self, version: int) -> None:
        """A version that shows what the one before showed."""
        self._versions.append(_Version(version, monotonic(), shows_change=False))
        self._forget()

    def add(self, version: int, missed: Missed) -> None:
        """A version that shows something new."""
        self._deltas += bool(self._versions)
        self._versions.append(
            _Version(version, monotonic(), shows_change=True, entered=missed.entered, left=missed.removed)
        )
        self._changed.update(dict.fromkeys(missed.changed, version))
        for row in missed.removed:
            self._changed.pop(row, None)
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
        changed = frozenset(row for row, changed in self._changed.items() if changed > version)
        return Missed(changed, frozenset(self._left_since(version)))

    def _left_since(self, version: int) -> set[Any]:
        """Those alone that were there at that version: who came and went meanwhile was never seen."""
        removed, new = set[Any](), set[Any]()
        for known in self._versions:
            if known.number > version:
                back, gone = known.entered & removed, known.left & new
                removed = (removed - back) | (known.left - gone)
                new = (new - gone) | (known.entered - back)
        return removed

    def _forget(self) -> None:
        """A version can be left while all deltas after it are remembered."""
        versions, oldest = self._versions, monotonic() - self._seconds
        while len(versions) > 1 and (self._deltas > self._most or versions[1].at < oldest):
            versions.popleft()
            self._deltas -= versions[0].shows_change
