"""The same streams on a server that lends nothing: what is sent goes through plain ASGI."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import hypercorn.asyncio
import pytest

from tests.support.api import Api, Stream, open_socket, served
from tests.support.api_world import make_world
from tests.support.graphql_client import read_operation
from tests.support.settlement import play

BOARDS = read_operation("leaderboardUpdates")


def _by_plain_uvicorn(api: Api) -> AbstractAsyncContextManager[str]:
    return served(api, "websockets-sansio")


@asynccontextmanager
async def _by_hypercorn(api: Api) -> AsyncIterator[str]:
    over = asyncio.Event()
    config = hypercorn.Config()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config.bind = [f"fd://{listener.detach()}"]  # it closes it
    app: Any = api.app
    serving = asyncio.create_task(hypercorn.asyncio.serve(app, config, shutdown_trigger=over.wait))
    yield f"127.0.0.1:{port}"
    over.set()
    await serving


@pytest.mark.parametrize("served_by", [_by_plain_uvicorn, _by_hypercorn])
async def test_boards_are_followed_alike_by_plain_asgi(api: Api, address: str, served_by: Any) -> None:
    world = await make_world(api)
    async with served_by(api) as plain, open_socket(address) as lent, open_socket(plain) as given:
        streams = [Stream(lent), Stream(given)]
        for stream in streams:
            await stream.begin()
            for operation_id in ("é", "2"):
                await stream.subscribe(operation_id, BOARDS, board={"tournamentId": world.tournament_id})
        snapshots = [[await stream.receive() for _ in range(2)] for stream in streams]
        await play(api.database, world.locked, 3, 2)
        deltas = [[await stream.receive() for _ in range(2)] for stream in streams]
        for ours, plains in (snapshots, deltas):
            assert sorted(ours, key=_id) == sorted(plains, key=_id)
        assert {_id(message) for message in deltas[1]} == {"é", "2"}
        for stream in streams:
            await stream.send({"id": "2", "type": "complete"})
            assert await stream.is_answered()


async def test_an_opened_socket_is_logged_as_101_when_it_is_over(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "palpite.access"):
        async with open_socket(address) as connection:
            await Stream(connection).begin()
    (record,) = [record.__dict__ for record in caplog.records if record.__dict__.get("method") == "WEBSOCKET"]
    assert (record["path"], record["status"]) == ("/graphql", 101)


def _id(message: dict[str, str]) -> str:
    return message["id"]
