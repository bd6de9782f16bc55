"""Matches as they are read: locks and pauses by the database clock, lists, scopes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, update

from domain.ids import MatchId, RoundId, TournamentId, new_id
from domain.match import service
from domain.match.model import Goals, KickOffPrecision, Match, MatchStatus, ResultKind, ResultState
from domain.match.rules import MatchScope, lock_position
from domain.match.tables import match_results
from domain.settlement.tables import settlements
from domain.tournament import store as tournament_store
from domain.tournament.tables import tournaments
from runtime.database import PostgresDatabase
from tests.support.football import make_member, make_tournament, pass_lock, put_guess, set_match
from tests.support.matches import planned_match
from tests.support.statements import recorded_statements

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def read(database: PostgresDatabase, match_id: MatchId) -> Match:
    return (await service.read_matches(database, [match_id]))[match_id]


async def test_a_match_as_it_was_stored(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=2, rounds=2, kick_off=NOON)
    match_id = made.matches[1]
    expected = planned_match(
        id=match_id,
        tournament_id=made.id,
        round_id=made.rounds[1],
        home_team_id=made.teams[2],
        away_team_id=made.teams[3],
        kick_off=NOON,
        lock_at=NOON,
    )
    found = await service.read_matches(database, [match_id, MatchId(uuid4())])
    assert found == {match_id: expected}
    scores = {
        "home_goals": 2, "away_goals": 1, "home_regulation": 1, "away_regulation": 1,
        "home_extra_time": 2, "away_extra_time": 1, "home_shoot_out": 5, "away_shoot_out": 4,
    }  # fmt: skip
    await set_match(database, match_id, minute=119, stadium="Maracanã", result_state=ResultState.PROVISIONAL, **scores)
    assert await read(database, match_id) == replace(
        expected,
        minute=119,
        stadium="Maracanã",
        result_state=ResultState.PROVISIONAL,
        goals=Goals(2, 1),
        regulation=Goals(1, 1),
        after_extra_time=Goals(2, 1),
        shoot_out=Goals(5, 4),
        version=2,
    )


async def test_last_checked_is_the_later_of_the_match_and_its_whole_tournament(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=1)
    (match_id,) = made.matches
    await set_match(database, match_id, last_checked_at=NOON)
    assert (await read(database, match_id)).last_checked_at == NOON
    for matches_at, expected in ((NOON - HOUR, NOON), (NOON + HOUR, NOON + HOUR)):
        async with database.begin() as connection:
            await connection.execute(update(tournaments).values(matches_at=matches_at))
        assert (await read(database, match_id)).last_checked_at == expected


async def test_the_lock_passes_by_the_database_clock(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=2)
    await pass_lock(database, made.matches[0])
    found = await service.read_matches(database, made.matches)
    assert [found[match_id].is_locked for match_id in made.matches] == [True, False]


LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "paused"),
    [
        ({}, False),
        ({"status": MatchStatus.IN_PLAY}, False),
        ({"status": MatchStatus.POSTPONED}, True),
        ({"status": MatchStatus.CANCELLED}, True),
        ({"status": MatchStatus.ABANDONED}, True),
        ({"result_kind": ResultKind.VOID}, True),
        ({"result_kind": ResultKind.AWARDED}, False),
        ({"result_state": ResultState.VOID}, True),
        ({"kick_off": None, "lock_at": None, "kick_off_precision": KickOffPrecision.UNKNOWN}, True),
        ({"lock_at": None, "kick_off_precision": KickOffPrecision.DATE}, False),
        ({"lock_at": None, "kick_off_precision": KickOffPrecision.DATE, "kick_off": LONG_AGO}, True),
        ({"kick_off_precision": KickOffPrecision.DATE, "kick_off": LONG_AGO, "status": MatchStatus.ENDED}, False),
        ({"kick_off": LONG_AGO, "lock_at": LONG_AGO}, False),
    ],
)
async def test_when_guesses_are_paused(database: PostgresDatabase, change: dict[str, Any], paused: bool) -> None:
    made = await make_tournament(database, matches=1)
    await set_match(database, made.matches[0], **change)
    found = await read(database, made.matches[0])
    assert found.is_paused is paused
    assert found.is_locked is ("lock_at" in change and change["lock_at"] == LONG_AGO)


async def test_a_match_is_settled_while_a_settlement_is_active(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=1)
    (match_id,) = made.matches
    async with database.begin() as connection:
        await connection.execute(
            insert(match_results).values(
                match_id=match_id, revision=1, kind="PLAYED", source="CONFIRMED", cause="PROVIDER", status_at=NOON
            )
        )
        values = {"id": new_id(), "tournament_id": made.id, "match_id": match_id, "revision": 1, "version": 1}
        rest = {"status_at": NOON, "effect_digest": "", "guesses": 0, "members_changed": 0}
        await connection.execute(insert(settlements).values(**values, **rest))
    await set_match(database, match_id, result_state=ResultState.FINAL)
    assert (await read(database, match_id)).is_settled
    # Called off, settled as void, and on again: its next result is awaited.
    await set_match(database, match_id, result_state=ResultState.NONE)
    assert not (await read(database, match_id)).is_settled
    await set_match(database, match_id, result_state=ResultState.FINAL)
    async with database.begin() as connection:
        await connection.execute(update(settlements).values(superseded_version=2))
    assert not (await read(database, match_id)).is_settled


@pytest.mark.parametrize("first", [1, 2, 3, 100])
async def test_matches_of_a_tournament_by_kick_off(database: PostgresDatabase, first: int) -> None:
    made = await make_tournament(database, matches=7, rounds=2, kick_off=NOON)
    await make_tournament(database, matches=3)
    a, b, c, d, e, f, g = made.matches
    nothing = {"kick_off": None, "lock_at": None, "kick_off_precision": KickOffPrecision.UNKNOWN}
    for match_id in (a, d):
        await set_match(database, match_id, **nothing)
    await set_match(database, c, kick_off=NOON + HOUR, lock_at=NOON + HOUR)
    await set_match(database, g, kick_off=NOON - HOUR, lock_at=NOON - HOUR, status=MatchStatus.CANCELLED)

    async def walk(**filters: Any) -> list[MatchId]:
        seen: list[MatchId] = []
        after = None
        while True:
            with recorded_statements(database) as statements:
                found, total = await service.page_of_tournament(database, made.id, first=first, after=after, **filters)
            assert len(statements) == 2
            seen += [match.id for match in found[:first]]
            if len(found) <= first:
                assert total == len(seen)
                return seen
            after = (found[first - 1].kick_off, found[first - 1].id)

    assert await walk() == [g, b, e, f, c, a, d]
    assert await walk(round_id=made.rounds[0]) == [g, e, c, a]
    assert await walk(statuses=[MatchStatus.CANCELLED, MatchStatus.ENDED]) == [g]
    assert await walk(round_id=made.rounds[1], statuses=[MatchStatus.NOT_STARTED]) == [b, f, d]
    assert await walk(statuses=[]) == []


async def test_matches_of_a_day_are_those_of_joined_tournaments(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=5, kick_off=NOON, spacing=12 * HOUR)
    other = await make_tournament(database, matches=2, kick_off=NOON + HOUR)
    ana = await make_member(database, "Ana", joins=[made])
    await make_member(database, "Bea", joins=[other])
    start, end = NOON + 12 * HOUR, NOON + 36 * HOUR
    found, total = await service.matches_today(database, ana, start, end, 10)
    assert ([match.id for match in found], total) == ([*made.matches[1:3]], 2)
    found, total = await service.matches_today(database, ana, start, end, 1)
    assert ([match.id for match in found], total) == ([*made.matches[1:3]], 2)
    found, total = await service.matches_today(database, ana, start, end, 1, (found[0].kick_off, found[0].id))
    assert ([match.id for match in found], total) == ([made.matches[2]], 2)


async def test_what_is_left_to_guess_by_lock(database: PostgresDatabase) -> None:
    now = datetime.now(UTC)
    made = await make_tournament(database, matches=9, kick_off=now + 24 * HOUR, spacing=HOUR)
    other = await make_tournament(database, matches=2)
    ana = await make_member(database, "Ana", joins=[made])
    await make_member(database, "Bea", joins=[made, other])
    given, locked, void, postponed, undrawn, dated, today, open_1, open_2 = made.matches
    await put_guess(database, made, given, ana, 1, 0)
    await pass_lock(database, locked)
    await set_match(database, void, status=MatchStatus.CANCELLED)
    await set_match(database, postponed, status=MatchStatus.POSTPONED)
    await set_match(database, undrawn, away_team_id=None)
    only_a_date = {"kick_off_precision": KickOffPrecision.DATE, "lock_at": None}
    await set_match(database, dated, kick_off=now + 48 * HOUR, **only_a_date)
    await set_match(database, today, kick_off=now - HOUR, **only_a_date)
    await set_match(database, open_2, kick_off=now + 24 * HOUR, lock_at=now + 24 * HOUR)

    seen: list[MatchId] = []
    after = None
    while True:
        with recorded_statements(database) as statements:
            found, total = await service.matches_to_guess(database, ana, 1, after)
        assert (len(statements), total) == (2, 3)
        seen.append(found[0].id)
        if len(found) == 1:
            break
        after = lock_position(found[0])
    assert seen == [open_2, open_1, dated]


async def test_scopes_of_streams(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=4, rounds=2, kick_off=NOON, spacing=-HOUR)
    await set_match(database, made.matches[2], status=MatchStatus.IN_PLAY)
    await set_match(database, made.matches[3], status=MatchStatus.ENDED)
    async with database.begin() as connection:
        for _ in range(3):
            await tournament_store.raise_versions(connection, made.id, matches=True)
    a, b, c, d = made.matches
    of_round = MatchScope(round_id=made.rounds[0])
    live = MatchScope(live_of_tournament_id=made.id)
    named = MatchScope(match_ids=(a, c, d, MatchId(uuid4())))
    unknown = [
        MatchScope(round_id=RoundId(uuid4())),
        MatchScope(live_of_tournament_id=TournamentId(uuid4())),
        MatchScope(match_ids=(MatchId(uuid4()),)),
    ]

    async def ids(scope: MatchScope) -> list[MatchId]:
        found = await service.versioned_scope(database, scope)
        return [] if found is None else [match.id for match in found[1]]

    assert [await ids(scope) for scope in (of_round, live, named)] == [[c, a], [c], [d, c, a]]
    assert [await ids(scope) for scope in unknown] == [[], [], []]
    with recorded_statements(database) as statements:
        versions = await service.match_versions(database, [of_round, live, named, *unknown])
    assert len(statements) == 1
    assert versions == {of_round: 3, live: 3, named: 1 + 2 + 2}
    assert b in await ids(MatchScope(match_ids=(b,)))
