"""A crash before each statement of the transactions that pay points: nothing of it is there, and the next try does all.

An answer to COMMIT that is lost on its way is in tests/faults/test_servers.py, killed processes in
tests/faults/test_settlement.py.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from functools import partial

import pytest
from redis.asyncio import Redis

from domain.correction import work
from domain.execution.lease import service as lease
from domain.execution.model import Operation, Target
from domain.execution.run import Run
from domain.guess import service as guesses
from domain.guess.model import GuessInput
from domain.ids import MatchId, MemberId
from domain.ingestion import service as ingestion
from domain.leaderboard.model import BoardKey, BoardSource
from domain.leaderboard.projector import project
from domain.match.model import Goals, MatchStatus
from domain.settlement.service import settle_match
from domain.tournament.model import Provider
from integrations.valkey.projection import ValkeyProjection
from runtime.database import PostgresDatabase
from tests.support.boards import places, projected, ranked_by_sql
from tests.support.corrections import assert_proven, make_admin, order, result, try_out
from tests.support.crashes import CRASHES, Crash, crash_at
from tests.support.football import (
    MadeTournament,
    join,
    make_members,
    make_tournament,
    pass_lock,
    put_guesses,
)
from tests.support.ingester import OPEN, Ingester, match_of
from tests.support.openfootball import a_match, map_matches
from tests.support.oracles import game_rows
from tests.support.runs import run_now
from tests.support.settlement import (
    accept,
    assert_balanced,
    claim,
    database_now,
    expected_facts,
    finish,
    queued,
    settled_facts,
    void,
)

SCORES = [(2, 1), (1, 0), (2, 2), (0, 3)]


async def crash_everywhere(
    database: PostgresDatabase, kind: Crash, handle: Callable[[], Awaitable[object]]
) -> list[str]:
    """Do it with a crash before the first statement, then before the second, and so on until it gets through.

    The answer is its statements; COMMIT is one of them.
    """
    number, before = 1, await game_rows(database)
    while True:
        with crash_at(database, number, kind) as fuse:
            try:
                await handle()
            except CRASHES:
                assert await game_rows(database) == before, f"what is left of a crash before {fuse.sent[-1]}"
            else:
                assert len(fuse.sent) < number
                return fuse.sent
        number += 1


@pytest.fixture
async def made(database: PostgresDatabase) -> MadeTournament:
    return await make_tournament(database, matches=2)


@pytest.fixture
async def members(database: PostgresDatabase, made: MadeTournament) -> list[MemberId]:
    """Five members; four of them have guessed both matches, which have begun."""
    found = await make_members(database, 5, joins=[made])
    guessed = list(zip(found, SCORES, strict=False))
    await put_guesses(
        database, made, [(each, member_id, *goals) for each in made.matches for member_id, goals in guessed]
    )
    await pass_lock(database, *made.matches)
    return found


async def settle_through_crashes(database: PostgresDatabase, match_id: MatchId, kind: Crash) -> list[str]:
    """Settle what waits of a match, as a worker does, with a crash at each statement."""
    (execution_id,) = [execution_id for execution_id, found in await queued(database) if found == match_id]
    run = await claim(database, execution_id)
    sent = await crash_everywhere(database, kind, lambda: settle_match(run, match_id))
    await finish(run)
    return sent


@pytest.mark.parametrize("kind", Crash)
async def test_a_settlement_is_whole_or_not_there_wherever_it_crashes(
    database: PostgresDatabase, made: MadeTournament, members: list[MemberId], kind: Crash
) -> None:
    match_id = made.matches[0]

    async def ends(home: int, away: int, cause: str = "PROVIDER") -> list[str]:
        await accept(database, match_id, home, away, cause=cause)
        sent = await settle_through_crashes(database, match_id, kind)
        assert await settled_facts(database, made.id) == await expected_facts(
            database, {match_id: Goals(home, away)}, members
        )
        await assert_proven(database, made.id)
        return sent

    first = await ends(2, 1)
    assert first[-1] == "COMMIT"
    for table in ("member_scores", "settlement_scorelines", "score_versions", "idempotency_keys", "outbox"):
        assert any(table in statement for statement in first), table
    await ends(2, 2)
    assert any("member_scores" in statement for statement in await ends(2, 2, "REPLAY"))
    await void(database, match_id)
    await settle_through_crashes(database, match_id, kind)
    assert set((await settled_facts(database, made.id)).values()) == {(0, 0, 0, 0, 0)}
    await assert_proven(database, made.id)


@pytest.mark.parametrize("kind", Crash)
async def test_a_correction_is_whole_or_not_there_wherever_it_crashes(
    database: PostgresDatabase, made: MadeTournament, members: list[MemberId], kind: Crash
) -> None:
    match_id = made.matches[0]
    await accept(database, match_id, 2, 1)
    await settle_through_crashes(database, match_id, kind)
    wanted = result(await make_admin(database), match_id, Goals(0, 3))
    shown = await try_out(database, wanted)
    accepted = await order(database, wanted, shown.digest)
    run = await claim(database, accepted.execution.id)

    sent = await crash_everywhere(database, kind, partial(work.correct_result, run))
    await finish(run)

    assert sent[-1] == "COMMIT"
    assert await settled_facts(database, made.id) == await expected_facts(database, {match_id: Goals(0, 3)}, members)
    await assert_proven(database, made.id)


async def test_a_worker_that_is_gone_after_the_commit_has_settled_and_the_board_follows(
    database: PostgresDatabase, valkey: Redis, made: MadeTournament, members: list[MemberId]
) -> None:
    """Between commit and projection: the next try finds it done, and a board is never older than it says."""
    boards = await projected(database, valkey, made.id)
    match_id = made.matches[0]
    await accept(database, match_id, 2, 1)
    ((execution_id, _),) = await queued(database)
    run = await claim(database, execution_id)
    await settle_match(run, match_id)  # and then nothing more is heard of it
    await lease.give_back(database, run.claim)
    again = await claim(database, execution_id)
    before = await game_rows(database)

    await settle_match(again, match_id)

    changed = {name for name, rows in (await game_rows(database)).items() if rows != before[name]}
    assert changed == {"idempotency_keys"}  # which counts the replay
    assert again.progress().counts.unchanged == 1
    for source in (BoardSource.DATABASE, BoardSource.PROJECTION):
        board = await boards.open(BoardKey(tournament_id=made.id))
        assert board is not None
        assert board.head.source is source
        assert places((await board.page(first=10)).rows) == await ranked_by_sql(database, tournament_id=made.id)
        assert await project(database, ValkeyProjection(valkey), made.id) is not None
    assert await settled_facts(database, made.id) == await expected_facts(database, {match_id: Goals(2, 1)}, members)


@pytest.mark.parametrize("kind", Crash)
async def test_a_reading_is_applied_whole_or_not_at_all_wherever_it_crashes(
    database: PostgresDatabase, kind: Crash
) -> None:
    """One that tells an earlier kick-off, other sides, another round and a result: guesses, results and jobs follow."""
    ingester = Ingester(database)
    ingester.now = await database_now(database)
    told = map_matches(a_match(**OPEN), a_match(round="Matchday 2", team1="Chelsea FC", team2="Brentford FC")).snapshot
    match, *others = told.matches
    match = replace(match, kick_off=ingester.now.replace(year=ingester.now.year + 1))
    tournament_id = await ingester.whole(replace(told, matches=(match, *others)))
    (ana,) = await make_members(database, 1)
    await join(database, tournament_id, [ana])
    match_id = MatchId((await match_of(database, match.home_label)).id)
    await guesses.save(database, ana, GuessInput(match_id, 2, 1), "test")
    between: datetime = await database_now(database)
    await guesses.save(database, ana, GuessInput(match_id, 9, 9), "test")
    turned = replace(
        match,
        home_team_key=match.away_team_key,
        away_team_key=match.home_team_key,
        kick_off=between,
        round_slug="2",
        status=MatchStatus.ENDED,
        regulation=Goals(1, 2),
    )
    ingester.tell(replace(told, matches=(turned, *others)))

    async def ingest(run: Run) -> None:
        read = partial(ingestion.ingest_matches, run, {Provider.OPENFOOTBALL: ingester.provider}, lambda: ingester.now)
        assert "COMMIT" in await crash_everywhere(database, kind, read)

    await run_now(database, Operation.INGEST_MATCHES, ingest, Target(tournament_id))

    own = (await guesses.read_own(database, ana, [match_id]))[match_id]
    assert (own.goals, own.late_goals) == (Goals(1, 2), Goals(9, 9))
    await settle_through_crashes(database, match_id, kind)
    await assert_balanced(database, tournament_id)
    assert await settled_facts(database, tournament_id) == {ana: (1, 1, 1, 1, 1)}
