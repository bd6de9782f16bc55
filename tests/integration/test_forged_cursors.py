"""Cursors of every list with parts that no list wrote: refused, or a place in the list, and never a failure."""

import base64
import json
from typing import Any

import pytest

from tests.support.api_world import World
from tests.support.graphql_client import Answer, GraphQLClient
from tests.support.settlement import play

pytestmark = pytest.mark.timeout(240)
PAGE = "(first: 1, after: $after) { pageInfo { endCursor } }"
OF_VIEWER = ("sessions", "leagues", "matchesToGuess")
OF_TOURNAMENT = ("matches", "corrections", "viewerGuesses")
OF_LEAGUE = ("members", "viewerInvites")
OF_ADMIN = ("executions", "auditLog", "members")
LISTS = [
    *(f"{{ {name}{PAGE} }}" for name in ("tournaments", "rulesets")),
    *(f"{{ viewer {{ {name}{PAGE} }} }}" for name in OF_VIEWER),
    *(f'{{ tournament(id: "TOURNAMENT") {{ {name}{PAGE} }} }}' for name in OF_TOURNAMENT),
    *(f'{{ league(id: "LEAGUE") {{ {name}{PAGE} }} }}' for name in OF_LEAGUE),
    *(f"{{ admin {{ {name}{PAGE} }} }}" for name in OF_ADMIN),
    f'{{ tournament(id: "TOURNAMENT") {{ leaderboard {{ rows{PAGE} }} }} }}',
    f'{{ tournament(id: "TOURNAMENT") {{ leaderboard(asOf: {{settledVersion: 1}}) {{ rows{PAGE} }} }} }}',
    f'{{ league(id: "LEAGUE") {{ leaderboard {{ rows{PAGE} }} }} }}',
]
HALF_A_CHARACTER = "\ud800"
BEFORE_TIME, AFTER_TIME = "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"
PARTS = [HALF_A_CHARACTER, str(2**31), str(2**53 - 1), BEFORE_TIME, AFTER_TIME, []]


async def test_no_part_of_a_cursor_is_taken_on_trust(world: World) -> None:
    await play(world.api.database, world.settled, 0, 1)  # a correction to be listed
    ana, root = await world.client(world.ana), await world.client(world.root)
    assert (await ana.operation("createLeagueInvite", input={"leagueId": world.league_id})).data  # it is audited
    for fields in LISTS:
        document = f"query ($after: String) {fields}"
        document = document.replace("TOURNAMENT", world.tournament_id).replace("LEAGUE", world.league_id)
        client = root if "admin" in fields else ana
        cursor = _cursor((await client.run(document)).data)
        assert cursor is not None, fields
        mark, parts = _read(cursor)
        assert await _codes(client, document, mark, parts) == []
        refused = 0
        for place in range(len(parts)):
            for part in PARTS:
                forged = [*parts[:place], part, *parts[place + 1 :]]
                codes = await _codes(client, document, mark, forged)
                assert codes in ([], ["INVALID_INPUT"]), (fields, forged)
                refused += bool(codes)
        assert refused >= len(parts)


async def _codes(client: GraphQLClient, document: str, mark: str, parts: list[Any]) -> list[str]:
    text = json.dumps([mark, parts]).encode()
    answer: Answer = await client.run(document, {"after": base64.urlsafe_b64encode(text).decode().rstrip("=")})
    return answer.codes if "errors" in answer.body else []


def _read(cursor: str) -> tuple[str, list[Any]]:
    mark, parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    return mark, parts


def _cursor(data: dict[str, Any]) -> str | None:
    """The one that a page ends with, however deep it stands."""
    while "endCursor" not in data:
        (data,) = data.values()
    found: str | None = data["endCursor"]
    return found
