"""Each rule of the graphql-transport-ws document on a served application; codes and reasons as it words them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import text
from websockets.asyncio.client import ClientConnection

from runtime.database import PostgresDatabase
from tests.support.api import Api, Stream, closing, open_socket, running_api, served
from tests.support.api_world import World, begin_session, make_world
from tests.support.graphql_client import read_operation
from tests.support.settlement import play

NAME = "{ __typename }"
BOARDS = read_operation("leaderboardUpdates")
ODD_IDS = ['"', "\\", "\\u0041", "a\nb", "\u2028", "ü\U0001f3c6", " ", "null", '"},"type":"error"', "x" * 3_000]


async def begun(connection: ClientConnection) -> Stream:
    stream = Stream(connection)
    await stream.begin()
    return stream


async def following(connection: ClientConnection, world: World, operation_id: str = "1") -> Stream:
    """A stream that has had its snapshot."""
    stream = await begun(connection)
    await stream.subscribe(operation_id, BOARDS, board={"tournamentId": world.tournament_id})
    message = await stream.receive(30)
    assert (message["id"], message["type"]) == (operation_id, "next")
    return stream


async def test_without_an_init_in_time_it_is_closed_with_4408(
    database_url: str, valkey_url: str, tmp_path: Path
) -> None:
    async with running_api(database_url, valkey_url, tmp_path, init_timeout_seconds=0.3) as api, served(api) as address:
        async with open_socket(address) as connection:
            await Stream(connection).send({"type": "ping"})  # it is no init
            assert await closing(connection) == (4408, "Connection initialisation timeout")
        async with open_socket(address) as connection:
            stream = await begun(connection)
            await asyncio.sleep(0.6)
            assert await stream.is_answered()


@pytest.mark.parametrize("is_answered", [True, False])
async def test_who_sent_its_init_in_time_is_not_told_otherwise_however_long_the_look_up_takes(
    database: PostgresDatabase, database_url: str, valkey_url: str, tmp_path: Path, *, is_answered: bool
) -> None:
    async with running_api(database_url, valkey_url, tmp_path, init_timeout_seconds=1.0) as api, served(api) as address:
        token = await begin_session(api, (await make_world(api)).bob)
        async with open_socket(address) as connection:
            await asyncio.sleep(0.5)
            async with database.begin() as other:
                await other.execute(text("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE"))
                await Stream(connection).send(
                    {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}
                )
                if not is_answered:
                    assert await closing(connection) == (1013, "Try again later")
                    return
                await asyncio.sleep(0.7)
            assert await Stream(connection).receive() == {"type": "connection_ack"}


@pytest.mark.parametrize("payload", [{}, {"payload": None}, {"payload": {}}, {"payload": {"of": ["no", 1, "concern"]}}])
async def test_an_init_is_acknowledged_whatever_its_payload_and_only_once(
    payload: dict[str, Any], address: str
) -> None:
    async with open_socket(address) as connection:
        await Stream(connection).send({"type": "connection_init", **payload})
        assert await Stream(connection).receive() == {"type": "connection_ack"}
        await Stream(connection).send({"type": "connection_init", **payload})
        assert await closing(connection) == (4429, "Too many initialisation requests")


async def test_a_second_init_before_the_acknowledgement_is_one_too_many(address: str) -> None:
    async with open_socket(address) as connection:
        for _ in range(2):
            await Stream(connection).send({"type": "connection_init"})
        assert await closing(connection) == (4429, "Too many initialisation requests")


async def test_nothing_is_executed_before_the_acknowledgement(address: str) -> None:
    async with open_socket(address) as connection:
        await Stream(connection).subscribe("1", NAME)
        assert await closing(connection) == (4401, "Unauthorized")


async def test_the_subprotocol_is_ours_or_none(address: str) -> None:
    for offered in (["graphql-ws"], ["GRAPHQL-TRANSPORT-WS"], ["nonsense", "graphql-ws"], None):
        async with open_socket(address, subprotocols=offered) as connection:
            assert await closing(connection) == (4406, "Use the subprotocol graphql-transport-ws"), offered
    async with open_socket(address, subprotocols=["graphql-ws", "graphql-transport-ws"]) as connection:
        assert connection.subprotocol == "graphql-transport-ws"
        assert await (await begun(connection)).is_answered()


async def test_pings_are_answered_with_their_payload_at_any_time_and_pongs_with_nothing(address: str) -> None:
    async with open_socket(address) as connection:
        stream = Stream(connection)
        for before in (True, False):
            for ping in ({}, {"payload": None}):
                await stream.send({"type": "ping", **ping})
                assert await stream.receive() == {"type": "pong"}
            payload = {"deep": [{"ü": 1.5, "n": None}], "t": "\u2028"}
            await stream.send({"type": "ping", "payload": payload})
            assert await stream.receive() == {"type": "pong", "payload": payload}
            for pong in ({}, {"payload": None}, {"payload": {"un": "asked"}}):
                await stream.send({"type": "pong", **pong})
            assert await stream.is_answered()
            if before:
                await stream.begin()


async def test_what_it_does_not_know_is_4400_with_a_reason(address: str) -> None:
    unknown = [
        *('{"type":"start","id":"1","payload":{}}', '{"type":"connection_terminate"}', '{"type":"error","id":"1"}'),
        *('{"type":"connection_ack"}', '{"type":"Ping"}', '{"type":null}', '{"id":"1"}', "{" * 500, "\x00"),
        *('{"type":"complete","id":null}', '{"type":"complete","id":17}', '{"type":"complete","id":{}}'),
        '{"type":"' + "ü" * 300 + '"}',
        '{"type":"subscribe","id":"' + "x" * 4_097 + '","payload":{"query":"{ __typename }"}}',
        '{"type":"subscribe","id":"1","payload":{"query":"' + "{ü" * 300 + '","variables":"ü"}}',
    ]
    for message in unknown:
        async with open_socket(address) as connection:
            await begun(connection)
            await connection.send(message)
            code, reason = await closing(connection)
            assert (code, reason != "") == (4400, True), message


async def test_binary_messages_are_4400_and_too_large_ones_1009(address: str) -> None:
    for message in (b'{"type":"ping"}', b"", b"\xff"):
        async with open_socket(address) as connection:
            await begun(connection)
            await connection.send(message)
            assert (await closing(connection))[0] == 4400
    for size, parts in ((64 * 1024 + 1, 1), (64 * 1024 + 1, 9), (2**20, 1)):
        async with open_socket(address) as connection:
            await begun(connection)
            text = '{"type":"ping","payload":{"x":"' + "y" * size + '"}}'
            step = -(-len(text) // parts)
            await connection.send(text[at : at + step] for at in range(0, len(text), step))
            assert (await closing(connection))[0] == 1009


async def test_a_message_may_come_in_fragments_with_pings_of_the_socket_between(address: str) -> None:
    async def parts() -> AsyncIterator[str]:
        for part in ('{"type":"pi', 'ng","payload":', '{"ü":1}}'):
            yield part
            await asyncio.sleep(0)

    async with open_socket(address, compression="deflate") as connection:
        stream = await begun(connection)
        sending = asyncio.ensure_future(connection.send(parts()))
        await (await connection.ping(b"between"))
        await sending
        assert await stream.receive() == {"type": "pong", "payload": {"ü": 1}}
        assert connection.protocol.extensions == []


async def test_an_id_in_use_is_4409_and_names_it(address: str, api: Api) -> None:
    world = await make_world(api)
    for operation_id in ("1", "ü" * 200):
        async with open_socket(address) as connection, open_socket(address) as other:
            stream = await following(connection, world, operation_id)
            elsewhere = await following(other, world, operation_id)  # ids are those of a socket
            await stream.subscribe(operation_id, NAME)
            code, reason = await closing(connection)
            assert code == 4409
            assert f"Subscriber for {operation_id} already exists".startswith(reason)
            assert len(reason) > len("Subscriber for ")
            assert await elsewhere.is_answered()


async def test_an_id_is_free_again_after_each_kind_of_end(address: str, api: Api) -> None:
    world = await make_world(api)
    async with open_socket(address) as connection:
        stream = await following(connection, world)
        await stream.send({"type": "complete", "id": "1"})
        for document, ends in ((NAME, ["next", "complete"]), ("{ nothing }", ["error"]), (NAME, ["next", "complete"])):
            await stream.subscribe("1", document)
            for end in ends:
                message = await stream.receive(30)
                assert (message["id"], message["type"]) == ("1", end)
        assert await stream.is_answered()


async def test_after_complete_of_the_client_nothing_more_comes_of_it(address: str, api: Api) -> None:
    world = await make_world(api)
    async with open_socket(address) as connection, open_socket(address) as other:
        stream, staying = await following(connection, world), await following(other, world)
        await stream.send({"type": "complete", "id": "1"})
        await play(api.database, world.locked, 3, 2)
        assert (await staying.receive(30))["type"] == "next"
        assert await stream.is_answered()


async def test_complete_for_what_is_not_there_is_nothing(address: str) -> None:
    async with open_socket(address) as connection:
        stream = Stream(connection)
        await stream.send({"type": "complete", "id": "before"})
        await stream.begin()
        for operation_id in ODD_IDS:
            await stream.send({"type": "complete", "id": operation_id})
        assert await stream.is_answered()


async def test_ids_come_back_as_they_went_whoever_writes_them(address: str, api: Api) -> None:
    """Shared frames have the id spliced in, others are written whole."""
    world = await make_world(api)
    async with open_socket(address) as connection:
        stream = await begun(connection)
        for operation_id in ODD_IDS:
            await stream.subscribe(operation_id, NAME)
            assert [(await stream.receive(30))["id"] for _ in range(2)] == [operation_id] * 2
            await stream.subscribe(operation_id, BOARDS, board={"tournamentId": world.tournament_id})
            message = await stream.receive(30)
            assert (message["id"], message["type"]) == (operation_id, "next")
        await play(api.database, world.locked, 3, 2)
        found = {(await stream.receive(30))["id"] for _ in ODD_IDS}
        assert found == set(ODD_IDS)


async def test_an_operation_that_cannot_begin_is_one_error_and_the_others_go_on(address: str, api: Api) -> None:
    world = await make_world(api)
    wrong: list[dict[str, Any]] = [
        {"query": "{"},
        {"query": "subscription { nothing }"},
        {"query": "query A { __typename }", "operationName": "B"},
        {"query": "query ($id: ID!) { match(id: $id) { id } }"},
        {"query": "mutation { signOut { errors { code } } }"},
        {"query": "subscription { a: __typename b: __typename }"},
        {"query": "fragment F on Query { __typename }"},
        {"query": BOARDS, "variables": {"board": {}}},
        {"query": BOARDS, "variables": {"board": {"tournamentId": "\0"}}},
        {"query": BOARDS, "variables": {"board": [{}] * 251}},
        {"query": BOARDS, "extensions": {"deep": orjson.loads("[" * 65 + "]" * 65)}},
    ]
    async with open_socket(address) as connection:
        stream = await following(connection, world)
        for payload in wrong:
            await stream.send({"type": "subscribe", "id": "2", "payload": payload})
            message = await stream.receive(30)
            assert (message["id"], message["type"]) == ("2", "error"), payload
            assert all(set(error) <= {"message", "locations", "path", "extensions"} for error in message["payload"])
            assert len(message["payload"]) >= 1
            assert await stream.is_answered()  # no complete follows an error
        await play(api.database, world.locked, 3, 2)
        message = await stream.receive(30)
        assert (message["id"], message["type"]) == ("1", "next")


async def test_what_may_be_null_or_left_out_may(address: str) -> None:
    async with open_socket(address) as connection:
        stream = await begun(connection)
        for more in ({}, {"operationName": None, "variables": None, "extensions": None}, {"extensions": {"a": [1]}}):
            await stream.send({"type": "subscribe", "id": "1", "payload": {"query": NAME, **more}, "more": "ignored"})
            assert (await stream.receive(30))["payload"]["data"] == {"__typename": "Query"}
            assert await stream.receive(30) == {"id": "1", "type": "complete"}


async def test_errors_while_it_is_executed_come_with_the_data(address: str) -> None:
    async with open_socket(address) as connection:
        stream = await begun(connection)
        await stream.subscribe("1", "{ __typename admin { executions { edges { cursor } } } }")
        message = await stream.receive(30)
        assert (message["type"], message["payload"]["data"]) == ("next", {"__typename": "Query", "admin": None})
        assert message["payload"]["errors"][0]["path"] == ["admin"]
        assert await stream.receive(30) == {"id": "1", "type": "complete"}


async def test_messages_are_text_and_objects_with_a_type(address: str, api: Api) -> None:
    world = await make_world(api)
    async with open_socket(address) as connection:
        for message in (
            {"type": "connection_init"},
            {"type": "ping"},
            {"type": "subscribe", "id": "1", "payload": {"query": NAME}},
            {
                "type": "subscribe",
                "id": "2",
                "payload": {"query": BOARDS, "variables": {"board": {"tournamentId": world.tournament_id}}},
            },
        ):
            await connection.send(orjson.dumps(message).decode())
        for _ in range(5):
            text = await asyncio.wait_for(connection.recv(), 30)
            assert isinstance(text, str)
            message = orjson.loads(text)
            assert set(message) <= {"type", "id", "payload"}
            assert isinstance(message["type"], str)


async def test_a_client_that_closes_is_answered_with_its_own_code(address: str, api: Api) -> None:
    world = await make_world(api)
    for code in (1000, 1001, 4321):
        connection = await open_socket(address)
        await following(connection, world)
        await connection.close(code, "goodbye")
        assert connection.close_code == code
