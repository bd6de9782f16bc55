"""In answers for one viewer, the page of a board is executed once for all viewers of a version; the rest for each."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from domain.ids import MemberId
from domain.scoring.tables import rulesets
from domain.tournament.tables import tournaments
from tests.integration.test_shared_answers import LONG, world_of
from tests.support.api_world import World
from tests.support.football import make_tournament
from tests.support.graphql_client import Answer, id_of
from tests.support.settlement import play
from tests.support.statements import recorded_statements

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def world(database_url: str, valkey_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(database_url, valkey_url, tmp_path, **LONG) as made:
        yield made


async def board(world: World, member_id: MemberId | None, **variables: Any) -> Answer:
    client = await world.client(member_id)
    return await client.operation("tournamentLeaderboard", id=world.tournament_id, **variables)


def page_of(answer: Answer) -> Any:
    return answer.data["tournament"]["leaderboard"]["rows"]


async def test_the_page_is_read_once_and_the_viewers_row_for_each(world: World) -> None:
    with recorded_statements(world.api.database) as alone:
        first = await board(world, world.ana)
    with recorded_statements(world.api.database) as then:
        others = [await board(world, member_id) for member_id in (world.bob, world.vic, world.eve, None)]

    counts = [sum("count(*) AS number" in text for text in statements) for statements in (alone, then)]
    assert counts == [2, 2]  # of the page and of Ana's rows; of Bob's and of Vic's
    assert all(page_of(answer) == page_of(first) for answer in others)
    rows = [answer.data["tournament"]["leaderboard"]["viewerRow"] for answer in (first, *others)]
    assert [row and row["member"]["nickName"] for row in rows] == ["Ana", "Bob", "Vic", None, None]


async def test_the_viewers_row_and_its_neighbours_are_read_together(world: World) -> None:
    await board(world, world.ana)
    with recorded_statements(world.api.database) as statements:
        answer = await board(world, world.bob, radius=1)

    assert sum("count(*) AS number" in text for text in statements) == 1
    found = answer.data["tournament"]["leaderboard"]
    rows = {edge["node"]["position"]: edge["node"] for edge in page_of(answer)["edges"]}
    mine = found["viewerRow"]["position"]
    assert found["viewerRow"] == rows[mine]
    assert found["viewerNeighbours"] == [rows[n] for n in (mine - 1, mine, mine + 1) if n in rows]
    assert len(found["viewerNeighbours"]) > 1


async def test_a_page_is_of_the_version_that_its_viewer_sees(world: World) -> None:
    """Nobody tells of the settlement: no tick, and nothing grows old in this test."""
    before = await board(world, world.ana)
    await play(world.api.database, world.locked, 3, 2)
    after = await board(world, world.bob)

    versions = [answer.data["tournament"]["leaderboard"]["settledVersion"] for answer in (before, after)]
    assert versions == [1, 2]
    rows = [edge["node"] for edge in page_of(after)["edges"]]
    assert after.data["tournament"]["leaderboard"]["viewerRow"] in rows
    assert {row["version"] for row in rows} == {after.data["tournament"]["leaderboard"]["streamPosition"]["version"]}
    assert page_of(before) != page_of(after)


async def test_pages_differ_by_every_argument(world: World) -> None:
    pages = [page_of(await board(world, world.ana, **asked)) for asked in ({"first": 2}, {"last": 2}, {"search": "Bo"})]
    names = [[edge["node"]["member"]["nickName"] for edge in page["edges"]] for page in pages]
    assert len(set(map(tuple, names))) == 3
    assert names[2] == ["Bob"]


async def test_pages_differ_by_their_place_however_a_document_is_spaced(world: World) -> None:
    rows = "{ edges { node { position } } }"
    first, last = f"one: rows(first: 1) {rows} ", f"three: rows(first: 3) {rows}"
    document = f"query ($id: ID!) {{ tournament(id: $id) {{ viewerHasJoined leaderboard {{ {first}{last} }} }} }}"
    counts = []
    for spaced in (document, " " * len(first) + document):  # `one` begins where `three` did
        answer = await (await world.client(world.ana)).run(spaced, {"id": world.tournament_id})
        found = answer.data["tournament"]["leaderboard"]
        counts.append([len(found[key]["edges"]) for key in ("one", "three")])
    assert counts == [[1, 3], [1, 3]]


async def test_pages_differ_by_the_defaults_of_their_operation(world: World) -> None:
    body = "{ tournament(id: $id) { viewerHasJoined leaderboard { ...Page } } }"
    document = f"""query One($id: ID!, $first: Int = 1) {body} query Three($id: ID!, $first: Int = 3) {body}
        fragment Page on Leaderboard {{ rows(first: $first) {{ edges {{ cursor }} }} }}"""
    client = await world.client(world.ana)
    asked = {"query": document, "variables": {"id": world.tournament_id}}
    answers = [await client.send({**asked, "operationName": name}) for name in ("One", "Three")]
    assert [len(page_of(answer)["edges"]) for answer in answers] == [1, 3]


async def test_a_page_that_fails_fails_for_each(world: World) -> None:
    answers = await asyncio.gather(*(board(world, member_id, first=0) for member_id in (world.ana, world.bob)))
    assert [answer.codes for answer in answers] == [["INVALID_INPUT"]] * 2
    assert [answer.errors[0]["path"][-1] for answer in answers] == ["rows"] * 2
    assert len({answer.errors[0]["extensions"]["requestId"] for answer in answers}) == 2


async def test_a_page_of_a_league_is_for_its_members_only(world: World) -> None:
    async def league(member_id: MemberId | None) -> Any:
        client = await world.client(member_id)
        return (await client.operation("leagueLeaderboard", id=world.league_id)).data["league"]

    ana, bob = await league(world.ana), await league(world.bob)
    assert ana["leaderboard"]["rows"] == bob["leaderboard"]["rows"]
    assert len(ana["leaderboard"]["rows"]["edges"]) > 1
    assert (await league(world.eve), await league(None)) == (None, None)


async def test_what_is_not_shareable_below_a_page_is_executed_for_each(world: World) -> None:
    document = """query ($id: ID!, $tournament: ID!) { league(id: $id) { leaderboard(tournamentId: $tournament) {
        rows { edges { node { member { nickName } history { points } } } } } } }"""
    variables = {"id": world.league_id, "tournament": world.tournament_id}
    client = await world.client(world.ana)
    counts = []
    for _ in range(3):
        with recorded_statements(world.api.database) as statements:
            await client.run(document, variables)
        counts.append(len(statements))
    assert counts[1] == counts[2] >= 4  # session, league, board, names


async def test_the_ruleset_of_a_tournament_is_read_once_and_anew_when_it_has_another(world: World) -> None:
    made = await make_tournament(world.api.database, matches=2, rounds=1)  # nothing has locked
    client = await world.client(world.ana)
    document = "query ($id: ID!) { tournament(id: $id) { viewerHasJoined ruleset { id weights { points } } } }"

    async def ruleset() -> tuple[str, int]:
        with recorded_statements(world.api.database) as statements:
            answer = await client.run(document, {"id": id_of("Tournament", made.id)})
        read = sum(text.startswith("SELECT rulesets.id, rulesets.code") for text in statements)
        return answer.data["tournament"]["ruleset"]["id"], read

    first, again = await ruleset(), await ruleset()
    assert (first[1], again) == (1, (first[0], 0))
    async with world.api.database.begin() as connection:
        other = select(rulesets.c.id).where(rulesets.c.id != tournaments.c.ruleset_id).limit(1).scalar_subquery()
        await connection.execute(update(tournaments).values(ruleset_id=other).where(tournaments.c.id == made.id))
    changed = await ruleset()
    assert (changed[0] != first[0], changed[1]) == (True, 1)
