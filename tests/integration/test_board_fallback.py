"""Without Valkey a board is ranked once a version, and everybody is served from that ranking."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Api, running_api
from tests.support.api_world import World, make_world
from tests.support.graphql_client import GraphQLClient
from tests.support.settlement import play
from tests.support.statements import recorded_statements

pytestmark = pytest.mark.timeout(240)
ROWS = """
query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
  tournament(id: $id) {
    leaderboard {
      settledVersion freshness { source stalenessMs computedAt }
      rows(first: $first, after: $after, last: $last, before: $before) {
        totalCount edges { cursor node { position rank denseRank tied points } }
      }
      viewerRow { position }
      viewerNeighbours(radius: 2) { position }
    }
  }
}
"""


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database_url, "redis://127.0.0.1:1", tmp_path, hub_poll_seconds=60) as made:
        yield made


async def read(client: GraphQLClient, world: World, **variables: Any) -> dict[str, Any]:
    answer = await client.run(ROWS, {"id": world.tournament_id, **variables})
    board: dict[str, Any] = answer.data["tournament"]["leaderboard"]
    assert board["freshness"]["source"] == "DATABASE"
    return board


async def test_every_page_and_every_viewer_is_served_from_one_ranking(api: Api) -> None:
    world = await make_world(api, crowd=40)
    ana, bob = await world.client(world.ana), await world.client(world.bob)
    first = await read(ana, world, first=5)
    cursors = [edge["cursor"] for edge in first["rows"]["edges"]]
    pages: list[dict[str, Any]] = [
        {"first": 1},
        {"first": 100},
        {"last": 3},
        *({"first": 2, "after": cursor} for cursor in cursors),
        *({"last": 2, "before": cursor} for cursor in cursors),
    ]
    found, counts = [], set()
    for client in (ana, bob):
        for page in pages:
            with recorded_statements(api.database) as statements:
                found.append(await read(client, world, **page))
            counts.add(len(statements))
            text = " ".join(statements)
            assert "OFFSET" not in text
            assert "member_scores" not in text
            assert "FROM guesses" not in text
            assert "tournament_members" not in text

    assert len(counts) == 1
    assert {board["freshness"]["computedAt"] for board in found} == {first["freshness"]["computedAt"]}
    assert {board["viewerRow"]["position"] for board in found} == {1, 2}
    assert {board["rows"]["totalCount"] for board in found} == {43}


async def test_a_page_is_executed_once_for_all_viewers_of_a_version(api: Api) -> None:
    world = await make_world(api, crowd=3)
    pages, statements = [], []
    for member_id in (world.ana, world.eve):
        client = await world.client(member_id)
        with recorded_statements(api.database) as recorded:
            answer = await client.operation("tournamentLeaderboard", id=world.tournament_id)
        pages.append(answer.data["tournament"]["leaderboard"]["rows"])
        statements.append(len(recorded))

    assert pages[0] == pages[1]
    assert statements[0] > 3
    assert statements[1] == 3  # Eve is not ranked: hers are the session, the tournament and the board's state


async def test_the_next_version_is_ranked_anew_and_nothing_is_missing_in_it(api: Api) -> None:
    world = await make_world(api, crowd=3)
    client = await world.client(world.ana)
    before = await read(client, world)
    await play(api.database, world.locked, 3, 2)
    after = await read(client, world)

    assert (before["settledVersion"], after["settledVersion"]) == (1, 2)
    assert after["freshness"]["computedAt"] > before["freshness"]["computedAt"]
    assert after["freshness"]["stalenessMs"] == 0
