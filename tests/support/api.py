"""The API application on real servers, in this process: called straight, or served on a port."""

import asyncio
import socket
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM
from typing import Any, ClassVar

from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

import runtime.api
from runtime.api import _config, _Server, open_api
from runtime.database import PostgresDatabase
from runtime.settings import Settings
from runtime.websockets import WebSocketProtocol
from schema.transport.engine import Engine, Prepared
from tests.support.graphql_client import GraphQLClient

PASSWORD = "correct horse battery"
PROTOCOL = "graphql-transport-ws"


class _Engine(Engine):
    """Each test has an application of its own; what they are asked is checked once, as in one that lives on."""

    _of_all: ClassVar[OrderedDict[str, Prepared]] = OrderedDict()

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._known = self._of_all


runtime.api.Engine = _Engine


@dataclass(frozen=True, slots=True)
class Api:
    """An open application."""

    app: Starlette
    settings: Settings

    @property
    def database(self) -> PostgresDatabase:
        """The application's own pool, whose statements can be counted."""
        found: PostgresDatabase = self.app.state.database
        return found

    def client(self, token: str | None = None, address: str = "127.0.0.1") -> GraphQLClient:
        """A client without cookies."""
        return GraphQLClient(self.app, token=token, address=address)

    async def sign_up(self, nick_name: str) -> GraphQLClient:
        """A new member, signed in by a token."""
        variables = {
            "email": f"{nick_name.lower()}@example.org",
            "password": PASSWORD,
            "nickName": nick_name,
            "delivery": "TOKEN",
        }
        answer = await self.client().operation("signUp", input=variables)
        payload = answer.data["signUp"]
        assert payload["errors"] == []
        return self.client(payload["token"])


@asynccontextmanager
async def running_api(database_url: str, valkey_url: str, data: Path, **settings: Any) -> AsyncIterator[Api]:
    """The application, closed at the end of the block."""
    given: dict[str, Any] = {
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey_url,
        "data": data,
        "assets": data / "assets",
        "sign_in_limit": 10_000,
        "hub_poll_seconds": 0.2,
        **settings,
    }
    made = Settings(**given)
    async with open_api(made) as app:
        yield Api(app, made)


@asynccontextmanager
async def served(api: Api, protocol: type[WebSocketProtocol] | str | None = None) -> AsyncIterator[str]:
    """The application on a free port of this machine; the answer is `127.0.0.1:port`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = _config(api.app, api.settings)
        config.ws = protocol or config.ws
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110 - the server tells it by this flag only
            await asyncio.sleep(0.01)
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.handle_exit(SIGTERM, None)
            await task


def open_socket(address: str, **options: Any) -> connect:
    """A websocket that speaks our protocol, before `connection_init`."""
    return connect(f"ws://{address}/graphql", subprotocols=options.pop("subprotocols", [PROTOCOL]), **options)


async def closing(connection: ClientConnection) -> tuple[int, str]:
    """Code and reason with which the server closes, whatever it says before."""
    try:
        async with asyncio.timeout(30):
            while True:
                await connection.recv()
    except ConnectionClosed as closed:
        return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd is not None else (1006, "")


@dataclass(slots=True)
class Stream:
    """A client of the protocol on an open socket."""

    connection: ClientConnection

    async def begin(self, token: str | None = None) -> None:
        """Send `connection_init` and take the acknowledgement."""
        payload = {"authorization": f"Bearer {token}"} if token else {}
        await self.send({"type": "connection_init", "payload": payload})
        assert await self.receive() == {"type": "connection_ack"}

    async def subscribe(self, operation_id: str, document: str, **variables: Any) -> None:
        payload = {"query": document, "variables": variables}
        await self.send({"id": operation_id, "type": "subscribe", "payload": payload})

    async def send(self, message: object) -> None:
        import orjson

        await self.connection.send(orjson.dumps(message).decode())

    async def receive(self, seconds: float = 10) -> dict[str, Any]:
        """The next message."""
        import orjson

        async with asyncio.timeout(seconds):
            found: dict[str, Any] = orjson.loads(await self.connection.recv())
        return found

    async def is_answered(self) -> bool:
        """Whether the socket is open, and nothing else was on its way."""
        await self.send({"type": "ping", "payload": {"still": "there"}})
        return await self.receive(30) == {"type": "pong", "payload": {"still": "there"}}

    async def data(self, seconds: float = 10) -> dict[str, Any]:
        """The data of the next `next`."""
        message = await self.receive(seconds)
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        found: dict[str, Any] = message["payload"]["data"]
        return found


@asynccontextmanager
async def open_stream(address: str, token: str | None = None) -> AsyncIterator[Stream]:
    """A client of the protocol on a socket of its own that has been acknowledged."""
    async with open_socket(address) as connection:
        stream = Stream(connection)
        await stream.begin(token)
        yield stream
