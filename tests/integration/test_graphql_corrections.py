"""Corrections and replays through the API: ordered by an admin, carried out, read by anybody."""

from base64 import urlsafe_b64decode
from typing import Any
from uuid import UUID

from domain.ids import ExecutionId, MatchId
from domain.match.model import Goals
from tests.support.api import Api
from tests.support.api_world import World, make_world
from tests.support.corrections import assert_proven, carry_out, correct, result
from tests.support.football import pass_lock
from tests.support.graphql_client import GraphQLClient, id_of
from tests.support.settlement import play
from tests.support.statements import recorded_statements

NODE = "query($id: ID!) { node(id: $id) { id ... on Correction { reason } } }"


def wish(match_id: MatchId, **more: Any) -> dict[str, Any]:
    return {
        "matchId": id_of("Match", match_id),
        "kind": "PLAYED",
        "regulation": {"home": 0, "away": 1},
        "reason": "The goal was given to the wrong side.",
        **more,
    }


async def done(api: Api, client: GraphQLClient, name: str, variables: dict[str, Any]) -> dict[str, Any]:
    """Send a command, have it carried out, and read its execution as the screen of admins does."""
    answer = await client.operation(name, input=variables)
    payload = answer.data[name]
    assert payload["errors"] == []
    execution_id = payload["execution"]["id"]
    await carry_out(api.database, _execution(execution_id))
    read = await client.operation("adminExecution", id=execution_id)
    found: dict[str, Any] = read.data["node"]
    return found


async def test_a_correction_is_shown_applied_and_public(api: Api) -> None:
    world = await make_world(api)
    root, nobody = await world.client(world.root), await world.client(None)

    shown = await done(api, root, "correctResult", wish(world.settled))
    assert (shown["operation"], shown["dryRun"], shown["state"]) == ("CORRECT_RESULT", True, "COMPLETED")
    effect = shown["effect"]
    assert (effect["matches"], effect["membersChanged"], effect["pointsMoved"]) == (1, 2, 6)
    assert effect["equalsRecorded"] is False
    names = {change["member"]["nickName"]: change for change in effect["changes"]}
    assert {name: (change["pointsBefore"], change["pointsAfter"]) for name, change in names.items()} == {
        "Ana": (3, 0),
        "Bob": (3, 0),
    }
    assert (await log(nobody, world)) == []

    more = {"dryRun": False, "expectedDigest": effect["digest"]}
    made = await done(api, root, "correctResult", wish(world.settled, **more))

    assert (made["dryRun"], made["effect"]) == (False, effect)
    (entry,) = await log(nobody, world)
    assert (entry["source"], entry["reason"]) == ("ADMIN", "The goal was given to the wrong side.")
    assert (entry["before"]["goals"], entry["after"]["goals"]) == ({"home": 2, "away": 1}, {"home": 0, "away": 1})
    assert entry["match"]["result"]["goals"] == {"home": 0, "away": 1}
    assert (entry["settlement"]["revision"], entry["settlement"]["membersChanged"]) == (2, 2)
    node = await nobody.run(NODE, {"id": entry["id"]})
    assert node.data["node"] == {"id": entry["id"], "reason": entry["reason"]}
    await assert_proven(api.database, world.tournament.id)


def _execution(global_id: str) -> ExecutionId:
    text = urlsafe_b64decode(global_id + "=" * (-len(global_id) % 4)).decode()
    return ExecutionId(UUID(text.partition(":")[2]))


async def log(client: GraphQLClient, world: World, **variables: Any) -> list[dict[str, Any]]:
    answer = await client.operation("corrections", tournament=world.tournament_id, **variables)
    return [edge["node"] for edge in answer.data["tournament"]["corrections"]["edges"]]


async def test_refusals_come_in_the_payload(api: Api) -> None:
    world = await make_world(api)
    root = await world.client(world.root)

    async def refused(name: str, variables: dict[str, Any]) -> list[tuple[str, list[str] | None]]:
        answer = await root.operation(name, input=variables)
        assert answer.data[name]["execution"] is None
        return [(error["code"], error["field"]) for error in answer.data[name]["errors"]]

    assert await refused("correctResult", wish(world.settled, dryRun=False)) == [("STALE_PREVIEW", ["expectedDigest"])]
    assert await refused("correctResult", wish(world.settled, dryRun=False, expectedDigest="0" * 64)) == [
        ("STALE_PREVIEW", ["expectedDigest"])
    ]
    assert await refused("correctResult", wish(world.settled, kind="VOID", reason="x")) == [
        ("INVALID_INPUT", ["regulation"]),
        ("INVALID_INPUT", ["reason"]),
    ]
    assert await refused("correctResult", wish(world.settled, matchId="nonsense")) == [("NOT_FOUND", ["matchId"])]
    assert await refused("correctResult", wish(world.open)) == [("INVALID_INPUT", ["kind"])]
    replay = {"tournamentId": world.tournament_id, "reason": "to be sure"}
    assert await refused("replaySettlement", replay | {"dryRun": False}) == [("STALE_PREVIEW", ["expectedDigest"])]
    assert await refused("replaySettlement", replay | {"reason": "x"}) == [("INVALID_INPUT", ["reason"])]
    assert await refused("replaySettlement", replay | {"tournamentId": "nonsense"}) == [("NOT_FOUND", ["tournamentId"])]


async def test_a_replay_says_that_all_is_equal(api: Api) -> None:
    world = await make_world(api)
    root = await world.client(world.root)

    shown = await done(api, root, "replaySettlement", {"tournamentId": world.tournament_id, "reason": "to be sure"})

    assert shown["effect"]["equalsRecorded"] is True
    assert (shown["effect"]["matches"], shown["effect"]["membersChanged"], shown["effect"]["changes"]) == (1, 0, [])


async def test_the_log_is_paged_with_as_many_statements_for_one_entry_as_for_many(api: Api) -> None:
    world = await make_world(api, matches=4)
    client = await world.client(None)
    await correct(api.database, result(world.root, world.settled, Goals(0, 1)))
    with recorded_statements(api.database) as few:
        assert len(await log(client, world)) == 1
    for match_id in world.tournament.matches[2:]:
        await pass_lock(api.database, match_id)
        await play(api.database, match_id, 1, 0)
        await play(api.database, match_id, 1, 1)
    await correct(api.database, result(world.root, world.settled, None))

    with recorded_statements(api.database) as many:
        entries = await log(client, world)

    assert [entry["after"]["kind"] for entry in entries] == ["VOID", "PLAYED", "PLAYED", "PLAYED"]
    assert len(few) == len(many) == 4
    page = (await client.operation("corrections", tournament=world.tournament_id, first=3)).data["tournament"]
    info = page["corrections"]["pageInfo"]
    assert info["hasNextPage"]
    rest = await log(client, world, after=info["endCursor"])
    assert [entry["id"] for entry in rest] == [entries[-1]["id"]]


async def test_a_command_takes_a_fixed_number_of_statements(api: Api) -> None:
    world = await make_world(api, matches=12, crowd=5)
    root = await world.client(world.root)

    with recorded_statements(api.database) as statements:
        answer = await root.operation("correctResult", input=wish(world.settled))
    assert answer.data["correctResult"]["errors"] == []
    correcting = len(statements)
    with recorded_statements(api.database) as statements:
        answer = await root.operation(
            "replaySettlement", input={"tournamentId": world.tournament_id, "reason": "to be sure"}
        )
    assert answer.data["replaySettlement"]["errors"] == []

    assert (correcting, len(statements)) == (10, 7)
