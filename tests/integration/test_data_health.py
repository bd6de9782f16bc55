"""Data health: every kind of problem while it stands, its end, its dismissal, and who may see it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, insert, select, update

from domain.audit.tables import audit_log
from domain.errors import InvalidInput, NotFound
from domain.execution.model import Operation, Target
from domain.ids import MatchId, MemberId, TournamentId, new_id
from domain.ingestion.finality.tables import held_readings
from domain.ingestion.health import service
from domain.ingestion.health.model import HealthProblem, HealthProblemCode
from domain.ingestion.health.rules import MOST_PROBLEMS, WORST_FIRST
from domain.ingestion.quarantine.tables import quarantined_records
from domain.ingestion.verdict import status_warning
from domain.match.model import Goals, KickOffPrecision, MatchStatus, ResultState
from domain.settlement.result.tables import pending_results
from domain.tournament.model import TournamentStatus
from domain.tournament.tables import tournaments
from tests.support.api import Api
from tests.support.api_world import World, make_world
from tests.support.corrections import correct, make_admin, result
from tests.support.executions import queue
from tests.support.football import MadeTournament, make_tournament, pass_lock, set_match
from tests.support.graphql_client import GraphQLClient, id_of
from tests.support.ingester import Ingester, two_rounds, without
from tests.support.settlement import accept, play
from tests.support.statements import recorded_statements

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

REASON = "Seen, and it needs nothing."
LEFT_OUT = (HealthProblemCode.QUARANTINED_RECORD, HealthProblemCode.MISSING_MATCH)
HELD = "The match has ended, and the provider gives no score for it."


@pytest.fixture
async def made(database: "PostgresDatabase") -> MadeTournament:
    return await make_tournament(database, matches=3, rounds=2)


async def problems(database: "PostgresDatabase", tournament: TournamentId) -> tuple[HealthProblem, ...]:
    return (await service.read(database, [tournament]))[tournament].problems


async def codes(database: "PostgresDatabase", tournament: TournamentId) -> list[tuple[str, MatchId | None]]:
    return [(problem.code.value, problem.match_id) for problem in await problems(database, tournament)]


async def dismiss(database: "PostgresDatabase", problem: HealthProblem, by: MemberId | None = None) -> HealthProblem:
    return await service.dismiss(
        database, problem.tournament_id, problem.key, actor_id=by, reason=REASON, request_id="test"
    )


async def set_tournament(database: "PostgresDatabase", tournament: TournamentId, **values: Any) -> None:
    async with database.begin() as connection:
        await connection.execute(update(tournaments).where(tournaments.c.id == tournament).values(values))


def hours_ago(number: float) -> datetime:
    return datetime.now(UTC) - timedelta(hours=number)


# ---------------------------------------------------------------- numbers


async def test_a_tournament_in_numbers(database: "PostgresDatabase", made: MadeTournament) -> None:
    other = await make_tournament(database, matches=1)
    await set_match(database, made.matches[2], home_team_id=made.teams[0], away_team_id=None)
    await pass_lock(database, made.matches[0])
    await play(database, made.matches[0], 2, 1)
    queued = [
        await queue(database, operation=operation, target=Target(tournament))
        for operation, tournament in (
            (Operation.INGEST_TEAMS, made.id),
            (Operation.INGEST_MATCHES, made.id),
            (Operation.INGEST_MATCHES, other.id),
            (Operation.INGEST_MATCHES, None),
        )
    ]

    found = await service.read(database, [made.id, other.id, TournamentId(new_id())])

    assert set(found) == {made.id, other.id}
    health = found[made.id]
    assert (health.rounds, health.teams, health.matches, health.settled_matches) == (2, 4, 3, 1)
    ids = {each.operation: each.id for each in health.last_executions}
    assert ids.pop(Operation.SETTLE_MATCH) is not None
    assert ids == {Operation.INGEST_TEAMS: queued[0].execution.id, Operation.INGEST_MATCHES: queued[1].execution.id}
    assert [each.id for each in found[other.id].last_executions] == [queued[2].execution.id]
    assert health.problems == found[other.id].problems == ()


async def test_of_each_operation_the_latest_execution(database: "PostgresDatabase", made: MadeTournament) -> None:
    for match_id in made.matches:
        last = await queue(database, operation=Operation.SETTLE_MATCH, target=Target(made.id, None, match_id))
    (shown,) = (await service.read(database, [made.id]))[made.id].last_executions
    assert shown.id == last.execution.id


# ---------------------------------------------------------------- each problem


async def test_what_is_not_ingested_yet(database: "PostgresDatabase") -> None:
    empty = await make_tournament(database, matches=0)
    (problem,) = await problems(database, empty.id)
    assert (problem.code, problem.match_id) == (HealthProblemCode.INCOMPLETE, None)
    assert problem.message == "Not ingested yet: teams, matches. Run the operations that do so."
    await set_tournament(database, empty.id, status=TournamentStatus.CANCELLED)
    assert await problems(database, empty.id) == ()


async def test_what_was_not_read_for_too_long(database: "PostgresDatabase", made: MadeTournament) -> None:
    for status, read_at, is_stale in (
        (TournamentStatus.ACTIVE, hours_ago(23), False),
        (TournamentStatus.ACTIVE, hours_ago(25), True),
        (TournamentStatus.UPCOMING, hours_ago(25), False),
        (TournamentStatus.COMPLETED, hours_ago(25), False),
    ):
        await set_tournament(database, made.id, status=status, matches_at=read_at)
        assert [code for code, _ in await codes(database, made.id)] == ["STALE"] * is_stale
    await set_tournament(database, made.id, status=TournamentStatus.ACTIVE, matches_at=None, created_at=hours_ago(25))
    (problem,) = await problems(database, made.id)
    assert problem.message.startswith("Its matches were read never.")


@pytest.mark.parametrize(
    ("values", "is_overdue"),
    [
        ({"kick_off": 3.9}, False),
        ({"kick_off": 4.1}, True),
        ({"kick_off": 4.1, "status": MatchStatus.IN_PLAY}, True),
        ({"kick_off": 4.1, "status": MatchStatus.POSTPONED}, False),
        ({"kick_off": 27, "kick_off_precision": KickOffPrecision.DATE}, False),
        ({"kick_off": 29, "kick_off_precision": KickOffPrecision.DATE}, True),
        ({"kick_off": 99, "kick_off_precision": KickOffPrecision.UNKNOWN}, False),
    ],
)
async def test_a_match_that_should_be_over(
    database: "PostgresDatabase", made: MadeTournament, values: dict[str, Any], is_overdue: bool
) -> None:
    match_id = made.matches[1]
    await set_match(database, match_id, **{**values, "kick_off": hours_ago(values["kick_off"])})
    assert await codes(database, made.id) == [("OVERDUE_MATCH", match_id)] * is_overdue


async def test_a_result_that_is_held_back(database: "PostgresDatabase", made: MadeTournament) -> None:
    match_id = made.matches[0]
    waiting = {"status": MatchStatus.ENDED, "result_state": ResultState.AWAITING_CONFIRMATION, "hold_reason": HELD}
    await set_match(database, match_id, **waiting)
    (problem,) = await problems(database, made.id)
    assert (problem.code, problem.match_id) == (HealthProblemCode.HELD_RESULT, match_id)
    assert problem.message == f"Home - Away: {HELD} Set the right result by `correctResult`, or wait for the provider."
    await set_match(database, match_id, hold_reason=None, result_state=ResultState.FINAL)
    assert await problems(database, made.id) == ()


async def test_what_a_provider_says_against_an_admin(database: "PostgresDatabase", made: MadeTournament) -> None:
    match_id, admin = made.matches[0], await make_admin(database)
    await pass_lock(database, match_id)
    await play(database, match_id, 2, 1)
    await correct(database, result(admin, match_id, Goals(2, 2)))
    await accept(database, match_id, 2, 1)
    (first,) = await problems(database, made.id)
    assert (first.code, first.match_id) == (HealthProblemCode.RESULT_DIFFERS, match_id)
    assert "the provider says 2-1." in first.message

    # Something else is another problem; so who looks at the first can no longer dismiss it.
    await accept(database, match_id, 3, 1)
    (second,) = await problems(database, made.id)
    assert ("the provider says 3-1." in second.message, second.key == first.key) == (True, False)
    with pytest.raises(NotFound):
        await dismiss(database, first, admin)

    assert await dismiss(database, second, admin) == second
    await accept(database, match_id, 3, 1)
    assert await problems(database, made.id) == ()
    async with database.read() as connection:
        (row,) = await connection.execute(select(pending_results))
    assert (row.dismissed_by, row.dismissed_at is None) == (admin, False)
    await accept(database, match_id, 4, 1)
    assert await codes(database, made.id) == [("RESULT_DIFFERS", match_id)]
    await correct(database, result(admin, match_id, Goals(4, 1)))
    assert await problems(database, made.id) == ()


async def test_a_change_that_is_not_believed_yet(database: "PostgresDatabase", made: MadeTournament) -> None:
    match_id = made.matches[0]
    held = {"match_id": match_id, "content": "of-another-score", "first_read_at": hours_ago(1)}
    async with database.begin() as connection:
        await connection.execute(insert(held_readings).values(held))
    await set_match(database, match_id, status=MatchStatus.ENDED, result_state=ResultState.AWAITING_CONFIRMATION)
    assert await problems(database, made.id) == ()
    await set_match(database, match_id, result_state=ResultState.FINAL)
    (problem,) = await problems(database, made.id)
    assert (problem.code, problem.match_id) == (HealthProblemCode.RESULT_DIFFERS, match_id)
    await dismiss(database, problem)
    assert await problems(database, made.id) == ()


async def test_odd_words_and_odd_scores_of_a_provider(database: "PostgresDatabase", made: MadeTournament) -> None:
    word, score = status_warning("Besuchsrecht"), "The shoot-out cannot have ended 3-3."
    await set_match(database, made.matches[0], data_warning=word)
    await set_match(database, made.matches[1], data_warning=score)
    found = {problem.code.value: (problem.match_id, problem.message) for problem in await problems(database, made.id)}
    assert found == {
        "UNKNOWN_STATUS": (made.matches[0], f"Home - Away: {word}"),
        "IMPOSSIBLE_SCORE": (made.matches[1], f"Home - Away: {score}"),
    }


async def test_what_readings_leave_out(database: "PostgresDatabase") -> None:
    ingester, told = Ingester(database), two_rounds()
    tournament = await ingester.whole(told)
    (arsenal,) = [match for match in told.matches if match.home_label.startswith("Arsenal")]
    rest = without(told, arsenal.home_label)

    async def left_out() -> list[str]:
        """By code and, for records, the provider's key. The season lies in the past, so there are other problems."""
        found = [problem for problem in await problems(database, tournament) if problem.code in LEFT_OUT]
        return [problem.code.value if problem.match_id else problem.message.split("`")[1] for problem in found]

    ingester.tell(rest)
    await ingester.matches(tournament)
    assert await left_out() == ["MISSING_MATCH"]

    twice = tuple(replace(arsenal, key=key) for key in ("one", "two"))
    ingester.tell(replace(rest, matches=(*rest.matches, *twice)))
    for _ in range(2):
        await ingester.matches(tournament)
    assert await left_out() == ["one", "two", "MISSING_MATCH"]

    # A part of the season says nothing of the others; a whole reading without them ends both.
    await ingester.round_matches(tournament, "2")
    assert await left_out() == ["one", "two", "MISSING_MATCH"]
    ingester.tell(told)
    await ingester.matches(tournament)
    assert await left_out() == []
    async with database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(quarantined_records))).scalar_one() == 0


async def test_the_worst_come_first_and_no_more_than_are_shown(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=MOST_PROBLEMS + 3)
    await set_tournament(database, made.id, matches_at=hours_ago(25))
    for match_id in made.matches:
        await set_match(database, match_id, missing_since=hours_ago(1))
    held, late = made.matches[-1], made.matches[-2]
    await set_match(database, held, hold_reason=HELD)
    await set_match(database, late, kick_off=hours_ago(9))
    found = await codes(database, made.id)
    assert found[:3] == [("STALE", None), ("HELD_RESULT", held), ("OVERDUE_MATCH", late)]
    assert {code for code, _ in found[3:]} == {"MISSING_MATCH"}
    assert len(found) == MOST_PROBLEMS


def test_each_code_has_its_place() -> None:
    assert sorted(WORST_FIRST) == sorted(HealthProblemCode)


# ---------------------------------------------------------------- dismissing


async def test_what_is_dismissed_is_not_told_while_it_stays_the_same(
    database: "PostgresDatabase", made: MadeTournament
) -> None:
    admin = await make_admin(database)
    await set_tournament(database, made.id, matches_at=hours_ago(25))
    await set_match(database, made.matches[0], missing_since=hours_ago(1))
    stale, missing = await problems(database, made.id)

    assert await dismiss(database, stale, admin) == stale
    assert await problems(database, made.id) == (missing,)
    with pytest.raises(NotFound):
        await dismiss(database, stale, admin)
    await set_tournament(database, made.id, matches_at=hours_ago(24.5))
    again, _ = await problems(database, made.id)
    assert (again.code, again.key == stale.key) == (stale.code, False)

    async with database.read() as connection:
        (row,) = await connection.execute(select(audit_log).where(audit_log.c.action == "dismissHealthProblem"))
    assert (row.actor_id, row.subject_kind, row.subject_id, row.reason) == (admin, "TOURNAMENT", made.id, REASON)
    assert row.before == {"code": "STALE", "message": stale.message}


async def test_a_dismissal_says_why_and_of_what(database: "PostgresDatabase", made: MadeTournament) -> None:
    await set_match(database, made.matches[0], missing_since=hours_ago(1))
    (missing,) = await problems(database, made.id)
    other = await make_tournament(database, matches=1)
    with pytest.raises(InvalidInput) as refused:
        await service.dismiss(database, made.id, missing.key, actor_id=None, reason="no", request_id="test")
    assert refused.value.field == ("reason",)
    for tournament, key in ((other.id, missing.key), (made.id, "nonsense"), (TournamentId(new_id()), missing.key)):
        with pytest.raises(NotFound) as unknown:
            await service.dismiss(database, tournament, key, actor_id=None, reason=REASON, request_id="test")
        assert unknown.value.field == ("problemId",)
    assert await problems(database, made.id) == (missing,)


# ---------------------------------------------------------------- the API


@pytest.fixture
async def world(api: Api) -> World:
    world = await make_world(api)
    await set_match(api.database, world.open, hold_reason=HELD)
    return world


async def listed(client: GraphQLClient, **variables: Any) -> list[dict[str, Any]]:
    answer = await client.operation("adminTournaments", **variables)
    return [edge["node"] for edge in answer.data["tournaments"]["edges"]]


async def test_tournaments_with_their_health(world: World) -> None:
    root = await world.client(world.root)
    (tournament,) = await listed(root)
    health = tournament["adminHealth"]
    assert {name: health[name] for name in ("rounds", "teams", "matches", "settledMatches")} == {
        "rounds": 2,
        "teams": 12,
        "matches": 6,
        "settledMatches": 1,
    }
    assert [execution["operation"] for execution in health["lastExecutions"]] == ["SETTLE_MATCH"]
    (problem,) = health["problems"]
    assert (problem["code"], problem["match"]["id"]) == ("HELD_RESULT", id_of("Match", world.open))
    node = await root.run("query ($id: ID!) { node(id: $id) { id } }", {"id": problem["id"]})
    assert node.data["node"] == {"id": problem["id"]}


async def test_many_tournaments_take_as_many_statements_as_one(world: World) -> None:
    root, counted = await world.client(world.root), []
    for more in (0, 3):
        for _ in range(more):
            made = await make_tournament(world.api.database, matches=2)
            await set_match(world.api.database, made.matches[0], hold_reason=HELD)
        await listed(root)
        with recorded_statements(world.api.database) as statements:
            found = await listed(root)
        assert len([tournament["adminHealth"]["problems"] for tournament in found]) == more + 1
        counted.append(sum("FROM rulesets" not in statement for statement in statements))
    # Session, role, page; numbers, matches, records, dismissals, executions; matches, teams. Rulesets are kept a while.
    assert counted == [10, 10]


@pytest.mark.parametrize(("member", "code"), [(None, "UNAUTHENTICATED"), ("ana", "FORBIDDEN"), ("eve", "FORBIDDEN")])
async def test_to_others_the_health_is_null_and_the_rest_stands(world: World, member: str | None, code: str) -> None:
    problem = (await listed(await world.client(world.root)))[0]["adminHealth"]["problems"][0]["id"]
    client = await world.client(getattr(world, member) if member else None)
    answer = await client.operation("adminTournaments")
    (edge,) = answer.body["data"]["tournaments"]["edges"]
    assert (edge["node"]["label"], edge["node"]["adminHealth"]) == ("Test League", None)
    assert answer.codes == [code]
    node = await client.run("query ($id: ID!) { node(id: $id) { id } }", {"id": problem})
    assert node.data["node"] is None


async def test_a_problem_is_dismissed_over_the_api(world: World) -> None:
    root = await world.client(world.root)
    problem = (await listed(root))[0]["adminHealth"]["problems"][0]["id"]
    wanted = {"problemId": problem, "reason": REASON}
    for given, code in (
        ({**wanted, "problemId": "nonsense"}, "NOT_FOUND"),
        ({**wanted, "problemId": world.tournament_id}, "NOT_FOUND"),
        ({**wanted, "reason": "x"}, "INVALID_INPUT"),
    ):
        payload = (await root.operation("dismissHealthProblem", input=given)).data["dismissHealthProblem"]
        assert (payload["dismissedProblemId"], [error["code"] for error in payload["errors"]]) == (None, [code])

    dismissed = (await root.operation("dismissHealthProblem", input=wanted)).data["dismissHealthProblem"]

    assert dismissed == {"dismissedProblemId": problem, "errors": []}
    assert (await listed(root))[0]["adminHealth"]["problems"] == []
    log = (await root.operation("adminAuditLog", filter={"actions": ["dismissHealthProblem"]})).data["admin"][
        "auditLog"
    ]
    (entry,) = [edge["node"] for edge in log["edges"]]
    assert (entry["actor"]["nickName"], entry["reason"]) == ("Root", REASON)
