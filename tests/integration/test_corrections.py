"""Corrections of admins: shown before, applied under the digest, public, and never overwritten by a provider."""

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from domain.audit.tables import audit_log
from domain.correction import service, work
from domain.correction.model import CorrectionSource, StalePreview
from domain.errors import InvalidInput, NotFound, Refused, WrongState
from domain.execution.effect import MOST_CHANGES, ScoreChange
from domain.execution.lease import service as lease
from domain.execution.model import ExecutionErrorCode, ExecutionState
from domain.execution.service import read_executions
from domain.guess.amendment.store import swap_guesses
from domain.ids import MatchId, MemberId, new_id
from domain.match.model import Goals, ResultKind
from domain.match.tables import match_results, matches
from domain.settlement.result.service import resettle
from domain.settlement.result.tables import pending_results
from domain.settlement.service import read_settlements, settle
from domain.settlement.tables import score_versions
from runtime.database import PostgresDatabase
from tests.support.boards import ranked_by_sql
from tests.support.corrections import (
    WHY,
    assert_proven,
    carry_out,
    correct,
    effect_of,
    make_admin,
    order,
    report_of,
    result,
    rows_written,
    try_out,
)
from tests.support.football import (
    MadeTournament,
    make_members,
    make_tournament,
    pass_lock,
    put_guess,
    put_guesses,
    set_match,
)
from tests.support.settlement import accept, claim, expected_facts, finish, play, settle_queued, void
from tests.support.statements import recorded_statements

GUESSES = [(2, 1), (1, 0), (2, 0), (3, 1), (1, 2), (2, 2), (1, 1), (0, 0)]


@pytest.fixture
async def tournament(database: PostgresDatabase) -> MadeTournament:
    return await make_tournament(database, matches=3)


@pytest.fixture
async def admin(database: PostgresDatabase) -> MemberId:
    return await make_admin(database)


@pytest.fixture
async def members(database: PostgresDatabase, tournament: MadeTournament) -> list[MemberId]:
    """Ten members; eight of them guess the first two matches, each another score."""
    found = await make_members(database, 10, joins=[tournament])
    given = [
        (match_id, member_id, home, away)
        for match_id in tournament.matches[:2]
        for member_id, (home, away) in zip(found, GUESSES, strict=False)
    ]
    await put_guesses(database, tournament, given)
    await pass_lock(database, *tournament.matches[:2])
    return found


async def facts_of(database: PostgresDatabase, tournament: MadeTournament) -> dict[MemberId, tuple[int, ...]]:
    statement = text(
        "SELECT member_id, outcome, goal_difference, home_goals, away_goals, exact FROM member_scores "
        "WHERE tournament_id = :id AND basis = 'AFTER_EXTRA_TIME'"
    )
    async with database.read() as connection:
        rows = await connection.execute(statement, {"id": tournament.id})
        return {MemberId(row[0]): tuple(row[1:]) for row in rows}


async def one(database: PostgresDatabase, statement: Any) -> Any:
    async with database.read() as connection:
        return (await connection.execute(statement)).one()


# ---------------------------------------------------------------- the dry run


async def test_a_dry_run_shows_who_moves_and_changes_nothing(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId], admin: MemberId
) -> None:
    match_id = tournament.matches[0]
    await play(database, match_id, 2, 1)
    facts, rows = await facts_of(database, tournament), await rows_written(database)

    effect = await try_out(database, result(admin, match_id, Goals(1, 2)))

    # 2-1 paid 3 points to the guesses 2-1, 1-0, 2-0 and 3-1; 1-2 pays them to the fifth member alone.
    assert (effect.matches, effect.members_changed, effect.points_moved) == (1, 8 - 1, 4 * 3 + 3)
    assert not effect.equals_recorded
    assert effect.changes[0] == ScoreChange(members[4], 0, 3, 5, 1)
    losers = {change.member_id: change for change in effect.changes if change.points_after < change.points_before}
    assert set(losers) == set(members[:4])
    assert losers[members[0]] == ScoreChange(members[0], 3, 0, 1, 2)
    assert await facts_of(database, tournament) == facts
    assert await rows_written(database) == rows
    row = await one(database, select(matches).where(matches.c.id == match_id))
    assert (row.home_goals, row.result_revision) == (None, 1)


@pytest.mark.usefixtures("members")
async def test_a_dry_run_reads_nothing_twice(
    database: PostgresDatabase, tournament: MadeTournament, admin: MemberId
) -> None:
    await play(database, tournament.matches[0], 2, 1)
    accepted = await order(database, result(admin, tournament.matches[0], Goals(1, 2)))

    with recorded_statements(database) as statements:
        await carry_out(database, accepted.execution.id)

    reads = [sent for sent in statements if sent.startswith("SELECT")]
    assert [sent for sent in set(reads) if reads.count(sent) > 1] == []
    assert len(statements) == 29


async def test_ranks_of_a_dry_run_are_those_of_the_board(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId], admin: MemberId
) -> None:
    await play(database, tournament.matches[0], 2, 1)
    await play(database, tournament.matches[1], 1, 1)

    async def ranks() -> dict[MemberId, tuple[int, int]]:
        return {place[0]: (place[5], place[2]) for place in await ranked_by_sql(database, tournament_id=tournament.id)}

    before = await ranks()
    effect = await correct(database, result(admin, tournament.matches[0], Goals(0, 0)))
    after = await ranks()

    assert len(members) == len(before)
    assert effect.members_changed == len(effect.changes)
    for change in effect.changes:
        assert (change.points_before, change.rank_before) == before[change.member_id]
        assert (change.points_after, change.rank_after) == after[change.member_id]
    unmoved = set(members) - {change.member_id for change in effect.changes}
    assert all(before[member_id][0] == after[member_id][0] for member_id in unmoved)


async def test_the_execution_keeps_the_largest_changes_and_the_report_all(
    database: PostgresDatabase, admin: MemberId
) -> None:
    made = await make_tournament(database, matches=1)
    crowd = await make_members(database, MOST_CHANGES + 5, joins=[made])
    await put_guesses(database, made, [(made.matches[0], member_id, 1, 0) for member_id in crowd])
    await pass_lock(database, *made.matches)
    await play(database, made.matches[0], 2, 1)

    accepted = await order(database, result(admin, made.matches[0], Goals(1, 2)))
    run = await carry_out(database, accepted.execution.id)

    effect = await effect_of(database, accepted.execution.id)
    assert (effect.members_changed, len(effect.changes)) == (len(crowd), MOST_CHANGES)
    told = json.loads(report_of(run))["effect"]
    assert {change["member_id"] for change in told["changes"]} == {str(member_id) for member_id in crowd}
    assert told["digest"] == effect.digest


@pytest.mark.usefixtures("members")
async def test_equal_inputs_have_an_equal_digest_and_others_another(
    database: PostgresDatabase, tournament: MadeTournament, admin: MemberId
) -> None:
    match_id = tournament.matches[0]
    await play(database, match_id, 2, 1)

    digests = [
        (await try_out(database, result(admin, match_id, goals))).digest
        for goals in (Goals(1, 2), Goals(1, 2), Goals(1, 3), None)
    ]

    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


# ---------------------------------------------------------------- applied


async def test_a_correction_is_paid_shown_and_public(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId], admin: MemberId
) -> None:
    match_id = tournament.matches[0]
    await play(database, match_id, 2, 1)

    await correct(database, result(admin, match_id, Goals(2, 2)))

    assert await facts_of(database, tournament) == await expected_facts(database, {match_id: Goals(2, 2)}, members)
    row = await one(database, select(matches).where(matches.c.id == match_id))
    assert (row.status, row.home_goals, row.away_goals, row.result_state) == ("ENDED", 2, 2, "FINAL")
    (entry,) = await service.page(database, tournament.id, first=10, after=None)
    assert (entry.match_id, entry.source, entry.reason) == (match_id, CorrectionSource.ADMIN, WHY)
    assert (entry.before.revision, entry.before.regulation) == (1, Goals(2, 1))
    assert (entry.after.revision, entry.after.regulation) == (2, Goals(2, 2))
    assert entry.settlement == (await read_settlements(database, [match_id]))[match_id]
    kind = await one(database, select(score_versions.c.kind).where(score_versions.c.version == 2))
    assert kind == ("CORRECTED",)
    await assert_proven(database, tournament.id)


@pytest.mark.usefixtures("members")
async def test_a_correction_is_audited_when_ordered_and_when_made(
    database: PostgresDatabase, tournament: MadeTournament, admin: MemberId
) -> None:
    match_id = tournament.matches[0]
    await play(database, match_id, 2, 1)

    await correct(database, result(admin, match_id, Goals(2, 2)))

    async with database.read() as connection:
        acts = (await connection.execute(select(audit_log).order_by(audit_log.c.id))).all()
    assert [act.action for act in acts] == ["correctResult"] * 3
    assert {act.actor_id for act in acts} == {admin}
    assert {act.reason for act in acts} == {WHY}
    made = acts[-1]
    assert (made.subject_kind, made.subject_id, made.request_id) == ("MATCH", match_id, "request-1")
    assert (made.before["regulation"], made.after["regulation"]) == ([2, 1], [2, 2])


async def test_a_match_is_void_and_comes_back(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId], admin: MemberId
) -> None:
    match_id = tournament.matches[0]
    await play(database, match_id, 2, 1)
    paid = await facts_of(database, tournament)

    await correct(database, result(admin, match_id, None))
    assert set((await facts_of(database, tournament)).values()) == {(0, 0, 0, 0, 0)}
    row = await one(database, select(matches).where(matches.c.id == match_id))
    assert (row.status, row.home_goals, row.result_state, row.result_kind) == ("ENDED", None, "VOID", "VOID")
    await assert_proven(database, tournament.id)

    await correct(database, result(admin, match_id, Goals(2, 1)))
    assert await facts_of(database, tournament) == paid
    row = await one(database, select(matches).where(matches.c.id == match_id))
    assert (row.status, row.home_goals, row.result_state, row.result_kind) == ("ENDED", 2, "FINAL", "PLAYED")
    entries = await service.page(database, tournament.id, first=10, after=None)
    assert [entry.after.kind for entry in entries] == [ResultKind.PLAYED, ResultKind.VOID]
    async with database.read() as connection:
        kinds = (await connection.execute(select(score_versions.c.kind).order_by(score_versions.c.version))).scalars()
        assert list(kinds) == ["SETTLED", "VOIDED", "CORRECTED"]
    await assert_proven(database, tournament.id)
    assert len(members) == len(paid)


@pytest.mark.usefixtures("members")
async def test_an_equal_score_confirms_a_result_that_was_held_back(
    database: PostgresDatabase, tournament: MadeTournament, admin: MemberId
) -> None:
    match_id = tournament.matches[0]
    await set_match(
        database,
        match_id,
        status="ENDED",
        home_goals=2,
        away_goals=1,
        home_regulation=2,
        away_regulation=1,
        result_state="AWAITING_CONFIRMATION",
        hold_reason="It ended too soon.",
    )

    effect = await correct(database, result(admin, match_id, Goals(2, 1)))

    assert effect.points_moved == 4 * 3
    row = await one(database, select(matches).where(matches.c.id == match_id))
    assert (row.result_state, row.result_revision, row.hold_reason) == ("FINAL", 1, None)
    assert (await read_settlements(database, [match_id]))[match_id].revision == 1
    assert await service.page(database, tournament.id, first=10, after=None) == []
    await assert_proven(database, tournament.id)


@pytest.mark.usefixtures("members")
async def test_a_match_that_has_not_kicked_off_can_be_awarded_or_void_but_not_played(
    database: PostgresDatabase, tournament: MadeTournament, admin: MemberId
) -> None:
    match_id = tournament.matches[2]

    with pytest.raises(InvalidInput) as raised:
        await order(database, result(admin, match_id, Goals(1, 0)))
    assert raised.value.field == ("kind",)

    await correct(database, result(admin, match_id, Goals(3, 0), kind=ResultKind.AWARDED))
    row = await one(database, select(matches).where(matches.c.id == match_id))
    assert (row.status, row.result_kind, row.home_goals) == ("ENDED", "AWARDED", 3)

    other = await make_tournament(database, matches=1)
    await correct(database, result(admin, other.matches[0], None))
    row = await one(database, select(matches).where(matches.c.id == other.matches[0]))
    assert (row.status, row.result_state) == ("CANCELLED", "VOID")


async def test_a_dry_run_tells_nothing_of_guesses_before_the_lock(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId], admin: MemberId
) -> None:
    match_id = tournament.matches[2]
    wanted = result(admin, match_id, Goals(3, 0), kind=ResultKind.AWARDED)
    nobody = await try_out(database, wanted)
    await put_guess(database, tournament, match_id, members[0], 3, 0)

    run = await carry_out(database, (await order(database, wanted)).execution.id)
    shown = await effect_of(database, run.execution.id)

    assert shown == nobody
    assert (shown.members_changed, shown.points_moved, shown.changes) == (0, 0, ())
    assert str(members[0]) not in report_of(run).decode()
    # Once it is set the match is locked, and everybody sees the guess.
    await carry_out(database, (accepted := await order(database, wanted, shown.digest)).execution.id)
    made = await effect_of(database, accepted.execution.id)
    assert (made.digest, made.members_changed, made.points_moved) == (shown.digest, 1, 3)
    assert (await try_out(database, wanted)).digest != shown.digest
    await assert_proven(database, tournament.id)


# ---------------------------------------------------------------- refused


@pytest.mark.usefixtures("members")
async def test_a_correction_needs_the_digest_of_a_dry_run_that_still_stands(
    database: PostgresDatabase, tournament: MadeTournament, admin: MemberId
) -> None:
    first, second, _ = tournament.matches
    await play(database, first, 2, 1)
    wanted = result(admin, first, Goals(2, 2))

    with pytest.raises(StalePreview) as raised:
        await service.correct_result(database, wanted, dry_run=False, expected_digest=None, request_id="test")
    assert raised.value.field == ("expectedDigest",)
    with pytest.raises(StalePreview):
        await order(database, wanted, "0" * 64)

    shown = await try_out(database, wanted)
    await play(database, second, 1, 1)
    with pytest.raises(StalePreview):
        await order(database, wanted, shown.digest)


async def test_what_moves_after_the_order_is_refused_by_the_worker(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId], admin: MemberId
) -> None:
    first, second, _ = tournament.matches
    await play(database, first, 2, 1)
    wanted = result(admin, first, Goals(2, 2))
    accepted = await order(database, wanted, (await try_out(database, wanted)).digest)
    await accept(database, second, 1, 1)
    async with database.begin() as connection:
        await settle(connection, second, None)

    with pytest.raises(StalePreview):
        await carry_out(database, accepted.execution.id)

    execution = (await read_executions(database, [accepted.execution.id]))[accepted.execution.id]
    assert (execution.state, execution.error_code) == (ExecutionState.FAILED, ExecutionErrorCode.STALE_PREVIEW)
    assert execution.effect is None
    results = {first: Goals(2, 1), second: Goals(1, 1)}
    assert await facts_of(database, tournament) == await expected_facts(database, results, members)
    assert await service.page(database, tournament.id, first=10, after=None) == []
    await assert_proven(database, tournament.id)


async def test_a_digest_of_another_score_is_refused(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId], admin: MemberId
) -> None:
    match_id = tournament.matches[0]
    await play(database, match_id, 2, 1)
    shown = await try_out(database, result(admin, match_id, Goals(2, 2)))

    accepted = await order(database, result(admin, match_id, Goals(0, 0)), shown.digest)
    with pytest.raises(StalePreview):
        await carry_out(database, accepted.execution.id)

    assert await facts_of(database, tournament) == await expected_facts(database, {match_id: Goals(2, 1)}, members)


async def test_all_faults_of_a_correction_come_together(
    database: PostgresDatabase, tournament: MadeTournament, admin: MemberId
) -> None:
    wanted = result(admin, tournament.matches[0], Goals(100, -1), after_extra_time=Goals(1, 120), reason="no")

    with pytest.raises(Refused) as raised:
        await order(database, wanted)

    assert [fault.field for fault in raised.value.faults] == [
        ("regulation", "home"),
        ("regulation", "away"),
        ("afterExtraTime", "away"),
        ("reason",),
    ]
    lower = result(admin, tournament.matches[0], Goals(2, 2), after_extra_time=Goals(2, 1))
    with pytest.raises(Refused, match="cannot be lower"):
        await order(database, lower)
    with pytest.raises(NotFound):
        await order(database, result(admin, MatchId(new_id()), None))


@pytest.mark.usefixtures("members")
async def test_another_correction_of_the_match_waits_for_the_first(
    database: PostgresDatabase, tournament: MadeTournament, admin: MemberId
) -> None:
    match_id = tournament.matches[0]
    await play(database, match_id, 2, 1)
    accepted = await order(database, result(admin, match_id, Goals(2, 2)))

    again = await order(database, result(admin, match_id, Goals(2, 2)))
    assert (again.already_live, again.execution.id) == (True, accepted.execution.id)
    with pytest.raises(WrongState):
        await order(database, result(admin, match_id, Goals(3, 2)))


# ---------------------------------------------------------------- races and retries


async def test_of_two_corrections_that_race_one_is_stale(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId], admin: MemberId
) -> None:
    first, second, _ = tournament.matches
    await play(database, first, 2, 1)
    await play(database, second, 2, 1)
    orders = []
    for match_id in (first, second):
        wanted = result(admin, match_id, Goals(0, 0))
        orders.append((wanted, (await try_out(database, wanted)).digest))
    accepted = [await order(database, wanted, digest) for wanted, digest in orders]

    outcomes = await asyncio.gather(
        *(carry_out(database, one.execution.id) for one in accepted), return_exceptions=True
    )

    assert sorted(isinstance(outcome, StalePreview) for outcome in outcomes) == [False, True]
    applied = first if not isinstance(outcomes[0], BaseException) else second
    results = {match_id: Goals(0, 0) if match_id == applied else Goals(2, 1) for match_id in (first, second)}
    assert await facts_of(database, tournament) == await expected_facts(database, results, members)
    assert len(await service.page(database, tournament.id, first=10, after=None)) == 1
    await assert_proven(database, tournament.id)


async def test_a_correction_that_races_a_settlement_never_pays_half(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId], admin: MemberId
) -> None:
    first, second, _ = tournament.matches
    await play(database, first, 2, 1)
    wanted = result(admin, first, Goals(0, 0))
    accepted = await order(database, wanted, (await try_out(database, wanted)).digest)
    await accept(database, second, 1, 0)

    async def worker() -> None:
        async with database.begin() as connection:
            await settle(connection, second, None)

    outcome, _ = await asyncio.gather(carry_out(database, accepted.execution.id), worker(), return_exceptions=True)

    applied = not isinstance(outcome, BaseException)
    assert applied or isinstance(outcome, StalePreview)
    results = {first: Goals(0, 0) if applied else Goals(2, 1), second: Goals(1, 0)}
    assert await facts_of(database, tournament) == await expected_facts(database, results, members)
    await assert_proven(database, tournament.id)


@pytest.mark.usefixtures("members")
async def test_a_try_after_the_commit_does_nothing_again(
    database: PostgresDatabase, tournament: MadeTournament, admin: MemberId
) -> None:
    match_id = tournament.matches[0]
    await play(database, match_id, 2, 1)
    wanted = result(admin, match_id, Goals(2, 2))
    accepted = await order(database, wanted, (await try_out(database, wanted)).digest)
    lost = await claim(database, accepted.execution.id)
    await work.correct_result(lost)
    await lease.give_back(database, lost.claim)

    again = await claim(database, accepted.execution.id)
    await work.correct_result(again)
    await finish(again)

    assert again.progress().counts.unchanged == 1
    assert (await read_settlements(database, [match_id]))[match_id].revision == 2
    assert len(await service.page(database, tournament.id, first=10, after=None)) == 1
    await assert_proven(database, tournament.id)


# ---------------------------------------------------------------- whose word counts


async def pending(database: PostgresDatabase) -> list[tuple[Any, ...]]:
    row = pending_results.c
    statement = select(
        row.home_regulation,
        row.away_regulation,
        row.accepted_revision,
        row.accepted_at.is_not(None),
        row.dismissed_at.is_not(None),
    ).order_by(row.found_at)
    async with database.read() as connection:
        return [tuple(found) for found in await connection.execute(statement)]


@pytest.mark.usefixtures("members")
async def test_a_provider_that_says_otherwise_waits_once(
    database: PostgresDatabase, tournament: MadeTournament, admin: MemberId
) -> None:
    match_id = tournament.matches[0]
    await play(database, match_id, 2, 1)
    await correct(database, result(admin, match_id, Goals(2, 2)))

    assert [await accept(database, match_id, 2, 1) for _ in range(3)] == [None, None, None]
    assert await pending(database) == [(2, 1, None, False, False)]
    assert await accept(database, match_id, 3, 1) is None
    assert await pending(database) == [(3, 1, None, False, False)]

    assert await accept(database, match_id, 2, 2) is None
    assert await pending(database) == [(3, 1, None, False, True)]
    assert await accept(database, match_id, 3, 1) is None
    assert await pending(database) == [(3, 1, None, False, True), (3, 1, None, False, False)]
    row = await one(database, select(matches).where(matches.c.id == match_id))
    assert (row.result_revision, row.result_state) == (2, "FINAL")


@pytest.mark.usefixtures("members")
async def test_what_waits_gets_its_number_when_an_admin_says_it(
    database: PostgresDatabase, tournament: MadeTournament, admin: MemberId
) -> None:
    match_id = tournament.matches[0]
    await play(database, match_id, 2, 1)
    await correct(database, result(admin, match_id, Goals(2, 2)))
    await accept(database, match_id, 3, 1)

    await correct(database, result(admin, match_id, Goals(3, 1)))

    assert await pending(database) == [(3, 1, 3, True, False)]
    await assert_proven(database, tournament.id)


@pytest.mark.usefixtures("members")
async def test_what_an_admin_dismissed_is_not_asked_about_again(
    database: PostgresDatabase, tournament: MadeTournament, admin: MemberId
) -> None:
    match_id = tournament.matches[0]
    await play(database, match_id, 2, 1)
    await correct(database, result(admin, match_id, Goals(2, 2)))
    await accept(database, match_id, 2, 1)
    async with database.begin() as connection:
        dismissed = {"dismissed_at": func.clock_timestamp(), "dismissed_by": admin}
        await connection.execute(pending_results.update().values(dismissed))

    await accept(database, match_id, 2, 1)
    assert await pending(database) == [(2, 1, None, False, True)]
    await accept(database, match_id, 4, 1)
    assert await pending(database) == [(2, 1, None, False, True), (4, 1, None, False, False)]


async def test_the_database_keeps_one_pending_result_a_match(
    database: PostgresDatabase, tournament: MadeTournament
) -> None:
    row = {"match_id": tournament.matches[0], "kind": "VOID"}
    rows = [row | {"id": new_id()} for _ in range(2)]

    with pytest.raises(IntegrityError, match="uq_pending_results_open"):
        await run(database, pending_results.insert().values(rows))


async def test_the_database_keeps_no_correction_without_author_and_reason(
    database: PostgresDatabase, tournament: MadeTournament
) -> None:
    row = {"match_id": tournament.matches[0], "revision": 1, "kind": "VOID", "source": "OVERRIDE"}
    values = row | {"cause": "CORRECTION", "status_at": func.clock_timestamp()}

    with pytest.raises(IntegrityError, match="ck_match_results_correction"):
        await run(database, match_results.insert().values(values))


async def run(database: PostgresDatabase, statement: Any) -> None:
    async with database.begin() as connection:
        await connection.execute(statement)


# ---------------------------------------------------------------- providers in the log


@pytest.mark.usefixtures("members")
async def test_changes_of_the_provider_are_in_the_log_and_first_results_are_not(
    database: PostgresDatabase, tournament: MadeTournament
) -> None:
    first, second, third = tournament.matches
    await play(database, first, 2, 1)
    await play(database, first, 2, 2)
    await void(database, first)
    # Changed before it was settled, and settled twice with one score: neither is a correction.
    await accept(database, second, 1, 0)
    await play(database, second, 2, 0)
    await play(database, third, 0, 0)
    await accept(database, third, 0, 0, cause="REPLAY")
    await settle_queued(database)

    entries = await service.page(database, tournament.id, first=10, after=None)

    told = [(entry.after.revision, entry.source, entry.reason, entry.settlement is None) for entry in entries]
    assert told == [
        (3, CorrectionSource.PROVIDER, "The provider called the match off.", False),
        (2, CorrectionSource.PROVIDER, "The provider changed its result.", False),
    ]
    assert {entry.match_id for entry in entries} == {first}


# ---------------------------------------------------------------- guesses that change afterwards


async def test_guesses_that_are_swapped_after_the_settlement_are_paid_anew(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId]
) -> None:
    first, second, _ = tournament.matches
    await play(database, first, 2, 1)
    await play(database, second, 3, 1)

    async with database.begin() as connection:
        await swap_guesses(connection, first)
        assert await resettle(connection, [first], request_id="test") == {first: 2}
    await settle_queued(database)

    results = {first: Goals(2, 1), second: Goals(3, 1)}
    assert await facts_of(database, tournament) == await expected_facts(database, results, members)
    last = await one(database, select(score_versions.c.kind).where(score_versions.c.version == 3))
    assert last == ("REPLAYED",)
    assert await service.page(database, tournament.id, first=10, after=None) == []
    await assert_proven(database, tournament.id)


async def test_guesses_and_result_that_are_swapped_together_are_paid_anew(
    database: PostgresDatabase, tournament: MadeTournament, members: list[MemberId]
) -> None:
    match_id = tournament.matches[0]
    await play(database, match_id, 2, 1)
    before = await facts_of(database, tournament)

    async with database.begin() as connection:
        await swap_guesses(connection, match_id)
    await play(database, match_id, 1, 2)

    assert await facts_of(database, tournament) == await expected_facts(database, {match_id: Goals(1, 2)}, members)
    assert {member: facts[0] for member, facts in before.items()} == {
        member: facts[0] for member, facts in (await facts_of(database, tournament)).items()
    }
    await assert_proven(database, tournament.id)


async def test_a_match_without_a_result_has_nothing_to_settle_anew(
    database: PostgresDatabase, tournament: MadeTournament
) -> None:
    async with database.begin() as connection:
        assert await resettle(connection, tournament.matches, request_id="test") == {}
