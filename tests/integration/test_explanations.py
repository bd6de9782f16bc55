"""Points of guesses explained, in a tournament and under a league's rules; and a member's guesses in a tournament."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from domain.guess import service as guesses
from domain.guess.model import Guess, GuessState
from domain.guess.rules import guess_state
from domain.guess.tables import guess_revisions
from domain.ids import MatchId, MemberId
from domain.ingestion.finality.rules import NO_EXTRA_TIME, NOT_REPEATED
from domain.league.link import service as links
from domain.league.model import LinkChange
from domain.league.tables import league_members, league_tournaments
from domain.league.tables import leagues as leagues_table
from domain.match import service as match_service
from domain.match.model import Goals
from domain.scoring import service as rulesets
from domain.settlement.tables import settlements
from domain.tournament.model import TournamentMode
from runtime.database import PostgresDatabase
from tests.support.api_world import World
from tests.support.football import (
    MadeTournament,
    make_league,
    make_member,
    make_tournament,
    pass_lock,
    put_guess,
    put_guesses,
    set_match,
)
from tests.support.graphql_client import GraphQLClient, id_of
from tests.support.settlement import accept, settle_queued, void
from tests.support.statements import recorded_statements

EXPLAINED = """
query ($id: ID!, $league: ID) { node(id: $id) { ... on Guess { goals { home away } points(leagueId: $league) {
  points provisional countedGoals { home away } ruleset { code version scoreBasis }
  lines { fact correct weight points }
  settlement { revision settledVersion settledAt guesses membersChanged effectDigest } } } } }
"""


def _guess_id(world: World, match_id: MatchId, member_id: MemberId) -> str:
    return id_of("Guess", world.tournament.id, match_id, member_id)


async def _explained(client: GraphQLClient, guess_id: str, league: str | None = None) -> dict[str, Any] | None:
    found: dict[str, Any] = (await client.run(EXPLAINED, {"id": guess_id, "league": league})).data["node"]
    points: dict[str, Any] | None = found["points"]
    return points


# ---------------------------------------------------------------- what an explanation says


async def test_an_explanation_can_be_worked_out_by_hand(world: World) -> None:
    points = await _explained(await world.client(world.eve), _guess_id(world, world.settled, world.bob))

    assert points is not None
    async with world.api.database.read() as connection:
        row = (await connection.execute(select(settlements))).one()
    assert points["settlement"] == {
        "revision": 1,
        "settledVersion": 1,
        "settledAt": row.applied_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "guesses": 2,
        "membersChanged": 2,
        "effectDigest": row.effect_digest,
    }
    assert points["countedGoals"] == {"home": 2, "away": 1}
    assert points["ruleset"] == {"code": "default", "version": 1, "scoreBasis": "AFTER_EXTRA_TIME"}
    assert points["lines"] == [
        {"fact": "OUTCOME", "correct": True, "weight": 3, "points": 3},
        {"fact": "GOAL_DIFFERENCE", "correct": True, "weight": 0, "points": 0},
        {"fact": "HOME_GOALS", "correct": False, "weight": 0, "points": 0},
        {"fact": "AWAY_GOALS", "correct": False, "weight": 0, "points": 0},
        {"fact": "EXACT", "correct": False, "weight": 0, "points": 0},
    ]
    assert (points["points"], points["provisional"]) == (3, False)


@pytest.mark.parametrize("in_league", [False, True])
async def test_explaining_a_guess_takes_three_statements(world: World, in_league: bool) -> None:
    client = await world.client(world.bob)
    league = world.league_id if in_league else None

    with recorded_statements(world.api.database) as statements:
        points = await _explained(client, _guess_id(world, world.settled, world.ana), league)

    assert points is not None
    # The session, the guess, and what it is judged by.
    assert len(statements) == 3


async def test_a_league_explains_by_its_own_rules(world: World) -> None:
    database = world.api.database
    made = await make_tournament(database, matches=1, mode=TournamentMode.KNOCKOUT)
    bob = await make_member(database, "Bob", joins=[made])
    league = await make_league(database, "Cup", bob, plays=[made])
    offered = {each.code: each.id for each in await rulesets.page_of_latest(database, first=10)}
    change = LinkChange(ruleset_id=offered["kicktipp"])
    await links.update(database, bob, league, made.id, change, "test")
    await put_guess(database, made, made.matches[0], bob, 3, 3)
    await pass_lock(database, made.matches[0])
    await accept(database, made.matches[0], 2, 2, after_extra_time=Goals(3, 3))
    await settle_queued(database)
    client, guess_id = await world.client(bob), id_of("Guess", made.id, made.matches[0], bob)

    own, in_league = [await _explained(client, guess_id, asked) for asked in (None, id_of("League", league))]

    assert own is not None
    assert in_league is not None
    assert (own["points"], own["ruleset"]["code"]) == (3, "default")
    assert (in_league["points"], in_league["ruleset"]["code"]) == (4, "kicktipp")
    assert own["settlement"] == in_league["settlement"]
    assert own["countedGoals"] == in_league["countedGoals"] == {"home": 3, "away": 3}


async def test_a_league_that_the_viewer_may_not_ask_for(world: World) -> None:
    database = world.api.database
    guess_id = _guess_id(world, world.settled, world.ana)
    elsewhere = await make_league(database, "Elsewhere", world.bob)

    async def asks(member: MemberId, league: str) -> None:
        answer = await (await world.client(member)).run(EXPLAINED, {"id": guess_id, "league": league})
        assert answer.body["data"]["node"]["points"] is None
        assert answer.codes == ["NOT_FOUND"]

    await asks(world.eve, world.league_id)
    await asks(world.root, world.league_id)
    await asks(world.bob, id_of("League", elsewhere))
    await asks(world.bob, "nonsense")
    left = update(league_members).where(league_members.c.member_id == world.vic)
    gone = update(league_tournaments).values(removed_at=func.clock_timestamp())
    deleted = update(leagues_table).values(deleted_at=func.clock_timestamp())
    undone = update(league_tournaments).values(removed_at=None)
    for change, member in (
        (left.values(left_at=func.clock_timestamp(), left_cause="LEFT"), world.vic),
        (gone, world.bob),
    ):
        async with database.begin() as connection:
            await connection.execute(change)
        await asks(member, world.league_id)
    async with database.begin() as connection:
        await connection.execute(undone)
    assert await _explained(await world.client(world.bob), guess_id, world.league_id) is not None
    async with database.begin() as connection:
        await connection.execute(deleted)
    await asks(world.bob, world.league_id)


# ---------------------------------------------------------------- before, between and after settlements


async def test_a_running_score_is_explained_as_provisional(world: World) -> None:
    client, guess_id = await world.client(world.ana), _guess_id(world, world.locked, world.bob)
    assert await _explained(client, guess_id) is None

    await set_match(world.api.database, world.locked, result_state="PROVISIONAL")
    running = await _explained(client, guess_id)

    assert running is not None
    assert (running["points"], running["provisional"], running["settlement"]) == (3, True, None)
    assert running["countedGoals"] == {"home": 1, "away": 0}

    score = {"home_goals": 3, "away_goals": 2, "home_regulation": 3, "away_regulation": 2}
    await set_match(world.api.database, world.locked, **score)
    await accept(world.api.database, world.locked, 3, 2)
    ended = await _explained(client, guess_id)
    await settle_queued(world.api.database)
    settled = await _explained(client, guess_id)

    assert ended is not None
    assert settled is not None
    assert (ended["countedGoals"], ended["provisional"]) == ({"home": 3, "away": 2}, True)
    assert (settled["countedGoals"], settled["provisional"]) == ({"home": 3, "away": 2}, False)
    assert settled["settlement"]["settledVersion"] == 2


async def test_a_score_that_lacks_extra_time_stands_for_nothing(world: World) -> None:
    client, guess_id = await world.client(world.ana), _guess_id(world, world.locked, world.bob)
    held = {"status": "ENDED", "result_state": "AWAITING_CONFIRMATION", "home_regulation": 1, "away_regulation": 0}
    for reason, counted in ((NOT_REPEATED, {"home": 1, "away": 0}), (NO_EXTRA_TIME, None)):
        await set_match(world.api.database, world.locked, **held, hold_reason=reason)
        points = await _explained(client, guess_id)
        assert (points and points["countedGoals"]) == counted
        assert points is None or points["provisional"] is True


async def test_until_a_correction_is_settled_what_was_paid_is_explained(world: World) -> None:
    database, client = world.api.database, await world.client(world.ana)
    guess_id = _guess_id(world, world.settled, world.ana)

    await accept(database, world.settled, 0, 0, cause="CORRECTION", source="OVERRIDE")
    between = await _explained(client, guess_id)
    await settle_queued(database)
    after = await _explained(client, guess_id)

    assert between is not None
    assert after is not None
    assert (between["points"], between["settlement"]["revision"]) == (3, 1)
    assert between["countedGoals"] == {"home": 2, "away": 1}
    assert (after["points"], after["settlement"]["revision"]) == (0, 2)
    assert after["countedGoals"] == {"home": 0, "away": 0}
    assert between["settlement"]["effectDigest"] != after["settlement"]["effectDigest"]


async def test_a_void_match_explains_nothing(world: World) -> None:
    await void(world.api.database, world.settled)
    await settle_queued(world.api.database)

    assert await _explained(await world.client(world.ana), _guess_id(world, world.settled, world.ana)) is None


async def test_explanations_add_up_to_the_board(world: World) -> None:
    database = world.api.database
    await set_match(database, world.locked, result_state="PROVISIONAL")
    await accept(database, world.locked, 3, 3)
    await settle_queued(database)
    for member in (world.ana, world.bob, world.vic):
        answer = await (await world.client(member)).operation("myGuesses", tournament=world.tournament_id)
        tournament = answer.data["tournament"]
        explained = [edge["node"]["points"] for edge in tournament["viewerGuesses"]["edges"]]
        paid = sum(points["points"] for points in explained if points)
        assert paid == tournament["leaderboard"]["viewerRow"]["points"]


# ---------------------------------------------------------------- my guesses in a tournament


async def _mine(world: World, member: MemberId | None, **variables: Any) -> dict[str, Any] | None:
    answer = await (await world.client(member)).operation("myGuesses", tournament=world.tournament_id, **variables)
    found: dict[str, Any] | None = answer.data["tournament"]["viewerGuesses"]
    return found


async def test_my_guesses_are_one_for_each_match_given_or_not(world: World) -> None:
    found = await _mine(world, world.bob)

    assert found is not None
    shown = [
        (edge["node"]["match"]["id"], edge["node"]["state"], edge["node"]["goals"], edge["node"]["revision"])
        for edge in found["edges"]
    ]
    # The two that have begun come first: they were given the present as their kick-off.
    ids = [id_of("Match", match_id) for match_id in world.tournament.matches]
    assert sorted(shown[:2]) == sorted(
        [(ids[0], "FINALIZED", {"home": 1, "away": 0}, 1), (ids[1], "WAITING", {"home": 3, "away": 2}, 1)]
    )
    assert shown[2:] == [
        (ids[2], "WAITING", {"home": 5, "away": 5}, 1),
        *((match_id, "NOT_STARTED", None, 0) for match_id in ids[3:]),
    ]
    assert found["totalCount"] == 6
    assert {edge["node"]["id"] for edge in found["edges"]} == {
        id_of("Guess", world.tournament.id, match_id, world.bob) for match_id in world.tournament.matches
    }


async def test_my_guesses_are_narrowed_by_state(world: World) -> None:
    for states, expected in (
        (["FINALIZED"], [world.settled]),
        (["WAITING", "FINALIZED"], [world.settled, world.locked, world.open]),
        (["EXPIRED"], []),
        ([], []),
    ):
        found = await _mine(world, world.bob, states=states)
        assert found is not None
        assert {edge["node"]["match"]["id"] for edge in found["edges"]} == {id_of("Match", one) for one in expected}
        assert found["totalCount"] == len(expected)


async def test_who_has_not_joined_has_none_and_nobody_neither(world: World) -> None:
    assert await _mine(world, world.eve) is None
    assert await _mine(world, None) is None


async def test_my_guesses_in_a_foreign_league_keep_the_rest_of_the_screen(world: World) -> None:
    foreign = await make_league(world.api.database, "Foreign", world.eve, plays=[world.tournament])

    answer = await (await world.client(world.bob)).operation(
        "myGuesses", tournament=world.tournament_id, league=id_of("League", foreign)
    )

    assert set(answer.codes) == {"NOT_FOUND"}
    edges = answer.body["data"]["tournament"]["viewerGuesses"]["edges"]
    assert [edge["node"]["points"] for edge in edges] == [None] * 6


async def test_walking_the_pages_gives_each_match_once(world: World) -> None:
    await set_match(world.api.database, world.tournament.matches[4], kick_off=None, lock_at=None)
    for first in (1, 2, 4, 100):
        found = await _walked(world, first)
        assert sorted(found) == sorted(id_of("Match", match_id) for match_id in world.tournament.matches)
        assert found[-1] == id_of("Match", world.tournament.matches[4])


async def _walked(world: World, first: int) -> list[str]:
    found: list[str] = []
    after = None
    while True:
        page = await _mine(world, world.bob, first=first, after=after)
        assert page is not None
        assert page["totalCount"] == 6
        found += [edge["node"]["match"]["id"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return found


async def test_a_cursor_is_of_its_states_and_tournament(world: World) -> None:
    page = await _mine(world, world.bob, first=1)
    assert page is not None
    cursor = page["pageInfo"]["endCursor"]
    client = await world.client(world.bob)
    for variables in ({"states": ["WAITING"], "after": cursor}, {"after": "nonsense"}, {"first": 0}, {"first": 101}):
        answer = await client.operation("myGuesses", tournament=world.tournament_id, **variables)
        assert answer.codes == ["INVALID_INPUT"]


async def test_a_save_that_came_too_late_is_shown_to_its_member(
    database: PostgresDatabase,
) -> None:
    made = await make_tournament(database, matches=1)
    ana = await make_member(database, "Ana", joins=[made])
    await put_guess(database, made, made.matches[0], ana, 1, 0)
    late = {"tournament_id": made.id, "match_id": made.matches[0], "member_id": ana, "revision": 2}
    async with database.begin() as connection:
        await connection.execute(
            insert(guess_revisions).values(
                **late, home=4, away=4, saved_at=datetime.now(UTC) - timedelta(days=1), request_id="test"
            )
        )

    ((found,), total) = await guesses.page_of_member(database, ana, made.id, first=10)

    assert (found.goals, found.late_goals, found.revision, total) == (Goals(1, 0), Goals(4, 4), 1, 1)


async def _in_every_state(database: PostgresDatabase) -> tuple[MadeTournament, MemberId]:
    """Matches that are open, locked, settled, paused and void, each once guessed and once not."""
    made = await make_tournament(database, matches=20, spacing=timedelta(minutes=1))
    ana = await make_member(database, "Ana", joins=[made])
    await put_guesses(database, made, [(match_id, ana, 1, 1) for match_id in made.matches[::2]])
    await pass_lock(database, *made.matches[:8])
    for match_id in made.matches[:4]:
        await accept(database, match_id, 1, 1)
    for match_id in made.matches[4:6]:
        await void(database, match_id)
    await settle_queued(database)
    now = datetime.now(UTC)
    for pair, values in (
        (made.matches[8:10], {"status": "POSTPONED"}),
        (made.matches[10:12], {"kick_off": None, "lock_at": None, "kick_off_precision": "UNKNOWN"}),
        (made.matches[12:14], {"kick_off": now, "lock_at": None, "kick_off_precision": "DATE"}),
        (made.matches[14:16], {"status": "CANCELLED"}),
    ):
        for match_id in pair:
            await set_match(database, match_id, **values)
    return made, ana


async def test_the_states_of_the_database_are_those_of_the_rules(database: PostgresDatabase) -> None:
    made, ana = await _in_every_state(database)
    everything, total = await guesses.page_of_member(database, ana, made.id, first=100)
    matches = await match_service.read_matches(database, made.matches)
    by_rule: dict[GuessState, list[Guess]] = {state: [] for state in GuessState}
    for guess in everything:
        by_rule[guess_state(matches[guess.match_id], guess)].append(guess)

    assert total == len(everything) == 20
    assert all(by_rule.values())
    for state in GuessState:
        found, count = await guesses.page_of_member(database, ana, made.id, states=[state], first=100)
        assert found == by_rule[state], state
        assert count == len(found)


async def test_a_page_of_my_guesses_takes_as_many_statements_whatever_its_size(database: PostgresDatabase) -> None:
    made, ana = await _in_every_state(database)
    for first in (1, 20):
        with recorded_statements(database) as statements:
            rows, _ = await guesses.page_of_member(database, ana, made.id, first=first)
        assert len(rows) == min(first + 1, 20)
        assert len(statements) == 2
