"""Settlement: exactly once for each accepted result, corrected by compensation, in whatever order things arrive."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import func, select, text

from domain.ids import MatchId, MemberId
from domain.match.model import Goals, ResultKind
from domain.match.tables import match_results, matches
from domain.outbox.tables import outbox
from domain.scoring.model import ScoreBasis
from domain.settlement import store
from domain.settlement.rules import ResultIncomplete
from domain.settlement.service import read_settlements, settle, settle_match, settle_pending
from domain.settlement.tables import idempotency_keys, member_scores, score_versions, settlement_scorelines, settlements
from domain.tournament.model import TournamentMode
from domain.tournament.tables import tournaments
from runtime.database import PostgresDatabase
from tests.support.football import (
    MadeTournament,
    make_members,
    make_tournament,
    pass_lock,
    put_guess,
    put_guesses,
    set_match,
)
from tests.support.settlement import (
    accept,
    assert_balanced,
    claim,
    expected_facts,
    play,
    queued,
    settle_queued,
    void,
    work,
)
from tests.support.statements import until_one_waits

GUESSES = [(2, 1), (1, 0), (2, 0), (3, 1), (1, 2), (2, 2), (1, 1), (0, 0)]


@pytest.fixture
async def tournament(database: PostgresDatabase) -> MadeTournament:
    return await make_tournament(database, matches=3)


@pytest.fixture
async def members(database: PostgresDatabase, tournament: MadeTournament) -> list[MemberId]:
    """Ten members; eight of them guess the first match, each another score."""
    found = await make_members(database, 10, joins=[tournament])
    given = [(tournament.matches[0], member_id, *goals) for member_id, goals in zip(found, GUESSES, strict=False)]
    await put_guesses(database, tournament, given)
    await pass_lock(database, *tournament.matches)
    return found


async def facts_of(
    database: PostgresDatabase, tournament: MadeTournament, basis: ScoreBasis = ScoreBasis.AFTER_EXTRA_TIME
) -> dict[MemberId, tuple[int, ...]]:
    statement = select(member_scores).where(
        member_scores.c.tournament_id == tournament.id, member_scores.c.basis == basis
    )
    async with database.read() as connection:
        rows = (await connection.execute(statement)).all()
    return {
        row.member_id: (row.outcome, row.goal_difference, row.home_goals, row.away_goals, row.exact) for row in rows
    }


async def everything(database: PostgresDatabase) -> list[list[Any]]:
    """All rows that a settlement may write, but for the replays that are counted."""
    found = []
    keys = [column for column in idempotency_keys.c if column.name != "replays"]
    async with database.read() as connection:
        for statement in (
            select(member_scores),
            select(settlements),
            select(settlement_scorelines),
            select(score_versions),
            select(*keys),
            select(tournaments.c.settled_version, tournaments.c.board_version, tournaments.c.match_version),
            select(matches.c.id, matches.c.version, matches.c.result_state, matches.c.result_revision),
            select(func.count()).select_from(outbox).where(outbox.c.message["kind"].astext != "execution"),
        ):
            rows = (await connection.execute(statement)).all()
            found.append(sorted((tuple(row) for row in rows), key=str))
    return found


async def test_a_result_gives_each_guess_its_facts(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId]
) -> None:
    match_id = tournament.matches[0]

    await play(database, match_id, 2, 1)

    assert await facts_of(database, tournament) == await expected_facts(database, {match_id: Goals(2, 1)}, members)
    settlement = (await read_settlements(database, tournament.matches))[match_id]
    assert (settlement.revision, settlement.version) == (1, 1)
    assert (settlement.guesses, settlement.members_changed) == (8, 6)
    assert len(settlement.effect_digest) == 64
    await assert_balanced(database, tournament.id)


@pytest.mark.usefixtures("members")
async def test_a_settlement_is_proven_by_its_scorelines(database: PostgresDatabase, tournament: MadeTournament) -> None:
    await put_guess_of_stranger(database, tournament)

    await play(database, tournament.matches[0], 2, 1)

    async with database.read() as connection:
        lines = (await connection.execute(select(settlement_scorelines))).all()
        version = (await connection.execute(select(score_versions))).one()
    proof = {(line.home, line.away): (line.outcome, line.exact, line.guesses) for line in lines}
    assert proof[2, 1] == (True, True, 2)
    assert proof[1, 2] == (False, False, 1)
    assert len(proof) == len(GUESSES)
    assert (version.version, version.kind) == (1, "SETTLED")


async def put_guess_of_stranger(database: PostgresDatabase, tournament: MadeTournament) -> None:
    """An eleventh member guesses what the first did."""
    (member_id,) = await make_members(database, 1, joins=[tournament])
    await set_match(database, tournament.matches[1], stadium="Elsewhere")
    async with database.begin() as connection:
        await connection.execute(text("ALTER TABLE guesses DISABLE TRIGGER refuse_late_guess"))
    await put_guess(database, tournament, tournament.matches[0], member_id, 2, 1)


@pytest.mark.usefixtures("members")
async def test_versions_and_ticks_are_part_of_the_settlement(
    database: PostgresDatabase, tournament: MadeTournament
) -> None:
    await accept(database, tournament.matches[0], 2, 1)
    before, match_before = await versions_of(database, tournament)
    async with database.begin() as connection:
        await connection.execute(outbox.delete())

    await settle_queued(database)

    after, match_after = await versions_of(database, tournament)
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1, 1]
    assert match_after == match_before + 1
    async with database.read() as connection:
        messages = (await connection.execute(select(outbox.c.message).order_by(outbox.c.id))).scalars().all()
    ticks = [message for message in messages if message["kind"] != "execution"]
    assert ticks == [
        {"kind": "board", "id": str(tournament.id)},
        {"kind": "matches", "id": str(tournament.id)},
    ]


async def versions_of(database: PostgresDatabase, tournament: MadeTournament) -> tuple[tuple[int, ...], int]:
    counters = select(tournaments.c.settled_version, tournaments.c.board_version, tournaments.c.match_version)
    async with database.read() as connection:
        row = (await connection.execute(counters.where(tournaments.c.id == tournament.id))).one()
        version = select(matches.c.version).where(matches.c.id == tournament.matches[0])
        return tuple(row), (await connection.execute(version)).scalar_one()


@pytest.mark.usefixtures("members")
async def test_the_same_result_is_accepted_once(database: PostgresDatabase, tournament: MadeTournament) -> None:
    match_id = tournament.matches[0]

    accepted = [await accept(database, match_id, 2, 1) for _ in range(3)]

    assert accepted == [1, None, None]
    assert [found for _, found in await queued(database)] == [match_id]


@pytest.mark.usefixtures("members")
async def test_the_same_event_a_hundred_times_pays_once(database: PostgresDatabase, tournament: MadeTournament) -> None:
    match_id = tournament.matches[0]
    await play(database, match_id, 2, 1)
    before = await everything(database)

    for _ in range(100):
        async with database.begin() as connection:
            settled = await settle(connection, match_id, None)
        assert settled.settlement is None

    assert await everything(database) == before
    async with database.read() as connection:
        (key,) = (await connection.execute(select(idempotency_keys))).all()
        (result,) = (await connection.execute(select(match_results))).all()
    assert key.key == f"settlement:{match_id}:{result.status_at.isoformat()}"
    assert (key.status, key.replays) == ("APPLIED", 100)


async def test_a_correction_compensates(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId]
) -> None:
    match_id = tournament.matches[0]
    await play(database, match_id, 2, 1)

    await play(database, match_id, 2, 2)

    assert await facts_of(database, tournament) == await expected_facts(database, {match_id: Goals(2, 2)}, members)
    async with database.read() as connection:
        rows = (await connection.execute(select(settlements).order_by(settlements.c.version))).all()
        kinds = (await connection.execute(select(score_versions.c.kind).order_by(score_versions.c.version))).scalars()
        assert list(kinds) == ["SETTLED", "CORRECTED"]
    assert [(row.revision, row.version, row.superseded_version) for row in rows] == [(1, 1, 2), (2, 2, None)]
    await assert_balanced(database, tournament.id)


async def test_a_correction_writes_only_whose_facts_change(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId]
) -> None:
    match_id = tournament.matches[0]
    await play(database, match_id, 2, 0)
    before = await row_versions(database)

    await play(database, match_id, 3, 0)

    after = await row_versions(database)
    changed = {member for member in after if after[member] != before[member]}
    one, other = Goals(2, 0), Goals(3, 0)
    old = await expected_facts(database, {match_id: one}, members)
    new = await expected_facts(database, {match_id: other}, members)
    assert changed == {member for member in members if old[member] != new[member]}
    assert (await read_settlements(database, [match_id]))[match_id].members_changed == len(changed) == 4


async def row_versions(database: PostgresDatabase) -> dict[MemberId, Any]:
    async with database.read() as connection:
        rows = await connection.execute(text("SELECT member_id, xmin::text, ctid::text FROM member_scores"))
        return {row.member_id: (row.xmin, row.ctid) for row in rows}


@pytest.mark.usefixtures("members")
async def test_voiding_reverses(database: PostgresDatabase, tournament: MadeTournament) -> None:
    first, second, _ = tournament.matches
    await play(database, first, 2, 1)
    await play(database, second, 0, 0)

    assert await void(database, first) == 2
    await settle_queued(database)

    assert set((await facts_of(database, tournament)).values()) == {(0, 0, 0, 0, 0)}
    settlement = (await read_settlements(database, [first]))[first]
    assert (settlement.revision, settlement.guesses, settlement.members_changed) == (2, 0, 6)
    async with database.read() as connection:
        row = (await connection.execute(select(matches).where(matches.c.id == first))).one()
        assert (row.result_state, row.result_kind, row.result_revision) == ("VOID", "VOID", 2)
        last = select(score_versions.c.kind).where(score_versions.c.version == 3)
        assert (await connection.execute(last)).scalar_one() == "VOIDED"
    await assert_balanced(database, tournament.id)


@pytest.mark.usefixtures("members")
async def test_a_match_void_before_any_result_pays_nobody(
    database: PostgresDatabase, tournament: MadeTournament
) -> None:
    assert await void(database, tournament.matches[0]) == 1
    assert await void(database, tournament.matches[0]) is None
    await settle_queued(database)

    assert set((await facts_of(database, tournament)).values()) == {(0, 0, 0, 0, 0)}
    await assert_balanced(database, tournament.id)


async def test_a_job_settles_the_latest_result_and_an_overtaken_one_is_noted(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId]
) -> None:
    match_id = tournament.matches[0]
    await accept(database, match_id, 2, 1)
    (late,) = await queued(database)
    run = await claim(database, late[0])
    await accept(database, match_id, 2, 2)
    await settle_queued(database)

    await settle_match(run, match_id)

    assert await facts_of(database, tournament) == await expected_facts(database, {match_id: Goals(2, 2)}, members)
    assert (await read_settlements(database, [match_id]))[match_id].revision == 2
    async with database.read() as connection:
        keys = (await connection.execute(select(idempotency_keys).order_by(idempotency_keys.c.key))).all()
    assert [(key.status, key.replays) for key in keys] == [("SUPERSEDED", 0), ("APPLIED", 1)]
    assert run.progress().counts.unchanged == 1


@pytest.mark.usefixtures("members")
async def test_a_result_accepted_while_its_predecessor_settles_is_queued_again(
    database: PostgresDatabase, tournament: MadeTournament
) -> None:
    match_id = tournament.matches[0]
    await accept(database, match_id, 2, 1)
    (first,) = await queued(database)
    await claim(database, first[0])

    await accept(database, match_id, 2, 2)

    (second,) = await queued(database)
    assert second[0] != first[0]


async def test_revisions_that_race_end_in_the_latest(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId]
) -> None:
    match_id = tournament.matches[0]
    scores = [Goals(n % 4, n // 4) for n in range(12)]

    async def worker() -> None:
        for _ in scores:
            async with database.begin() as connection:
                await settle(connection, match_id, None)

    async def provider() -> None:
        for score in scores:
            await accept(database, match_id, *score)

    await asyncio.gather(provider(), worker(), worker(), worker())
    await settle_queued(database)

    assert await facts_of(database, tournament) == await expected_facts(database, {match_id: scores[-1]}, members)
    assert (await read_settlements(database, [match_id]))[match_id].revision == len(scores)
    async with database.read() as connection:
        status = select(idempotency_keys.c.status, func.count()).group_by(idempotency_keys.c.status)
        counts = {row[0]: row[1] for row in await connection.execute(status)}
        settled = (await connection.execute(select(func.count()).select_from(settlements))).scalar_one()
    assert counts.get("APPLIED") == settled
    assert sum(counts.values()) == len(scores)
    await assert_balanced(database, tournament.id)


async def test_matches_of_one_tournament_settle_at_once_without_a_gap(
    database: PostgresDatabase, tournament: MadeTournament
) -> None:
    members = await make_members(database, 6, joins=[tournament])
    given = [(each, member, n % 3, n % 2) for each in tournament.matches for n, member in enumerate(members)]
    await put_guesses(database, tournament, given)
    await pass_lock(database, *tournament.matches)
    for match_id in tournament.matches:
        await accept(database, match_id, 1, 1)

    async def one(match_id: MatchId) -> None:
        async with database.begin() as connection:
            await settle(connection, match_id, None)

    await asyncio.gather(*(one(match_id) for match_id in tournament.matches for _ in range(3)))

    results = dict.fromkeys(tournament.matches, Goals(1, 1))
    assert await facts_of(database, tournament) == await expected_facts(database, results, members)
    await assert_balanced(database, tournament.id)


@pytest.mark.usefixtures("members")
async def test_settlements_of_one_tournament_wait_for_each_other_before_they_read(
    database: PostgresDatabase, tournament: MadeTournament
) -> None:
    """Two that wrote the same members' rows in different orders would deadlock."""
    first, second, _ = tournament.matches
    await accept(database, first, 2, 1)
    await accept(database, second, 0, 0)

    async def other() -> None:
        async with database.begin() as connection:
            await settle(connection, second, None)

    async with database.begin() as connection:
        await settle(connection, first, None)
        waiting = asyncio.create_task(other())
        await until_one_waits(database)
        assert not waiting.done()
    await waiting

    settled = await read_settlements(database, [first, second])
    assert [settled[match_id].version for match_id in (first, second)] == [1, 2]


async def test_a_crash_before_the_commit_leaves_nothing(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId]
) -> None:
    match_id = tournament.matches[0]
    await accept(database, match_id, 2, 1)
    before = await everything(database)

    with pytest.raises(RuntimeError, match="crash"):
        await _settle_and_crash(database, match_id)

    assert await everything(database) == before
    await settle_queued(database)
    assert await facts_of(database, tournament) == await expected_facts(database, {match_id: Goals(2, 1)}, members)


async def _settle_and_crash(database: PostgresDatabase, match_id: MatchId) -> None:
    async with database.begin() as connection:
        await settle(connection, match_id, None)
        raise RuntimeError("crash")


async def test_a_guesser_without_a_row_is_never_left_out_in_silence(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId]
) -> None:
    match_id = tournament.matches[0]
    await accept(database, match_id, 2, 1)
    async with database.begin() as connection:
        await connection.execute(member_scores.delete().where(member_scores.c.member_id == members[0]))

    async with database.begin() as connection:
        with pytest.raises(RuntimeError, match="wrote 5 scores where 6 change"):
            await settle(connection, match_id, None)


# ---------------------------------------------------------------- score bases


async def knockout(database: PostgresDatabase) -> tuple[MadeTournament, list[MemberId]]:
    made = await make_tournament(database, matches=2, mode=TournamentMode.KNOCKOUT)
    found = await make_members(database, len(GUESSES), joins=[made])
    given = [(made.matches[0], member_id, *goals) for member_id, goals in zip(found, GUESSES, strict=True)]
    await put_guesses(database, made, given)
    await pass_lock(database, *made.matches)
    return made, found


async def test_a_knockout_match_is_settled_for_both_bases(database: PostgresDatabase) -> None:
    made, found = await knockout(database)
    match_id = made.matches[0]

    await accept(database, match_id, 1, 1, after_extra_time=Goals(2, 1))
    await settle_queued(database)

    after_extra_time = await expected_facts(database, {match_id: Goals(2, 1)}, found)
    assert await facts_of(database, made) == after_extra_time
    regulation = await expected_facts(database, {match_id: Goals(1, 1)}, found)
    assert await facts_of(database, made, ScoreBasis.REGULATION) == regulation
    changed = [n for n in found if any(after_extra_time[n]) or any(regulation[n])]
    assert (await read_settlements(database, [match_id]))[match_id].members_changed == len(changed)
    await assert_balanced(database, made.id)


async def test_an_awarded_result_counts_for_both_bases(database: PostgresDatabase) -> None:
    made, found = await knockout(database)

    await accept(database, made.matches[0], 3, 0, kind=ResultKind.AWARDED)
    await settle_queued(database)

    given = await expected_facts(database, {made.matches[0]: Goals(3, 0)}, found)
    for basis in ScoreBasis:
        assert await facts_of(database, made, basis) == given


async def test_a_missing_part_holds_up_its_basis_alone_until_it_comes(database: PostgresDatabase) -> None:
    made, found = await knockout(database)
    match_id = made.matches[0]
    await accept(database, match_id, None, None, after_extra_time=Goals(2, 1))
    (run,) = await settle_queued(database)

    assert await facts_of(database, made) == await expected_facts(database, {match_id: Goals(2, 1)}, found)
    assert set((await facts_of(database, made, ScoreBasis.REGULATION)).values()) == {(0, 0, 0, 0, 0)}
    note = run.progress().steps[0].note
    assert note is not None
    assert "REGULATION" in note

    await accept(database, match_id, 1, 1, after_extra_time=Goals(2, 1))
    await settle_queued(database)

    regulation = await expected_facts(database, {match_id: Goals(1, 1)}, found)
    assert await facts_of(database, made, ScoreBasis.REGULATION) == regulation
    await assert_balanced(database, made.id)


@pytest.mark.usefixtures("members")
async def test_a_result_without_any_score_cannot_be_settled(
    database: PostgresDatabase, tournament: MadeTournament
) -> None:
    match_id = tournament.matches[0]
    await accept(database, match_id, None, None)
    ((execution_id, _),) = await queued(database)

    with pytest.raises(ResultIncomplete) as raised:
        await work(database, _settles(match_id), execution_id)

    assert raised.value.code == "RESULT_INCOMPLETE"
    assert await read_settlements(database, [match_id]) == {}


def _settles(match_id: MatchId) -> Callable[[Any], Awaitable[None]]:
    return lambda run: settle_match(run, match_id)


# ---------------------------------------------------------------- accepting results


async def test_an_override_stands_against_the_provider(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId]
) -> None:
    match_id = tournament.matches[0]
    await play(database, match_id, 2, 1)
    assert await accept(database, match_id, 2, 2, source="OVERRIDE", cause="CORRECTION") == 2

    assert await accept(database, match_id, 2, 1) is None
    await settle_queued(database)

    assert await facts_of(database, tournament) == await expected_facts(database, {match_id: Goals(2, 2)}, members)
    assert await accept(database, match_id, 3, 2, source="OVERRIDE", cause="CORRECTION") == 3


@pytest.mark.usefixtures("members")
async def test_a_replay_is_a_revision_of_its_own_that_writes_no_score(
    database: PostgresDatabase, tournament: MadeTournament
) -> None:
    match_id = tournament.matches[0]
    await play(database, match_id, 2, 1)
    before = await row_versions(database)

    assert await accept(database, match_id, 2, 1, cause="REPLAY") == 2
    await settle_queued(database)

    assert await row_versions(database) == before
    settlement = (await read_settlements(database, [match_id]))[match_id]
    assert (settlement.revision, settlement.members_changed, settlement.guesses) == (2, 0, 8)


@pytest.mark.usefixtures("members")
async def test_the_times_of_results_rise_within_a_match(database: PostgresDatabase, tournament: MadeTournament) -> None:
    match_id = tournament.matches[0]
    await accept(database, match_id, 1, 0)
    async with database.begin() as connection:
        # The clock has jumped back a day since.
        await connection.execute(text("ALTER TABLE match_results DISABLE TRIGGER refuse_change"))
        await connection.execute(text("UPDATE match_results SET status_at = status_at + interval '1 day'"))
    await accept(database, match_id, 2, 0)

    async with database.read() as connection:
        rows = (await connection.execute(select(match_results).order_by(match_results.c.revision))).all()
    assert (rows[1].status_at - rows[0].status_at).total_seconds() == 1e-6


async def test_a_match_with_a_result_takes_no_more_guesses(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=2)
    await accept(database, made.matches[0], 3, 0, kind=ResultKind.AWARDED)
    await void(database, made.matches[1])

    async with database.read() as connection:
        locked = select(matches.c.id, matches.c.lock_at <= func.clock_timestamp())
        rows = {row[0]: row[1] for row in await connection.execute(locked)}
    assert [rows[match_id] for match_id in made.matches] == [True, False]


@pytest.mark.usefixtures("members")
async def test_a_score_that_comes_back_is_final_again(database: PostgresDatabase, tournament: MadeTournament) -> None:
    match_id = tournament.matches[0]
    await play(database, match_id, 2, 1)
    await set_match(database, match_id, result_state="PROVISIONAL")

    assert await accept(database, match_id, 2, 1) is None

    async with database.read() as connection:
        row = (await connection.execute(select(matches).where(matches.c.id == match_id))).one()
    assert (row.result_state, row.result_revision) == ("FINAL", 1)


# ---------------------------------------------------------------- the sweep


async def test_the_sweep_settles_what_is_pending_and_tells_what_it_cannot(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId]
) -> None:
    first, second, third = tournament.matches
    await play(database, first, 2, 1)
    await accept(database, first, 2, 2)
    await accept(database, second, None, None)
    await void(database, third)
    other = await make_tournament(database, matches=1)
    await accept(database, other.matches[0], 0, 0)
    pending = [execution_id for execution_id, match_id in await queued(database) if match_id == first]

    run = await work(database, settle_pending, pending[0])

    counts = run.progress().counts
    assert (counts.total, counts.created, counts.updated, counts.failed) == (3, 1, 1, 1)
    assert await facts_of(database, tournament) == await expected_facts(database, {first: Goals(2, 2)}, members)
    assert run.rejected() == {1: [f"Result 1 of match {second} lacks the score after 90 minutes."]}
    async with database.read() as connection:
        assert await store.pending_matches(connection, None) == [second, other.matches[0]]


async def test_random_histories_end_in_the_latest_results(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=6, mode=TournamentMode.REGULAR_SEASON_AND_KNOCKOUT)
    found = await make_members(database, 12, joins=[made])
    chance = random.Random(7)
    given = [
        (match_id, member_id, chance.randrange(4), chance.randrange(4))
        for match_id in made.matches
        for member_id in found
        if chance.random() < 0.8
    ]
    await put_guesses(database, made, given)
    await pass_lock(database, *made.matches)

    last: dict[MatchId, Goals] = {}
    for _ in range(60):
        match_id = chance.choice(made.matches)
        if chance.random() < 0.15:
            await void(database, match_id)
            last.pop(match_id, None)
        else:
            last[match_id] = Goals(chance.randrange(4), chance.randrange(4))
            await accept(database, match_id, *last[match_id])
        if chance.random() < 0.5:
            async with database.begin() as connection:
                await settle(connection, match_id, None)
    await settle_queued(database)

    expected = await expected_facts(database, last, found)
    for basis in ScoreBasis:
        assert await facts_of(database, made, basis) == expected
    await assert_balanced(database, made.id)


async def test_settling_a_match_takes_as_many_statements_whatever_the_number_of_guesses(
    database: PostgresDatabase,
) -> None:
    counts = []
    for number in (3, 60):
        made = await make_tournament(database, matches=1)
        members = await make_members(database, number, joins=[made])
        await put_guesses(database, made, [(made.matches[0], each, n % 5, n % 4) for n, each in enumerate(members)])
        await pass_lock(database, *made.matches)
        await accept(database, made.matches[0], 1, 1)
        counts.append(await _statements(database, made.matches[0]))

    assert counts[0] == counts[1]
    assert counts[0] <= 18


async def _statements(database: PostgresDatabase, match_id: MatchId) -> int:
    from sqlalchemy import event

    seen: list[str] = []
    async with database.begin() as connection:
        sync = connection.sync_connection
        assert sync is not None
        event.listen(sync, "before_cursor_execute", lambda *arguments: seen.append(arguments[2]))
        await settle(connection, match_id, None)
    return len(seen)
