"""Each operation file that runs, on real servers: its answer, and as many statements whatever the number of rows."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import insert, text

from domain.ids import new_id
from domain.league.tables import league_invites
from tests.support.api import PASSWORD, Api, running_api
from tests.support.api_world import CODE, World, make_world
from tests.support.football import join, make_league, make_tournament
from tests.support.graphql_client import CONTRACT, REDUCED, id_of, operation_names, read_operation
from tests.support.statements import recorded_statements

Variables = Callable[[World], dict[str, Any]]


def _nothing(_: World) -> dict[str, Any]:
    return {}


def _first_version() -> dict[str, Any]:
    return {"asOf": {"settledVersion": 1}, "last": 5}


def _earlier(world: World) -> dict[str, Any]:
    return {"tournament": world.tournament_id, "asOf": {"afterRoundId": world.round_id(0)}, "settledOnly": True}


# Who runs it, with what, how many different statements it takes (authenticating a member is the first of them), and how
# often one of them may be sent a second time, because branches of an operation reach the same loader at other moments.
READS: dict[str, tuple[str | None, Variables, int, int]] = {
    "adminExecutions": ("root", _nothing, 5, 0),
    "dashboard": ("ana", _nothing, 13, 2),
    "league": ("ana", lambda world: {"id": world.league_id}, 10, 5),
    "leagueHistory": ("ana", lambda world: {"id": world.league_id, "tournament": world.tournament_id}, 5, 0),
    "leagueInvite": (None, lambda _: {"code": CODE}, 1, 0),
    "leagueLeaderboard": ("ana", lambda world: {"id": world.league_id}, 5, 2),
    "leagueLeaderboard, earlier": ("ana", lambda world: {"id": world.league_id, **_earlier(world)}, 7, 2),
    "liveScoreboard": (None, lambda world: {"id": world.tournament_id}, 8, 0),
    "match": ("ana", lambda world: {"id": id_of("Match", world.settled)}, 13, 0),
    "myGuesses": ("ana", lambda world: {"tournament": world.tournament_id}, 11, 1),
    "myGuesses, in a league": (
        "ana",
        lambda world: {"tournament": world.tournament_id, "league": world.league_id, "states": ["FINALIZED"]},
        11,
        1,
    ),
    "rulesets": (None, _nothing, 1, 0),
    "tournament": ("ana", lambda world: {"id": world.tournament_id}, 14, 0),
    "tournamentLeaderboard": ("ana", lambda world: {"id": world.tournament_id, "round": world.round_id(0)}, 7, 2),
    "tournamentLeaderboard, earlier": ("ana", lambda world: {"id": world.tournament_id, **_first_version()}, 6, 2),
    "tournamentLeaderboard, by name": ("ana", lambda world: {"id": world.tournament_id, "search": "a"}, 7, 2),
    "tournaments": ("ana", _nothing, 4, 0),
}


@pytest.mark.parametrize("size", [(4, 0), (12, 20)], ids=["small", "large"])
async def test_a_read_takes_a_fixed_number_of_statements(
    size: tuple[int, int], database_url: str, valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    async with running_api(database_url, valkey_url, tmp_path) as api:
        world = await make_world(api, matches=size[0], crowd=size[1])
        await _an_hour_passes(api)  # an earlier board that is read at once is soon looked at again
    for name in READS:
        await valkey.flushall()
        # Each by an application that has kept nothing of the others.
        async with running_api(database_url, valkey_url, tmp_path) as api:
            await _assert_takes_its_statements(name, replace(world, api=api))


async def _assert_takes_its_statements(name: str, world: World) -> None:
    who, variables, different, again = READS[name]
    client = await world.client(getattr(world, who) if who else None)
    name, *_ = name.split(",")
    folder = REDUCED if name in operation_names(REDUCED) else CONTRACT
    document = read_operation(name, folder)
    await client.run(document, variables(world))  # boards are ranked once a version

    with recorded_statements(world.api.database) as statements:
        # A field more makes it another query, which no kept answer is shared with.
        answer = await client.run(document.replace("{", "{ again: __typename", 1), variables(world))

    assert answer.data
    assert len(set(statements)) == different, f"{name}\n{_shown(statements)}"
    # Which loads fall into one batch depends on what answers first; a list that reads for each row is far above that.
    assert len(statements) - different <= again + 2, f"{name}\n{_shown(statements)}"


async def _an_hour_passes(api: Api) -> None:
    async with api.database.begin() as connection:
        await connection.execute(text("UPDATE score_versions SET at = at - interval '1 hour'"))
        await connection.execute(text("UPDATE tournament_members SET joined_at = joined_at - interval '1 hour'"))


# A write does the same work for one row and for many; the number is of statements.
WRITES: dict[str, tuple[str | None, Variables, int]] = {
    "createLeague": ("eve", lambda world: {"name": "Family", "tournamentIds": [world.tournament_id]}, 18),
    "createLeagueInvite": ("ana", lambda world: {"leagueId": world.league_id}, 6),
    "createRuleset": ("root", lambda _: _ruleset(), 5),
    # Of one league and one tournament.
    "deleteAccount": ("bob", lambda _: {"erasure": "REMOVE_FROM_BOARDS", "confirmNickName": "Bob"}, 17),
    "exportLeaderboard": ("eve", lambda world: {"board": {"tournamentId": world.tournament_id}}, 7),
    "joinLeague": ("eve", lambda _: {"code": CODE.lower()}, 22),
    "joinTournament": ("eve", lambda world: {"tournamentId": world.tournament_id}, 11),
    "runOperation": ("root", lambda _: {"operation": {"settlePending": {}}, "reason": "to be sure"}, 6),
    "saveGuess": ("ana", lambda world: {"matchId": id_of("Match", world.open), "home": 3, "away": 1}, 7),
    "saveGuesses": ("ana", lambda world: {"guesses": _guesses(world)}, 7),
    "signIn": (None, lambda _: {"email": "new@example.org", "password": PASSWORD, "delivery": "TOKEN"}, 4),
    "signUp": (None, lambda _: {"email": "other@example.org", "password": PASSWORD, "nickName": "Zed"}, 4),
    "updateLeagueTournament": ("ana", lambda world: {"leagueTournamentId": _link(world), "status": "COMPLETED"}, 14),
}


@pytest.mark.parametrize("name", WRITES)
async def test_a_write_takes_a_fixed_number_of_statements(name: str, api: Api) -> None:
    who, variables, expected = WRITES[name]
    world = await make_world(api, matches=12, crowd=5)
    await api.sign_up("New")
    client = await world.client(getattr(world, who) if who else None)

    with recorded_statements(api.database) as statements:
        answer = await client.operation(name, input=variables(world))

    assert answer.data[name]["errors"] == []
    assert len(statements) == expected, _shown(statements)


def _link(world: World) -> str:
    return id_of("LeagueTournament", world.league, world.tournament.id)


def _ruleset() -> dict[str, Any]:
    weights = [{"fact": "OUTCOME", "points": 2}, {"fact": "EXACT", "points": 3}]
    return {"code": "office", "label": "Office", "weights": weights, "reason": "to be sure"}


def _guesses(world: World) -> list[dict[str, Any]]:
    return [{"matchId": id_of("Match", match), "home": 1, "away": 1} for match in world.tournament.matches[2:]]


def _shown(statements: list[str]) -> str:
    return "\n".join(" ".join(statement.split())[:160] for statement in statements)


async def test_a_member_of_many_leagues_takes_few_statements_more(api: Api) -> None:
    """Ranking a board for the first time is done once a version, for everybody."""
    world = await make_world(api)
    ana = await world.client(world.ana)
    document, taken = read_operation("dashboard", CONTRACT), []
    for more in (0, 2, 16):
        for number in range(more):
            await make_league(api.database, f"League {number} of {more}", world.ana, plays=[world.tournament])
        await ana.run(document, {})
        with recorded_statements(api.database) as statements:
            answer = await ana.run(document.replace("{", "{ again: __typename", 1), {})
        assert len(answer.data["viewer"]["leagues"]["edges"]) == 1 + sum((0, 2, 16)[: len(taken) + 1])
        taken.append(len(statements))
    # Which of them fall into one batch depends on what answers first; one a league would be eighteen more.
    assert max(taken) <= min(taken) + 8, taken


@pytest.mark.parametrize("many", [1, 8])
@pytest.mark.parametrize(("name", "expected"), [("updateTournament", 11), ("joinLeague", 22), ("updateProfile", 11)])
async def test_a_write_takes_as_many_for_many_leagues_and_tournaments(
    name: str, expected: int, many: int, api: Api
) -> None:
    world = await make_world(api)
    made = [await make_tournament(api.database, matches=1, label=f"Cup {number}") for number in range(many)]
    for number in range(many):
        await make_league(api.database, f"League {number}", world.ana, members=[world.bob], plays=[made[0]])
    for each in made:
        await join(api.database, each.id, [world.bob])
    league = await make_league(api.database, "Cups", world.ana, plays=made)
    async with api.database.begin() as connection:
        invite = {
            "id": new_id(),
            "league_id": league,
            "code": "AAAAAAAAAAAA",
            "role": "MEMBER",
            "created_by": world.ana,
        }
        await connection.execute(insert(league_invites).values(invite))
    over = {"tournamentId": id_of("Tournament", made[0].id), "status": "COMPLETED", "reason": "It is over."}
    who, values = {
        "updateTournament": (world.root, over),
        "joinLeague": (world.eve, {"code": "AAAAAAAAAAAA"}),
        "updateProfile": (world.bob, {"nickName": "Robert"}),
    }[name]
    client = await world.client(who)
    with recorded_statements(api.database) as statements:
        answer = await client.operation(name, input=values)
    assert answer.data[name]["errors"] == []
    assert len(statements) == expected, _shown(statements)
