"""Objects some of whose fields are read together: once for all objects of a page."""

from collections.abc import Collection
from typing import Any, ClassVar, Protocol

from resolvers.loaders import Loaders


class Batch(Protocol):
    """What objects of one page read together."""

    def has(self, names: Collection[str]) -> bool:
        """Whether all that these fields show is there."""
        ...

    async def load(self, names: Collection[str], loaders: Loaders) -> None:
        """Read it."""
        ...


class Batched:
    """Mixin of object types that have such fields."""

    BATCHED: ClassVar[frozenset[str]]
    """Those fields, as Python names. They have no arguments, and show the same to every viewer."""

    def shared_batch(self) -> Batch:
        """The batch of the page."""
        raise NotImplementedError

    def batched(self, name: str) -> Any:
        """The value of such a field, once it is loaded; a KeyError before."""
        raise NotImplementedError
