"""Owns the scopes of matches that streams follow, and the difference between two of their states."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from domain.database import Database
from domain.ids import MatchId
from domain.match.model import Match
from domain.match.rules import MatchScope
from domain.match.service import match_versions, versioned_scope
from domain.outbox.model import TickKind
from live.events import MatchDelta, MatchSnapshot
from live.feeds import Feed
from live.ports import BoardReader
from live.ring import Missed


@dataclass(frozen=True, slots=True)
class MatchState:
    """The matches of a scope, by kick-off, at one version."""

    epoch: str
    version: int
    matches: tuple[Match, ...]


class MatchFeed(Feed[MatchScope, MatchState, MatchSnapshot, MatchDelta]):
    """Reads scopes, and says what moves them."""

    def __init__(self, database: Database, boards: BoardReader) -> None:
        self._database = database
        self._boards = boards

    def concerns(self, key: MatchScope, kind: str, entity_id: UUID) -> bool:
        # The tournament of a round or of named matches is the database's knowledge; the scope's version will tell.
        return kind == TickKind.MATCHES and key.live_of_tournament_id in (entity_id, None)

    def told(self, latest: MatchState, entity_id: UUID, version: int) -> int | None:  # noqa: ARG002
        return None

    async def versions(self, keys: Collection[MatchScope]) -> Mapping[MatchScope, int]:
        return await match_versions(self._database, keys)

    async def epoch(self) -> str:
        return await self._boards.epoch()

    async def load(self, key: MatchScope, *_: object) -> MatchState | None:
        epoch = await self._boards.epoch()
        found = await versioned_scope(self._database, key)
        return None if found is None else MatchState(epoch, found[0], tuple(found[1]))

    def snapshot(self, state: MatchState) -> MatchSnapshot:
        return MatchSnapshot(state.epoch, state.version, state.matches)

    def delta(self, before: MatchState, after: MatchState) -> MatchDelta | None:
        return match_delta(before, after)

    def rebased(self, delta: MatchDelta, from_version: int) -> MatchDelta:
        return replace(delta, from_version=from_version)

    def missed(self, before: MatchState, delta: MatchDelta) -> Missed:
        changed = frozenset(match.id for match in delta.matches)
        return Missed(changed, frozenset(delta.removed), changed - {match.id for match in before.matches})

    def merged(self, state: MatchState, from_version: int, missed: Missed) -> MatchDelta:
        changed = tuple(match for match in state.matches if match.id in missed.changed)
        removed = tuple(MatchId(match) for match in missed.removed)
        return MatchDelta(state.epoch, from_version, state.version, changed, removed)

    def is_private(self, key: MatchScope) -> bool:  # noqa: ARG002
        return False


def match_delta(before: MatchState, after: MatchState) -> MatchDelta | None:
    """What changed in a scope; None when a client that has `before` would see nothing new."""
    known = {match.id: _shown(match) for match in before.matches}
    changed = tuple(match for match in after.matches if known.get(match.id) != _shown(match))
    kept = {match.id for match in after.matches}
    removed = tuple(match.id for match in before.matches if match.id not in kept)
    if not changed and not removed:
        return None
    return MatchDelta(after.epoch, before.version, after.version, changed, removed)


def _shown(match: Match) -> Match:
    """What of a match makes a delta: all but the moment at which its provider was last asked."""
    return replace(match, last_checked_at=None)
