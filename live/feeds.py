"""What every kind of stream answers for its topics: which versions there are, the state of one, and what changed."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Mapping
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from live.ring import Missed


class State(Protocol):
    """What a window shows at one version."""

    @property
    def epoch(self) -> str: ...

    @property
    def version(self) -> int: ...


class Numbered(Protocol):
    """A delta: it builds on one version and leads to another."""

    @property
    def from_version(self) -> int: ...

    @property
    def version(self) -> int: ...


K = TypeVar("K", bound=Hashable)
S = TypeVar("S", bound=State)
N = TypeVar("N")
D = TypeVar("D", bound=Numbered)


class Feed(ABC, Generic[K, S, N, D]):
    """Boards or matches: keys `K`, states `S`, snapshots `N`, deltas `D`."""

    @abstractmethod
    def concerns(self, key: K, kind: str, entity_id: UUID) -> bool:
        """Whether a tick may have moved this topic."""

    @abstractmethod
    def told(self, latest: S, entity_id: UUID, version: int) -> int | None:
        """The least version that a topic has by now: something was told to be at one. None: the database is to tell.

        `latest` is the newest reading of the topic.
        """

    @abstractmethod
    async def versions(self, keys: Collection[K]) -> Mapping[K, int]:
        """The present versions by the database, in one statement; a key that is gone is missing."""

    @abstractmethod
    async def epoch(self) -> str:
        """Names the installation; versions say nothing from one to another."""

    @abstractmethod
    async def load(self, key: K, before: S | None = None, told: int | None = None) -> S | None:
        """The state: its version is taken first, then the rest is read. None when there is no such thing.

        What has not changed since an earlier state need not be read again. `told`: the version that it has by ticks, if
        nothing later is asked for.
        """

    def is_changing(self, state: S) -> bool:  # noqa: ARG002
        """Whether another process may show something else of the same version."""
        return False

    def is_gathered(self, key: K) -> bool:  # noqa: ARG002
        """Whether topics are read together, however many: then nobody needs to limit how many are."""
        return False

    @abstractmethod
    def snapshot(self, state: S) -> N:
        """The event that shows a state whole."""

    @abstractmethod
    def delta(self, before: S, after: S) -> D | None:
        """The event that leads from one state to a later one of the same epoch; None when nothing to show changed."""

    @abstractmethod
    def rebased(self, delta: D, from_version: int) -> D:
        """The same change for a client whose equal state has another version."""

    @abstractmethod
    def missed(self, before: S, delta: D) -> Missed:
        """The ids of the rows that a delta brings, of those that left, and of those that `before` did not have."""

    @abstractmethod
    def merged(self, state: S, from_version: int, missed: Missed) -> D:
        """One delta that leads from a version to this state."""

    @abstractmethod
    def is_private(self, key: K) -> bool:
        """Whether a change of somebody's membership may take the right to this topic away."""
