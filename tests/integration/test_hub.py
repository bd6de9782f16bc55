"""Two API processes' hubs on one PostgreSQL and one Valkey."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from redis.asyncio import Redis
from sqlalchemy import text, update

from domain.clock import utc_now
from domain.errors import Forbidden, NotFound, Unauthenticated, Unavailable
from domain.execution import service as executions
from domain.execution.lease import service as lease
from domain.execution.model import Command, Execution, ExecutionState, ExecutionTrigger, Operation, Target
from domain.execution.run import Run
from domain.ids import ExecutionId, MemberId, TournamentId, new_id
from domain.leaderboard.model import BoardKey
from domain.league.tables import league_members, leagues
from domain.match.model import MatchStatus
from domain.match.rules import MatchScope
from domain.member.tables import members
from domain.outbox import store as outbox
from domain.outbox.model import TickKind
from domain.tournament.store import raise_versions
from integrations.valkey import ticks
from live.events import Delta, Heartbeat, MatchDelta, MatchSnapshot, Resync, ResyncReason, Snapshot, StreamPosition
from live.hub import Hub
from live.ports import TickListener
from live.topics import Pace
from runtime.database import PostgresDatabase
from tests.support.football import (
    MadeTournament,
    make_league,
    make_members,
    make_tournament,
    put_guesses,
    set_match,
)
from tests.support.live import QUICK, TICKS_ONLY, CountingBoards, anyone, api_process, finish, follow, relay, until
from tests.support.settlement import finish as end_run
from tests.support.settlement import void
from tests.support.sheets import removed
from tests.support.statements import recorded_statements, until_one_waits

E = TypeVar("E")


async def event(stream: AsyncIterator[Any], kind: type[E]) -> E:
    """The next event, heartbeats left out."""
    async with asyncio.timeout(10):
        found = await anext(stream)
        while isinstance(found, Heartbeat) and kind is not Heartbeat:
            found = await anext(stream)
    assert isinstance(found, kind), found
    return found


class Silent:
    """A source of ticks that listens, and whose server says nothing any more."""

    async def listen(self, listener: TickListener) -> None:
        listener.subscribed()
        await asyncio.Event().wait()


async def until_stale(stream: AsyncIterator[Any]) -> None:
    """Until a heartbeat tells of more than both sources take to answer."""
    async with asyncio.timeout(10):
        while (await event(stream, Heartbeat)).staleness_ms < 3_000:
            pass


@pytest.fixture
async def cup(database: PostgresDatabase) -> MadeTournament:
    return await make_tournament(database, matches=4, ruleset="kicktipp")


@pytest.fixture
async def guessers(database: PostgresDatabase, cup: MadeTournament) -> list[MemberId]:
    """Three members: the first guesses every match 1-0 (4 points if so), the second 2-0 (then 2), the third 0-1."""
    ids = await make_members(database, 3, joins=[cup])
    given = [
        (match_id, member_id, home, away)
        for match_id in cup.matches
        for member_id, (home, away) in zip(ids, [(1, 0), (2, 0), (0, 1)], strict=True)
    ]
    await put_guesses(database, cup, given)
    return ids


async def test_a_settlement_reaches_both_processes_with_the_same_version_and_rows(
    database: PostgresDatabase, valkey: Redis, valkey_url: str, cup: MadeTournament, guessers: list[MemberId]
) -> None:
    key = BoardKey(tournament_id=cup.id)
    async with (
        api_process(database, valkey_url, TICKS_ONLY) as one,
        api_process(database, valkey_url, TICKS_ONLY) as other,
    ):
        streams = [follow(one, key), follow(other, key)]
        for stream in streams:
            first = await event(stream, Snapshot)
            assert (first.version, [row.points for row in first.rows]) == (0, [0, 0, 0])
            assert {member.nick_name for member in first.members.values()} == {"Member 0", "Member 1", "Member 2"}
        await finish(database, cup.matches[0], 1, 0)
        await relay(database, valkey)
        deltas = [await event(stream, Delta) for stream in streams]
        for delta in deltas:
            assert (delta.from_version, delta.version, delta.head.settled_matches) == (0, 1, 1)
            assert [(row.member_id, row.points) for row in delta.rows[:2]] == [(guessers[0], 4), (guessers[1], 2)]
            assert delta.guessed_matches == dict.fromkeys(guessers, 1)
        assert deltas[0].epoch == deltas[1].epoch


@pytest.mark.parametrize("is_named", [True, False])
async def test_a_round_is_not_moved_by_other_tournaments(
    database: PostgresDatabase, valkey_url: str, cup: MadeTournament, *, is_named: bool
) -> None:
    """It may be asked for without the tournament, and hears of all then."""
    key = BoardKey(tournament_id=cup.id if is_named else None, round_id=cup.rounds[0])
    await make_members(database, 1, joins=[cup])
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        stream = follow(process, key)
        await event(stream, Snapshot)
        opened = process.boards.opened
        process.hub.tick(TickKind.BOARD, new_id(), 1_000)
        await asyncio.sleep(1)
        assert process.boards.opened == opened
        await finish(database, cup.matches[0], 1, 0)
        process.hub.tick(TickKind.BOARD, cup.id, 1)
        assert (await event(stream, Delta)).version == 1
        assert process.boards.opened == opened + 1


async def test_how_many_matches_each_has_guessed_is_read_again_only_when_more_are_settled(
    database: PostgresDatabase, valkey: Redis, valkey_url: str, cup: MadeTournament, guessers: list[MemberId]
) -> None:
    asked: list[int] = []
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        stream = follow(process, BoardKey(tournament_id=cup.id))
        await event(stream, Snapshot)

        async def next_delta() -> Delta:
            with recorded_statements(database) as statements:
                await relay(database, valkey)
                delta = await event(stream, Delta)
            asked.append(sum("count(*) AS number" in statement for statement in statements))
            return delta

        await finish(database, cup.matches[0], 1, 0)
        settled = await next_delta()
        async with database.begin() as connection:
            await connection.execute(update(members).where(members.c.id == guessers[2]).values(nick_name="Another"))
            await raise_versions(connection, cup.id, board=True)
        renamed = await next_delta()
        (joined,) = await make_members(database, 1, joins=[cup])
        async with database.begin() as connection:
            await raise_versions(connection, cup.id, board=True)
        grown = await next_delta()
        await finish(database, cup.matches[1], 1, 0)
        again = await next_delta()
    assert asked == [1, 0, 1, 1]
    assert settled.guessed_matches == dict.fromkeys(guessers, 1)
    assert renamed.guessed_matches == {guessers[2]: 1}
    assert grown.guessed_matches[joined] == 0
    assert [again.guessed_matches[member_id] for member_id in guessers[:2]] == [2, 2]


async def test_a_settled_match_that_becomes_void_is_guessed_by_nobody_before_that_is_settled(
    database: PostgresDatabase, valkey: Redis, valkey_url: str, cup: MadeTournament, guessers: list[MemberId]
) -> None:
    for match_id in cup.matches[:2]:
        await finish(database, match_id, 1, 0)
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        stream = follow(process, BoardKey(tournament_id=cup.id))
        first = await event(stream, Snapshot)
        assert first.guessed_matches == dict.fromkeys(guessers, 2)
        await void(database, cup.matches[0])
        await relay(database, valkey)
        delta = await event(stream, Delta)
    assert (delta.head.settled_version, delta.head.settled_matches) == (first.head.settled_version, 1)
    assert delta.guessed_matches == dict.fromkeys(guessers, 1)


async def test_a_client_moves_from_one_process_to_the_other_and_goes_on(
    database: PostgresDatabase, valkey: Redis, valkey_url: str, cup: MadeTournament, guessers: list[MemberId]
) -> None:
    key = BoardKey(tournament_id=cup.id)
    async with (
        api_process(database, valkey_url, TICKS_ONLY) as one,
        api_process(database, valkey_url, TICKS_ONLY) as other,
    ):
        stream = follow(one, key)
        first = await event(stream, Snapshot)
        moved = follow(other, key, StreamPosition(first.epoch, first.version))
        assert (await event(moved, Heartbeat)).version == first.version
        await finish(database, cup.matches[0], 1, 0)
        await relay(database, valkey)
        delta = await event(moved, Delta)
        assert (delta.from_version, delta.version) == (first.version, 1)
        late = follow(one, key, StreamPosition(first.epoch, 99))
        await event(stream, Delta)
        assert (await event(late, Resync)).reason is ResyncReason.TOO_OLD
        assert (await event(late, Snapshot)).version == 1
        assert guessers[0] == delta.rows[0].member_id


async def test_a_client_that_was_away_resumes_on_the_other_process_with_one_merged_delta(
    database: PostgresDatabase, valkey: Redis, valkey_url: str, cup: MadeTournament, guessers: list[MemberId]
) -> None:
    key = BoardKey(tournament_id=cup.id)
    async with (
        api_process(database, valkey_url, TICKS_ONLY) as one,
        api_process(database, valkey_url, TICKS_ONLY) as other,
    ):
        client, keeper = follow(one, key), follow(other, key)
        first = await event(client, Snapshot)
        await event(keeper, Snapshot)
        await client.aclose()  # type: ignore[attr-defined]
        for match_id in cup.matches[:3]:
            await finish(database, match_id, 1, 0)
            await relay(database, valkey)
            await event(keeper, Delta)
        resumed = follow(other, key, StreamPosition(first.epoch, first.version))
        merged = await event(resumed, Delta)
        assert (merged.from_version, merged.version, merged.head.settled_matches) == (0, 3, 3)
        assert [(row.member_id, row.points) for row in merged.rows[:2]] == [(guessers[0], 12), (guessers[1], 6)]
        await finish(database, cup.matches[3], 1, 0)
        await relay(database, valkey)
        assert (await event(resumed, Delta)).from_version == merged.version


async def test_a_thousand_streams_are_one_computation_a_version(
    database: PostgresDatabase, valkey: Redis, valkey_url: str, cup: MadeTournament, guessers: list[MemberId]
) -> None:
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        streams = [follow(process, BoardKey(tournament_id=cup.id)) for _ in range(1_000)]
        snapshots = await asyncio.gather(*(event(stream, Snapshot) for stream in streams))
        assert (len({id(one) for one in snapshots}), process.boards.opened) == (1, 1)
        for version, match_id in enumerate(cup.matches, 1):
            await finish(database, match_id, 1, 0)
            await relay(database, valkey)
            deltas = await asyncio.gather(*(event(stream, Delta) for stream in streams))
            assert (len({id(one) for one in deltas}), process.boards.opened) == (1, version + 1)
            assert deltas[0].version == version
        assert deltas[0].rows[0].member_id == guessers[0]


async def test_a_burst_of_settlements_is_one_delta(
    database: PostgresDatabase, valkey: Redis, valkey_url: str, cup: MadeTournament, guessers: list[MemberId]
) -> None:
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        stream = follow(process, BoardKey(tournament_id=cup.id))
        await event(stream, Snapshot)
        for match_id in cup.matches:
            await finish(database, match_id, 1, 0)
        await relay(database, valkey)
        delta = await event(stream, Delta)
        assert (delta.from_version, delta.version, process.boards.opened) == (0, 4, 2)
        assert [row.points for row in delta.rows] == [16, 8, 0]
        assert delta.rows[0].member_id == guessers[0]


async def test_a_publish_that_is_lost_heals_by_the_comparison(
    database: PostgresDatabase, valkey_url: str, cup: MadeTournament, guessers: list[MemberId]
) -> None:
    async with api_process(database, valkey_url) as process:
        stream = follow(process, BoardKey(tournament_id=cup.id))
        await event(stream, Snapshot)
        await finish(database, cup.matches[0], 2, 0)
        delta = await event(stream, Delta)
        assert (delta.version, delta.rows[0].member_id, process.boards.opened) == (1, guessers[1], 2)


async def test_an_emptied_valkey_sends_nothing_and_loses_nothing(
    database: PostgresDatabase, valkey: Redis, valkey_url: str, cup: MadeTournament, guessers: list[MemberId]
) -> None:
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        stream = follow(process, BoardKey(tournament_id=cup.id))
        await event(stream, Snapshot)
        await valkey.flushall()
        await finish(database, cup.matches[0], 1, 0)
        await relay(database, valkey)
        delta = await event(stream, Delta)
        assert (delta.from_version, delta.version, delta.rows[0].member_id) == (0, 1, guessers[0])


async def test_a_lost_pubsub_connection_ends_in_a_fresh_snapshot(
    database: PostgresDatabase, valkey: Redis, valkey_url: str, cup: MadeTournament, guessers: list[MemberId]
) -> None:
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        board = follow(process, BoardKey(tournament_id=cup.id))
        matches = process.hub.matches(MatchScope(round_id=cup.rounds[0]), None, allowed=anyone).events()
        await event(board, Snapshot)
        await event(matches, MatchSnapshot)
        assert await valkey.execute_command("CLIENT", "KILL", "TYPE", "pubsub") == 1
        await finish(database, cup.matches[0], 1, 0)  # its ticks are never published
        resync = await event(board, Resync)
        assert resync.reason is ResyncReason.SOURCE_RESTORED
        snapshot = await event(board, Snapshot)
        assert snapshot.version == resync.version
        assert (await event(matches, Resync)).reason is ResyncReason.SOURCE_RESTORED
        assert (await event(matches, MatchSnapshot)).matches[0].id in cup.matches
        assert {row.member_id for row in snapshot.rows} == set(guessers)


async def test_a_tick_server_that_says_nothing_any_more_is_connected_to_anew(
    database: PostgresDatabase, valkey: Redis, valkey_url: str, cup: MadeTournament, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticks, "_HEARD_SECONDS", 0.1)
    monkeypatch.setattr(ticks, "_SILENT_SECONDS", 0.5)
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        stream = follow(process, BoardKey(tournament_id=cup.id))
        await event(stream, Snapshot)
        await valkey.execute_command("CLIENT", "PAUSE", 2_000)
        assert (await event(stream, Resync)).reason is ResyncReason.SOURCE_RESTORED


async def test_a_postgres_that_drops_every_connection_ends_no_stream(
    database: PostgresDatabase,
    database_url: str,
    valkey_url: str,
    cup: MadeTournament,
    guessers: list[MemberId],
) -> None:
    other = PostgresDatabase.create(database_url, application_name="palpite-other")
    try:
        async with api_process(database, valkey_url) as process:
            stream = follow(process, BoardKey(tournament_id=cup.id))
            await event(stream, Snapshot)
            async with other.begin() as connection:
                statement = (
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'palpite-test'"
                )
                await connection.exec_driver_sql(statement)
            await finish(other, cup.matches[0], 1, 0)
            async with asyncio.timeout(10):
                found = await anext(stream)
                while isinstance(found, Heartbeat | Resync) or found.version == 0:  # it was back before the goal
                    found = await anext(stream)
            assert found.version == 1
            assert {row.points for row in found.rows} == {4, 2, 0}
            assert found.rows[0].member_id == guessers[0]
    finally:
        await other.close()


async def test_a_slow_client_is_told_and_given_the_newest(
    database: PostgresDatabase, valkey: Redis, valkey_url: str, cup: MadeTournament, guessers: list[MemberId]
) -> None:
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        key = BoardKey(tournament_id=cup.id)
        slow, quick = follow(process, key), follow(process, key)
        await event(slow, Snapshot)
        await event(quick, Snapshot)
        for match_id in cup.matches[:3]:
            await finish(database, match_id, 1, 0)
            await relay(database, valkey)
            await event(quick, Delta)
        assert (await event(slow, Resync)).reason is ResyncReason.SLOW_CLIENT
        snapshot = await event(slow, Snapshot)
        assert (snapshot.version, snapshot.rows[0].points, snapshot.rows[0].member_id) == (3, 12, guessers[0])


async def test_a_version_that_changes_nothing_in_the_window_sends_nothing(
    database: PostgresDatabase, valkey: Redis, valkey_url: str, cup: MadeTournament, guessers: list[MemberId]
) -> None:
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        stream = follow(process, BoardKey(tournament_id=cup.id), first=2)
        await event(stream, Snapshot)
        async with database.begin() as connection:
            await raise_versions(connection, cup.id, board=True)
        await relay(database, valkey)
        await until(lambda: process.boards.opened == 2)
        coming = asyncio.ensure_future(event(stream, Delta))
        assert not (await asyncio.wait({coming}, timeout=1.0))[0]
        await finish(database, cup.matches[0], 1, 0)
        await relay(database, valkey)
        delta = await coming
        assert (delta.from_version, delta.version) == (0, 2)
        assert [row.member_id for row in delta.rows] == guessers[:2]


async def test_windows_of_one_board_differ_by_their_length(
    database: PostgresDatabase, valkey: Redis, valkey_url: str, cup: MadeTournament, guessers: list[MemberId]
) -> None:
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        key = BoardKey(tournament_id=cup.id)
        short, long = follow(process, key, first=1), follow(process, key, first=3)
        assert [len((await event(stream, Snapshot)).rows) for stream in (short, long)] == [1, 3]
        await finish(database, cup.matches[0], 0, 1)
        await relay(database, valkey)
        delta = await event(short, Delta)
        assert [row.member_id for row in delta.rows] == [guessers[2]]
        assert removed(delta) == tuple(sorted(guessers)[:1])
        assert removed(await event(long, Delta)) == ()


async def test_a_leagues_total_follows_its_tournaments_and_its_members(
    database: PostgresDatabase, valkey: Redis, valkey_url: str, cup: MadeTournament, guessers: list[MemberId]
) -> None:
    founder, friend, _ = guessers
    league_id = await make_league(database, "Friends", founder, members=[friend], plays=[cup])
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        stream = follow(process, BoardKey(league_id=league_id))
        assert {row.member_id for row in (await event(stream, Snapshot)).rows} == {founder, friend}
        await finish(database, cup.matches[0], 1, 0)
        await relay(database, valkey)
        assert [row.points for row in (await event(stream, Delta)).rows] == [4, 2]
        await remove_from_league(database, league_id, friend)
        await relay(database, valkey)
        delta = await event(stream, Delta)
        assert (delta.from_version, delta.version, removed(delta)) == (1, 2, (friend,))


async def test_the_removed_member_gets_no_frame_computed_after_the_removal(
    database: PostgresDatabase, valkey: Redis, valkey_url: str, cup: MadeTournament, guessers: list[MemberId]
) -> None:
    founder, friend, _ = guessers
    league_id = await make_league(database, "Friends", founder, members=[friend], plays=[cup])
    is_member = True

    async def allowed() -> str | None:
        return None if is_member else "FORBIDDEN"

    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        key = BoardKey(league_id=league_id, tournament_id=cup.id)
        theirs, ours = process.hub.leaderboard(key, 50, None, allowed=allowed).events(), follow(process, key)
        await event(theirs, Snapshot)
        await event(ours, Snapshot)
        await remove_from_league(database, league_id, friend)
        is_member = False
        await finish(database, cup.matches[0], 1, 0)
        await relay(database, valkey)
        assert removed(await event(ours, Delta)) == (friend,)
        with pytest.raises(Forbidden):
            await event(theirs, Delta)


async def test_an_ended_session_ends_an_idle_stream(
    database: PostgresDatabase, valkey_url: str, cup: MadeTournament, guessers: list[MemberId]
) -> None:
    codes = iter([None, *["UNAUTHENTICATED"] * 10])

    async def allowed() -> str | None:
        return next(codes)

    async with api_process(database, valkey_url) as process:
        stream = process.hub.leaderboard(BoardKey(tournament_id=cup.id), 50, None, allowed=allowed).events()
        assert len((await event(stream, Snapshot)).rows) == len(guessers)
        with pytest.raises(Unauthenticated):
            await event(stream, Delta)


@pytest.mark.parametrize("key", ["tournament", "league"])
async def test_an_unknown_board_is_not_found(database: PostgresDatabase, valkey_url: str, key: str) -> None:
    unknown: Any = {f"{key}_id": new_id()}
    async with api_process(database, valkey_url) as process:
        with pytest.raises(NotFound):
            await event(follow(process, BoardKey(**unknown)), Snapshot)


async def test_heartbeats_tell_how_long_the_source_was_not_heard(
    database: PostgresDatabase, valkey_url: str, cup: MadeTournament
) -> None:
    async with api_process(database, valkey_url) as process:
        stream = follow(process, BoardKey(tournament_id=cup.id))
        first = await event(stream, Snapshot)
        beat = await event(stream, Heartbeat)
        assert (beat.epoch, beat.version) == (first.epoch, first.version)
        assert 0 <= beat.staleness_ms < 3_000
        assert abs((datetime.now(UTC) - beat.at).total_seconds()) < 5


async def test_heartbeats_tell_how_long_a_board_could_not_be_read(
    database: PostgresDatabase, valkey_url: str, cup: MadeTournament, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise OSError("away")

    async with api_process(database, valkey_url) as process:
        stream = follow(process, BoardKey(tournament_id=cup.id))
        await event(stream, Snapshot)
        monkeypatch.setattr(process.boards, "follow", fail)
        await finish(database, cup.matches[0], 1, 0)  # what moved is found, for versions are still read
        await until_stale(stream)


async def test_heartbeats_tell_how_long_no_tick_could_be_heard(database: PostgresDatabase, cup: MadeTournament) -> None:
    boards = CountingBoards(database, None, utc_now)
    hub = Hub(database, boards, Silent(), pace=QUICK)
    await hub.start()
    try:
        stream = hub.leaderboard(BoardKey(tournament_id=cup.id), 50, None, allowed=anyone).events()
        await event(stream, Snapshot)
        await until_stale(stream)
    finally:
        await hub.stop()
        await boards.stop()


async def test_matches_in_play_enter_and_leave(
    database: PostgresDatabase, valkey: Redis, valkey_url: str, cup: MadeTournament
) -> None:
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        stream = process.hub.matches(MatchScope(live_of_tournament_id=cup.id), None, allowed=anyone).events()
        first = await event(stream, MatchSnapshot)
        assert (first.version, first.matches) == (0, ())
        await change_match(database, valkey, cup, 0, status=MatchStatus.IN_PLAY, home_goals=0, away_goals=0)
        delta = await event(stream, MatchDelta)
        assert (delta.from_version, delta.version, [match.id for match in delta.matches]) == (0, 1, [cup.matches[0]])
        await change_match(database, valkey, cup, 0, home_goals=1)
        assert (await event(stream, MatchDelta)).matches[0].goals == (1, 0)
        await change_match(database, valkey, cup, 0, status=MatchStatus.ENDED)
        delta = await event(stream, MatchDelta)
        assert (delta.version, delta.matches, delta.removed) == (3, (), (cup.matches[0],))


@pytest.mark.parametrize("of", ["boards", "matches"])
async def test_what_is_read_for_streams_shows_while_it_is_read(
    database: PostgresDatabase, valkey_url: str, cup: MadeTournament, of: str
) -> None:
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        hub = process.hub
        assert not hub.is_reading
        stream: AsyncIterator[Any] = (
            follow(process, BoardKey(tournament_id=cup.id))
            if of == "boards"
            else hub.matches(MatchScope(match_ids=cup.matches[:2]), None, allowed=anyone).events()
        )
        async with database.begin() as other:
            await other.execute(text("LOCK TABLE matches, tournaments IN ACCESS EXCLUSIVE MODE"))
            first = asyncio.ensure_future(anext(stream))
            await until_one_waits(database)
            assert hub.is_reading
        assert isinstance(await asyncio.wait_for(first, 10), Snapshot | MatchSnapshot)
        await until(lambda: not hub.is_reading)


async def test_named_matches_count_their_own_versions(
    database: PostgresDatabase, valkey: Redis, valkey_url: str, cup: MadeTournament
) -> None:
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        stream = process.hub.matches(MatchScope(match_ids=cup.matches[:2]), None, allowed=anyone).events()
        first = await event(stream, MatchSnapshot)
        assert (first.version, [match.id for match in first.matches]) == (2, list(cup.matches[:2]))
        await change_match(database, valkey, cup, 3, minute=7)
        await change_match(database, valkey, cup, 1, minute=9)
        delta = await event(stream, MatchDelta)
        assert (delta.from_version, delta.version) == (2, 3)
        assert [(match.id, match.minute) for match in delta.matches] == [(cup.matches[1], 9)]


async def test_unknown_matches_are_not_found(database: PostgresDatabase, valkey_url: str) -> None:
    async with api_process(database, valkey_url) as process:
        stream = process.hub.matches(
            MatchScope(live_of_tournament_id=TournamentId(new_id())), None, allowed=anyone
        ).events()
        with pytest.raises(NotFound):
            await event(stream, MatchSnapshot)


async def test_stopping_a_process_ends_its_streams(
    database: PostgresDatabase, valkey_url: str, cup: MadeTournament
) -> None:
    async with api_process(database, valkey_url) as process:
        streams: list[AsyncIterator[Any]] = [
            follow(process, BoardKey(tournament_id=cup.id)),
            process.hub.matches(MatchScope(round_id=cup.rounds[0]), None, allowed=anyone).events(),
        ]
        for stream in streams:
            await anext(stream)
        live = process.hub.executions(None, allowed=anyone)
        waiting = [asyncio.ensure_future(rest(stream)) for stream in (*streams, live)]
        await process.hub.stop()
        ended = await asyncio.wait_for(asyncio.gather(*waiting), 5)
        assert all(isinstance(one, Heartbeat) for events in ended for one in events)


async def test_a_named_execution_is_followed_to_its_end(
    database: PostgresDatabase, valkey: Redis, valkey_url: str, cup: MadeTournament
) -> None:
    queued = await queue(database, cup)
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        stream = process.hub.executions([queued.id], allowed=anyone)
        seen = [await anext(stream)]
        claimed = await claim(database, queued.id)
        await relay(database, valkey)
        seen.append(await anext(stream))
        await end(database, claimed)
        await relay(database, valkey)
        seen.extend(await asyncio.wait_for(rest(stream), 5))
    states = [ExecutionState.QUEUED, ExecutionState.IN_PROGRESS, ExecutionState.COMPLETED]
    assert [one.state for one in seen] == states
    assert [one.version for one in seen] == sorted({one.version for one in seen})


@pytest.mark.parametrize("is_named", [True, False])
async def test_executions_that_cannot_be_read_in_time_are_refused(
    database: PostgresDatabase, valkey_url: str, cup: MadeTournament, *, is_named: bool
) -> None:
    queued = await queue(database, cup)
    async with api_process(database, valkey_url, replace(TICKS_ONLY, start=0.3)) as process, database.begin() as other:
        await other.execute(text("LOCK TABLE executions IN ACCESS EXCLUSIVE MODE"))
        stream = process.hub.executions([queued.id] if is_named else None, allowed=anyone)
        with pytest.raises(Unavailable):
            await asyncio.wait_for(anext(stream), 4)


async def test_a_reading_of_executions_that_takes_too_long_is_given_up_and_made_good(
    database: PostgresDatabase, valkey_url: str, cup: MadeTournament, caplog: pytest.LogCaptureFixture
) -> None:
    queued = await queue(database, cup)
    async with api_process(database, valkey_url, replace(TICKS_ONLY, poll=0.1, patience=0.2)) as process:
        stream = process.hub.executions([queued.id], allowed=anyone)
        assert (await event(stream, Execution)).state is ExecutionState.QUEUED
        async with database.begin() as other:
            await other.execute(text("LOCK TABLE executions IN ACCESS EXCLUSIVE MODE"))
            await until(lambda: caplog.messages.count("live_executions_failed") >= 2)
        await claim(database, queued.id)
        assert (await event(stream, Execution)).state is ExecutionState.IN_PROGRESS


async def test_an_execution_that_is_over_is_shown_once_and_the_stream_completes(
    database: PostgresDatabase, valkey_url: str, cup: MadeTournament
) -> None:
    queued = await queue(database, cup)
    await end(database, await claim(database, queued.id))
    async with api_process(database, valkey_url) as process:
        stream = process.hub.executions([queued.id], allowed=anyone)
        assert [one.state for one in await rest(stream)] == [ExecutionState.COMPLETED]


async def test_the_end_of_an_execution_comes_although_its_tick_is_lost(
    database: PostgresDatabase, valkey_url: str, cup: MadeTournament
) -> None:
    queued = await queue(database, cup)
    async with api_process(database, valkey_url) as process:
        stream = process.hub.executions([queued.id], allowed=anyone)
        assert (await anext(stream)).state is ExecutionState.QUEUED
        await end(database, await claim(database, queued.id))
        assert (await asyncio.wait_for(rest(stream), 5))[-1].state is ExecutionState.COMPLETED


async def test_the_end_of_an_execution_comes_when_ticks_are_heard_again(
    database: PostgresDatabase, valkey: Redis, valkey_url: str, cup: MadeTournament
) -> None:
    queued = await queue(database, cup)
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        stream = process.hub.executions([queued.id], allowed=anyone)
        assert (await anext(stream)).state is ExecutionState.QUEUED
        await end(database, await claim(database, queued.id))  # its ticks are never published
        assert await valkey.execute_command("CLIENT", "KILL", "TYPE", "pubsub") == 1
        assert (await asyncio.wait_for(rest(stream), 10))[-1].state is ExecutionState.COMPLETED


async def test_without_names_all_live_executions_come_now_and_later(
    database: PostgresDatabase, valkey: Redis, valkey_url: str, cup: MadeTournament
) -> None:
    over, first = await queue(database, cup, 0), await queue(database, cup, 1)
    await end(database, await claim(database, over.id))
    await relay(database, valkey)
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        stream = process.hub.executions(None, allowed=anyone)
        assert (await anext(stream)).id == first.id
        later = await queue(database, cup, 2)
        await relay(database, valkey)
        assert (await asyncio.wait_for(anext(stream), 5)).id == later.id
        await end(database, await claim(database, first.id))
        await relay(database, valkey)
        last = await asyncio.wait_for(anext(stream), 5)
        assert (last.id, last.state) == (first.id, ExecutionState.COMPLETED)


@pytest.mark.parametrize("is_named", [True, False])
async def test_the_present_executions_come_in_the_order_in_which_they_were_queued(
    database: PostgresDatabase, valkey_url: str, cup: MadeTournament, *, is_named: bool
) -> None:
    ids = [(await queue(database, cup, number)).id for number in range(3)]
    await claim(database, ids[0])  # by which its row lies behind the others
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        stream = process.hub.executions(ids[::-1] if is_named else None, allowed=anyone)
        assert [(await event(stream, Execution)).id for _ in ids] == ids


async def test_what_begins_and_ends_between_two_looks_is_shown_although_its_ticks_are_lost(
    database: PostgresDatabase, valkey_url: str, cup: MadeTournament
) -> None:
    before = await queue(database, cup, 0)
    await end(database, await claim(database, before.id))
    live = await queue(database, cup, 1)
    async with api_process(database, valkey_url, Pace()) as process:
        stream = process.hub.executions(None, allowed=anyone)
        assert (await anext(stream)).id == live.id
        short = await queue(database, cup, 2)
        await end(database, await claim(database, short.id))
        last = await asyncio.wait_for(anext(stream), 30)
        while last.state is not ExecutionState.COMPLETED:
            last = await asyncio.wait_for(anext(stream), 30)

    assert last.id == short.id  # and not the one that was over before


async def test_an_unknown_execution_is_not_found(database: PostgresDatabase, valkey_url: str) -> None:
    async with api_process(database, valkey_url) as process:
        with pytest.raises(NotFound):
            await anext(process.hub.executions([ExecutionId(new_id())], allowed=anyone))


async def test_who_is_no_admin_any_more_sees_no_further_execution(
    database: PostgresDatabase, valkey: Redis, valkey_url: str, cup: MadeTournament
) -> None:
    codes: list[str | None] = [None]

    async def allowed() -> str | None:
        return codes[-1]

    await queue(database, cup, 0)
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        stream = process.hub.executions(None, allowed=allowed)
        await anext(stream)
        codes.append("FORBIDDEN")
        await queue(database, cup, 1)
        await relay(database, valkey)
        with pytest.raises(Forbidden):
            await asyncio.wait_for(anext(stream), 5)


async def remove_from_league(database: PostgresDatabase, league_id: Any, member_id: MemberId) -> None:
    """As the league's own code does: the end of the membership, the version and the tick in one transaction."""
    async with database.begin() as connection:
        await connection.execute(
            update(league_members)
            .where(league_members.c.league_id == league_id, league_members.c.member_id == member_id)
            .values(left_at=datetime.now(UTC), left_cause="REMOVED")
        )
        raised = leagues.c.board_version + 1
        await connection.execute(update(leagues).where(leagues.c.id == league_id).values(board_version=raised))
        await outbox.tick(connection, TickKind.LEAGUE, league_id)


async def change_match(
    database: PostgresDatabase, valkey: Redis, cup: MadeTournament, number: int, **values: Any
) -> None:
    await set_match(database, cup.matches[number], **values)
    async with database.begin() as connection:
        await raise_versions(connection, cup.id, matches=True)
    await relay(database, valkey)


async def rest(stream: AsyncIterator[E]) -> list[E]:
    return [found async for found in stream]


async def queue(database: PostgresDatabase, cup: MadeTournament, match: int = 0) -> Execution:
    target = Target(tournament_id=cup.id, match_id=cup.matches[match])
    command = Command(Operation.SETTLE_MATCH, target, {})
    async with database.begin() as connection:
        accepted = await executions.accept(connection, command, trigger=ExecutionTrigger.SYSTEM, request_id="test")
    return accepted.execution


async def claim(database: PostgresDatabase, execution_id: ExecutionId) -> Execution:
    claimed = await lease.claim(database, execution_id, owner="test", lease_seconds=60)
    assert claimed is not None
    return claimed


async def end(database: PostgresDatabase, execution: Execution) -> None:
    await end_run(Run(execution, database, utc_now))
