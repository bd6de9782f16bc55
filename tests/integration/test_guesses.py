"""Guesses on a real database: the lock, what is refused, who sees what, and matches that change under them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from domain.errors import DomainError, NotFound, Refused
from domain.guess import rules, service, store
from domain.guess.amendment import store as amendment
from domain.guess.model import Guess, GuessInput
from domain.guess.tables import guess_revisions, guesses
from domain.ids import LeagueId, MatchId, MemberId
from domain.ingestion.match.store import read_matches_for_update
from domain.match.model import Goals, KickOffPrecision, MatchStatus, ResultKind
from domain.match.tables import matches
from domain.member.model import PlatformRole
from runtime.database import PostgresDatabase
from tests.support.corrections import carry_out, make_admin, order, result
from tests.support.football import (
    MadeTournament,
    make_league,
    make_member,
    make_members,
    make_tournament,
    pass_lock,
    put_guess,
    set_match,
)
from tests.support.statements import recorded_statements, until_one_waits

HOUR = timedelta(hours=1)


@pytest.fixture
async def wide_database(database_url: str) -> AsyncIterator[PostgresDatabase]:
    """A pool of twenty connections."""
    pool = PostgresDatabase.create(database_url, pool_size=20, pool_timeout=60)
    yield pool
    await pool.close()


async def save(database: PostgresDatabase, member_id: MemberId, match_id: MatchId, home: int, away: int) -> Guess:
    return await service.save(database, member_id, GuessInput(match_id, home, away), "r1")


async def code_of_save(database: PostgresDatabase, member_id: MemberId, match_id: MatchId) -> str:
    with pytest.raises(DomainError) as refused:
        await save(database, member_id, match_id, 3, 3)
    return refused.value.code


async def own(database: PostgresDatabase, member_id: MemberId, match_id: MatchId) -> Guess:
    return (await service.read_own(database, member_id, [match_id]))[match_id]


async def database_now(database: PostgresDatabase) -> datetime:
    async with database.read() as connection:
        now: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
        return now


async def revisions(database: PostgresDatabase, *conditions: Any) -> list[Any]:
    async with database.read() as connection:
        statement = select(guess_revisions).where(*conditions).order_by(guess_revisions.c.revision)
        return list((await connection.execute(statement)).all())


async def count_rows(database: PostgresDatabase) -> tuple[int, int]:
    """Guesses and revisions in all."""
    async with database.read() as connection:
        heads = (await connection.execute(select(func.count()).select_from(guesses))).scalar_one()
        saves = (await connection.execute(select(func.count()).select_from(guess_revisions))).scalar_one()
    return heads, saves


# ---------------------------------------------------------------- saving


async def test_a_guess_is_saved_changed_and_repeated(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=1)
    (match_id,) = made.matches
    ana = await make_member(database, "Ana", joins=[made])
    before = await own(database, ana, match_id)
    assert before == Guess(made.id, match_id, ana, None, 0, None, None)
    began = await database_now(database)
    first = await save(database, ana, match_id, 2, 1)
    assert first.saved_at is not None
    assert began < first.saved_at < await database_now(database)
    assert first == Guess(made.id, match_id, ana, Goals(2, 1), 1, first.saved_at, None)
    # The same score again succeeds and changes nothing, not even the time.
    assert await save(database, ana, match_id, 2, 1) == first
    second = await save(database, ana, match_id, 0, 99)
    assert (second.goals, second.revision) == (Goals(0, 99), 2)
    assert second.saved_at is not None
    assert second.saved_at > first.saved_at
    assert await own(database, ana, match_id) == second
    saved = await revisions(database)
    assert [(row.revision, row.home, row.away, row.saved_at, row.request_id) for row in saved] == [
        (1, 2, 1, first.saved_at, "r1"),
        (2, 0, 99, second.saved_at, "r1"),
    ]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"status": MatchStatus.CANCELLED}, "MATCH_NOT_GUESSABLE"),
        ({"status": MatchStatus.ABANDONED}, "MATCH_NOT_GUESSABLE"),
        ({"result_kind": ResultKind.VOID}, "MATCH_NOT_GUESSABLE"),
        ({"home_team_id": None}, "MATCH_NOT_GUESSABLE"),
        ({"status": MatchStatus.POSTPONED}, "MATCH_PAUSED"),
        (
            {"kick_off": None, "lock_at": None, "kick_off_precision": KickOffPrecision.UNKNOWN},
            "MATCH_PAUSED",
        ),
        ({"status": MatchStatus.IN_PLAY}, "MATCH_LOCKED"),
        ({"status": MatchStatus.ENDED, "lock_at": None}, "MATCH_LOCKED"),
    ],
)
async def test_a_match_that_is_not_open_is_refused_and_nothing_changes(
    database: PostgresDatabase, change: dict[str, Any], code: str
) -> None:
    made = await make_tournament(database, matches=1)
    (match_id,) = made.matches
    ana = await make_member(database, "Ana", joins=[made])
    given = await save(database, ana, match_id, 1, 0)
    await set_match(database, match_id, **change)
    assert await code_of_save(database, ana, match_id) == code
    assert await own(database, ana, match_id) == given
    assert await count_rows(database) == (1, 1)


async def test_a_match_that_is_unknown_or_not_joined_is_refused(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=1)
    other = await make_tournament(database, matches=1)
    ana = await make_member(database, "Ana", joins=[other])
    assert await code_of_save(database, ana, made.matches[0]) == "NOT_JOINED"
    await pass_lock(database, made.matches[0])
    assert await code_of_save(database, ana, made.matches[0]) == "NOT_JOINED"
    assert await code_of_save(database, ana, MatchId(uuid4())) == "NOT_FOUND"
    assert await count_rows(database) == (0, 0)


async def test_the_lock_refuses_even_the_score_that_is_stored(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=1)
    (match_id,) = made.matches
    ana = await make_member(database, "Ana", joins=[made])
    await save(database, ana, match_id, 3, 3)
    await pass_lock(database, match_id)
    assert await code_of_save(database, ana, match_id) == "MATCH_LOCKED"


async def test_a_match_with_only_a_date_is_open_until_its_day(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=1)
    (match_id,) = made.matches
    ana = await make_member(database, "Ana", joins=[made])
    now = await database_now(database)
    await set_match(database, match_id, kick_off_precision=KickOffPrecision.DATE, kick_off=now + HOUR, lock_at=None)
    given = await save(database, ana, match_id, 1, 1)
    await set_match(database, match_id, kick_off=now)
    assert await code_of_save(database, ana, match_id) == "MATCH_PAUSED"
    assert await own(database, ana, match_id) == given
    # The time becomes known, still ahead.
    await set_match(
        database, match_id, kick_off_precision=KickOffPrecision.EXACT, kick_off=now + HOUR, lock_at=now + HOUR
    )
    assert (await save(database, ana, match_id, 2, 2)).revision == 2


async def test_both_numbers_are_told_to_be_wrong_at_once(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=1)
    ana = await make_member(database, "Ana", joins=[made])
    with pytest.raises(Refused) as refused:
        await save(database, ana, made.matches[0], -1, 100)
    assert [(fault.code, fault.field) for fault in refused.value.faults] == [
        ("INVALID_INPUT", ("home",)),
        ("INVALID_INPUT", ("away",)),
    ]
    assert await count_rows(database) == (0, 0)


async def test_many_guesses_each_on_its_own(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=6)
    foreign = await make_tournament(database, matches=1)
    ana = await make_member(database, "Ana", joins=[made])
    a, b, c, d, e, f = made.matches
    kept = await save(database, ana, e, 1, 1)
    await pass_lock(database, b)
    await set_match(database, c, status=MatchStatus.POSTPONED)
    unknown = MatchId(uuid4())
    given = [
        GuessInput(f, 5, 0),
        GuessInput(b, 1, 0),
        GuessInput(c, 1, 0),
        GuessInput(d, 100, -1),
        GuessInput(unknown, 1, 0),
        GuessInput(foreign.matches[0], 1, 0),
        GuessInput(e, 1, 1),
        GuessInput(a, 0, 0),
    ]
    results = await service.save_many(database, ana, given, "r2")
    assert [one.goals if isinstance(one, Guess) else one.code for one in results] == [
        Goals(5, 0),
        "MATCH_LOCKED",
        "MATCH_PAUSED",
        "INVALID_INPUT",
        "NOT_FOUND",
        "NOT_JOINED",
        Goals(1, 1),
        Goals(0, 0),
    ]
    assert results[6] == kept
    assert isinstance(results[3], Refused)
    assert [fault.field for fault in results[3].faults] == [("guesses", "3", "home"), ("guesses", "3", "away")]
    assert isinstance(results[4], NotFound)
    assert results[4].field == ("guesses", "4", "matchId")
    assert await count_rows(database) == (3, 3)


async def test_a_request_out_of_bounds_saves_nothing(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=2)
    ana = await make_member(database, "Ana", joins=[made])
    twice = [GuessInput(made.matches[n], 1, 0) for n in (0, 1, 0)]
    for given in ([], twice, [GuessInput(MatchId(uuid4()), 1, 0) for _ in range(101)]):
        with pytest.raises(Refused):
            await service.save_many(database, ana, given, "r2")
    assert await count_rows(database) == (0, 0)


async def test_the_number_of_statements_is_that_of_one_guess(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=100)
    ana = await make_member(database, "Ana", joins=[made])
    for number in (1, 100):
        with recorded_statements(database) as statements:
            given = [GuessInput(match_id, 1, number % 7) for match_id in made.matches[:number]]
            results = await service.save_many(database, ana, given, "r2")
        assert all(isinstance(one, Guess) for one in results)
        assert len(statements) == 4
    with recorded_statements(database) as statements:
        assert len(await service.read_own(database, ana, made.matches)) == 100
    assert len(statements) == 1


# ---------------------------------------------------------------- the lock, under fire


async def test_around_the_lock_none_is_late_and_none_is_refused_early(wide_database: PostgresDatabase) -> None:
    writers, writes = 20, 50
    made = await make_tournament(wide_database, matches=1)
    (match_id,) = made.matches
    members = await make_members(wide_database, writers, joins=[made])
    # All connections are open and warm before the clock starts.
    await asyncio.gather(*(save(wide_database, member, match_id, 0, 0) for member in members))
    async with wide_database.begin() as connection:
        soon = func.clock_timestamp() + text("interval '2500 milliseconds'")
        change = update(matches).values(kick_off=soon, lock_at=soon).returning(matches.c.lock_at)
        lock_at: datetime = (await connection.execute(change)).scalar_one()

    outcomes: list[tuple[datetime, Guess | DomainError, datetime]] = []

    async def write(member: MemberId) -> None:
        ended = await database_now(wide_database)
        n = refusals = 0
        # However fast or slow this machine is, everyone writes on both sides of the lock.
        while n < writes or refusals < 3:
            began = ended
            result: Guess | DomainError
            try:
                result = await save(wide_database, member, match_id, 1 + n % 90, n % 2)
            except DomainError as error:
                result, refusals = error, refusals + 1
            n += 1
            ended = await database_now(wide_database)
            outcomes.append((began, result, ended))

    await asyncio.gather(*(write(member) for member in members))
    accepted = [(began, one, ended) for began, one, ended in outcomes if isinstance(one, Guess)]
    refused = [(began, one, ended) for began, one, ended in outcomes if isinstance(one, DomainError)]
    assert len(outcomes) >= writers * writes
    assert len(refused) >= 3 * writers
    assert accepted
    assert {one.code for _, one, _ in refused} == {"MATCH_LOCKED"}
    assert [one for began, one, ended in accepted if not began <= (one.saved_at or ended) <= ended] == []
    assert [one for began, one, _ in accepted if not began < lock_at] == []
    assert [one for _, one, _ in accepted if one.saved_at is None or one.saved_at >= lock_at] == []
    assert [ended for _, _, ended in refused if ended < lock_at] == []
    # What is stored is what was accepted, each save once.
    saved = await revisions(wide_database)
    assert len(saved) == len(accepted) + writers
    assert all(row.saved_at < lock_at for row in saved)
    heads = await service.page_of_match(wide_database, members[0], match_id, first=100)
    latest = {one.member_id: one for _, one, _ in accepted}
    assert {one.member_id: one.goals for one in heads[0]} == {
        member: latest[member].goals if member in latest else Goals(0, 0) for member in members
    }


async def test_the_write_decides_by_its_own_instant_not_by_that_of_its_transaction(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=2)
    soon_over, open_on = made.matches
    ana = await make_member(database, "Ana", joins=[made])
    lock_at = await database_now(database) + timedelta(milliseconds=700)
    await set_match(database, soon_over, kick_off=lock_at, lock_at=lock_at)
    given = [GuessInput(match_id, 1, 0) for match_id in made.matches]
    async with database.begin() as connection:
        await store.lock_member(connection, ana, made.matches)
        found = await store.lock_matches(connection, ana, made.matches)
        assert [found[match_id][0].is_locked for match_id in made.matches] == [False, False]
        for _ in range(20_000):
            if await database_now(database) >= lock_at:
                break
        assert await store.save(connection, ana, given, "r1") == {open_on}
    assert (await own(database, ana, soon_over)).goals is None
    assert (await own(database, ana, open_on)).goals == Goals(1, 0)


async def test_a_kick_off_that_moves_while_a_guess_waits_is_seen(wide_database: PostgresDatabase) -> None:
    made = await make_tournament(wide_database, matches=1)
    (match_id,) = made.matches
    ana = await make_member(wide_database, "Ana", joins=[made])
    async with wide_database.begin() as connection:
        await connection.execute(select(matches.c.id).where(matches.c.id == match_id).with_for_update())
        waiting = asyncio.create_task(code_of_save(wide_database, ana, match_id))
        await until_one_waits(wide_database)
        now = func.clock_timestamp()
        await connection.execute(update(matches).values(kick_off=now, lock_at=now))
    assert await waiting == "MATCH_LOCKED"
    assert await count_rows(wide_database) == (0, 0)


async def test_who_comes_late_has_nothing_to_do_with_the_lock_of_a_settlement(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=2)
    (member_id,) = await make_members(database, 1, joins=[made])
    await pass_lock(database, made.matches[0])
    given = [GuessInput(match_id, 1, 0) for match_id in made.matches]
    async with database.begin() as settling:
        await settling.execute(select(matches.c.id).where(matches.c.id == made.matches[0]).with_for_update())
        async with asyncio.timeout(10):
            late, saved = await service.save_many(database, member_id, given, "r1")
    assert isinstance(late, rules.MatchLocked)
    assert isinstance(saved, Guess)


@pytest.mark.parametrize("is_correction", [False, True], ids=["reading", "correction"])
async def test_a_change_of_matches_gets_its_turn_while_guesses_keep_coming(
    wide_database: PostgresDatabase, is_correction: bool
) -> None:
    """Savers share the rows, so whoever wants them alone would wait as long as there is always one more."""
    made = await make_tournament(wide_database, matches=2)
    ana, bea = await make_members(wide_database, 2, joins=[made])
    void = result(await make_admin(wide_database), made.matches[0], None)
    ordered = await order(wide_database, void) if is_correction else None
    turns: list[str] = []

    async def change() -> None:
        if ordered is not None:
            await carry_out(wide_database, ordered.execution.id)
        else:
            async with wide_database.begin() as connection:
                await read_matches_for_update(connection, made.id)
        turns.append("change")

    async def guess() -> None:
        await save(wide_database, bea, made.matches[0], 1, 0)
        turns.append("bea")

    async with wide_database.begin() as connection:
        await store.lock_member(connection, ana, made.matches)
        await store.lock_matches(connection, ana, made.matches)
        changing = asyncio.create_task(change())
        await until_one_waits(wide_database)
        guessing = asyncio.create_task(guess())
        await until_one_waits(wide_database, 2)  # the saver has not passed by
        turns.append("ana")
    await asyncio.gather(changing, guessing)

    assert turns[0] == "ana"
    assert sorted(turns) == ["ana", "bea", "change"]


async def test_saves_of_one_member_at_once_come_one_after_another(wide_database: PostgresDatabase) -> None:
    made = await make_tournament(wide_database, matches=2)
    ana = await make_member(wide_database, "Ana", joins=[made])
    first, second = made.matches

    async def both(n: int) -> None:
        order = (first, second) if n % 2 else (second, first)
        results = await service.save_many(wide_database, ana, [GuessInput(one, n, n) for one in order], f"r{n}")
        assert [one.goals if isinstance(one, Guess) else one.code for one in results] == [Goals(n, n)] * 2

    await asyncio.gather(*(both(n) for n in range(40)))
    for match_id in made.matches:
        saved = await revisions(wide_database, guess_revisions.c.match_id == match_id)
        assert [row.revision for row in saved] == list(range(1, 41))
        assert [row.saved_at for row in saved] == sorted({row.saved_at for row in saved})
        head = await own(wide_database, ana, match_id)
        assert (head.revision, head.goals) == (40, Goals(saved[-1].home, saved[-1].away))


async def test_the_database_itself_refuses_a_late_guess(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=1)
    ana = await make_member(database, "Ana", joins=[made])
    await pass_lock(database, made.matches[0])
    row = {"tournament_id": made.id, "match_id": made.matches[0], "member_id": ana, "home": 1, "away": 0}
    with pytest.raises(DBAPIError, match=r"the lock of match .* has passed"):
        async with database.begin() as connection:
            await connection.execute(insert(guesses).values(**row, revision=1, saved_at=func.clock_timestamp()))


# ---------------------------------------------------------------- who sees what


async def test_before_the_lock_a_guess_is_its_members_alone(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=2)
    hidden, shown = made.matches
    ana, mate, rival = await make_members(database, 3, joins=[made])
    stranger = await make_member(database, "Stranger")
    admin = await make_member(database, "Admin", role=PlatformRole.ADMIN)
    league_id = await make_league(database, "Friends", mate, members=[ana], plays=[made])
    for match_id in made.matches:
        await put_guess(database, made, match_id, ana, 2, 1)
    await pass_lock(database, shown)
    keys = [(match_id, member) for match_id in made.matches for member in (ana, mate)]

    assert set(await service.read_given(database, ana, keys)) == {(hidden, ana), (shown, ana)}
    for viewer in (mate, rival, stranger, admin, None):
        assert set(await service.read_given(database, viewer, keys)) == {(shown, ana)}
    for viewer in (ana, mate, rival, stranger, admin):
        for league in (None, league_id) if viewer in (ana, mate) else (None,):
            assert await service.page_of_match(database, viewer, hidden, league_id=league, first=10) == ([], 0)
            page, total = await service.page_of_match(database, viewer, shown, league_id=league, first=10)
            assert ([guess.member_id for guess in page], total) == ([ana], 1)
    for viewer in (mate, rival):
        assert (await own(database, viewer, hidden)).goals is None
    for viewer in (stranger, admin):
        assert await service.read_own(database, viewer, made.matches) == {}


async def test_what_was_shown_stays_shown(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=1)
    (match_id,) = made.matches
    ana, bea = await make_members(database, 2, joins=[made])
    await put_guess(database, made, match_id, ana, 2, 1)
    await pass_lock(database, match_id)
    for change in ({"status": MatchStatus.POSTPONED, "kick_off": None}, {"status": MatchStatus.CANCELLED}):
        await set_match(database, match_id, **change)
        assert (await service.page_of_match(database, bea, match_id, first=10))[1] == 1
    later = datetime.now(UTC) + HOUR
    with pytest.raises(DBAPIError, match="has passed and cannot move"):
        await set_match(database, match_id, kick_off=later, lock_at=later)


@pytest.mark.parametrize("first", [1, 2, 100])
async def test_guesses_of_a_match_by_nick_name(database: PostgresDatabase, first: int) -> None:
    made = await make_tournament(database, matches=2)
    match_id = made.matches[0]
    names = ["Zoe", "Same", "Abe", "Same", "Outside", "Silent"]
    ids = [await make_member(database, name, joins=[made]) for name in names]
    nick_names = dict(zip(ids, names, strict=True))
    league_id = await make_league(database, "Friends", ids[0], members=ids[1:3], viewers=[ids[3]], plays=[made])
    for member in ids[:5]:
        await put_guess(database, made, match_id, member, 2, 1)
    await put_guess(database, made, made.matches[1], ids[5], 1, 1)
    await pass_lock(database, *made.matches)

    async def walk(league: LeagueId | None) -> list[str]:
        seen: list[Guess] = []
        after = None
        while True:
            page, total = await service.page_of_match(
                database, ids[1], match_id, league_id=league, first=first, after=after
            )
            seen += page[:first]
            if len(page) <= first:
                assert len({guess.member_id for guess in seen}) == len(seen) == total
                return [nick_names[guess.member_id] for guess in seen]
            after = (nick_names[page[first - 1].member_id], page[first - 1].member_id)

    assert await walk(None) == ["Abe", "Outside", "Same", "Same", "Zoe"]
    assert await walk(league_id) == ["Abe", "Same", "Same", "Zoe"]
    for outsider in (ids[4], ids[5]):
        with pytest.raises(NotFound):
            await service.page_of_match(database, outsider, match_id, league_id=league_id, first=first)


# ---------------------------------------------------------------- matches that change under their guesses


async def put_saves(
    database: PostgresDatabase, made: MadeTournament, member: MemberId, saves: list[tuple[datetime, int, int]]
) -> None:
    """Revisions with the given times and scores on the first match, the last of them being the guess."""
    key = {"tournament_id": made.id, "match_id": made.matches[0], "member_id": member}
    rows = [
        {**key, "revision": n, "saved_at": at, "home": home, "away": away}
        for n, (at, home, away) in enumerate(saves, start=1)
    ]
    async with database.begin() as connection:
        await connection.execute(insert(guess_revisions), [{**row, "request_id": "test"} for row in rows])
        await connection.execute(insert(guesses).values(rows[-1]))


async def move_lock(database: PostgresDatabase, match_id: MatchId, lock_at: datetime) -> amendment.Restored:
    async with database.begin() as connection:
        moved = update(matches).where(matches.c.id == match_id)
        await connection.execute(moved.values(kick_off=lock_at, lock_at=lock_at))
        return await amendment.restore_guesses(connection, match_id, lock_at)


async def test_an_earlier_kick_off_lets_the_last_save_before_it_count(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=2)
    match_id = made.matches[0]
    in_time, mixed, late, edge, none = await make_members(database, 5, joins=[made])
    lock_at = await database_now(database) - HOUR
    before, after = lock_at - HOUR, lock_at + HOUR / 2
    second = timedelta(seconds=1)
    await put_saves(database, made, in_time, [(before, 1, 0)])
    await put_saves(
        database, made, mixed, [(before, 1, 0), (before + second, 2, 0), (after, 3, 0), (after + second, 4, 0)]
    )
    await put_saves(database, made, late, [(after, 5, 5)])
    await put_saves(database, made, edge, [(before, 6, 0), (lock_at, 7, 0)])
    await put_guess(database, made, made.matches[1], late, 9, 9)

    assert await move_lock(database, match_id, lock_at) == amendment.Restored(restored=2, removed=1)
    kept = {member: await own(database, member, match_id) for member in (in_time, mixed, late, edge, none)}
    assert {
        member: (guess.goals, guess.revision, guess.saved_at, guess.late_goals) for member, guess in kept.items()
    } == {
        in_time: (Goals(1, 0), 1, before, None),
        mixed: (Goals(2, 0), 2, before + second, Goals(4, 0)),
        late: (None, 0, None, Goals(5, 5)),
        edge: (Goals(6, 0), 1, before, Goals(7, 0)),
        none: (None, 0, None, None),
    }
    assert (await own(database, late, made.matches[1])).goals == Goals(9, 9)
    # To others the save that does not count is not told.
    seen = await service.read_given(database, none, [(match_id, mixed), (match_id, late)])
    assert {key: (guess.goals, guess.late_goals) for key, guess in seen.items()} == {
        (match_id, mixed): (Goals(2, 0), None)
    }
    assert len(await revisions(database, guess_revisions.c.match_id == match_id)) == 8
    async with database.begin() as connection:
        assert await amendment.restore_guesses(connection, match_id, lock_at) == amendment.Restored(0, 0)


async def test_swapped_sides_swap_the_guesses(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=2)
    match_id, other = made.matches
    ana, bea, cid = await make_members(database, 3, joins=[made])
    await save(database, ana, match_id, 2, 1)
    head = await save(database, ana, match_id, 3, 0)
    await save(database, bea, match_id, 1, 1)
    await save(database, cid, other, 4, 2)
    async with database.begin() as connection:
        assert await amendment.swap_guesses(connection, match_id) == 2
    swapped = await own(database, ana, match_id)
    assert (swapped.goals, swapped.saved_at, swapped.late_goals) == (Goals(0, 3), head.saved_at, None)
    assert (await own(database, bea, match_id)).goals == Goals(1, 1)
    assert (await own(database, cid, other)).goals == Goals(4, 2)
    # Saving goes on, and a second swap undoes the first.
    assert (await save(database, ana, match_id, 5, 4)).revision == swapped.revision + 1
    async with database.begin() as connection:
        await amendment.swap_guesses(connection, match_id)
    assert (await own(database, ana, match_id)).goals == Goals(4, 5)


@pytest.mark.parametrize("swaps", [1, 2])
async def test_an_earlier_kick_off_after_a_swap_finds_the_swapped_save(database: PostgresDatabase, swaps: int) -> None:
    made = await make_tournament(database, matches=1)
    (match_id,) = made.matches
    ana = await make_member(database, "Ana", joins=[made])
    lock_at = await database_now(database) - HOUR
    await put_saves(database, made, ana, [(lock_at - HOUR, 1, 0), (lock_at + HOUR / 2, 3, 2)])
    for _ in range(swaps):
        async with database.begin() as connection:
            await amendment.swap_guesses(connection, match_id)
    await move_lock(database, match_id, lock_at)
    guess = await own(database, ana, match_id)
    expected = (Goals(0, 1), Goals(2, 3)) if swaps == 1 else (Goals(1, 0), Goals(3, 2))
    assert (guess.goals, guess.late_goals) == expected


async def test_a_swap_after_a_restored_guess_keeps_what_counts(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=1)
    (match_id,) = made.matches
    ana, late = await make_members(database, 2, joins=[made])
    lock_at = await database_now(database) - HOUR
    await put_saves(database, made, ana, [(lock_at - HOUR, 1, 0), (lock_at + HOUR / 2, 3, 2)])
    await put_saves(database, made, late, [(lock_at + HOUR / 2, 8, 7)])
    await move_lock(database, match_id, lock_at)
    async with database.begin() as connection:
        assert await amendment.swap_guesses(connection, match_id) == 1
    assert (await own(database, ana, match_id)).goals == Goals(0, 1)
    assert (await own(database, ana, match_id)).late_goals == Goals(2, 3)
    assert (await own(database, late, match_id)).goals is None
    assert (await own(database, late, match_id)).late_goals == Goals(7, 8)
