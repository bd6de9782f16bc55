"""Strawberry as its documentation has it, with rows that are there already; its query `send` sends events."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator
from typing import Any

import strawberry
import uvicorn
from strawberry.asgi import GraphQL
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from bench.live_listening import listening

ROWS = 50


class Turn:
    """The version that is shown, and the moments at which it changes."""

    def __init__(self) -> None:
        self.number = 0
        self.changed = asyncio.Condition()

    async def next(self) -> None:
        self.number += 1
        async with self.changed:
            self.changed.notify_all()


@strawberry.type
class Member:
    """As a row shows one."""

    id: strawberry.ID
    nick_name: str


@strawberry.type
class Row:
    """With as many fields as those of our boards."""

    id: strawberry.ID
    version: int
    position: int
    rank: int
    dense_rank: int
    settled_rank: int
    tied: int
    points: int
    settled_points: int
    provisional_points: int
    exact_scores: int
    goal_differences: int
    outcomes: int
    guessed_matches: int
    member: Member


_NUMBERS = [field.name for field in dataclasses.fields(Row) if field.name not in ("id", "version", "member")]


def _row(place: int, version: int) -> Row:
    member = Member(id=strawberry.ID("m" * 50), nick_name=f"Member {place}")
    return Row(id=strawberry.ID("r" * 90), version=version, member=member, **dict.fromkeys(_NUMBERS, version))


@strawberry.type
class Query:
    """What tells it to send."""

    version: int = 1

    @strawberry.field
    async def send(self, info: strawberry.Info[dict[str, Turn], None], times: int) -> int:
        """So many events."""
        turn = info.context["turn"]
        for _ in range(times):
            await turn.next()
        return turn.number


@strawberry.type
class Subscription:
    """The board."""

    @strawberry.subscription
    async def rows(self, info: strawberry.Info[dict[str, Turn], None]) -> AsyncGenerator[list[Row], None]:
        """All rows, at each event."""
        turn = info.context["turn"]
        while True:
            yield [_row(place, turn.number) for place in range(ROWS)]
            async with turn.changed:
                await turn.changed.wait()


class _View(GraphQL[dict[str, Turn], None]):
    def __init__(self) -> None:
        schema = strawberry.Schema(Query, subscription=Subscription)
        super().__init__(schema, subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL])
        self._turn = Turn()

    async def get_context(self, request: Any, response: Any) -> dict[str, Turn]:  # noqa: ARG002 -- its signature
        return {"turn": self._turn}


async def serve() -> None:
    """Until it is killed."""
    config = uvicorn.Config(
        _View(), lifespan="off", log_config=None, ws_per_message_deflate=False, ws_ping_interval=None
    )
    await uvicorn.Server(config).serve(sockets=[listening()])
