"""The proof: a second way that finds what was tampered with, a replay that repairs it, and histories that end equal."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from domain.correction import comparison
from domain.correction.model import StalePreview
from domain.correction.proof.model import DifferenceKind, TooNarrow
from domain.correction.proof.service import verify_all, verify_one
from domain.errors import NotFound
from domain.guess.amendment.store import swap_guesses
from domain.guess.tables import guesses
from domain.ids import MatchId, MemberId, TournamentId, new_id
from domain.match.model import Goals
from domain.outbox.tables import outbox
from domain.scoring.model import Facts, ScoreBasis, Weights
from domain.settlement.result.service import resettle
from domain.settlement.service import settle
from domain.settlement.tables import member_scores, score_versions, settlement_scorelines
from domain.tournament.model import TournamentMode
from runtime.database import PostgresDatabase
from tests.support.boards import ranked_by_sql
from tests.support.campaign import times
from tests.support.corrections import (
    assert_proven,
    carry_out,
    correct,
    make_admin,
    order_replay,
    replay,
    result,
    rows_written,
    spoil_member,
    try_replay,
)
from tests.support.football import MadeTournament, make_members, make_tournament, pass_lock, put_guesses
from tests.support.settlement import accept, expected_facts, play, settle_queued, void

SCORES = [(2, 1), (1, 0), (0, 0), (1, 2)]


@pytest.fixture
async def tournament(database: PostgresDatabase) -> MadeTournament:
    return await make_tournament(database, matches=3)


@pytest.fixture
async def admin(database: PostgresDatabase) -> MemberId:
    return await make_admin(database)


async def guess_all(database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId]) -> None:
    given = [(each, member_id, *SCORES[n]) for each in tournament.matches for n, member_id in enumerate(members)]
    await put_guesses(database, tournament, given)


@pytest.fixture
async def members(database: PostgresDatabase, tournament: MadeTournament) -> list[MemberId]:
    """Six members; four of them have guessed all matches, of which two are settled."""
    found = await make_members(database, 6, joins=[tournament])
    await guess_all(database, tournament, found[:4])
    await pass_lock(database, *tournament.matches)
    await play(database, tournament.matches[0], 2, 1)
    await play(database, tournament.matches[1], 1, 1)
    return found


async def run(database: PostgresDatabase, statement: Any) -> None:
    async with database.begin() as connection:
        await connection.execute(statement)


async def raw(database: PostgresDatabase, statement: str) -> None:
    await run(database, text(statement))


# ---------------------------------------------------------------- what the second way finds


@pytest.mark.usefixtures("members")
async def test_what_was_settled_is_equal_by_the_second_way(
    database: PostgresDatabase, tournament: MadeTournament
) -> None:
    other = await make_tournament(database, matches=1)

    (found,) = await verify_all(database)

    assert (found.tournament_id, found.matches, found.members) == (tournament.id, 2, 6)
    assert found.is_equal
    assert found.recorded_digest == found.recomputed_digest
    assert (await verify_one(database, other.id)).is_equal
    with pytest.raises(NotFound):
        await verify_one(database, TournamentId(new_id()))


async def test_a_member_that_was_tampered_with_is_found(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId]
) -> None:
    await spoil_member(database, tournament.id, members[0])

    found = await verify_one(database, tournament.id)

    (difference,) = found.differences
    assert (difference.kind, difference.member_id) == (DifferenceKind.MEMBER, members[0])
    assert difference.recorded == "outcome 4, goal difference 1, home goals 1, away goals 2, exact 1"
    assert difference.recomputed == "outcome 1, goal difference 1, home goals 1, away goals 2, exact 1"
    assert found.recorded_digest != found.recomputed_digest


async def test_a_member_without_a_row_is_found(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId]
) -> None:
    await run(database, member_scores.delete().where(member_scores.c.member_id == members[5]))

    (difference,) = (await verify_one(database, tournament.id)).differences

    assert (difference.member_id, difference.recorded) == (members[5], "no row")


async def test_a_row_of_somebody_who_has_not_joined_is_found_and_removed(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId], admin: MemberId
) -> None:
    """No foreign key keeps such rows out: settlements would pay for it with each row that they write."""
    (stranger,) = await make_members(database, 1)
    key = {"tournament_id": tournament.id, "basis": "AFTER_EXTRA_TIME", "member_id": stranger}
    await run(database, member_scores.insert().values(key))

    (difference,) = (await verify_one(database, tournament.id)).differences
    await replay(database, admin, tournament.id)

    assert (difference.member_id, difference.recomputed) == (stranger, "no row")
    assert set(await facts_of(database, tournament)) == set(members)
    await assert_proven(database, tournament.id)


@pytest.mark.usefixtures("members")
async def test_a_proof_that_was_tampered_with_is_found(database: PostgresDatabase, tournament: MadeTournament) -> None:
    line = settlement_scorelines
    await run(database, line.update().where(line.c.home == 1, line.c.away == 0, line.c.outcome).values(guesses=7))
    await raw(database, "UPDATE settlements SET effect_digest = 'x' WHERE version = 2")

    found = await verify_one(database, tournament.id)

    kinds = [(difference.kind, difference.match_id) for difference in found.differences]
    assert kinds == [
        (DifferenceKind.SCORELINE, tournament.matches[0]),
        (DifferenceKind.SETTLEMENT, tournament.matches[1]),
    ]
    assert "7 guesses" in found.differences[0].recorded
    assert "1 guesses" in found.differences[0].recomputed


async def test_a_guess_that_changed_behind_the_settlement_is_found(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId]
) -> None:
    await raw(database, "ALTER TABLE guesses DISABLE TRIGGER refuse_late_guess")
    changed = guesses.update().where(guesses.c.member_id == members[3], guesses.c.match_id == tournament.matches[0])
    await run(database, changed.values(home=2, away=1))

    found = await verify_one(database, tournament.id)

    assert {difference.kind for difference in found.differences} == set(DifferenceKind)
    assert found.wrong_matches == [tournament.matches[0]]


# ---------------------------------------------------------------- replays


@pytest.mark.usefixtures("members")
async def test_a_replay_of_what_is_equal_writes_no_row(
    database: PostgresDatabase, tournament: MadeTournament, admin: MemberId
) -> None:
    before = await rows_written(database)

    effect = await replay(database, admin, tournament.id)

    assert effect.equals_recorded
    assert (effect.matches, effect.members_changed, effect.points_moved, effect.changes) == (2, 0, 0, ())
    assert await rows_written(database) == before
    assert (await try_replay(database, admin, tournament.id, tournament.matches[1])).matches == 1


async def test_a_replay_repairs_a_member_and_the_board_follows(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId], admin: MemberId
) -> None:
    right = await ranked_by_sql(database, tournament_id=tournament.id)
    await spoil_member(database, tournament.id, members[3])
    await run(database, outbox.delete())

    shown = await try_replay(database, admin, tournament.id)
    assert not shown.equals_recorded
    assert [(change.member_id, change.points_before, change.points_after) for change in shown.changes] == [
        (members[3], 9, 0)
    ]
    assert not (await verify_one(database, tournament.id)).is_equal

    await replay(database, admin, tournament.id)

    assert await ranked_by_sql(database, tournament_id=tournament.id) == right
    async with database.read() as connection:
        last = (
            await connection.execute(select(score_versions).order_by(score_versions.c.version.desc()).limit(1))
        ).one()
        ticks = (await connection.execute(select(outbox.c.message))).scalars().all()
    assert (last.version, last.kind, last.settlement_id) == (3, "REPLAYED", None)
    assert last.digest == (await verify_one(database, tournament.id)).recorded_digest
    assert {"kind": "board", "id": str(tournament.id)} in ticks
    await assert_proven(database, tournament.id)


async def test_a_replay_repairs_proofs_guesses_and_rows_that_are_gone(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId], admin: MemberId
) -> None:
    line = settlement_scorelines
    await run(database, line.delete().where(line.c.home == 2))
    await run(database, member_scores.delete().where(member_scores.c.member_id == members[0]))
    await raw(database, "ALTER TABLE guesses DISABLE TRIGGER refuse_late_guess")
    await run(database, guesses.update().where(guesses.c.member_id == members[3]).values(home=2, away=1))

    effect = await replay(database, admin, tournament.id)

    assert (effect.equals_recorded, effect.matches) == (False, 2)
    results = {tournament.matches[0]: Goals(2, 1), tournament.matches[1]: Goals(1, 1)}
    assert await facts_of(database, tournament) == await expected_facts(database, results, members)
    await assert_proven(database, tournament.id)


@pytest.mark.usefixtures("members")
async def test_a_replay_of_one_match_does_not_spread_the_fault_of_another(
    database: PostgresDatabase, tournament: MadeTournament, admin: MemberId
) -> None:
    line = settlement_scorelines
    await run(database, line.update().values(guesses=line.c.guesses + 1))

    accepted = await order_replay(database, admin, tournament.id, tournament.matches[0])
    with pytest.raises(TooNarrow):
        await carry_out(database, accepted.execution.id)

    assert len((await verify_one(database, tournament.id)).wrong_matches) == 2


async def test_a_replay_under_a_stale_digest_is_refused(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId], admin: MemberId
) -> None:
    await spoil_member(database, tournament.id, members[3])
    shown = await try_replay(database, admin, tournament.id)
    accepted = await order_replay(database, admin, tournament.id, digest=shown.digest)
    await spoil_member(database, tournament.id, members[4])

    with pytest.raises(StalePreview):
        await carry_out(database, accepted.execution.id)

    found = await verify_one(database, tournament.id)
    assert {difference.member_id for difference in found.differences} == {members[3], members[4]}


async def facts_of(
    database: PostgresDatabase, tournament: MadeTournament, basis: ScoreBasis = ScoreBasis.AFTER_EXTRA_TIME
) -> dict[MemberId, tuple[int, ...]]:
    scores = member_scores
    statement = select(scores).where(scores.c.tournament_id == tournament.id, scores.c.basis == basis)
    async with database.read() as connection:
        rows = (await connection.execute(statement)).all()
    return {
        row.member_id: (row.outcome, row.goal_difference, row.home_goals, row.away_goals, row.exact) for row in rows
    }


# ---------------------------------------------------------------- arrays


def _copied(rows: dict[int, tuple[int, ...]]) -> bytes:
    """Rows as PostgreSQL's binary COPY tells them."""
    head, tail = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
    body = b""
    for member, facts in rows.items():
        body += (6).to_bytes(2, "big") + (16).to_bytes(4, "big") + member.to_bytes(16, "big")
        body += b"".join((4).to_bytes(4, "big") + fact.to_bytes(4, "big") for fact in facts)
    return head + body + tail


_FACTS = st.tuples(*[st.integers(0, 3)] * 5)
_STATES = st.dictionaries(st.integers(1, 2**128 - 1), st.tuples(_FACTS, _FACTS), min_size=1, max_size=12)


@given(states=_STATES, weights=st.tuples(*[st.integers(0, 100)] * 5))
def test_a_comparison_is_what_plain_python_finds(
    states: dict[int, tuple[tuple[int, ...], tuple[int, ...]]], weights: tuple[int, ...]
) -> None:
    basis = ScoreBasis.AFTER_EXTRA_TIME
    sides = [{basis: _copied({member: pair[side] for member, pair in states.items()})} for side in (0, 1)]

    found = comparison.compare(*sides, basis, Weights(*weights))

    def score(facts: tuple[int, ...]) -> tuple[int, int, int, int]:
        return sum(w * f for w, f in zip(weights, facts, strict=True)), facts[4], facts[1], facts[0]

    scores = [{member: score(pair[side]) for member, pair in states.items()} for side in (0, 1)]
    expected = {}
    for member, (before, after) in states.items():
        if before != after:
            ranks = [1 + sum(other > side[member] for other in side.values()) for side in scores]
            expected[member] = (scores[0][member][0], scores[1][member][0], *ranks)
    told = {
        change.member_id.int: (change.points_before, change.points_after, change.rank_before, change.rank_after)
        for change in found.changes
    }
    assert told == expected
    assert found.points_moved == sum(abs(after - before) for before, after, _, _ in expected.values())
    sizes = [abs(change.points_after - change.points_before) for change in found.changes]
    assert sizes == sorted(sizes, reverse=True)
    assert (comparison.scores_digest(sides[0]) == comparison.scores_digest(sides[1])) == (not expected)
    assert len(comparison.differences(*sides)) == len(expected)


def test_a_row_that_cannot_be_ranked_is_compared_all_the_same() -> None:
    basis = ScoreBasis.AFTER_EXTRA_TIME
    before, after = (
        {basis: _copied({1: (9999, 0, 0, 0, 0), 2: (1, 0, 0, 0, 0)})},
        {basis: _copied({2: (1,) + (0,) * 4})},
    )

    (member,) = comparison.differences(before, after)
    found = comparison.compare(before, after, basis, Weights(3, 0, 0, 0, 0))

    assert (member.before, member.after) == (Facts(9999, 0, 0, 0, 0), None)
    assert [(change.rank_before, change.rank_after) for change in found.changes] == [(1, 2)]


# ---------------------------------------------------------------- histories

_GOALS = st.tuples(st.integers(0, 3), st.integers(0, 3))
_KINDS = ("accept", "twice", "void", "correct", "annul", "swap", "spoil", "crash", "settle")
_EVENT = st.tuples(st.sampled_from(_KINDS), st.integers(0, 2), _GOALS)


@settings(
    max_examples=times(5, 12),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(events=st.lists(_EVENT, min_size=4, max_size=12))
def test_histories_end_with_equal_digests_and_the_facts_of_the_last_results(
    history: "History", events: list[tuple[str, int, tuple[int, int]]]
) -> None:
    history.play(events)


@dataclass
class Play:
    """A tournament on which events happen, and what its results must be in the end."""

    database: PostgresDatabase
    made: MadeTournament
    members: list[MemberId]
    admin: MemberId
    last: dict[MatchId, Goals] = field(default_factory=dict)
    by_admin: set[MatchId] = field(default_factory=set)

    async def accept(self, match_id: MatchId, goals: Goals) -> None:
        await accept(self.database, match_id, *goals)
        if match_id not in self.by_admin:
            self.last[match_id] = goals

    async def twice(self, match_id: MatchId, goals: Goals) -> None:
        await self.accept(match_id, goals)
        await self.accept(match_id, goals)

    async def void(self, match_id: MatchId, _: Goals) -> None:
        await void(self.database, match_id)
        if match_id not in self.by_admin:
            self.last.pop(match_id, None)

    async def correct(self, match_id: MatchId, goals: Goals) -> None:
        await settle_queued(self.database)
        await correct(self.database, result(self.admin, match_id, goals))
        self.last[match_id] = goals
        self.by_admin.add(match_id)

    async def annul(self, match_id: MatchId, _: Goals) -> None:
        await settle_queued(self.database)
        await correct(self.database, result(self.admin, match_id, None))
        self.last.pop(match_id, None)
        self.by_admin.add(match_id)

    async def swap(self, match_id: MatchId, _: Goals) -> None:
        async with self.database.begin() as connection:
            await swap_guesses(connection, match_id)
            await resettle(connection, [match_id], request_id="test")

    async def spoil(self, match_id: MatchId, _: Goals) -> None:
        await settle_queued(self.database)
        await spoil_member(self.database, self.made.id, self.members[self.made.matches.index(match_id)])
        await replay(self.database, self.admin, self.made.id)

    async def crash(self, match_id: MatchId, _: Goals) -> None:
        with pytest.raises(RuntimeError, match="crash"):
            await settle_and_crash(self.database, match_id)

    async def settle(self, _: MatchId, __: Goals) -> None:
        await settle_queued(self.database)

    async def end(self) -> None:
        await settle_queued(self.database)
        for basis in ScoreBasis:
            assert await facts_of(self.database, self.made, basis) == await expected_facts(
                self.database, self.last, self.members
            )
        await assert_proven(self.database, self.made.id)


class History:
    """Plays events, each time on a tournament of its own, and compares how it ends."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._admin: MemberId | None = None

    def play(self, events: list[tuple[str, int, tuple[int, int]]]) -> None:
        asyncio.run(self._play(events))

    async def _play(self, events: list[tuple[str, int, tuple[int, int]]]) -> None:
        database = PostgresDatabase.create(self._url, application_name="palpite-test")
        try:
            play = await self._begin(database)
            for kind, number, goals in events:
                await getattr(play, kind)(play.made.matches[number], Goals(*goals))
            await play.end()
        finally:
            await database.close()

    async def _begin(self, database: PostgresDatabase) -> Play:
        self._admin = self._admin or await make_admin(database)
        made = await make_tournament(database, matches=3, mode=TournamentMode.REGULAR_SEASON_AND_KNOCKOUT)
        members = await make_members(database, 5, joins=[made])
        await guess_all(database, made, members[:4])
        await pass_lock(database, *made.matches)
        return Play(database, made, members, self._admin)


async def settle_and_crash(database: PostgresDatabase, match_id: MatchId) -> None:
    async with database.begin() as connection:
        await settle(connection, match_id, None)
        raise RuntimeError("crash")


@pytest.fixture
def history(database_url: str) -> History:
    return History(database_url)
