"""Sessions that are known to be live, so that kept answers are given without asking: out is who signs out, at once."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from graphql import OperationType

from schema.context import ApiContext
from schema.transport.credentials import COOKIE
from schema.transport.engine import Engine, Operation
from tests.integration.test_shared_answers import LONG, scoreboard, world_of
from tests.support.api import PASSWORD
from tests.support.api_world import World
from tests.support.graphql_client import read_operation

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def world(database_url: str, valkey_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(database_url, valkey_url, tmp_path, **LONG) as made:
        yield made


ENDS = {
    "signOut": "mutation { %s signOut { errors { code } } }",
    "revokeSession": "mutation ($id: ID!) { %s revokeSession(input: {sessionId: $id}) { errors { code } } }",
    "deleteAccount": """mutation {
        %s deleteAccount(input: {erasure: KEEP_ANONYMOUS, confirmNickName: "Zoe"}) { errors { code } }
    }""",
}
SIGN_IN = f'signIn(input: {{email: "zoe@example.org", password: "{PASSWORD}"}}) {{ errors {{ code }} }}'


@pytest.mark.parametrize(
    ("how", "by_whom"),
    [("signOut", ""), ("revokeSession", ""), ("revokeSession", SIGN_IN), ("deleteAccount", SIGN_IN)],
    ids=["signed out", "revoked", "revoked by another", "deleted by another"],
)
async def test_who_ends_a_session_ends_it_for_all_who_ask_by_it(world: World, how: str, by_whom: str) -> None:
    """However it is written into a request, and also by a session that begins in the request that ends it."""
    owner = await world.api.sign_up("Zoe")
    token = owner.token
    written = [
        {"authorization": f"Bearer {token}"},
        {"authorization": f"bearer  {token}"},
        {"cookie": f"theme=dark; {COOKIE}={token}"},
    ]
    body = {"query": read_operation("liveScoreboard"), "variables": {"id": world.tournament_id}}

    async def are_in() -> list[bool]:
        client = world.api.client()
        found = [await client.send(body, **headers) for headers in written]
        return [answer.status == 200 and "sessionEnded" not in answer.extensions for answer in found]

    sessions = (await owner.run("{ viewer { sessions { edges { node { id } } } } }")).data["viewer"]["sessions"]
    assert await are_in() == [True] * 3
    ending = world.api.client() if by_whom else owner
    variables = {"id": sessions["edges"][0]["node"]["id"]} if how == "revokeSession" else {}
    assert (await ending.run(ENDS[how] % by_whom, variables)).data[how]["errors"] == []

    assert await are_in() == [False] * 3


async def test_what_was_found_before_a_session_ended_is_not_known_after_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request beside the one that signs out asks for the session while it is live still."""
    client = await world.client(world.ana)
    await scoreboard(client, world)
    execute = Engine.execute_until

    async def asking(engine: Engine, deadline: float, operation: Operation, context: ApiContext) -> dict[str, Any]:
        if operation.kind is OperationType.MUTATION:
            assert (await client.run("{ viewer { id } }")).data["viewer"] is not None
        return await execute(engine, deadline, operation, context)

    monkeypatch.setattr(Engine, "execute_until", asking)
    assert (await client.operation("signOut")).data["signOut"]["errors"] == []

    assert (await scoreboard(client, world)).status == 401
