"""What boards over HTTP are measured beside: `python -m bench.http_peers bare PORT FILE`, or `strawberry PORT`."""

import asyncio
import sys
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import strawberry
import uvicorn
from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from strawberry.asgi import GraphQL
from strawberry.schema.config import StrawberryConfig

from domain.ids import new_id
from resolvers.context import RequestFacts
from runtime.api import _open_parts
from runtime.settings import Settings
from schema.mutation import Mutation
from schema.query import Query
from schema.scalars import DATE_TIME
from schema.subscription import Subscription
from schema.transport.credentials import Credentials, read_bearer, viewer_of


class Bare:
    """Takes a request and sends the same bytes each time."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._headers = [
            (b"content-type", b"application/json; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        assert scope["type"] == "http"
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body})


class Plain(GraphQL[Any, Any]):
    """strawberry's own view over our types and resolvers, with a context that costs nothing but the session."""

    def __init__(self, parts: Any) -> None:
        config = StrawberryConfig(scalar_map={datetime: DATE_TIME})
        super().__init__(strawberry.Schema(Query, Mutation, Subscription, config=config))
        self._parts = parts

    async def get_context(self, request: Any, response: Any) -> Any:  # noqa: ARG002 -- strawberry's signature
        """What our resolvers take."""
        assert isinstance(request, Request)
        contexts = self._parts.contexts
        credentials = Credentials(read_bearer(request.headers.get("authorization")), None)
        viewer, _ = await viewer_of(contexts.services.database, credentials)
        return contexts.make(RequestFacts(new_id().hex, "", None), viewer)


async def _strawberry(port: int) -> None:
    async with AsyncExitStack() as stack:
        await _serve(Plain(await _open_parts(Settings(), stack)), port)


async def _serve(app: Any, port: int) -> None:
    config = uvicorn.Config(app, host="127.0.0.1", port=port, lifespan="off", log_config=None, access_log=False)
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["bare", port, file]:
            asyncio.run(_serve(Bare(Path(file).read_bytes()), int(port)))
        case ["strawberry", port]:
            asyncio.run(_strawberry(int(port)))
