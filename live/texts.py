"""What has been written of the rows of one board, kept from version to version: most of it stays as it is."""

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
_MOST_KINDS = 8
_MOST = 1_000
"""Of each kind; a window has a hundred rows."""


class Texts:
    """One for each watched window."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, dict[Hashable, bytes]] = {}

    def of(self, kind: Hashable, keys: Sequence[K], write: Callable[[Sequence[K]], list[bytes]]) -> list[bytes]:
        """The texts of keys; those that are not there are written now. `kind` tells what else they depend on."""
        kept = self._kept.get(kind)
        if kept is None or len(kept) > _MOST:
            if len(self._kept) >= _MOST_KINDS:
                self._kept.clear()
            kept = self._kept[kind] = {}
        try:
            return list(map(kept.__getitem__, keys))
        except KeyError:
            missing = [key for key in keys if key not in kept]
            kept.update(zip(missing, write(missing), strict=True))
            return list(map(kept.__getitem__, keys))
