"""Who may call what: every root field with every kind of client. A new root field without a row fails."""

from dataclasses import dataclass
from typing import Any

import pytest
from graphql import GraphQLSchema
from sqlalchemy import func, select

from domain.execution.model import Operation
from domain.execution.tables import executions
from domain.guess.tables import guesses, tournament_members
from domain.league.tables import league_invites, league_members, leagues
from domain.member.tables import sessions
from domain.schedule.tables import schedules
from domain.scoring.tables import rulesets
from schema.build import build_schema
from tests.support.api import Api
from tests.support.api_world import CODE, World, begin_session, make_world
from tests.support.dead_letters import fail
from tests.support.executions import queue
from tests.support.graphql_client import id_of
from tests.support.schedules import put_schedule

ROLES = ("nobody", "eve", "vic", "bob", "ana", "root")
OK, NULL = "OK", "NULL"
UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, NOT_JOINED = "UNAUTHENTICATED", "FORBIDDEN", "NOT_FOUND", "NOT_JOINED"
COUNTED = (executions, guesses, tournament_members, leagues, league_members, league_invites, rulesets, schedules)


@dataclass(frozen=True, slots=True)
class Case:
    """A call of a root field, and what comes of it for each role, in the order of `ROLES`."""

    field: str
    document: str
    outcomes: tuple[str, str, str, str, str, str]


def _everybody(outcome: str) -> tuple[str, str, str, str, str, str]:
    return (outcome,) * 6  # type: ignore[return-value]


MEMBERS = (UNAUTHENTICATED, OK, OK, OK, OK, OK)
ADMINS = (UNAUTHENTICATED, FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN, OK)
IN_LEAGUE = (NULL, NULL, OK, OK, OK, NULL)
JOINED = (UNAUTHENTICATED, NOT_JOINED, OK, OK, OK, NOT_JOINED)
LEAGUE_ADMINS = (UNAUTHENTICATED, NOT_FOUND, FORBIDDEN, FORBIDDEN, OK, NOT_FOUND)

QUERIES = [
    Case("tournaments", "{ tournaments { edges { node { id } } } }", _everybody(OK)),
    Case("tournaments", "{ tournaments(joined: true) { edges { node { id } } } }", MEMBERS),
    Case("tournament", '{ tournament(id: "TOURNAMENT") { id leaderboard { id } } }', _everybody(OK)),
    Case("match", '{ match(id: "OPEN") { id } }', _everybody(OK)),
    Case("rulesets", "{ rulesets { edges { node { id } } } }", _everybody(OK)),
    Case("viewer", "{ viewer { id } }", (NULL, OK, OK, OK, OK, OK)),
    Case("league", '{ league(id: "LEAGUE") { id } }', IN_LEAGUE),
    Case("leagueInvite", '{ leagueInvite(code: "CODE") { leagueName } }', _everybody(OK)),
    Case("admin", "{ admin { executions { edges { node { id } } } } }", ADMINS),
    Case("admin", "{ admin { deadLetters { edges { node { id } } } } }", ADMINS),
    Case("admin", "{ admin { schedules { edges { node { id lastRun { id } } } } } }", ADMINS),
    Case("node", '{ node(id: "TOURNAMENT") { id } }', _everybody(OK)),
    Case("node", '{ node(id: "LEAGUE") { id } }', IN_LEAGUE),
    Case("node", '{ node(id: "LEAGUE_BOARD") { id } }', IN_LEAGUE),
    Case("node", '{ node(id: "LEAGUE_ROW") { id } }', IN_LEAGUE),
    Case("node", '{ node(id: "LEAGUE_LINK") { id } }', IN_LEAGUE),
    Case("node", '{ node(id: "MEMBERSHIP") { id } }', IN_LEAGUE),
    Case("node", '{ node(id: "INVITE") { id } }', (NULL, NULL, NULL, NULL, OK, NULL)),
    Case("node", '{ node(id: "EXECUTION") { id } }', (NULL, NULL, NULL, NULL, NULL, OK)),
    Case("node", '{ node(id: "DEAD_LETTER") { id } }', (NULL, NULL, NULL, NULL, NULL, OK)),
    Case("node", '{ node(id: "SCHEDULE") { id } }', (NULL, NULL, NULL, NULL, NULL, OK)),
    Case("node", '{ node(id: "SCHEDULE_RUN") { id } }', (NULL, NULL, NULL, NULL, NULL, OK)),
    Case("node", '{ node(id: "PROBLEM") { id } }', _everybody(NULL)),
    Case("admin", "{ admin { members { edges { node { id } } } } }", ADMINS),
    Case("node", '{ node(id: "BOBS_SESSION") { id } }', (NULL, NULL, NULL, OK, NULL, NULL)),
    Case("node", '{ node(id: "BOBS_ACCOUNT") { id } }', (NULL, NULL, NULL, NULL, NULL, OK)),
    Case("node", '{ node(id: "BOBS_VIEW") { id } }', (NULL, NULL, NULL, OK, NULL, NULL)),
    Case("node", '{ node(id: "BOBS_OPEN_GUESS") { id } }', (NULL, NULL, NULL, OK, NULL, NULL)),
    Case("node", '{ node(id: "BOBS_LOCKED_GUESS") { id } }', (NULL, OK, OK, OK, OK, OK)),
]
MUTATIONS = [
    Case("signOut", "mutation { signOut { errors { code } } }", MEMBERS),
    Case(
        "joinTournament",
        'mutation { joinTournament(input: {tournamentId: "TOURNAMENT"}) { errors { code } } }',
        MEMBERS,
    ),
    Case(
        "saveGuess",
        'mutation { saveGuess(input: {matchId: "OPEN", home: 1, away: 1}) { errors { code } } }',
        JOINED,
    ),
    Case(
        "saveGuesses",
        "mutation { saveGuesses(input: {guesses: []}) { errors { code } } }",
        (UNAUTHENTICATED, *("INVALID_INPUT",) * 5),
    ),
    Case(
        "exportLeaderboard",
        'mutation { exportLeaderboard(input: {board: {tournamentId: "TOURNAMENT"}}) { errors { code } } }',
        MEMBERS,
    ),
    Case(
        "exportLeaderboard",
        'mutation { exportLeaderboard(input: {board: {leagueId: "LEAGUE"}}) { errors { code } } }',
        (UNAUTHENTICATED, NOT_FOUND, OK, OK, OK, NOT_FOUND),
    ),
    Case(
        "createLeague",
        'mutation { createLeague(input: {name: "Five"}) { errors { code } } }',
        MEMBERS,
    ),
    Case(
        "createLeagueInvite",
        'mutation { createLeagueInvite(input: {leagueId: "LEAGUE"}) { errors { code } } }',
        LEAGUE_ADMINS,
    ),
    Case(
        "updateLeague",
        'mutation { updateLeague(input: {leagueId: "LEAGUE", name: "Renamed"}) { errors { code } } }',
        LEAGUE_ADMINS,
    ),
    Case(
        "deleteLeague",
        'mutation { deleteLeague(input: {leagueId: "LEAGUE"}) { errors { code } } }',
        LEAGUE_ADMINS,
    ),
    Case(
        "transferLeague",
        'mutation { transferLeague(input: {leagueId: "LEAGUE", memberId: "BOB"}) { errors { code } } }',
        LEAGUE_ADMINS,
    ),
    Case(
        "leaveLeague",
        'mutation { leaveLeague(input: {leagueId: "LEAGUE"}) { errors { code } } }',
        (UNAUTHENTICATED, NOT_FOUND, OK, OK, "LAST_ADMIN", NOT_FOUND),
    ),
    Case(
        "removeLeagueMember",
        'mutation { removeLeagueMember(input: {membershipId: "MEMBERSHIP"}) { errors { code } } }',
        LEAGUE_ADMINS,
    ),
    Case(
        "changeLeagueRole",
        'mutation { changeLeagueRole(input: {membershipId: "MEMBERSHIP", role: ADMIN}) { errors { code } } }',
        LEAGUE_ADMINS,
    ),
    Case(
        "revokeLeagueInvite",
        'mutation { revokeLeagueInvite(input: {inviteId: "INVITE"}) { errors { code } } }',
        LEAGUE_ADMINS,
    ),
    Case(
        "addLeagueTournament",
        'mutation { addLeagueTournament(input: {leagueId: "LEAGUE", tournamentId: "TOURNAMENT"}) { errors { code } } }',
        LEAGUE_ADMINS,
    ),
    Case(
        "removeLeagueTournament",
        'mutation { removeLeagueTournament(input: {leagueTournamentId: "LEAGUE_LINK"}) { errors { code } } }',
        LEAGUE_ADMINS,
    ),
    Case(
        "dismissHealthProblem",
        'mutation { dismissHealthProblem(input: {problemId: "PROBLEM", reason: "test"}) { errors { code } } }',
        (*ADMINS[:-1], NOT_FOUND),  # no such problem stands
    ),
    Case("updateProfile", 'mutation { updateProfile(input: {nickName: "Zed"}) { errors { code } } }', MEMBERS),
    Case(
        "revokeSession",
        'mutation { revokeSession(input: {sessionId: "BOBS_SESSION"}) { errors { code } } }',
        (UNAUTHENTICATED, NOT_FOUND, NOT_FOUND, OK, NOT_FOUND, NOT_FOUND),
    ),
    # Once it is Ana's turn, the others of her league are gone; nobody but Root runs the platform.
    Case(
        "deleteAccount",
        'mutation { deleteAccount(input: {erasure: REMOVE_FROM_BOARDS, confirmNickName: "OWN_NAME"})'
        " { errors { code } } }",
        (UNAUTHENTICATED, OK, OK, OK, OK, "LAST_ADMIN"),
    ),
    Case(
        "changePlatformRole",
        'mutation { changePlatformRole(input: {memberId: "BOB", role: ADMIN, reason: "test"}) { errors { code } } }',
        ADMINS,
    ),
    Case(
        "updateTournament",
        'mutation { updateTournament(input: {tournamentId: "TOURNAMENT", label: "Cup", reason: "test"})'
        " { errors { code } } }",
        ADMINS,
    ),
    Case(
        "updateLeagueTournament",
        'mutation { updateLeagueTournament(input: {leagueTournamentId: "LEAGUE_LINK", status: COMPLETED})'
        " { errors { code } } }",
        LEAGUE_ADMINS,
    ),
    Case(
        "joinLeague",
        'mutation { joinLeague(input: {code: "CODE"}) { errors { code } } }',
        MEMBERS,
    ),
    Case(
        "runOperation",
        'mutation { runOperation(input: {operation: {settlePending: {}}, reason: "test"}) { errors { code } } }',
        ADMINS,
    ),
    Case(
        "cancelExecution",
        'mutation { cancelExecution(input: {executionId: "QUEUED", reason: "test"}) { errors { code } } }',
        ADMINS,
    ),
    Case(
        "retryExecution",
        'mutation { retryExecution(input: {executionId: "FAILED", reason: "test"}) { errors { code } } }',
        ADMINS,
    ),
    Case(
        "correctResult",
        'mutation { correctResult(input: {matchId: "SETTLED", kind: VOID, reason: "test"}) { errors { code } } }',
        ADMINS,
    ),
    Case(
        "replaySettlement",
        'mutation { replaySettlement(input: {tournamentId: "TOURNAMENT", reason: "test"}) { errors { code } } }',
        ADMINS,
    ),
    Case(
        "replayDeadLetter",
        'mutation { replayDeadLetter(input: {deadLetterId: "DEAD_LETTER", reason: "test"}) { errors { code } } }',
        ADMINS,
    ),
    Case(
        "discardDeadLetter",
        'mutation { discardDeadLetter(input: {deadLetterId: "DEAD_LETTER", reason: "test"}) { errors { code } } }',
        ADMINS,
    ),
    Case(
        "createSchedule",
        'mutation { createSchedule(input: {name: "Mine", operation: {settlePending: {}}, cron: "* * * * *",'
        ' reason: "test"}) { errors { code } } }',
        ADMINS,
    ),
    Case(
        "updateSchedule",
        'mutation { updateSchedule(input: {scheduleId: "SCHEDULE", status: PAUSED, reason: "test"})'
        " { errors { code } } }",
        ADMINS,
    ),
    Case(
        "runScheduleNow",
        'mutation { runScheduleNow(input: {scheduleId: "SCHEDULE", reason: "test"}) { errors { code } } }',
        ADMINS,
    ),
    Case(
        "createRuleset",
        'mutation { createRuleset(input: {code: "mine", label: "Mine", weights: [], reason: "test"})'
        " { errors { code } } }",
        ADMINS,
    ),
    # Of the two that need no session the answer does not depend on who asks.
    Case(
        "signIn",
        'mutation { signIn(input: {email: "no@example.org", password: "no"}) { errors { code } } }',
        _everybody("INVALID_CREDENTIALS"),
    ),
    Case(
        "signUp",
        'mutation { signUp(input: {email: "ana@example.org", password: "long enough words", nickName: "Ana"})'
        " { errors { code } } }",
        _everybody("EMAIL_IN_USE"),
    ),
]
# Tested on sockets, in test_graphql_sockets.py.
SUBSCRIPTIONS = {"leaderboardUpdates", "matchUpdates", "executionUpdates", "operationsUpdates"}


def test_every_root_field_has_a_row() -> None:
    schema: GraphQLSchema = build_schema()
    assert schema.query_type
    assert schema.mutation_type
    assert schema.subscription_type

    assert set(schema.query_type.fields) == {case.field for case in QUERIES}
    assert set(schema.mutation_type.fields) == {case.field for case in MUTATIONS}
    assert set(schema.subscription_type.fields) == SUBSCRIPTIONS


async def test_queries_answer_whom_they_may(api: Api) -> None:
    world = await make_world(api)
    ids = await _ids(world)
    found = {}
    for number, role in enumerate(ROLES):
        client = await world.client(getattr(world, role, None))
        for case in QUERIES:
            answer = await client.run(_filled(case.document, ids))
            found[case.document, role] = (_query_outcome(answer.body), case.outcomes[number])

    assert {place: pair for place, pair in found.items() if pair[0] != pair[1]} == {}


@pytest.mark.parametrize("case", MUTATIONS, ids=lambda case: case.field)
async def test_mutations_do_what_they_may_and_nothing_else(case: Case, api: Api) -> None:
    world = await make_world(api)
    ids = await _ids(world)
    found = {}
    for number, role in enumerate(ROLES):
        client = await world.client(getattr(world, role, None))
        before = await _rows(api)
        answer = await client.run(_filled(case.document, ids | {"OWN_NAME": role.title()}))
        found[role] = _payload_outcome(answer.data[case.field])
        assert found[role] == case.outcomes[number], (case.document, role)
        if found[role] != OK:
            assert await _rows(api) == before


def _query_outcome(body: dict[str, Any]) -> str:
    if "errors" in body:
        return str(body["errors"][0]["extensions"]["code"])
    (value,) = body["data"].values()
    return OK if value is not None else NULL


def _payload_outcome(payload: dict[str, Any]) -> str:
    return str(payload["errors"][0]["code"]) if payload["errors"] else OK


async def _rows(api: Api) -> tuple[int, ...]:
    counts = (select(func.count()).select_from(table).scalar_subquery() for table in COUNTED)
    async with api.database.read() as connection:
        return tuple((await connection.execute(select(*counts))).one())


def _filled(document: str, ids: dict[str, str]) -> str:
    for name, value in sorted(ids.items(), key=lambda pair: -len(pair[0])):
        document = document.replace(f'"{name}"', f'"{value}"')
    return document


async def _ids(world: World) -> dict[str, str]:
    async with world.api.database.read() as connection:
        of_bob = select(league_members.c.id).where(league_members.c.member_id == world.bob)
        membership = (await connection.execute(of_bob)).scalar_one()
        invite = (await connection.execute(select(league_invites.c.id))).scalar_one()
        execution = (await connection.execute(select(executions.c.id))).scalar_one()
    await begin_session(world.api, world.bob)
    async with world.api.database.read() as connection:
        of_bob = select(sessions.c.id).where(sessions.c.member_id == world.bob)
        bobs_session = (await connection.execute(of_bob)).scalars().one()
    letter = await fail(world.api.database, operation=Operation.SYNC_CURRENT_ROUND)
    queued = await queue(world.api.database, operation=Operation.REBUILD_PROJECTION)
    schedule = await put_schedule(world.api.database)
    tournament = world.tournament.id
    return {
        "TOURNAMENT": world.tournament_id,
        "OPEN": id_of("Match", world.open),
        "SETTLED": id_of("Match", world.settled),
        "LEAGUE": world.league_id,
        "CODE": CODE,
        "LEAGUE_BOARD": id_of("Leaderboard", world.league, tournament, None),
        "LEAGUE_ROW": id_of("LeaderboardRow", world.league, None, None, world.bob),
        "LEAGUE_LINK": id_of("LeagueTournament", world.league, tournament),
        "MEMBERSHIP": id_of("LeagueMembership", world.league, membership),
        "INVITE": id_of("LeagueInvite", world.league, invite),
        "EXECUTION": id_of("Execution", execution),
        "QUEUED": id_of("Execution", queued.execution.id),
        "FAILED": id_of("Execution", letter.execution_id),
        "DEAD_LETTER": id_of("DeadLetter", letter.id),
        "SCHEDULE": id_of("Schedule", schedule),
        "SCHEDULE_RUN": id_of("ScheduleRun", schedule, 1_767_225_600_000_000),
        "BOB": id_of("Member", world.bob),
        "PROBLEM": id_of("HealthProblem", tournament, "STALE", None, "mark"),
        "BOBS_SESSION": id_of("Session", bobs_session),
        "BOBS_ACCOUNT": id_of("AdminMember", world.bob),
        "BOBS_VIEW": id_of("Viewer", world.bob),
        "BOBS_OPEN_GUESS": id_of("Guess", tournament, world.open, world.bob),
        "BOBS_LOCKED_GUESS": id_of("Guess", tournament, world.locked, world.bob),
    }
