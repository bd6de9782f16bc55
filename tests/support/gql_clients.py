"""The Python client `gql` against a running server: over HTTP, over a websocket, with the contract's own documents."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gql import Client, GraphQLRequest
from gql.client import AsyncClientSession, ReconnectingAsyncClientSession
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.websockets import WebsocketsTransport

OPERATIONS = Path(__file__).parents[1] / "contract" / "contract" / "operations"
Session = AsyncClientSession | ReconnectingAsyncClientSession


def operation(name: str, **variables: Any) -> GraphQLRequest:
    """A document of the contract, unchanged, with its variables."""
    return GraphQLRequest((OPERATIONS / f"{name}.graphql").read_text(), variable_values=variables)


@asynccontextmanager
async def over_http(server: str, token: str | None = None) -> AsyncIterator[Session]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with Client(transport=AIOHTTPTransport(f"{server}/graphql", headers=headers, ssl=False)) as session:
        yield session


@asynccontextmanager
async def over_socket(server: str, token: str) -> AsyncIterator[Session]:
    transport = WebsocketsTransport(
        f"{server.replace('http', 'ws')}/graphql",
        init_payload={"authorization": f"Bearer {token}"},
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
    )
    async with Client(transport=transport) as session:
        yield session


async def sign_up(server: str, nick_name: str) -> str:
    """The token of a new member, whose address is NICK_NAME@example.org."""
    given = {
        "email": f"{nick_name}@example.org",
        "password": "a long enough phrase",
        "nickName": nick_name,
        "delivery": "TOKEN",
    }
    async with over_http(server) as session:
        answer = await session.execute(operation("signUp", input=given))
    assert answer["signUp"]["errors"] == []
    token: str = answer["signUp"]["token"]
    return token
