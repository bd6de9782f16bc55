"""Reads of matches."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import TYPE_CHECKING

from domain.database import Database
from domain.ids import MatchId, MemberId, RoundId, TournamentId
from domain.match import store
from domain.match.model import Match, MatchStatus
from domain.match.rules import MatchScope

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def read_matches(database: Database, ids: Iterable[MatchId]) -> dict[MatchId, Match]:
    """Those of the matches that exist."""
    async with database.read() as connection:
        return {match.id: match for match in await store.read_matches(connection, ids)}


async def page_of_tournament(
    database: Database,
    tournament_id: TournamentId,
    *,
    round_id: RoundId | None = None,
    statuses: Sequence[MatchStatus] | None = None,
    first: int,
    after: tuple[datetime | None, MatchId] | None = None,
) -> tuple[list[Match], int]:
    """Matches of a tournament, or of one of its rounds, by kick-off, those without a date last.

    Up to `first` + 1 of those after `after` (kick-off and id of a match), and how many there are in all.
    """
    async with database.read() as connection:
        return await store.page_of_tournament(
            connection, tournament_id, round_id=round_id, statuses=statuses, first=first, after=after
        )


async def matches_today(
    database: Database,
    member_id: MemberId,
    day_start: datetime,
    day_end: datetime,
    first: int,
    after: tuple[datetime | None, MatchId] | None = None,
) -> tuple[list[Match], int]:
    """Matches of joined tournaments that kick off in [day_start, day_end); pages as `page_of_tournament`."""
    async with database.read() as connection:
        return await store.matches_between(connection, member_id, day_start, day_end, first=first, after=after)


async def matches_to_guess(
    database: Database, member_id: MemberId, first: int, after: tuple[datetime, MatchId] | None = None
) -> tuple[list[Match], int]:
    """Matches of joined tournaments that are open and lack the member's guess, by lock.

    Up to `first` + 1 of those after `after` (see `rules.lock_position`), and how many there are in all.
    """
    async with database.read() as connection:
        return await store.matches_to_guess(connection, member_id, first=first, after=after)


async def versioned_scope(database: Database, scope: MatchScope) -> tuple[int, list[Match]] | None:
    """What a stream follows, of one moment: the scope's version and its matches by kick-off, at most 100.

    None when there is no such scope.
    """
    async with database.snapshot() as connection:
        version = (await _versions(connection, {scope})).get(scope)
        return None if version is None else (version, await store.matches_in_scope(connection, scope))


async def match_versions(database: Database, scopes: Iterable[MatchScope]) -> dict[MatchScope, int]:
    """Stream version of each scope: its tournament's match counter, or the sum of the named matches' versions.

    One statement for all. A scope whose round, tournament or matches do not exist is left out.
    """
    async with database.read() as connection:
        return await _versions(connection, set(scopes))


async def _versions(connection: "AsyncConnection", asked: AbstractSet[MatchScope]) -> dict[MatchScope, int]:
    versions = await store.read_versions(
        connection,
        round_ids=[scope.round_id for scope in asked if scope.round_id is not None],
        tournament_ids=[scope.live_of_tournament_id for scope in asked if scope.live_of_tournament_id is not None],
        match_ids={match_id for scope in asked for match_id in scope.match_ids},
    )
    parts = {scope: [versions.get(key) for key in _keys(scope)] for scope in asked}
    return {scope: sum(filter(None, found)) for scope, found in parts.items() if any(v is not None for v in found)}


def _keys(scope: MatchScope) -> Sequence[object]:
    if scope.round_id is not None:
        return (scope.round_id,)
    if scope.live_of_tournament_id is not None:
        return (scope.live_of_tournament_id,)
    return scope.match_ids
