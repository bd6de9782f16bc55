"""Use cases of earlier moments: a board as it stood then, who moved since, and how members stood after each round.

A past board is ranked from the fold, once a moment for everybody who asks: it can hardly change any more.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING, TypeAlias

from domain.database import Database
from domain.errors import InvalidInput, NotFound
from domain.ids import LeagueId, MemberId, TournamentId
from domain.leaderboard.arrays import Integers, to_ids
from domain.leaderboard.cache import VersionCache
from domain.leaderboard.fold import store as fold
from domain.leaderboard.model import (
    AfterRound,
    AtTime,
    AtVersion,
    BoardState,
    Moment,
    Part,
    PastRound,
    RankedRow,
)
from domain.leaderboard.past import store
from domain.leaderboard.past.model import Instant
from domain.leaderboard.past.store import BegunRound
from domain.leaderboard.past.timeline import Stop, Timeline, build, empty
from domain.leaderboard.provisional.overlay import PartFacts, rank_parts
from domain.leaderboard.provisional.service import UNSURE_SECONDS
from domain.leaderboard.ranked.store import members_ever, members_of_league, ranked_members, read_ids, read_memberships
from domain.leaderboard.ranking import Ranking
from domain.leaderboard.sheet import gained

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

Resolve: TypeAlias = "Callable[[AsyncConnection], Awaitable[Instant]]"
MOST_ROUNDS = 100
_VERSION = ("asOf", "settledVersion")
_KEPT_STATES = 1_000


@dataclass(frozen=True, slots=True)
class PastBoard:
    """A board as it stood."""

    state: BoardState
    ranking: Ranking
    computed_at: datetime
    version: int
    """Rises when it must be ranked anew."""


@dataclass(frozen=True, slots=True)
class Found:
    """A moment that a board has had."""

    name: Hashable
    """Tells it apart from the board's other moments."""
    resolve: Resolve
    """Reads which versions its tournaments had then."""


class PastBoards:
    """Ranks boards of earlier moments."""

    def __init__(self, database: Database, kept_members: int) -> None:
        """`kept_members`: how many members, over all boards, each of the two caches may hold."""
        self._database = database
        self._boards: VersionCache[PastBoard] = VersionCache(kept_members, lambda board: len(board.ranking))
        self._counted: VersionCache[BoardState] = VersionCache(_KEPT_STATES, lambda _: 1)
        self._timelines: VersionCache[Timeline] = VersionCache(kept_members, lambda timeline: timeline.size)

    async def stop(self) -> None:
        """Compute nothing more."""
        for cache in (self._boards, self._counted, self._timelines):
            await cache.stop()

    async def open(self, state: BoardState, moment: Moment) -> PastBoard | None:
        """The board as it stood at a moment; None when that is how it stands now.

        Raises:
            InvalidInput: a moment that this board has not had.
            NotFound: a round of none of its tournaments.
        """
        found = await self.find(state, moment)
        if found is None:
            return None
        board = await self._get(state, found.name, found.resolve)
        if board.state.version == state.version:
            return board
        # Its matches may be more, or in other rounds, though it is ranked as before.
        name = _name(state, found.name)
        counted = await self._counted.get(name, state.version, lambda: self._count(state, board.state))
        return replace(board, state=counted)

    async def find(self, state: BoardState, moment: Moment) -> "Found | None":
        """A moment that the board has had, without reading the board; None when that is how it stands now.

        Raises what `open` raises.
        """
        match moment:
            case AtVersion(version):
                return self._at_version(state, version)
            case AtTime(time):
                return self._at_time(state, time)
            case AfterRound():
                return await self._after_round(state, moment)

    async def movement(self, state: BoardState, rows: Sequence[RankedRow]) -> dict[MemberId, int | None]:
        """Ranks gained (above 0) or lost since the current round began; None for who was not ranked then."""
        board = await self._at_begin(state) if rows else None
        if board is None:
            return {row.member_id: None for row in rows}
        return {row.member_id: _gained(board.ranking, row) for row in rows}

    async def gained(self, state: BoardState, members: Sequence[bytes], ranks: Integers) -> Integers:
        """The same for members (ids of 16 bytes) who have these ranks, as a sheet has it."""
        board = await self._at_begin(state) if members else None
        return gained(None if board is None else board.ranking, members, ranks)

    async def _at_begin(self, state: BoardState) -> PastBoard | None:
        """The board when the current round began."""
        since = _since(state)
        if since is None:
            return None
        began = [(part.tournament_id, part.baseline) for part in state.parts if part.baseline is not None]
        known = {tournament_id: baseline.version for tournament_id, baseline in began if baseline.at == since}
        return await self._get(state, ("since", since), lambda _: _known(since, known))

    async def history(self, state: BoardState, member_ids: Sequence[MemberId]) -> dict[MemberId, tuple[PastRound, ...]]:
        """How members stood after each round so far; only on the board of a league in a tournament, else empty."""
        league_id = state.key.league_id
        if league_id is None or state.key.tournament_id is None or state.key.round_id is not None:
            return {}
        past = None if state.past_at is None else (state.past_at, state.parts[0].settled_version)
        key = (state.epoch, state.key, past, _weights(state))
        timeline = await self._timelines.get(key, state.version, lambda: self._timeline(state, league_id))
        return {member_id: timeline.of_member(member_id) for member_id in member_ids}

    # ------------------------------------------------------------ moments

    @staticmethod
    def _at_version(state: BoardState, version: int) -> "Found | None":
        if state.key.tournament_id is None:
            raise InvalidInput("A league's total has no version of its own: name a time or a round.", field=_VERSION)
        (part,) = state.parts
        if not 0 <= version <= part.settled_version:
            raise InvalidInput(f"`settledVersion` must be 0 to {part.settled_version}.", field=_VERSION)
        if part.settled_version == 0:
            return None

        async def resolve(connection: "AsyncConnection") -> Instant:
            # Before any settlement: the members whom the first one found.
            at = await store.time_of_version(connection, part.tournament_id, max(version, 1))
            return Instant(at or state.read_at, {part.tournament_id: version})

        return Found(("version", version), resolve)

    @staticmethod
    def _at_time(state: BoardState, time: datetime) -> "Found":
        if time > state.read_at:
            raise InvalidInput("`time` must not lie in the future.", field=("asOf", "time"))
        return Found(("time", time), lambda _: _known(time, {}))

    async def _after_round(self, state: BoardState, moment: AfterRound) -> "Found | None":
        async with self._database.read() as connection:
            found = await store.begun_round(connection, moment.round_id)
        if found is None or found.tournament_id not in {part.tournament_id for part in state.counted}:
            raise NotFound("The round has not begun, or does not belong to this board.", field=("asOf", "afterRoundId"))
        following = found.next_began
        if following is None:
            return None
        known = {found.tournament_id: following.version}
        return Found(moment, lambda _: _known(following.at, known))

    # ------------------------------------------------------------ boards

    async def _get(self, state: BoardState, moment: Hashable, resolve: Resolve) -> PastBoard:
        key, version = _name(state, moment), _content_version(state)
        board = await self._boards.get(key, version, lambda: self._rank(state, resolve))
        if _may_lack(board, state.read_at):
            if self._boards.latest(key) is board:  # else somebody looks already
                self._boards.forget(key)
            board = await self._boards.get(key, version, lambda: self._rank(state, resolve))
        return board

    async def _count(self, state: BoardState, past: BoardState) -> BoardState:
        """The same moment by the matches of today."""
        assert past.past_at is not None
        instant = Instant(past.past_at, {part.tournament_id: part.settled_version for part in past.parts})
        async with self._database.read() as connection:
            return await _as_it_was(connection, state, instant)

    async def _rank(self, state: BoardState, resolve: Resolve) -> PastBoard:
        league_id = state.key.league_id
        async with self._database.snapshot() as connection:
            past = await _as_it_was(connection, state, await resolve(connection))
            present = {part.tournament_id: part.settled_version for part in state.parts}
            copies = [
                PartFacts(await fold.copy(connection, _facts(past, part, present[part.tournament_id])), part.weights)
                for part in past.counted
            ]
            members = None
            if league_id is not None and not copies:
                ranked = members_of_league(league_id, at=past.past_at)
                members = to_ids(await read_ids(connection, ranked))
        ranking = await asyncio.to_thread(rank_parts, members, copies)
        return PastBoard(past, ranking, state.read_at, _content_version(state))

    async def _timeline(self, state: BoardState, league_id: LeagueId) -> Timeline:
        (part,) = state.parts
        async with self._database.snapshot() as connection:
            rounds = await store.begun_rounds(connection, part.tournament_id)
            memberships = await read_memberships(connection, league_id)
            stops = _stops(rounds, part.settled_version, state.past_at)
            if not stops:
                return empty(state.version)
            versions = [stop.version for stop in stops]
            facts = fold.facts_over_time(members_ever(league_id), part.tournament_id, part.basis, versions)
            copied = await fold.copy(connection, facts)
        return await asyncio.to_thread(build, state.version, stops, memberships, copied, part.weights)


def _facts(past: BoardState, part: Part, present: int) -> str:
    """Of one tournament; `present` is its settled version now."""
    league_id, round_id, version = past.key.league_id, past.key.round_id, part.settled_version
    ranked = ranked_members(league_id, part.tournament_id, at=past.past_at)
    are_few = league_id is not None
    if round_id is None and 2 * version > present:  # less has been paid since than until then
        return fold.facts_before(ranked, part.tournament_id, part.basis, version, are_few=are_few)
    return fold.facts(ranked, part.tournament_id, part.basis, round_id=round_id, version=version, are_few=are_few)


async def _known(at: datetime, versions: dict[TournamentId, int]) -> Instant:
    return Instant(at, versions)


async def _as_it_was(connection: "AsyncConnection", state: BoardState, instant: Instant) -> BoardState:
    """The board's tournaments with the versions and matches of an instant."""
    parts = state.parts
    unknown = [part.tournament_id for part in parts if part.tournament_id not in instant.versions]
    found = await store.versions_at(connection, unknown, instant.at) if unknown else {}
    versions = {
        part.tournament_id: instant.versions.get(part.tournament_id, found.get(part.tournament_id, 0)) for part in parts
    }
    counts = await store.count_matches(connection, versions, state.key.round_id, state.count_regulation)
    nothing = store.MatchCounts(0, 0)
    past = [
        replace(
            part,
            settled_version=versions[part.tournament_id],
            settled_matches=counts.get(part.tournament_id, nothing).settled,
            matches=counts.get(part.tournament_id, nothing).all,
            pending_matches=0,  # a moment that is over waits for nothing
            live=(),
            lacks_since=counts.get(part.tournament_id, nothing).lacks_since,
        )
        for part in parts
    ]
    return replace(state, parts=tuple(past), past_at=instant.at)


def _may_lack(board: PastBoard, now: datetime) -> bool:
    """Whether what began before the moment may have been committed since the board was read soon after it.

    That is a settlement, or somebody who joins. It is looked for when twice the time has passed, so not many times.
    """
    at = board.state.past_at
    assert at is not None
    read_after = max(board.computed_at - at, timedelta(0))
    return read_after < timedelta(seconds=UNSURE_SECONDS) and now - at >= 2 * read_after


def _content_version(state: BoardState) -> int:
    """Rises when a board of an earlier moment may have changed: who was on it, links, and the matches of rounds."""
    if state.key.round_id is None:
        # Whoever is taken off a tournament's boards has left each league before.
        return state.league_version if state.key.league_id is not None else state.parts[0].removals
    return state.league_version + sum(part.board_version for part in state.parts)


def _name(state: BoardState, moment: Hashable) -> Hashable:
    return state.epoch, state.key, moment, _weights(state)


def _weights(state: BoardState) -> Hashable:
    """What may change as long as no match has locked."""
    return tuple((part.basis, part.weights) for part in state.parts)


def _stops(rounds: Sequence[BegunRound], version: int, at: datetime | None) -> list[Stop]:
    """Rounds begun by then, each with the version at which the next one began, or that of the board itself."""
    begun = [one for one in rounds if at is None or one.began is None or one.began.at <= at][:MOST_ROUNDS]
    ends = [one.next_began if one.next_began and (at is None or one.next_began.at <= at) else None for one in begun]
    versions = list(accumulate((version if end is None else end.version for end in ends), max))
    return [
        Stop(one.id, one.position, reached, at if end is None else end.at)
        for one, end, reached in zip(begun, ends, versions, strict=True)
    ]


def _since(state: BoardState) -> datetime | None:
    """When the current round began; for a league's total the one that did so last. Rounds have no movement."""
    if state.key.round_id is not None:
        return None
    return max((part.baseline.at for part in state.counted if part.baseline is not None), default=None)


def _gained(board: Ranking, row: RankedRow) -> int | None:
    place = board.find(row.member_id)
    return None if place is None else board.rank(place) - row.rank
