"""What a match shows beside its score: how its teams did before, and how often each score was guessed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from domain.guess import service as guesses
from domain.match.model import MatchStatus, ResultState
from domain.tournament.tables import standings
from tests.support.api import Api
from tests.support.api_world import make_world
from tests.support.football import make_tournament, pass_lock, set_match
from tests.support.graphql_client import GraphQLClient, id_of
from tests.support.statements import recorded_statements

COUNTS = "query ($id: ID!) { match(id: $id) { guessCounts { count goals { home away } } } }"
FORM = """
query ($id: ID!) { tournament(id: $id) {
  standings { rows { team { name } form } }
  matches { edges { node { home { form } away { form } } } }
} }
"""


async def counts(client: GraphQLClient, match_id: Any) -> list[tuple[int, int, int]] | None:
    found = (await client.run(COUNTS, {"id": id_of("Match", match_id)})).data["match"]["guessCounts"]
    if found is None:
        return None
    return [(each["goals"]["home"], each["goals"]["away"], each["count"]) for each in found]


async def test_scores_are_counted_most_frequent_first(api: Api) -> None:
    world = await make_world(api, crowd=3)
    eve = await world.client(world.eve)
    assert await counts(eve, world.settled) == [(0, 1, 3), (1, 0, 1), (2, 1, 1)]
    assert await counts(eve, world.locked) == [(0, 1, 3), (0, 0, 1), (3, 2, 1)]
    await pass_lock(api.database, world.tournament.matches[3])
    assert await counts(eve, world.tournament.matches[3]) == []
    assert await counts(await world.client(None), world.settled) is None


@pytest.mark.parametrize("member", ["ana", "bob", "root"])
async def test_before_the_lock_nothing_is_counted_for_anybody(api: Api, member: str) -> None:
    world = await make_world(api)
    client = await world.client(getattr(world, member))
    assert await counts(client, world.open) is None
    await pass_lock(api.database, world.open)
    assert await counts(client, world.open) == [(5, 5, 1)]


async def test_no_more_scores_than_are_shown(api: Api) -> None:
    world = await make_world(api, crowd=3)
    found = await guesses.scoreline_counts(api.database, [world.settled, world.locked, world.open], most=2)
    assert {match: [each.count for each in shown] for match, shown in found.items()} == {
        world.settled: [3, 1],
        world.locked: [3, 1],
    }


async def test_teams_show_what_they_did_before(api: Api) -> None:
    database, start = api.database, datetime.now(UTC) - timedelta(days=30)
    made = await make_tournament(database, matches=5, kick_off=start, spacing=timedelta(days=1))
    ours, theirs = made.teams[:2]
    over = {"status": MatchStatus.ENDED, "result_state": ResultState.FINAL}
    results: list[dict[str, Any]] = [
        {**over, "home_regulation": 2, "away_regulation": 1},
        # After extra time, and on penalties: a draw.
        {**over, "home_regulation": 1, "away_regulation": 1, "home_extra_time": 2, "away_extra_time": 2}
        | {"home_shoot_out": 4, "away_shoot_out": 2},
        # Not final, and one that pays nobody.
        {"status": MatchStatus.ENDED, "result_state": ResultState.AWAITING_CONFIRMATION}
        | {"home_regulation": 9, "away_regulation": 0},
        {"status": MatchStatus.ABANDONED, "result_state": ResultState.VOID},
        {},
    ]
    for match_id, values in zip(made.matches, results, strict=True):
        await set_match(database, match_id, home_team_id=ours, away_team_id=theirs, **values)
    row = {"tournament_id": made.id, "group_name": "", "is_computed": False, "played": 2, "lost": 0}
    numbers = {"won": 1, "drawn": 1, "goals_for": 4, "goals_against": 3, "points": 4}
    async with database.begin() as connection:
        await connection.execute(insert(standings).values(**row, **numbers, team_id=ours, position=1))

    client = api.client()
    with recorded_statements(database) as statements:
        shown = (await client.run(FORM, {"id": id_of("Tournament", made.id)})).data["tournament"]

    (table,) = shown["standings"]
    assert [team["form"] for team in table["rows"]] == [["WIN", "DRAW"]]
    sides = [(edge["node"]["home"]["form"], edge["node"]["away"]["form"]) for edge in shown["matches"]["edges"]]
    later = (["WIN", "DRAW"], ["LOSS", "DRAW"])
    assert sides == [([], []), (["WIN"], ["LOSS"]), later, later, later]
    # The tournament, its table, its matches and their number, teams (of the table, of the matches), and results.
    assert len(set(statements)) == 6, statements
