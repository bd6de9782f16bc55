"""Objects some of whose fields are read together, or written together: once for all objects of a page."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Any, ClassVar, Protocol, TypeVar

from resolvers.loaders import Loaders

T = TypeVar("T")


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


class Column(Protocol):
    """A plain or batched field that is asked of all objects of a table, and what is selected below it."""

    def __hash__(self) -> int: ...

    @property
    def name(self) -> str:
        """As a Python name."""
        ...

    def json(self, value: Any) -> bytes:
        """A value of the field as the answer shows it; raises whatever is wrong with it."""
        ...

    def each(self, cells: "Cells") -> list[bytes]:
        """The same of objects that are not made, one a value of the field."""
        ...


class Cells(ABC):
    """Objects of one type that can be written without being made, as long as all that is asked of them is plain."""

    OF: ClassVar[type]
    """That type."""

    @abstractmethod
    def cells(self, column: Column) -> list[int] | list[bytes] | bytes:
        """A column as JSON: a number or a text for each object, or one text for all of them.

        Raises:
            Exception: whatever it is, the objects are made then.
        """

    @abstractmethod
    def __len__(self) -> int: ...


class Table(Cells, Sequence[T]):
    """The value of a list: its objects are there too, when they are asked for."""
